"""A venue in memory whose time is a clock's, and a feed that polls it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal

import attrs
from fakes import CAPABILITIES, Ask, FakeExchange, candles

from velas.candles import candles_of
from velas.interval import Interval
from velas.models import BookTicker, Candle, Capabilities, Subscription, Trade, Usage
from velas.polling import PollingFeed
from velas.status import Status
from velas.testing import ManualClock

__all__ = ["MINUTE", "START", "Heard", "LiveExchange", "live", "running"]

MINUTE = 60_000
START = 1_700_000_040_000  # a UTC minute begins here
_ONE = Decimal(1)
LIVE = attrs.evolve(
    CAPABILITIES,
    intervals=("1m", "5m", "1h"),
    weight_per_minute=6000,
    trades=True,
    trades_by_id=True,
    book_ticker=True,
    forming_candles=True,
)


@attrs.define(slots=False)
class LiveExchange(FakeExchange):
    """A `FakeExchange` that lives by `clock`; a trade a second since `START`, id 0 first.

    `calls` has what was asked for beside closed candles, as (clock in s, what, symbol);
    `trouble()` is called before every answer and may raise.
    """

    clock: ManualClock = attrs.Factory(ManualClock)
    calls: list[tuple[float, str, str]] = attrs.Factory(list)
    trouble: Callable[[], None] = lambda: None
    asked_s: list[float] = attrs.Factory(list)
    page_trades: int = 1000

    @property
    def usage(self) -> Usage:
        return Usage(len(self.asks) + len(self.calls))

    async def server_time_ms(self) -> int:
        return self.clock.now_ms()

    async def fetch_candles(self, *args: object, **kwargs: object):  # type: ignore[no-untyped-def]
        self.now_ms = self.clock.now_ms()
        self.asked_s.append(self.clock.monotonic_s())
        self.trouble()
        return await super().fetch_candles(*args, **kwargs)  # type: ignore[arg-type]

    async def fetch_forming_candle(self, symbol: str, interval: str | Interval) -> Candle | None:
        await self._note("forming", symbol)
        grid = Interval.of(interval)
        frame = candles([grid.floor(self.clock.now_ms())], grid.name)
        return candles_of(frame, symbol, grid.name, is_closed=False)[0]

    async def fetch_trades(
        self, symbol: str, *, from_id: int | None = None, limit: int | None = None
    ) -> list[Trade]:
        await self._note("trades", symbol)
        newest = (self.clock.now_ms() - START) // 1000
        rows = min(limit or self.page_trades, self.page_trades)
        first = newest - rows + 1 if from_id is None else from_id
        ids = range(max(first, 0), min(first + rows, newest + 1))
        return [Trade(symbol, at, START + at * 1000, _ONE, _ONE, True, at, at) for at in ids]

    async def fetch_book_ticker(self, symbol: str) -> BookTicker:
        await self._note("book_ticker", symbol)
        return BookTicker(symbol, _ONE, _ONE, _ONE + 1, _ONE, update_id=len(self.calls))

    async def _note(self, what: str, symbol: str) -> None:
        self.calls.append((self.clock.monotonic_s(), what, symbol))
        self.trouble()
        await asyncio.sleep(0)


def live(
    clock: ManualClock,
    *symbols: str,
    fault: Callable[[Ask], object] | None = None,
    **claims: object,
) -> LiveExchange:
    """Return a venue with ten hours of candles around `START`, of the symbols given."""
    capabilities: Capabilities = attrs.evolve(LIVE, **claims)  # type: ignore[arg-type]
    series = {
        (symbol, interval): candles(
            range(
                Interval(interval).floor(START - 5 * 60 * MINUTE),
                START + 5 * 60 * MINUTE,
                Interval(interval).length_ms,
            ),
            interval,
        )
        for symbol in (symbols or ("BTC/USDT",))
        for interval in capabilities.intervals
    }
    venue = LiveExchange(series, capabilities=capabilities, clock=clock)
    if fault is not None:
        venue.fault = fault  # type: ignore[assignment]
    return venue


@attrs.define
class Heard:
    """A feed that runs, and what it has said so far."""

    feed: PollingFeed
    clock: ManualClock
    running: asyncio.Task[None]
    candles: list[Candle] = attrs.Factory(list)
    trades: list[Trade] = attrs.Factory(list)
    tickers: list[BookTicker] = attrs.Factory(list)
    statuses: list[Status] = attrs.Factory(list)
    times_s: list[float] = attrs.Factory(list)  # of the closed candles

    @property
    def closed(self) -> list[int]:
        return [candle.timestamp for candle in self.candles if candle.is_closed]

    def closed_of(self, interval: str) -> list[int]:
        found = (one for one in self.candles if one.is_closed and one.interval == interval)
        return [candle.timestamp for candle in found]

    @property
    def forming(self) -> list[Candle]:
        return [candle for candle in self.candles if not candle.is_closed]


@asynccontextmanager
async def running(
    exchange: LiveExchange, *watched: Subscription, seed: int = 1
) -> AsyncIterator[Heard]:
    """Run a feed over the venue, with everything noted that it says."""
    feed = PollingFeed(exchange, clock=exchange.clock, random_source=random.Random(seed))
    for one in watched:
        feed.watch(one)
    async with feed:
        heard = Heard(feed, exchange.clock, asyncio.ensure_future(asyncio.sleep(0)))
        feed.on_candle = _noting(heard)
        feed.on_trade, feed.on_book_ticker = heard.trades.append, heard.tickers.append
        feed.on_status = heard.statuses.append
        heard.running = asyncio.ensure_future(feed.run())
        await exchange.clock.run_for(0)
        try:
            yield heard
        finally:
            await feed.aclose()
            with suppress(Exception):
                await asyncio.wait_for(heard.running, 30)


def _noting(heard: Heard) -> Callable[[Candle], None]:
    def note(candle: Candle) -> None:
        heard.candles.append(candle)
        if candle.is_closed:
            heard.times_s.append(heard.clock.monotonic_s())

    return note
