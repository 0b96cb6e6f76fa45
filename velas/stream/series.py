"""What a stream knows about one subscribed series, beside its track."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Generic, TypedDict, TypeVar

import attrs

from velas.models import BookTicker, Subscription
from velas.protocols import Event
from velas.stream.candle_track import CandleTrack
from velas.stream.trade_track import TradeTrack

__all__ = ["FIRST_ROTATE_PAUSE_S", "About", "AnySeries", "OpenGap", "Series", "TickerTrack"]

FIRST_ROTATE_PAUSE_S = 60.0  # between two new sockets for a series that stays mute; doubles


class About(TypedDict):
    """What every status of a series says first."""

    at_ms: int
    channel: str
    symbol: str
    interval: str | None


class TickerTrack:
    """The book ticker of one symbol: the newest, never an older one after it."""

    def __init__(self, symbol: str, counters: Counter[str]) -> None:
        self.symbol = symbol
        self.last: BookTicker | None = None
        self._counters = counters

    def take(self, ticker: BookTicker) -> bool:
        """Take a ticker; say whether it is to be delivered."""
        known = self.last.update_id if self.last is not None else None
        # ids rise but jump: they order and tell repeats, nothing more (binance-facts 5)
        if known is not None and ticker.update_id is not None and ticker.update_id <= known:
            self._counters["repeated" if ticker.update_id == known else "late"] += 1
            return False
        self.last = ticker
        return True


TrackT = TypeVar("TrackT", CandleTrack, TradeTrack, TickerTrack)


@attrs.define(eq=False)
class OpenGap:
    """A hole that was told of: from `start` up to `end`, `absent` of it not to come."""

    start: int
    end: int
    reason: str
    absent: int = 0


@attrs.define(eq=False)
class Series(Generic[TrackT]):
    """One subscription: its track, what was heard of it, who serves it now.

    Times ending in `_s` are of the monotonic clock. `fallen_s` is since when REST serves
    it; `mute` whether that is because of silence. `parked`: the bot is too slow.
    """

    subscription: Subscription
    track: TrackT
    heard_s: float  # when its socket spoke last
    listening_s: float = 0.0  # since when it could
    heard: Event | None = None  # what it said last since then
    shown: Event | None = None  # the newest that REST has shown, and when
    shown_s: float = 0.0
    baseline: Event | None = None  # what it need not speak of, and whether that is known
    looked: bool = False
    fallen_s: float | None = None
    mute: bool = False
    has_rest: bool = True  # whether REST can serve it at all
    parked: bool = False
    excuse: str = ""  # why what came, up to `excused_ms`, was not taken
    excused_ms: int = -1
    gap: OpenGap | None = None
    healing: asyncio.Task[None] | None = None
    probing: asyncio.Task[None] | None = None
    opened_ms: int = 0  # the venue's time when the first candle could be delivered
    usual_s: float = 0.0  # a lull that it had lately, and when that ended
    usual_at_s: float = 0.0
    judge_at_s: float = 0.0  # its silence is not judged before
    rotate_pause_s: float = FIRST_ROTATE_PAUSE_S
    phase: float = attrs.Factory(random.random)  # spreads what all series do in turn
    checked_s: float = 0.0
    healed_s: float = float("-inf")
    doubted: tuple[int, int] | None = None  # a range that one answer had nothing in

    @property
    def since_s(self) -> float:
        """When its silence began."""
        return max(self.heard_s, self.listening_s)

    def about(self, at_ms: int) -> About:
        """Return what a status of this series begins with."""
        one = self.subscription
        return {
            "at_ms": at_ms,
            "channel": one.channel,
            "symbol": one.symbol,
            "interval": one.interval,
        }

    @property
    def name(self) -> str:
        """How messages call it."""
        one = self.subscription
        return f"{one.symbol} {one.interval or one.channel}"


AnySeries = Series[CandleTrack] | Series[TradeTrack] | Series[TickerTrack]
