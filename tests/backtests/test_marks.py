from __future__ import annotations

import pytest
from backtested import a_result, a_trade

from velas.backtests import marks

HOUR = 3_600_000


def test_fills_lie_on_the_candles_in_which_they_were() -> None:
    result = a_result(trades=(a_trade(opened_ms=5 * HOUR, closed_ms=7 * HOUR),))
    assert marks(result) == [(4 * HOUR, 100.0, "buy"), (6 * HOUR, 104.0, "sell")]


def test_short_trade_begins_with_a_sale() -> None:
    result = a_result(trades=(a_trade(side="short", opened_ms=5 * HOUR, closed_ms=7 * HOUR),))
    assert [side for _, _, side in marks(result)] == ["sell", "buy"]


@pytest.mark.parametrize(("symbol", "count"), [(None, 2), ("ETH/USDT", 4), ("SOLUSDT", 0)])
def test_fills_are_those_of_one_symbol_in_order(symbol: str | None, count: int) -> None:
    result = a_result(
        trades=(a_trade(0), a_trade(2, symbol="ETHUSDT"), a_trade(1, symbol="ETHUSDT"))
    )
    found = marks(result, symbol)
    assert len(found) == count
    assert found == sorted(found)


def test_fill_in_a_longer_candle_lies_where_that_begins() -> None:
    trade = a_trade(interval="4h", opened_ms=8 * HOUR, closed_ms=16 * HOUR)
    assert [at_ms for at_ms, _, _ in marks(a_result(trades=(trade,)))] == [4 * HOUR, 12 * HOUR]
