"""A stand-in venue for live feeds of backtrader: its hours pass as fast as cerebro takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
from fastforward import fast_loop

import velas
from velas.feed import FeedAdapter
from velas.tape import Header, TapeWriter
from velas.tape_rest import record_rest
from velas.testing import GeneratedCandles, LoopClock, StandInVenue
from velas_backtrader import LiveCandles

__all__ = ["START", "Venue", "live", "record"]

START = 1_780_000_000_000 // 3_600_000 * 3_600_000 + 10_000


@attrs.define
class Venue:
    """Opens a stream over the stand-in in whatever loop it is called."""

    symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT")
    seconds: float = 3_600.0
    script: Callable[[StandInVenue, LoopClock], Awaitable[None]] | None = None
    options: Mapping[str, Any] = attrs.Factory(dict)
    store: Any = None
    outages: Any = None
    opened: int = 0
    closed: int = 0
    left_open: int = 0
    venue: StandInVenue | None = None

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[velas.Stream]:
        self.opened += 1
        clock = LoopClock(start_ms=START)
        stand_in = StandInVenue(
            "spot",
            symbols=list(self.symbols),
            candles=GeneratedCandles(seed=3, outages=self.outages),
            clock=clock,
            in_flight_s=30.0,
            **self.options,
        )
        async with stand_in as venue:
            self.venue = venue
            try:
                async with self._stream(venue, clock) as stream:
                    yield stream
            finally:
                for _ in range(200):
                    if not venue.open_connections:
                        break
                    await asyncio.sleep(0.01)
                self.left_open = venue.open_connections
                self.closed += 1

    @asynccontextmanager
    async def _stream(self, venue: StandInVenue, clock: LoopClock) -> AsyncIterator[velas.Stream]:
        settings = velas.load_settings(
            environ={},
            rest={"url": venue.rest_url},
            ws={"url": venue.ws_url},
            stream={"memory_candles": 5, "mute_after_s": 20.0},
        )
        async with (
            velas.open_exchange(settings, clock=clock) as exchange,
            self._of(settings, exchange, clock) as stream,
        ):
            tasks = [asyncio.ensure_future(self._end(stream, clock))]
            if self.script is not None:
                tasks.append(asyncio.ensure_future(self.script(venue, clock)))
            try:
                yield stream
            finally:
                for task in tasks:
                    task.cancel()

    def stream_class(self) -> type[velas.Stream]:
        """Return what is to be opened."""
        return velas.Stream

    def _of(self, settings: Any, exchange: Any, clock: LoopClock) -> velas.Stream:
        feed = velas.open_feed(settings, exchange, clock=clock)
        make = self.stream_class()
        return make(exchange, feed, self.store, settings=settings.stream, clock=clock)

    def frame(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> Any:
        """Return the truth."""
        assert self.venue is not None
        return self.venue.frame(symbol, interval, start_ms=start_ms, end_ms=end_ms)

    def requests(self, path: str) -> int:
        """Return how often the venue was asked for something."""
        assert self.venue is not None
        return sum(one.path == path for one in self.venue.requests)

    async def _end(self, stream: velas.Stream, clock: LoopClock) -> None:
        await clock.sleep(self.seconds)
        await stream.aclose()


def live(venue: Venue, **options: Any) -> LiveCandles:
    """Return live candles from a stand-in; the stream waits for cerebro."""
    options.setdefault("lockstep", True)
    return LiveCandles(venue, loop_factory=fast_loop, **options)


async def record(path: Path, seconds: float) -> None:
    """Record the stand-in's candles of two symbols and two intervals as a tape."""
    clock = LoopClock(start_ms=START)
    candles = GeneratedCandles(seed=3)
    stand_in = StandInVenue("spot", symbols=["BTCUSDT", "ETHUSDT"], candles=candles, clock=clock)
    async with stand_in as venue:
        settings = velas.load_settings(
            environ={}, rest={"url": venue.rest_url}, ws={"url": venue.ws_url}
        )
        async with (
            velas.open_exchange(settings, clock=clock) as exchange,
            velas.open_feed(settings, exchange, clock=clock) as feed,
        ):
            feed.subscribe("candles", ["BTC/USDT", "ETH/USDT"], intervals=["1m", "5m"])
            assert isinstance(feed, FeedAdapter)
            subscriptions = await feed.subscriptions()
            markets = tuple([await exchange.market(one.symbol) for one in subscriptions[::2]])
            header = Header(settings.exchange, clock.now_ms(), subscriptions, markets, rest=True)
            with TapeWriter(path, header) as tape:
                feed.on_frame, feed.on_candle = tape.write, lambda candle: None
                running = asyncio.ensure_future(feed.run())
                await clock.sleep(seconds)
                await feed.aclose()
                await running
                await record_rest(tape, exchange, subscriptions, {})
