"""The feed `replay`: a venue's own feed, to which a tape speaks instead of its sockets."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, Self, TypeVar

import attrs

from velas import registry
from velas.clock import SYSTEM_CLOCK, Clock
from velas.config import load_settings
from velas.errors import ConfigError, FeedError, Unsupported
from velas.feed import FeedAdapter, Frame
from velas.models import BookTicker, Candle, Subscription, Trade
from velas_replay._aside import TapeExchange, tape_of
from velas_replay._clock import FastClock, PacedClock, TapeClock, hold_up_frames

if TYPE_CHECKING:
    from velas.config import Settings
    from velas.protocols import Event, Exchange
    from velas.tape import Tape

__all__ = ["ReplayFeed"]

T = TypeVar("T")
_MS = 1_000_000  # ns
_SHOWN = 6


class ReplayFeed(FeedAdapter):
    """Plays a tape through the parsing of the feed it was recorded with.

    `exchange` gives the markets; without one it is the tape's own, which also answers
    requests if the tape was recorded with them (`velas record --with-rest`). What is subscribed is
    delivered, without a subscription everything. `speed` 1.0 or ``"original"`` keeps the
    pace of the recording on `clock`, 10.0 is ten times as fast, None or 0 as fast as
    whoever listens can follow. The feed's own `clock` shows the tape's time: with it, as
    in ``Stream(exchange, feed, clock=feed.clock)``, every run does the same. The tape's
    end is the feed's. Unlike a live feed it waits for a slow consumer of `events` and
    drops nothing.

    Raises:
        ConfigError: `speed` is none.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        exchange: Exchange | None = None,
        speed: float | Literal["original"] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        factor = _factor(speed)
        self.path = Path(path)
        self._tape: Tape | None = None
        self._venue: str | None = None
        own: TapeClock = (
            FastClock(self._started_ns, clock)
            if factor is None
            else PacedClock(self._started_ns, clock, factor)
        )
        super().__init__("replay", exchange or TapeExchange(lambda: self.tape), clock=own)
        self._time = own
        if isinstance(self.exchange, TapeExchange):
            self.exchange.clock = own

    @classmethod
    def from_settings(
        cls, settings: Settings, *, exchange: Exchange, clock: Clock = SYSTEM_CLOCK
    ) -> Self:
        """Return the feed for `replay.tape`, recorded with `replay.exchange`."""
        if settings.replay.tape is None:
            raise ConfigError(
                "feed 'replay' needs a tape: set replay.tape to a file such as "
                "cassettes/binance_spot/live.tape"
            )
        feed = cls(settings.replay.tape, exchange=exchange, clock=clock)
        feed._venue = settings.replay.exchange
        return feed

    def __repr__(self) -> str:
        return f"<ReplayFeed {str(self.path)!r}{' closed' if self._closed else ''}>"

    @property
    def tape(self) -> Tape:
        """The tape; its header is read at first use.

        Raises:
            ConfigError: there is no such tape, or it was recorded with another exchange.
        """
        if self._tape is None:
            self._tape = tape_of(self.path, self._venue)
        return self._tape

    async def run(self) -> None:
        """Drive the callbacks until the tape ends or the feed is closed.

        Raises:
            FeedError: it runs already, or is closed.
            ConfigError: the tape is damaged, or lacks what is subscribed.
            UnknownSymbol: the exchange lists no such market.
        """
        self._choose()
        await super().run()

    async def subscriptions(self) -> tuple[Subscription, ...]:
        """Return what was subscribed, by unified symbol; nothing was, all the tape has.

        Raises:
            ConfigError: there is no such tape, or it was recorded with another exchange.
            UnknownSymbol: the exchange lists no such market.
        """
        self._choose()
        return await super().subscriptions()

    async def events(self) -> AsyncIterator[Event]:
        """Iterate over what the tape holds, all of it, however slow the consumer is.

        Raises:
            FeedError: callbacks are set; or as `run`.
        """
        if self.on_candle or self.on_trade or self.on_book_ticker:
            raise FeedError(f"{self.name}: either set callbacks and run(), or iterate events()")
        hold_up_frames()  # this is the consumer's task
        hand: _Handover[Event] = _Handover()
        self.on_candle = self.on_trade = self.on_book_ticker = hand.give
        running = asyncio.ensure_future(self.run())
        running.add_done_callback(lambda _: hand.close())
        try:
            async for event in hand.taken():
                yield event
            await running
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await running
            self.on_candle = self.on_trade = self.on_book_ticker = None

    async def aclose(self) -> None:
        """Stop; may be called again."""
        await super().aclose()
        self._time.finish()  # nobody may wait for a tape that does not run

    def _choose(self) -> None:
        if not self._wanted and not self._closed:
            self._wanted = dict.fromkeys(self.tape.header.subscriptions)

    async def _drive(self, subscriptions: Sequence[Subscription]) -> None:
        self._check_recorded(subscriptions)
        hold_up_frames()
        played = _Chosen(self, frozenset(subscriptions))
        adapter = self._adapter()
        adapter.on_candle, adapter.on_trade = played.candle, played.trade
        adapter.on_book_ticker, adapter.on_status = played.book_ticker, self.report
        frames = self._frames()
        try:
            await adapter.play(frames)
        finally:
            await frames.aclose()
            self._time.finish()
            await adapter.aclose()

    async def _frames(self) -> AsyncGenerator[Frame, None]:
        frames = self.tape.frames()
        try:
            for frame in frames:
                await self._time.run_to(frame.received_ns)
                if self.on_frame is not None:
                    self.on_frame(frame)
                self._time.frame_taken(True)
                yield frame
                self._time.frame_taken(False)
            if frames.ended_ms is not None:
                await self._time.run_to(frames.ended_ms * _MS)
        finally:
            self._time.frame_taken(False)
            frames.close()

    def _adapter(self) -> FeedAdapter:
        name = self.tape.header.exchange
        if name == self.name:
            raise ConfigError(f"tape {str(self.path)!r} is the recording of a replay")
        build = registry.load("feeds", name)
        adapter = build.from_settings(
            load_settings(environ={}, exchange=name), exchange=self.exchange
        )
        if not isinstance(adapter, FeedAdapter):
            raise Unsupported(f"feed {name!r} cannot replay a tape: it is no FeedAdapter")
        adapter.clock = self.clock
        for one in self.tape.header.subscriptions:
            intervals = () if one.interval is None else (one.interval,)
            adapter.subscribe(one.channel, [one.symbol], intervals=intervals)
        return adapter

    def _started_ns(self) -> int:
        return self.tape.header.started_ms * _MS

    def _check_recorded(self, subscriptions: Sequence[Subscription]) -> None:
        there = self.tape.header.subscriptions
        lacking = [one for one in subscriptions if one not in there]
        if lacking:
            more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
            raise ConfigError(
                f"tape {str(self.path)!r} holds no {_spelled(lacking[0])}; "
                f"it holds {', '.join(map(_spelled, there[:_SHOWN]))}{more}"
            )


@attrs.frozen
class _Chosen:
    feed: ReplayFeed
    wanted: frozenset[Subscription]

    def candle(self, event: Candle) -> Awaitable[None] | None:
        if Subscription("candles", event.symbol, event.interval) in self.wanted:
            return self.feed.deliver_candle(event)
        return None

    def trade(self, event: Trade) -> Awaitable[None] | None:
        if Subscription("trades", event.symbol) in self.wanted:
            return self.feed.deliver_trade(event)
        return None

    def book_ticker(self, event: BookTicker) -> Awaitable[None] | None:
        if Subscription("book_ticker", event.symbol) in self.wanted:
            return self.feed.deliver_book_ticker(event)
        return None


class _Handover(Generic[T]):
    def __init__(self) -> None:
        self._waiting: deque[T] = deque()
        self._there, self._gone = asyncio.Event(), asyncio.Event()
        self._closed = False

    async def give(self, event: T) -> None:
        self._waiting.append(event)
        self._gone.clear()
        self._there.set()
        await self._gone.wait()

    async def taken(self) -> AsyncIterator[T]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
                self._gone.set()  # the consumer is back: it is done with the event
            if self._closed:
                return
            self._there.clear()
            await self._there.wait()

    def close(self) -> None:
        self._closed = True
        self._there.set()


def _factor(speed: float | str | None) -> float | None:
    if speed is None or speed == "original":
        return None if speed is None else 1.0
    if isinstance(speed, (int, float)) and 0 <= speed < math.inf:
        return float(speed) or None
    raise ConfigError(
        f"speed {speed!r}: expected 'original', a factor such as 10.0, or None for as fast "
        "as possible"
    )


def _spelled(one: Subscription) -> str:
    return f"{one.channel} of {one.symbol}{f' {one.interval}' if one.interval else ''}"
