"""What is asked of REST for a tape: all of the recording, however long it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pandas as pd
import pytest
from polled import MINUTE, START, LiveExchange, live

from velas.errors import TooOld
from velas.interval import Interval
from velas.models import Subscription
from velas.paging import CandlePages
from velas.tape import Header, TapeWriter, load_tape
from velas.tape_rest import RestSide, load_rest, record_rest
from velas.testing import ManualClock

CANDLES = Subscription("candles", "BTC/USDT", "1m")
TRADES = Subscription("trades", "BTC/USDT")


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> LiveExchange:
    exchange = live(ManualClock(START))

    def pages(
        symbol: str, interval: str | Interval, *, start_ms: int, end_ms: int
    ) -> AsyncIterator[pd.DataFrame]:
        grid = Interval.of(interval)
        return CandlePages(exchange, symbol, grid, grid.floor(end_ms), ahead=1).walk(start_ms)

    monkeypatch.setattr(exchange, "iter_candles", pages)
    return exchange


async def recorded(
    path: Path, venue: LiveExchange, seconds: float, first_id: int = 0, last_id: int = 0
) -> RestSide:
    """Return the REST side of a recording that began at `START`."""
    subscriptions = (CANDLES, TRADES)
    markets = tuple((await venue.markets()).values())
    header = Header("binance_spot", START, subscriptions, markets, rest=True)
    venue.clock.advance(seconds)
    with TapeWriter(path, header) as tape:
        rows = await record_rest(tape, venue, subscriptions, {"BTC/USDT": (first_id, last_id)})
    rest = load_rest(load_tape(path))
    assert rows == sum(map(len, (*rest.candles.values(), *rest.trades.values())))
    return rest


async def test_rest_side_of_a_long_recording_has_every_candle_since_before_it_began(
    tmp_path: Path, venue: LiveExchange
) -> None:
    rest = await recorded(tmp_path / "x.tape", venue, 200 * 60 + 5)
    opens = rest.candles["BTC/USDT", "1m"]["timestamp"].tolist()
    assert opens == [START + slot * MINUTE for slot in range(-100, 200)]


async def test_rest_side_has_every_trade_up_to_the_last_that_was_heard(
    tmp_path: Path, venue: LiveExchange
) -> None:
    venue.page_trades = 2
    rest = await recorded(tmp_path / "x.tape", venue, 6_000, 7, 5_007)
    assert [trade.id for trade in rest.trades["BTC/USDT"]] == list(range(7, 5_009))


async def test_rest_side_without_trades_that_are_too_old_keeps_the_candles(
    tmp_path: Path, venue: LiveExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise TooOld("-4166 only the last 48 hours")

    monkeypatch.setattr(venue, "fetch_trades", refuse)
    rest = await recorded(tmp_path / "x.tape", venue, 605, 7, 500)
    assert len(rest.candles["BTC/USDT", "1m"]) == 110
    assert rest.trades == {}
