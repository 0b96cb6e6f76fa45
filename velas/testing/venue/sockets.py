"""The venue's WebSocket side: who may connect, what streams say, who is open."""

from __future__ import annotations

import asyncio
from logging import getLogger

import attrs
from aiohttp import web

from velas.clock import Clock
from velas.testing.clocks import ScaledClock
from velas.testing.venue.connection import LAWS, Connection, Law
from velas.testing.venue.damage import reset_connection
from velas.testing.venue.instruments import MarketName
from velas.testing.venue.network import Network
from velas.testing.venue.pump import Pump, tick_s
from velas.testing.venue.rest import RestSide
from velas.testing.venue.socket_faults import SocketFault
from velas.testing.venue.socket_plans import SERIES_KINDS, SeriesRules, SocketFaultPlan
from velas.testing.venue.socket_records import SocketRecord, Window
from velas.testing.venue.sources import BookSource, KlineSource, Source, TradeSource, push_ms
from velas.testing.venue.streams import StreamName, route_of
from velas.testing.venue.ticks import Ticks

__all__ = ["SocketSide", "is_upgrade"]

_logger = getLogger(__name__)

_LOG_SIZE = 10_000
_LIMIT_WINDOW_MS = 300_000
_LONGEST_URL = 8000  # characters; the venue was seen to cut at 8004
_HOUR_MS = 3_600_000
_LEAST_PONG_S = 1.0  # of real time, whatever the clock's factor: clients need some


def is_upgrade(request: web.Request) -> bool:
    """Return whether a request wants to become a WebSocket connection."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


class SocketSide:
    """All connections of one venue, and the pump that serves them."""

    def __init__(
        self,
        rest: RestSide,
        network: Network,
        clock: Clock,
        plan: SocketFaultPlan,
        *,
        life_h: float,
        connection_limit: int,
    ) -> None:
        market: MarketName = rest.listing.market
        self.law: Law = _lenient(LAWS[market], clock)
        self.life_ms = round(life_h * _HOUR_MS)
        self.plan = plan
        self.refused = 0
        self.attempts = 0
        self.window = Window(_LIMIT_WINDOW_MS)
        self._market: MarketName = market
        self._rest = rest
        self._network = network
        self._limit = connection_limit
        self._struck = SeriesRules()
        self._step_ms = round(tick_s(clock) * 1000) if isinstance(clock, ScaledClock) else 1
        self._clock = clock
        self._pump = Pump(clock, network.now_ms, self._source)
        self._ticks: dict[str, Ticks] = {}
        self._log: dict[int, SocketRecord | Connection] = {}  # by number of attempt
        self._open: dict[Connection, None] = {}
        self._refuse_until_ms = 0
        self._refuse_status = 0
        self._task: asyncio.Task[None] | None = None
        self._resumer: asyncio.Task[None] | None = None

    @property
    def connections(self) -> list[SocketRecord]:
        """The newest attempts, in order."""
        return [
            entry.story() if isinstance(entry, Connection) else entry
            for entry in self._log.values()
        ]

    @property
    def open_connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def now_ms(self) -> int:
        """Return the venue's time."""
        return self._network.now_ms()

    def start(self) -> None:
        """Start to send."""
        self._network.open()
        self._pump = Pump(self._clock, self._network.now_ms, self._source)  # of this event loop
        self._task = asyncio.create_task(self._pump.run(), name="stand-in pump")
        self._resumer = asyncio.create_task(self._resume(), name="stand-in silence")

    async def aclose(self) -> None:
        """Hang up on everyone; raises what has stopped the pump, if anything has."""
        self._network.close()
        for connection in tuple(self._open):
            connection.abort("venue")
        tasks = [task for task in (self._task, self._resumer) if task is not None]
        self._task = self._resumer = None
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection for as long as it lasts."""
        now_ms = self.now_ms()
        self.attempts += 1
        within = self.window.add(now_ms) <= self._limit or not self._limit
        path = request.path_qs
        if self._network.blocks():
            self._remember(self.attempts, SocketRecord(now_ms, path, refused=0))
            return await self._network.swallow(request)
        route = route_of(self._market, request.path, request.query.get("streams", ""))
        if len(request.raw_path) > _LONGEST_URL:
            return self._refuse(request, 414)
        if not within:
            return self._refuse(request, 429)
        if now_ms < self._refuse_until_ms:
            return self._refuse(request, self._refuse_status)
        if route is None:
            return self._refuse(request, 404)
        fate = self.plan.fate(path)
        refusal = fate.refusal()
        if refusal is not None:
            self._shut(refusal)
            return self._refuse(request, refusal.code)
        return await self._serve(Connection(self, request, route, fate, SocketRecord(now_ms, path)))

    def strike(self, fault: SocketFault, path: str | None) -> int:
        """Let a fault happen now; return to how many connections."""
        if fault.kind in SERIES_KINDS:
            self._struck.add(fault)
            return len(self._open)
        if fault.kind == "refuse":
            self._shut(fault)
            return 0
        hit = [one for one in self._open if (path or "") in one.path]
        for connection in hit:
            connection.strike(fault)
        return len(hit)

    def go_offline(self, seconds: float) -> None:
        """Reset all connections, and every attempt for `seconds`."""
        self._network.go_offline(seconds)
        for connection in tuple(self._open):
            connection.abort("offline")

    def fall_silent(self, seconds: float) -> None:
        """Let nothing pass for `seconds`; then send what waited."""
        self._network.silence(seconds)
        if self._resumer is not None and self._resumer.done():
            self._resumer = asyncio.create_task(self._resume(), name="stand-in silence")

    def is_silent(self) -> bool:
        """Return whether nothing passes the network at present."""
        return self._network.is_silent()

    async def until_heard(self) -> None:
        """Return when something passes the network again."""
        await self._network.until_heard()

    def subscribe(self, connection: Connection, stream: str) -> None:
        """Deliver a stream to a connection, if it delivers on its route at all."""
        name = StreamName.parse(stream, self._rest.listing.instruments)
        if name is not None and name.delivers(self._market, connection.route.prefix):
            self._pump.subscribe(connection, stream)

    def unsubscribe(self, connection: Connection, stream: str) -> None:
        """Deliver a stream to a connection no more."""
        self._pump.unsubscribe(connection, stream)

    def recheck(self, connection: Connection) -> None:
        """Let a connection look soon at what is due."""
        self._pump.recheck(connection)

    def note(self, fault: SocketFault) -> None:
        """Count a fault that takes effect."""
        self.plan.note(fault)

    async def _resume(self) -> None:
        await self._network.until_heard()
        for connection in self._open:
            connection.resume()

    async def _serve(self, connection: Connection) -> web.StreamResponse:
        number = self.attempts
        self._remember(number, connection)
        self._open[connection] = None
        self._pump.join(connection)
        _logger.debug("stand-in: open %s", connection.path[:200])
        try:
            return await connection.serve()
        finally:
            self._pump.leave(connection)
            del self._open[connection]
            record = connection.ended()
            if number in self._log:
                self._log[number] = record
            _logger.debug("stand-in: over %s", record)

    def _remember(self, number: int, entry: SocketRecord | Connection) -> None:
        self._log[number] = entry
        if len(self._log) > _LOG_SIZE:
            del self._log[next(iter(self._log))]

    def _refuse(self, request: web.Request, status: int) -> web.StreamResponse:
        self.refused += 1
        record = SocketRecord(self.now_ms(), request.path_qs, refused=status)
        self._remember(self.attempts, record)
        if not status:
            reset_connection(request)
            return web.Response(status=503)
        return web.Response(status=status)

    def _shut(self, fault: SocketFault) -> None:
        self.plan.note(fault)
        self._refuse_status = fault.code
        self._refuse_until_ms = self.now_ms() + round(fault.seconds * 1000)

    def _source(self, stream: str) -> Source | None:
        name = StreamName.parse(stream, self._rest.listing.instruments)
        now_ms = self.now_ms()
        if name is None or self._rest.listing.status(name.symbol, now_ms) != "TRADING":
            return None
        ticks = self._ticks_of(name.symbol)
        if name.kind == "aggTrade":
            return TradeSource(name, ticks, now_ms)
        if name.kind == "bookTicker":
            return BookSource(name, ticks, now_ms)
        return self._klines(name, ticks, now_ms)

    def _klines(self, name: StreamName, ticks: Ticks, now_ms: int) -> Source | None:
        interval = name.interval or ""
        series = self._rest.find_series(name.symbol, interval)
        if series is None:
            return None
        push = push_ms(self._market, interval)
        return KlineSource(
            name,
            series,
            ticks,
            now_ms,
            # several pushes within one round are one: the newest
            step_ms=-(-self._step_ms // push) * push,
            price_decimals=self._rest.listing.instruments[name.symbol].price_decimals,
            at_close=self._at_close,
        )

    def _ticks_of(self, symbol: str) -> Ticks:
        ticks = self._ticks.get(symbol)
        if ticks is None:
            futures = self._market == "futures"
            instrument = self._rest.listing.instruments[symbol]
            ticks = self._ticks[symbol] = Ticks(self._rest.quotes, instrument, futures=futures)
        return ticks

    def _at_close(self, stream: str, number: int, open_ms: int) -> SocketFault | None:
        fault = self._struck.at_close(stream, number) or self.plan.at_close(stream, number, open_ms)
        if fault is not None:
            self.plan.note(fault)
        return fault


def _lenient(law: Law, clock: Clock) -> Law:
    if not isinstance(clock, ScaledClock):
        return law
    least_ms = round(_LEAST_PONG_S * clock.factor * 1000)
    return attrs.evolve(law, pong_ms=max(law.pong_ms, least_ms))
