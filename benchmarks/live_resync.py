"""What a cut of ten minutes costs in requests: 60 series of 1m, everything dead, then back.

The stand-in runs on a fast clock. Requests are counted at the venue, from its return until
every series has delivered all its candles again, and told apart by who asks.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

import attrs
import pandas as pd

from benchmarks.live_frames import MINUTE_MS, START_MS
from benchmarks.tables import show
from velas.errors import ExchangeError
from velas.interval import Interval
from velas.models import Candle
from velas.settings import Stream as StreamSettings
from velas.stream import Stream
from velas.testing import ScaledClock, StandInVenue
from velas_ccxt import BinanceSpot
from velas_cryptofeed import BinanceSpotFeed

__all__ = ["resync"]

_STEADY_S = 130.0  # of venue time, before the cut
_MARGIN_MS = 2_000  # how long after its end REST has a candle
_PATIENCE_S = 600.0


@attrs.frozen
class _Page:
    """A request for candles that was answered: who asked, from where on, when it ended."""

    who: str
    start_ms: int
    ended_ms: int


class _Counting(BinanceSpot):
    """Notes every answered page."""

    pages: list[_Page]
    failed: int

    async def fetch_candles(self, symbol: str, interval: Any, **wanted: Any) -> pd.DataFrame:
        """Ask, and take note; `start_ms` and so on as ever."""
        who = _who()
        try:
            frame = await super().fetch_candles(symbol, interval, **wanted)
        except ExchangeError:
            self.failed += 1
            raise
        now_ms = self.clock.now_ms()  # the newest, where no start is named
        self.pages.append(_Page(who, wanted.get("start_ms") or now_ms, now_ms))
        return frame

    async def fetch_forming_candle(self, symbol: str, interval: Any) -> Candle | None:
        """Ask, and take note."""
        candle = await super().fetch_forming_candle(symbol, interval)
        self.pages.append(_Page("forming", self.clock.now_ms(), self.clock.now_ms()))
        return candle


def resync(*, factor: float, cut_s: float = 600.0, series: int = 60) -> None:
    """Cut for `cut_s` of a clock that is `factor` times as fast, and print the requests."""
    logging.getLogger("velas").setLevel(logging.ERROR)
    logging.getLogger("velas_cryptofeed").setLevel(logging.CRITICAL)
    asyncio.run(_run(factor, cut_s, series))


async def _run(factor: float, cut_s: float, series: int) -> None:
    clock = ScaledClock(factor, start_ms=START_MS + 5_000)
    ids = [f"C{number:02}USDT" for number in range(series)]
    async with (
        StandInVenue(symbols=ids, clock=clock, connection_limit=0) as venue,
        _Counting(url=venue.rest_url, clock=clock) as exchange,
    ):
        exchange.pages, exchange.failed = [], 0
        feed = BinanceSpotFeed(exchange, url=venue.ws_url, clock=clock)
        settings = StreamSettings(memory_candles=5)
        async with Stream(exchange, feed, settings=settings, clock=clock) as stream:
            stream.subscribe("candles", ids, intervals=["1m"])
            heard = _Heard(ids)
            task = asyncio.ensure_future(heard.listen(stream))
            await clock.sleep(_STEADY_S)
            await _cut(venue, exchange, clock, heard, cut_s)
        await task
    heard.check()


async def _cut(
    venue: StandInVenue, exchange: _Counting, clock: ScaledClock, heard: _Heard, cut_s: float
) -> None:
    before_ms = heard.least_ms()
    venue.offline(cut_s)
    sent = exchange.usage.requests
    exchange.failed = 0
    await clock.sleep(cut_s)
    back_ms, arrived = venue.now_ms(), venue.count("/klines")
    tries, failed = exchange.usage.requests - sent, exchange.failed
    lost_ms = Interval("1m").floor(back_ms - _MARGIN_MS) - MINUTE_MS  # the last that was missed
    whole_s = await _until(lambda: heard.least_ms() >= lost_ms, clock, _PATIENCE_S)
    needed = [page for page in exchange.pages if page.ended_ms >= back_ms]
    arrived = venue.count("/klines") - arrived
    resyncs = Counter(
        page.who for page in needed if page.who != "check" and page.start_ms <= lost_ms
    )
    others = Counter(page.who for page in needed)
    others.subtract(resyncs)
    count = len(heard.opens)
    show(
        ["series", "candles each", "whole after s", "resync requests", "a series", "in all"],
        [[str(count), str((lost_ms - before_ms) // MINUTE_MS), f"{whole_s:.1f}",
          str(resyncs.total()), f"{resyncs.total() / count:.2f}", str(arrived)]],
    )  # fmt: skip
    print(
        f"resync requests, by who asked: {dict(resyncs)}; others of that time: {dict(+others)}"
        f"\nwhile all was dead {tries} tries were made, {failed} requests given up"
    )


@attrs.define
class _Heard:
    ids: list[str]
    opens: dict[str, list[int]] = attrs.Factory(dict)

    async def listen(self, stream: Stream) -> None:
        async for event in stream.events():
            if isinstance(event, Candle) and event.is_closed:
                self.opens.setdefault(event.symbol, []).append(event.timestamp)

    def least_ms(self) -> int:
        """Up to which candle all series have come."""
        if len(self.opens) < len(self.ids):
            return 0
        return min(opens[-1] for opens in self.opens.values())

    def check(self) -> None:
        for symbol, opens in self.opens.items():
            dense = list(range(opens[0], opens[-1] + 1, MINUTE_MS))
            assert opens == dense, f"{symbol} has a hole"


async def _until(reached: Any, clock: ScaledClock, seconds: float) -> float:
    began_s = clock.monotonic_s()
    while not reached():
        if clock.monotonic_s() - began_s > seconds:
            raise SystemExit(f"not all series whole within {seconds:g} s")
        await asyncio.sleep(0.002)
    return clock.monotonic_s() - began_s


def _who() -> str:
    task = asyncio.current_task()
    name = task.get_name() if task is not None else ""
    kind = name.partition(" of ")[0]
    return kind if kind in ("repair", "check", "probe", "history") else "polling"
