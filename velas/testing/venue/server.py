"""The stand-in venue as a server: HTTP on loopback, in this loop or in its own thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from aiohttp import web

from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import ConfigError
from velas.testing.venue.account import DEFAULT_ACCOUNT, Account
from velas.testing.venue.faults import FaultPlan
from velas.testing.venue.front_desk import FrontDesk, RequestRecord
from velas.testing.venue.gate import Gate
from velas.testing.venue.generated import GeneratedCandles
from velas.testing.venue.instruments import Instrument, MarketName
from velas.testing.venue.listing import Listing
from velas.testing.venue.network import Network
from velas.testing.venue.order_ledger import OrderRecord
from velas.testing.venue.order_side import OrderSide
from velas.testing.venue.pages import PageCache
from velas.testing.venue.refusal import Refused
from velas.testing.venue.rest import RestSide
from velas.testing.venue.series import CandleSource, Series
from velas.testing.venue.socket_faults import SocketFault
from velas.testing.venue.socket_plans import SocketFaultPlan
from velas.testing.venue.socket_records import SocketRecord
from velas.testing.venue.sockets import SocketSide, is_upgrade
from velas.testing.venue.thread import VenueThread
from velas.testing.venue.weights import DEFAULT_LIMIT, WeightWindow, limit_of

if TYPE_CHECKING:
    import pandas as pd

    from velas.models import Trade

__all__ = ["RequestRecord", "StandInVenue"]

_LONGEST_LINE = 1 << 16  # of a request, so that the venue's own limit of a URL can be told
_T = TypeVar("_T")


class StandInVenue:
    """Speaks Binance Spot's or USDT-M Futures' REST and streams on 127.0.0.1.

    An async context manager; ``with venue.in_thread():`` runs it beside synchronous code.
    Candles are generated unless `candles` gives others; `symbols` are ids or instruments
    (default: those of `candles`, else 20 USDT pairs); `exchange_info` is a document to
    list instead. `weight_limit` per `weight_window_s` defaults to the document's or the
    market's own (6000, 2400), 0 is none. `latency_s` delays every answer. `clock` is the
    venue's true time, `clock_skew_ms` what it is off by; durations named by faults,
    latency, 429 and 418 are on it. `futures` sends no Retry-After with 429 unless
    `retry_after` says so. `tolerated_429`, `ban_s` and `in_flight_s`: see `gate.Gate`.
    `gzip` compresses for clients that accept it. `port` 0 takes a free one.

    Streams are klines, aggregate trades and book tickers of the same candles and trades as
    REST's, sent when due by `clock` (one that moves by itself races while connections are
    open). What GivenCandles does not know it cannot send: candles in progress have no
    volume, and trades are made up. `ws_life_h` is how long a connection may live,
    `connection_limit` how many attempts are allowed in five minutes (0: any number),
    `tombstones` the share of aggregate trade ids that are void (spot).

    Orders are signed by one of `accounts`, by default `STAND_IN_KEY` with `STAND_IN_SECRET`
    (see `Account`). They fill as a whole and without fees: at once at the best price of the
    book ticker, or later at their limit when the price path reached it. `latency_s` passes
    before the engine judges a signed request, whose recvWindow may then be over. What was
    placed stays in this object when clients come and go, and over `aclose` and `start`.
    Faults for orders: `OrderFault`.

    Raises:
        ConfigError: an argument is impossible.
    """

    def __init__(
        self,
        market: MarketName = "spot",
        *,
        symbols: Iterable[str | Instrument] | None = None,
        exchange_info: Mapping[str, Any] | None = None,
        candles: CandleSource | None = None,
        faults: FaultPlan | None = None,
        clock: Clock = SYSTEM_CLOCK,
        clock_skew_ms: int = 0,
        weight_limit: int | None = None,
        weight_window_s: int = 60,
        latency_s: float = 0.0,
        retry_after: bool | None = None,
        tolerated_429: int = 3,
        ban_s: float = 120.0,
        in_flight_s: float = 0.25,
        gzip: bool = False,
        cache_bytes: int = 128 << 20,
        port: int = 0,
        socket_faults: SocketFaultPlan | None = None,
        ws_life_h: float = 24.0,
        connection_limit: int = 300,
        tombstones: float = 0.0,
        accounts: Iterable[Account] | None = None,
    ) -> None:
        if market not in DEFAULT_LIMIT:
            raise ConfigError(f"market {market!r}: choose 'spot' or 'futures'")
        self.market: MarketName = market
        self.clock = clock
        self.clock_skew_ms = clock_skew_ms
        self.latency_s = latency_s
        self.candles: CandleSource = candles or GeneratedCandles()
        self.faults = faults or FaultPlan()
        limit = limit_of(market, weight_limit, exchange_info)
        says_when = market == "spot" if retry_after is None else retry_after
        window = WeightWindow(limit, weight_window_s)
        self._gate = Gate(
            window,
            retry_after=says_when,
            tolerated=tolerated_429,
            ban_s=ban_s,
            in_flight_s=in_flight_s,
        )
        overridden = weight_limit is not None or weight_window_s != 60
        self._rest = RestSide(
            Listing.choose(market, symbols, exchange_info, self.candles, overridden=overridden),
            self.candles,
            window,
            PageCache(cache_bytes),
            seed=getattr(self.candles, "seed", 1),
            started_ms=self.now_ms(),
            tombstones=_share(tombstones, market),
        )
        self._network = Network(clock, self.now_ms)
        self.socket_faults = socket_faults or SocketFaultPlan()
        self._sockets = SocketSide(
            self._rest,
            self._network,
            clock,
            self.socket_faults,
            life_h=ws_life_h,
            connection_limit=connection_limit,
        )
        self._orders = OrderSide(
            self._rest.listing,
            self._rest.quotes,
            (DEFAULT_ACCOUNT,) if accounts is None else accounts,
            retry_after=says_when,
        )
        self._desk = FrontDesk(self, self._gate, self._rest, self._orders, self._network, gzip=gzip)
        self._port = port
        self._runner: web.AppRunner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def rest_url(self) -> str:
        """Where it listens: ``http://127.0.0.1:<port>``; raises ConfigError before start."""
        return f"http://{self._address()}"

    @property
    def ws_url(self) -> str:
        """Where its streams are: ``ws://127.0.0.1:<port>``; raises ConfigError before start."""
        return f"ws://{self._address()}"

    @property
    def symbols(self) -> tuple[str, ...]:
        """The listed ids."""
        return tuple(self._rest.listing.instruments)

    @property
    def requests(self) -> deque[RequestRecord]:
        """The newest 10,000 requests, in order."""
        return self._desk.requests

    @property
    def max_used_weight(self) -> int:
        """The most weight charged in one window, refused requests included."""
        return self._gate.window.most_used

    @property
    def weight_limit(self) -> int:
        """The weight a window allows, 0 for no limit."""
        return self._gate.window.limit

    @property
    def refused(self) -> int:
        """How many 429 and 418 the budget forced; those by scripted fault not counted."""
        return self._gate.refused

    @property
    def bans(self) -> int:
        """How many bans the client brought on itself."""
        return self._gate.bans

    @property
    def ignored_retry_after(self) -> int:
        """How many requests came while a 429 was in force, those in flight forgiven."""
        return self._gate.ignored_retry_after

    @property
    def ignored_bans(self) -> int:
        """How many requests came while a 418 was in force, those in flight forgiven."""
        return self._gate.ignored_bans

    @property
    def connections(self) -> list[SocketRecord]:
        """The newest 10,000 attempts to open a WebSocket connection, in order."""
        return self._sockets.connections

    @property
    def open_connections(self) -> int:
        """How many WebSocket connections are open."""
        return self._sockets.open_connections

    @property
    def connection_attempts(self) -> int:
        """How often a client tried to open a WebSocket connection."""
        return self._sockets.attempts

    @property
    def refused_connections(self) -> int:
        """How many attempts were refused, by limit, by fault or for a wrong path."""
        return self._sockets.refused

    @property
    def most_connections_in_5_min(self) -> int:
        """The most attempts to connect within five minutes of the venue's clock."""
        return self._sockets.window.most

    def strike(self, fault: SocketFault, *, path: str | None = None) -> int:
        """Let a fault hit the open connections whose path holds `path`, now.

        Returns how many. `refuse` closes the door to new ones instead; `withhold_close`
        and `revise` count closed candles from now on. May be called from any thread.
        """
        return self._in_loop(lambda: self._sockets.strike(fault, path))

    def silence(self, seconds: float) -> None:
        """Let nothing through for `seconds` of the venue's clock, by REST or WebSocket.

        Connections stay: what was due is sent when it is over, in order, as TCP does, unless
        the venue has missed its pong for too long. Requests are reset then.
        """
        self._in_loop(lambda: self._sockets.fall_silent(seconds))

    def offline(self, seconds: float) -> None:
        """Reset all connections and every attempt for `seconds` of the venue's clock."""
        self._in_loop(lambda: self._sockets.go_offline(seconds))

    @property
    def order_attempts(self) -> int:
        """How many requests for a new order arrived, whatever became of them; no test orders."""
        return self._orders.attempts

    def orders(self, symbol: str | None = None) -> list[OrderRecord]:
        """Return every order the venue ever took, oldest first, as they are by its clock now.

        Conditional USDT-M orders are among them. May be called from any thread.
        """
        return self._in_loop(lambda: self._orders.look(self.now_ms(), symbol))

    def reset_account(self) -> None:
        """Forget all orders and give every account what it began with."""
        self._in_loop(self._orders.reset)

    def change_symbol(
        self,
        symbol: str,
        *,
        filters: Mapping[str, Mapping[str, Any] | None] | None = None,
        **fields: Any,
    ) -> None:
        """Change a symbol's row in exchangeInfo, and the rules for its orders, from now on.

        `filters` are by type, each with the fields to change, None to remove it; `fields`
        are others of the row, such as ``status="BREAK"``. Prices keep their ticks.

        Raises:
            ConfigError: the symbol is not listed.
        """

        def change() -> None:
            self._orders.settle(self.now_ms())  # what happened before has the old rules
            self._rest.listing.change(symbol, filters or {}, fields)

        self._in_loop(change)

    def now_ms(self) -> int:
        """Return the venue's time, ms: its clock and its skew."""
        return self.clock.now_ms() + self.clock_skew_ms

    def count(self, path: str | None = None) -> int:
        """Return how many requests arrived, of all or of those whose path ends in `path`."""
        return sum(n for name, n in self._desk.counts.items() if name.endswith(path or ""))

    def frame(self, symbol: str, interval: str, *, start_ms: int, end_ms: int) -> pd.DataFrame:
        """Return the candle frame a perfect client has of ``[start_ms, end_ms)``, closed only.

        Raises:
            ConfigError: the venue has no such series.
        """
        from velas.testing.venue.truth import frame_of

        return frame_of(self._series(symbol, interval), start_ms, end_ms, self.now_ms())

    def trades(self, symbol: str, *, first_id: int, end_id: int) -> list[Trade]:
        """Return the aggregate trades ``[first_id, end_id)`` that happened, without tombstones.

        Raises:
            ConfigError: the venue has no such symbol.
        """
        return self._rest.trades(symbol, first_id, end_id, self.now_ms())

    def warm(
        self,
        symbols: Sequence[str],
        intervals: Sequence[str],
        *,
        start_ms: int,
        end_ms: int,
        page_rows: int = 1000,
    ) -> int:
        """Encode the pages of ``[start_ms, end_ms)`` beforehand; return how many.

        They are what a client gets that pages from `start_ms` by `page_rows`.
        """
        pages = 0
        now_ms = self.now_ms()
        for symbol in symbols:
            for interval in intervals:
                series = self._series(symbol, interval)
                stop = min(series.before(end_ms), series.closed(now_ms))
                for at in range(series.before(start_ms), stop, page_rows):
                    self._rest.page(symbol, interval, at, min(at + page_rows, stop), now_ms)
                    pages += 1
        return pages

    def in_thread(self) -> AbstractContextManager[Self]:
        """Return a context manager that runs the venue in a thread of its own."""
        return VenueThread(self)

    async def start(self) -> None:
        """Listen. Does nothing when already listening."""
        if self._runner is not None:
            return
        self._desk.closing = asyncio.Event()
        runner = web.AppRunner(
            self._app(),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=1.0,
            max_line_size=_LONGEST_LINE,
        )
        listening = asyncio.ensure_future(_listen(runner, self._port))
        try:
            await asyncio.shield(listening)
        except asyncio.CancelledError:  # cut short, it would leave its socket behind
            await asyncio.wait([listening])
            await runner.cleanup()
            raise
        self._runner = runner
        self._loop = asyncio.get_running_loop()
        self._sockets.start()

    async def aclose(self) -> None:
        """Stop listening and hang up on everyone; may be called twice."""
        runner, self._runner = self._runner, None
        self._desk.closing.set()
        if runner is not None:
            try:
                await self._sockets.aclose()
            finally:
                await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _address(self) -> str:
        if self._runner is None or not self._runner.addresses:
            raise ConfigError("the stand-in venue is not running: enter it with `async with`")
        return f"127.0.0.1:{self._runner.addresses[0][1]}"

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        return app

    def _in_loop(self, act: Callable[[], _T]) -> _T:
        loop = self._loop
        if loop is None or not loop.is_running() or loop is _running_loop():
            return act()
        return asyncio.run_coroutine_threadsafe(_called(act), loop).result()

    def _series(self, symbol: str, interval: str) -> Series:
        try:
            return self._rest.series(symbol, interval)
        except Refused as error:
            raise ConfigError(f"{symbol} {interval}: the stand-in has none: {error}") from error

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if is_upgrade(request):
            return await self._sockets.handle(request)
        return await self._desk.handle(request)


def _share(tombstones: float, market: MarketName) -> float:
    if not 0 <= tombstones <= 1 or (tombstones and market != "spot"):
        raise ConfigError(
            f"tombstones {tombstones!r} on {market}: a share from 0 to 1, and only spot has them"
        )
    return tombstones


async def _called(act: Callable[[], _T]) -> _T:
    return act()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _listen(runner: web.AppRunner, port: int) -> None:
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError:  # somebody else has the port
        await runner.cleanup()
        raise
