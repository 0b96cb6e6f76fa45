"""What proves that a silent stream ought to have spoken."""

from __future__ import annotations

from decimal import Decimal

import attrs
import pytest

from velas.models import Candle, Trade
from velas.stream.probe import is_news

HEARD = Candle(
    *("BTC/USDT", "1m", 60_000, 1.0, 1.0, 1.0, 1.0, 5.0, 119_999, 5.0, 10, 1.0, 1.0),
    is_closed=False,
)


@pytest.mark.parametrize(
    ("said", "news"),
    [
        ({}, False),
        ({"trades": 11}, True),
        ({"trades": 9}, False),
        ({"timestamp": 120_000, "trades": 1}, True),
        ({"timestamp": 120_000, "trades": 0, "volume": 7.0}, False),
        ({"timestamp": 120_000, "trades": None, "volume": 0.0}, False),
        ({"timestamp": 120_000, "trades": None, "volume": 2.0}, True),
        ({"timestamp": 0, "trades": 99}, False),
        ({"trades": None, "volume": 6.0}, True),
        ({"trades": None, "volume": 5.0}, False),
    ],
)
def test_is_news_of_candles_is_by_slot_then_trades_then_volume(
    said: dict[str, object], news: bool
) -> None:
    assert is_news(attrs.evolve(HEARD, **said), HEARD, by_id=True) is news  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "later_ms", "by_id", "news"),
    [
        (8, 0, True, True),
        (7, 5_000, True, False),
        (6, 5_000, True, False),
        (8, 900, False, False),  # another numbering: 8 may be the same one
        (6, 1_001, False, True),
        ("x", 1_001, True, True),
    ],
)
def test_is_news_of_trades_is_by_id_or_else_by_time(
    number: int | str, later_ms: int, by_id: bool, news: bool
) -> None:
    known = Trade("BTC/USDT", 7, 60_000, Decimal(1), Decimal(1), is_buyer_maker=False)
    said = attrs.evolve(known, id=number, timestamp=60_000 + later_ms)
    assert is_news(said, known, by_id=by_id) is news


def test_is_news_of_another_kind_is_none() -> None:
    trade = Trade("BTC/USDT", 7, 60_000, Decimal(1), Decimal(1), is_buyer_maker=False)
    assert not is_news(trade, HEARD, by_id=True)
