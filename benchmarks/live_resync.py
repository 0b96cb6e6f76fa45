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
from velas.interval import Interval
from velas.models import Candle
from velas.settings import Stream as StreamSettings
from velas.stream import Stream
from velas.testing import ScaledClock, StandInVenue
from velas_ccxt import BinanceSpot
from velas_cryptofeed import BinanceSpotFeed

__all__ = ["resync"]

_SERIES = 60
_STEADY_S = 130.0  # of venue time, before the cut
_LATER_S = 60.0  # and after the series are whole: who still asks then?
_PATIENCE_S = 600.0


@attrs.define
class _Asked:
    """Counts pages of candles by who asks, before an exchange sends them."""

    by: Counter[str] = attrs.Factory(Counter)
    failed: Counter[str] = attrs.Factory(Counter)


class _Counting(BinanceSpot):
    asked: _Asked

    async def fetch_candles(self, symbol: str, interval: Any, **wanted: Any) -> pd.DataFrame:
        """Count, then ask; `start_ms` and so on as ever."""
        who = _who()
        self.asked.by[who] += 1
        try:
            return await super().fetch_candles(symbol, interval, **wanted)
        except Exception:
            self.asked.failed[who] += 1
            raise


def resync(*, factor: float, cut_s: float, series: int = _SERIES) -> None:
    """Run it and print the requests."""
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
        exchange.asked = _Asked()
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
    before = heard.least_ms()
    venue.offline(cut_s)
    asked, sent = exchange.asked, exchange.usage.requests
    asked.by.clear()
    await clock.sleep(cut_s)
    back_ms, arrived, offline = venue.now_ms(), venue.count("/klines"), asked.by.total()
    tries = exchange.usage.requests - sent
    asked.by.clear()
    asked.failed.clear()
    wanted_ms = Interval("1m").floor(back_ms - 3_000) - MINUTE_MS
    whole_s = await _until(lambda: heard.least_ms() >= wanted_ms, clock, _PATIENCE_S)
    needed, by = venue.count("/klines") - arrived, dict(asked.by)
    failed = dict(asked.failed)
    await clock.sleep(_LATER_S)
    later = venue.count("/klines") - arrived - needed
    lost = (wanted_ms - before) // MINUTE_MS
    _print(len(heard.opens), lost, whole_s, needed, by)
    print(
        f"\nwhile it was dead: {offline} pages asked for, {tries} requests tried; "
        f"begun then or after and failed: {failed or 'none'}"
        f"\nin the {_LATER_S:g} s after that: {later} requests for candles; "
        f"all since the return, by who asks: {dict(asked.by)}"
    )


def _print(series: int, lost: int, whole_s: float, needed: int, by: dict[str, int]) -> None:
    rest = by.get("check", 0)
    show(
        ["series", "candles each", "whole after s", "kline requests", "of them checks", "a series"],
        [
            [str(series), str(lost), f"{whole_s:.1f}", str(needed), str(rest),
             f"{(needed - rest) / series:.2f}"]
        ],
    )  # fmt: skip
    print(f"by who asks: {by}")


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
