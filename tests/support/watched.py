"""A venue in memory that remembers what it was asked for, and what a stream told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import attrs
import pandas as pd
from streamkit import CAPABILITIES, MINUTE, START, Live, LiveVenue, name_of

from velas.status import CandleRevised
from velas.testing import ManualClock

__all__ = [
    "FIRST",
    "Watched",
    "asked_about",
    "close",
    "close_at",
    "opened",
    "ranges",
    "revised",
    "until",
    "venue",
]

FIRST = START // MINUTE * MINUTE


@attrs.define(slots=False)
class Watched(LiveVenue):
    """Remembers which ranges were asked for; an answer waits while `gate` is closed."""

    ranges: list[tuple[int, int, int]] = attrs.Factory(list)
    gate: asyncio.Event = attrs.Factory(asyncio.Event)

    def __attrs_post_init__(self) -> None:
        self.gate.set()

    async def fetch_candles(self, *args: Any, **kwargs: Any) -> pd.DataFrame:
        end_ms = kwargs.get("end_ms") or self.now_ms()
        self.ranges.append((kwargs["start_ms"], end_ms, kwargs.get("limit") or 100))
        frame = await super().fetch_candles(*args, **kwargs)
        await self.gate.wait()
        return frame


def venue(**changes: Any) -> Callable[[ManualClock], Watched]:
    return lambda clock: Watched(clock, capabilities=attrs.evolve(CAPABILITIES, **changes))


async def close(at: Live, *minutes: int) -> None:
    """Let each minute end and say its close."""
    for minute in minutes:
        await at.run((FIRST + (minute + 1) * MINUTE - at.clock.now_ms()) / 1000 + 0.5)
        at.feed.say(at.venue.candle(FIRST + minute * MINUTE))
        await at.run(0.0)


async def until(at: Live, condition: Callable[[], bool]) -> None:
    """Let the store's threads work, while no time passes, until `condition` is true."""
    await at.settle()
    assert condition()


async def opened(at: Live) -> None:
    """Let the stream begin to deliver candles."""
    series = at.stream._core.candles
    await until(at, lambda: bool(series) and all(one.track.open for one in series.values()))


def revised(at: Live) -> list[int]:
    return [name_of(one.before.timestamp) for one in at.told(CandleRevised)]


def close_at(frame: pd.DataFrame, minute: int) -> float:
    return float(frame.set_index("timestamp")["close"][FIRST + minute * MINUTE])


def ranges(at: Live) -> list[tuple[int, int, int]]:
    """Return what was asked for: from, to, at most how many."""
    assert isinstance(at.venue, Watched)
    return at.venue.ranges


def asked_about(at: Live, minute: int) -> int:
    """Return how many requests were for a range that has the candle in it."""
    open_ms = FIRST + minute * MINUTE
    return sum(start <= open_ms < end for start, end, _ in ranges(at))
