"""A venue in memory that trades on a clock, and a feed that a test speaks through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any, Self
from unittest.mock import patch

import attrs
import pandas as pd

from velas.adapter import _lane
from velas.candles import frame_of
from velas.errors import UnknownSymbol
from velas.feed import FeedAdapter
from velas.interval import Interval
from velas.limits import RequestType
from velas.models import BookTicker, Candle, Capabilities, Market, Subscription, Trade, Usage
from velas.settings import Stream as StreamSettings
from velas.status import Connected, Disconnected, Status
from velas.stream import Stream
from velas.testing import ManualClock

__all__ = ["MINUTE", "START", "Live", "LiveVenue", "SpokenFeed", "live", "name_of"]

MINUTE = 60_000
START = 1_700_000_000_000 // 3_600_000 * 3_600_000 + 30_000  # half a minute into an hour
MARGIN_MS = 2_000


CAPABILITIES = Capabilities(
    intervals=("1m", "5m"),
    page_rows=100,
    page_weight=2,
    weight_per_minute=6000,
    full_candles=True,
    trades=True,
    trades_by_id=True,
    book_ticker=True,
    forming_candles=True,
)


@attrs.define(slots=False)
class LiveVenue:
    """An Exchange whose candles are a function of their open time.

    `absent` slots have none, `later` ones have other values at REST than on the socket.
    `fault` is called with every request's name and may raise.
    """

    clock: ManualClock
    symbols: tuple[str, ...] = ("BTC/USDT", "ETH/USDT")
    name: str = "live"
    absent: set[int] = attrs.Factory(set)
    later: set[int] = attrs.Factory(set)
    quiet: bool = False  # nobody trades
    first_trade_id: int = 1000
    gone_ids: set[int] = attrs.Factory(set)
    ahead_ms: int = 0  # of its clock, against everybody else's
    fault: Callable[[str], None] = lambda what: None
    asked: list[str] = attrs.Factory(list)
    lanes: set[RequestType] = attrs.Factory(set)
    capabilities: Capabilities = CAPABILITIES

    # -- the truth -----------------------------------------------------------------------

    def candle(self, open_ms: int, symbol: str = "BTC/USDT", interval: str = "1m") -> Candle:
        """Return the closed candle of a slot as the socket tells it."""
        price = 100.0 + open_ms // MINUTE % 50
        count = 0 if self.quiet else 60
        return Candle(
            symbol,
            interval,
            open_ms,
            price,
            price + 2,
            price - 2,
            price + 1,
            10.0,
            Interval.of(interval).end_of(open_ms) - 1,
            1000.0,
            count,
            4.0,
            400.0,
            True,
            0,
            "ws",
        )

    def forming(
        self, open_ms: int, count: int, symbol: str = "BTC/USDT", interval: str = "1m"
    ) -> Candle:
        """Return a slot's candle after `count` trades, as the socket tells it."""
        whole = self.candle(open_ms, symbol, interval)
        return attrs.evolve(whole, is_closed=False, trades=count, close=100.0 + count)

    def at_rest(self, open_ms: int, symbol: str, interval: str) -> Candle:
        """Return the closed candle of a slot as REST tells it."""
        candle = attrs.evolve(self.candle(open_ms, symbol, interval), source="rest")
        return attrs.evolve(candle, close=candle.close + 0.5) if open_ms in self.later else candle

    def trade(self, number: int, symbol: str = "BTC/USDT") -> Trade:
        """Return a trade by its id."""
        return Trade(symbol, number, START + number, Decimal(100 + number % 7), Decimal(1), False)

    # -- Exchange ------------------------------------------------------------------------

    @property
    def usage(self) -> Usage:
        return Usage(len(self.asked), len(self.asked), 0)

    async def markets(self, *, refresh: bool = False) -> Mapping[str, Market]:
        return {
            symbol: Market(symbol, symbol.replace("/", ""), *symbol.split("/"))
            for symbol in self.symbols
        }

    async def market(self, symbol: str) -> Market:
        for market in (await self.markets()).values():
            if symbol in (market.symbol, market.id):
                return market
        raise UnknownSymbol(f"no {symbol}")

    async def server_time_ms(self) -> int:
        self.fault("time")
        return self.now_ms()

    def now_ms(self) -> int:
        return self.clock.now_ms() + self.ahead_ms

    async def _ask(self, what: str) -> None:
        self.asked.append(what)
        self.lanes.add(_lane.get())
        await asyncio.sleep(0)
        self.fault(what)

    async def fetch_candles(
        self,
        symbol: str,
        interval: str | Interval,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        await self._ask("candles")
        grid = Interval.of(interval)
        served_ms = grid.floor(self.now_ms() - MARGIN_MS)
        end_ms = served_ms if end_ms is None else min(end_ms, served_ms)
        if start_ms is None:
            start_ms = end_ms - (limit or 100) * grid.length_ms
        opens = range(grid.ceil(start_ms), end_ms, grid.length_ms)
        there = [open_ms for open_ms in opens if open_ms not in self.absent]
        rows = [self.at_rest(open_ms, symbol, grid.name) for open_ms in there[: limit or 100]]
        return frame_of(rows)

    async def iter_candles(
        self, symbol: str, interval: str | Interval, *, start_ms: int, end_ms: int
    ) -> AsyncIterator[pd.DataFrame]:
        grid = Interval.of(interval)
        while start_ms < end_ms:
            page = await self.fetch_candles(symbol, interval, start_ms=start_ms, end_ms=end_ms)
            if not len(page):
                return
            yield page
            start_ms = grid.next_open(int(page["timestamp"].iloc[-1]))

    async def fetch_forming_candle(self, symbol: str, interval: str | Interval) -> Candle | None:
        await self._ask("forming")
        grid = Interval.of(interval)
        open_ms = grid.floor(self.now_ms())
        count = 0 if self.quiet else 1 + (self.now_ms() - open_ms) // 1000
        one = self.forming(open_ms, count, symbol, grid.name)
        return attrs.evolve(one, source="rest", volume=float(count))

    async def fetch_trades(
        self, symbol: str, *, from_id: int | None = None, limit: int | None = None
    ) -> list[Trade]:
        await self._ask("trades")
        newest = self.first_trade_id
        first = max(0, newest - (limit or 100) + 1) if from_id is None else from_id
        numbers = [n for n in range(first, newest + 1) if n not in self.gone_ids]
        return [self.trade(number, symbol) for number in numbers[: limit or 100]]

    async def fetch_book_ticker(self, symbol: str) -> BookTicker:
        await self._ask("book_ticker")
        bid = Decimal(self.clock.now_ms() // 100 % 10_000)
        return BookTicker(symbol, bid, Decimal(1), bid + 1, Decimal(1))

    async def aclose(self) -> None:
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class SpokenFeed(FeedAdapter):
    """A feed that says what a test says, and remembers what it was asked to rotate."""

    def __init__(self, exchange: LiveVenue) -> None:
        super().__init__("spoken", exchange, clock=exchange.clock)  # type: ignore[arg-type]
        self.rotated: list[Subscription] = []
        self.runs = 0
        self.ended = asyncio.Event()
        self.failure: Exception | None = None

    def rotate(self, subscription: Subscription, reason: str) -> None:
        self.rotated.append(subscription)

    async def _drive(self, subscriptions: Sequence[Subscription]) -> None:
        self.runs += 1
        self.connect()
        await self.ended.wait()
        if self.failure is not None:
            self.ended.clear()
            raise self.failure

    def connect(self) -> None:
        self.report(Connected(at_ms=self.clock.now_ms(), connection="spoken", streams=1))

    def drop(self) -> None:
        self.report(
            Disconnected(at_ms=self.clock.now_ms(), connection="spoken", reason="a test said so")
        )

    def say(self, *events: Candle | Trade | BookTicker) -> None:
        for event in events:
            if isinstance(event, Candle):
                self.deliver_candle(event)
            elif isinstance(event, Trade):
                self.deliver_trade(event)
            else:
                self.deliver_book_ticker(event)


@attrs.define
class Live:
    """A stream at work on a clock moved by hand, and all it has delivered so far."""

    clock: ManualClock
    venue: LiveVenue
    feed: SpokenFeed
    stream: Stream
    heard: list[Any]
    working: set[asyncio.Future[Any]]  # what threads do for the stream

    async def run(self, seconds: float, *, step_s: float | None = None) -> None:
        """Let time pass; with `step_s` also let threads finish after each of these steps."""
        if step_s is None:
            await self.clock.run_for(seconds)
            return
        for _ in range(round(seconds / step_s)):
            await self.clock.run_for(step_s)
            await self.settle()

    async def settle(self) -> None:
        """Let threads finish what they do for the stream, and what follows from it."""
        await self.clock.run_for(0.0)
        while self.working:
            await asyncio.wait(self.working)
            await self.clock.run_for(0.0)

    def closed(self, symbol: str = "BTC/USDT") -> list[Candle]:
        return [
            one
            for one in self.heard
            if isinstance(one, Candle) and one.is_closed and one.symbol == symbol
        ]

    def forming(self) -> list[Candle]:
        return [one for one in self.heard if isinstance(one, Candle) and not one.is_closed]

    def trades(self) -> list[Trade]:
        return [one for one in self.heard if isinstance(one, Trade)]

    def statuses(self) -> list[str]:
        return [one.status for one in self.heard if isinstance(one, Status)]

    def told(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.heard if isinstance(one, kind)]


@asynccontextmanager
async def live(
    *,
    store: Any = None,
    ledger: Any = None,
    venue: Callable[[ManualClock], LiveVenue] = LiveVenue,
    subscribe: Sequence[Mapping[str, Any]] = (
        {"channel": "candles", "symbols": ["BTC/USDT"], "intervals": ["1m"]},
    ),
    consume: bool = True,
    settled: bool = True,
    start_ms: int = START,
    **settings: Any,
) -> AsyncIterator[Live]:
    """Run a stream over a `SpokenFeed` at `START`; what it delivers is in `heard`.

    It begins `settled`: threads have stored what came at once. Not where one is held up.
    """
    clock = ManualClock(start_ms)
    settings.setdefault("memory_candles", 10)
    shop = venue(clock)
    feed = SpokenFeed(shop)
    options = StreamSettings(**settings)
    stream = Stream(shop, feed, store, settings=options, clock=clock, ledger=ledger)  # type: ignore[arg-type]
    for one in subscribe:
        stream.subscribe(**one)
    heard: list[Any] = []
    working: set[asyncio.Future[Any]] = set()
    at = Live(clock, shop, feed, stream, heard, working)

    async def listen() -> None:
        async for event in stream.events():
            heard.append(event)

    with _watched_threads(working):
        async with stream:
            task = asyncio.ensure_future(listen()) if consume else None
            await clock.run_for(0.1)
            if settled:
                await at.settle()
            await clock.run_for(0.1)
            yield at
    if task is not None:
        await asyncio.wait_for(task, 30)


@contextmanager
def _watched_threads(working: set[asyncio.Future[Any]]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    original = loop.run_in_executor

    def run_in_executor(*given: Any) -> asyncio.Future[Any]:
        future = original(*given)
        working.add(future)
        future.add_done_callback(working.discard)
        return future

    with patch.object(loop, "run_in_executor", run_in_executor):
        yield


def name_of(open_ms: int) -> int:
    """Return which minute after the start a candle opens in."""
    return (open_ms - START // MINUTE * MINUTE) // MINUTE
