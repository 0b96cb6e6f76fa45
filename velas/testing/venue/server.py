"""The stand-in venue as a server: HTTP on loopback, in this loop or in its own thread."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import attrs
from aiohttp import web

from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import ConfigError
from velas.testing.venue.damage import Answer, broken, deliver, faulty_status
from velas.testing.venue.faults import Fault, FaultPlan
from velas.testing.venue.gate import Gate, Refusal
from velas.testing.venue.generated import GeneratedCandles
from velas.testing.venue.instruments import Instrument, MarketName
from velas.testing.venue.listing import Listing
from velas.testing.venue.pages import PageCache
from velas.testing.venue.refusal import Refused
from velas.testing.venue.rest import RestSide
from velas.testing.venue.series import CandleSource, Series
from velas.testing.venue.thread import VenueThread
from velas.testing.venue.weights import DEFAULT_LIMIT, WeightWindow, cost_of, limit_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RequestRecord", "StandInVenue"]

_LOG_SIZE = 10_000
_NO_ANSWER = 0  # the status of a request whose connection was broken instead
_BREAKS_CONNECTION = ("reset", "silence")
_RATE_LIMITED = -1003


@attrs.frozen
class RequestRecord:
    """One request as the venue saw it; `time_ms` is its arrival by the venue's clock.

    `status` is 0 where no answer was sent; `used_weight` includes this request's `weight`.
    """

    path: str
    query: Mapping[str, str] = attrs.field(repr=False)
    status: int
    weight: int
    used_weight: int
    time_ms: int
    fault: Fault | None = None


class StandInVenue:
    """Speaks Binance Spot's or USDT-M Futures' public REST over HTTP on 127.0.0.1.

    An async context manager; ``with venue.in_thread():`` runs it beside synchronous code.
    Candles are generated unless `candles` gives others; `symbols` are ids or instruments
    (default: those of `candles`, else 20 USDT pairs); `exchange_info` is a document to
    list instead. `weight_limit` per `weight_window_s` defaults to the document's or the
    market's own (6000, 2400), 0 is none. `latency_s` delays every answer. `clock` is the
    venue's true time, `clock_skew_ms` what it is off by; durations named by faults,
    latency, 429 and 418 are on it. `futures` sends no Retry-After with 429 unless
    `retry_after` says so. `tolerated_429`, `ban_s` and `in_flight_s`: see `gate.Gate`.
    `gzip` compresses for clients that accept it. `port` 0 takes a free one.

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
    ) -> None:
        if market not in DEFAULT_LIMIT:
            raise ConfigError(f"market {market!r}: choose 'spot' or 'futures'")
        self.market: MarketName = market
        self.clock = clock
        self.clock_skew_ms = clock_skew_ms
        self.latency_s = latency_s
        self.candles: CandleSource = candles or GeneratedCandles()
        self.faults = faults or FaultPlan()
        self.requests: deque[RequestRecord] = deque(maxlen=_LOG_SIZE)
        limit = limit_of(market, weight_limit, exchange_info)
        window = WeightWindow(limit, weight_window_s)
        self._gate = Gate(
            window,
            retry_after=market == "spot" if retry_after is None else retry_after,
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
        )
        self._gzip = gzip
        self._port = port
        self._counts: Counter[str] = Counter()
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()

    @property
    def rest_url(self) -> str:
        """Where it listens: ``http://127.0.0.1:<port>``; raises ConfigError before start."""
        if self._runner is None or not self._runner.addresses:
            raise ConfigError("the stand-in venue is not running: enter it with `async with`")
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @property
    def symbols(self) -> tuple[str, ...]:
        """The listed ids."""
        return tuple(self._rest.listing.instruments)

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

    def now_ms(self) -> int:
        """Return the venue's time, ms: its clock and its skew."""
        return self.clock.now_ms() + self.clock_skew_ms

    def count(self, path: str | None = None) -> int:
        """Return how many requests arrived, of all or of those whose path ends in `path`."""
        return sum(n for name, n in self._counts.items() if name.endswith(path or ""))

    def frame(self, symbol: str, interval: str, *, start_ms: int, end_ms: int) -> pd.DataFrame:
        """Return the candle frame a perfect client has of ``[start_ms, end_ms)``, closed only.

        Raises:
            ConfigError: the venue has no such series.
        """
        from velas.testing.venue.truth import frame_of

        return frame_of(self._series(symbol, interval), start_ms, end_ms, self.now_ms())

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
        self._closing = asyncio.Event()
        runner = web.AppRunner(
            self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=1.0
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        self._runner = runner

    async def aclose(self) -> None:
        """Stop listening and hang up on everyone; may be called twice."""
        runner, self._runner = self._runner, None
        self._closing.set()
        if runner is not None:
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

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        return app

    def _series(self, symbol: str, interval: str) -> Series:
        try:
            return self._rest.series(symbol, interval)
        except Refused as error:
            raise ConfigError(f"{symbol} {interval}: the stand-in has none: {error}") from error

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        now_ms = self.now_ms()
        path, query = request.path, dict(request.query)
        self._counts[path] += 1
        cost = cost_of(self.market, path, query)
        refusal = self._gate.admit(cost.weight, now_ms)
        fault = self._fault(path, request.query_string, refusal)
        if fault is not None and refusal is None:
            refusal = self._refused_by(fault, now_ms)
        answer = self._answer(request.method, path, query, fault, refusal)
        used = self._gate.window.used
        shown = used if cost.honest_header else cost.weight
        answer = attrs.evolve(
            answer, headers={**answer.headers, self._gate.window.header: str(shown)}
        )
        status = answer.status
        if fault is not None and fault.kind in _BREAKS_CONNECTION:
            status = _NO_ANSWER
        self.requests.append(RequestRecord(path, query, status, cost.weight, used, now_ms, fault))
        late = fault.seconds or 0.0 if fault is not None and fault.kind == "latency" else 0.0
        if self.latency_s + late > 0:
            await self.clock.sleep(self.latency_s + late)
        return await deliver(request, answer, fault, self._closing, gzip=self._gzip)

    def _fault(self, path: str, query: str, refusal: Refusal | None) -> Fault | None:
        if refusal is not None:
            self.faults.note_refused(path, query)
            return None
        return self.faults.take(path, query)

    def _refused_by(self, fault: Fault, now_ms: int) -> Refusal | None:
        if fault.kind == "too_many":
            return self._gate.refuse(fault.seconds, now_ms)
        if fault.kind == "banned":
            return self._gate.ban(fault.seconds or 0.0, now_ms)
        return None

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        fault: Fault | None,
        refusal: Refusal | None,
    ) -> Answer:
        if refusal is not None:
            return _refusal_answer(refusal)
        if fault is not None and fault.kind == "skew":
            self.clock_skew_ms = fault.skew_ms
        replaced = faulty_status(fault) if fault is not None else None
        if replaced is not None:
            return Answer(replaced[0], replaced[1], {}, replaced[2])
        try:
            body = self._rest.answer(method, path, query, self.now_ms())
        except Refused as error:
            return Answer(error.status, error.body, {})
        return Answer(200, body if fault is None else broken(body, fault), {})


def _refusal_answer(refusal: Refusal) -> Answer:
    headers = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    body = Refused(_RATE_LIMITED, refusal.message).body
    return Answer(refusal.status, body, headers)
