"""Memory of a stream over a million events: it must not grow once everything is warm.

A feed in memory, no socket; the clock moves with the candles, so that what was delivered
is compared with REST and forgotten as ever.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.live_frames import MINUTE_MS, START_MS, SYMBOLS
from benchmarks.live_venue import LocalVenue
from benchmarks.tables import show
from velas.feed import FeedAdapter
from velas.models import Candle, Subscription
from velas.settings import Stream as StreamSettings
from velas.stream import Stream
from velas.testing import ManualClock

__all__ = ["memory"]

_FORMING = 40
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Generated(FeedAdapter):
    """Plays minutes of all series, as fast as the consumer takes them."""

    played = 0

    def __init__(self, exchange: LocalVenue, clock: ManualClock, minutes: int) -> None:
        super().__init__("generated", exchange, clock=clock)
        self._hand = clock
        self._minutes = minutes

    async def _drive(self, subscriptions: Sequence[Subscription]) -> None:
        await asyncio.sleep(0.5)  # for the history
        for minute in range(self._minutes):
            opened = START_MS + minute * MINUTE_MS
            for count in range(1, _FORMING + 1):
                for one in subscriptions:
                    self.deliver_candle(_candle(one.symbol, opened, count, closed=False))
                await self._move(opened + (count + 1) * MINUTE_MS // (_FORMING + 1))
            for one in subscriptions:
                self.deliver_candle(_candle(one.symbol, opened, _FORMING, closed=True))
            await self._move(opened + MINUTE_MS + 100)

    async def _move(self, at_ms: int) -> None:
        self.played += len(SYMBOLS)
        self._hand.advance(max(0, at_ms - self._hand.now_ms()) / 1000)
        for _ in range(4):
            await asyncio.sleep(0)


def memory(*, events: int) -> None:
    """Play about so many events and print what is held at each tenth of them."""
    asyncio.run(_memory(events // (len(SYMBOLS) * (_FORMING + 1)) + 1))


async def _memory(minutes: int) -> None:
    clock = ManualClock(START_MS + 1_000)
    exchange = LocalVenue(clock)
    feed = _Generated(exchange, clock, minutes)
    rows: list[list[str]] = []
    every = max(1, minutes * len(SYMBOLS) // 10)
    closed = taken = 0
    stream = Stream(
        exchange, feed, settings=StreamSettings(memory_candles=min(20, minutes)), clock=clock
    )
    async with stream:
        stream.subscribe("candles", SYMBOLS, intervals=["1m"])
        async for event in stream.events():
            taken += 1
            if isinstance(event, Candle) and event.is_closed:
                closed += 1
                if closed % every == 0:
                    rows.append(_row(feed.played, taken, closed))
    show(["played", "delivered", "closed", "blocks", "RSS MB"], rows)
    half = rows[len(rows) // 2 :]
    grown = float(half[-1][4]) - float(half[0][4])
    print(f"\nRSS over the second half: {grown:+.1f} MB; {dict(stream.counters)}")


def _row(played: int, taken: int, closed: int) -> list[str]:
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 2**20
    blocks = f"{sys.getallocatedblocks():,}"
    return [f"{played:,}", f"{taken:,}", f"{closed:,}", blocks, f"{resident:.1f}"]


def _candle(symbol: str, opened: int, count: int, *, closed: bool) -> Candle:
    return Candle(
        symbol, "1m", opened, 1.0, 1.0, 1.0, 1.0, 1.0, opened + MINUTE_MS - 1, 1.0, count, 1.0, 1.0,
        closed, 0, "ws",
    )  # fmt: skip
