"""What repair asks for when REST itself was away: no more than is needed, and at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pandas as pd
from streamkit import LiveVenue, live

from velas.errors import Unavailable
from velas.models import Usage
from velas.testing import ManualClock

SYMBOLS = tuple(f"C{number:02}/USDT" for number in range(12))
CANDLES = ({"channel": "candles", "symbols": list(SYMBOLS), "intervals": ["1m"]},)


class _Outage(LiveVenue):
    """Nobody is answered while it is `dead`; `ranges` are where answered pages began."""

    dead = False

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, symbols=SYMBOLS)
        self.ranges: list[tuple[str, int]] = []

    async def fetch_candles(self, symbol: str, interval: Any, **wanted: Any) -> pd.DataFrame:
        await self._refuse()
        if not _checks():  # what was delivered is compared with REST later, and that is extra
            self.ranges.append((symbol, wanted["start_ms"]))
        return await super().fetch_candles(symbol, interval, **wanted)

    async def fetch_forming_candle(self, symbol: str, interval: Any) -> Any:
        await self._refuse()
        return await super().fetch_forming_candle(symbol, interval)

    async def _refuse(self) -> None:
        if self.dead:
            raise Unavailable("dead")


class _Stubborn(_Outage):
    """Repeats what fails inside the request, every 100 s and unasked, as adapters may."""

    retried = 0

    @property
    def usage(self) -> Usage:
        return Usage(0, 0, self.retried)

    async def _refuse(self) -> None:
        while self.dead:
            self.retried += 1
            await self.clock.sleep(100.0)


def _checks() -> bool:
    task = asyncio.current_task()
    return task is not None and task.get_name().startswith("check")


async def test_repair_after_an_outage_asks_once_for_each_series() -> None:
    async with live(subscribe=CANDLES, venue=_Outage) as on:
        on.venue.dead = True
        on.feed.drop()
        await on.run(600.0)
        on.venue.dead = False
        on.venue.ranges.clear()
        await on.run(31.0)  # the longest pause between two tries is 30 s
        assert all(on.closed(symbol) for symbol in SYMBOLS)
        assert sorted(symbol for symbol, _ in on.venue.ranges) == sorted(SYMBOLS)


async def test_repair_that_waits_after_a_failure_asks_again_when_the_socket_is_back() -> None:
    async with live(subscribe=CANDLES, venue=_Outage) as on:
        on.venue.dead = True
        on.feed.drop()
        await on.run(600.0)
        on.venue.dead = False
        on.feed.connect()
        await on.run(1.5)
        assert all(on.closed(symbol) for symbol in SYMBOLS)


async def test_repair_whose_request_is_repeated_in_vain_asks_for_what_is_missing_now() -> None:
    async with live(subscribe=CANDLES, venue=_Stubborn) as on:
        on.venue.dead = True
        on.feed.drop()
        await on.run(205.0)
        on.venue.dead = False
        on.venue.ranges.clear()
        on.feed.connect()
        await on.run(3.0)
        await asyncio.sleep(0)
        assert [len(on.closed(symbol)) for symbol in SYMBOLS] == [3] * len(SYMBOLS)
        assert len(on.venue.ranges) == len(SYMBOLS)


async def test_trades_with_a_hole_are_polled_too_when_the_socket_goes_down() -> None:
    dead = True

    def fault(what: str) -> None:
        if dead and what == "trades":
            raise Unavailable("dead")

    async with live(subscribe=({"channel": "trades", "symbols": ["BTC/USDT"]},)) as on:
        on.venue.fault = fault
        on.feed.say(on.venue.trade(1), on.venue.trade(5))
        await on.run(1.0)
        on.feed.drop()
        await on.run(20.0)
        dead = False
        on.venue.first_trade_id = 20  # the newest, and no socket to tell of it
        await on.run(60.0)
        assert [trade.id for trade in on.trades()] == list(range(1, 21))
