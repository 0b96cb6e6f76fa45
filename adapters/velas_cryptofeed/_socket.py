"""One websocket from opening to closing: read, screen, hand over, keep alive."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from velas.clock import Clock
from velas.feed import Frame
from velas_cryptofeed._control import Verdict
from velas_cryptofeed._session import Plan, Session

__all__ = ["OPEN_WITHIN_S", "PING_EVERY_S", "PONG_WITHIN_S", "Host", "Socket", "describe"]

OPEN_WITHIN_S = 10.0
PING_EVERY_S = 20.0
PONG_WITHIN_S = 20.0
_PONG_AT_LEAST_REAL_S = 0.25  # however fast a test's clock runs, this machine may stall
_CLOSE_WITHIN_S = 0.5
_DRAIN_WITHIN_S = 5.0
_MAX_FRAME_BYTES = 4 * 2**20
_LOG = logging.getLogger(__name__)
_OPTIONS = {
    "open_timeout": 30.0,  # in real time; the supervisor's own limit is by the clock
    "close_timeout": _CLOSE_WITHIN_S,
    "ping_interval": None,  # pings are ours, by the clock
    "ping_timeout": None,
    "max_size": _MAX_FRAME_BYTES,
    "max_queue": 64,
    "compression": None,
}

_Receive = Callable[[], Awaitable[Any]]


class Host(Protocol):
    """What a socket tells the supervisor, and what it takes from the feed."""

    clock: Clock

    def opened(self, socket: Socket) -> None:
        """Take note: it is open, its first frame comes next."""
        ...

    def changed(self) -> None:
        """Look again: the socket spoke or delivered for the first time, or is gone."""
        ...

    def shutdown(self, socket: Socket, reason: str) -> None:
        """Move to a new socket at once."""
        ...

    def bad(self, reason: str) -> None:
        """Report a frame that was skipped."""
        ...

    async def end(self, tasks: Iterable[asyncio.Future[None]]) -> None:
        """Cancel tasks and wait for them, but for one that is closing the feed."""
        ...

    def record(self) -> Callable[[Frame], None] | None:
        """Return what takes the raw frames, if anything."""
        ...


class Socket:
    """A task that connects, subscribes and hands frames over until the socket is gone."""

    def __init__(self, plan: Plan, host: Host) -> None:
        self.plan = plan
        self.opened = False
        self.frames = 0
        self.delivers = False  # whether a frame was data: no greeting, ack or notice
        self.opened_s = 0.0
        self.reason = ""  # why it ended
        self.surprise: Exception | None = None  # what ended it, if no network does that
        self.retry_after_s = 0.0  # the least the venue wants to be left alone
        self._over = False
        self._host = host
        self._session: Session | None = None
        self._task = asyncio.ensure_future(self._run())
        self._task.add_done_callback(lambda _: host.changed())

    @property
    def done(self) -> bool:
        """Whether it is closed and everything of it released."""
        return self._task.done()

    @property
    def asks(self) -> bool:
        """Whether series are subscribed once it is open, one after the other."""
        return self._session is not None and self._session.prefix is None

    async def drop(self, reason: str) -> None:
        """Close it, politely but not for long; deliver nothing more.

        If it is a callback of this very socket that closes the feed, the socket is left
        to end as soon as the callback returns.
        """
        self.reason = self.reason or reason
        self._over = True
        await self._host.end([self._task])

    async def retire(self, reason: str) -> None:
        """Close it, but deliver what has arrived first; interrupts no callback at work."""
        self.reason = self.reason or reason
        websocket = self._session.connection.conn if self._session else None
        if websocket is not None:
            await websocket.close()
            await asyncio.wait([self._task], timeout=_DRAIN_WITHIN_S)
        await self.drop(reason)

    # -- the task --------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            session = self._session = self.plan.dial()
            try:
                await self._connect(session)
            finally:
                session.release()
        except Exception as error:
            self.reason = self.reason or describe(error)
            self.retry_after_s = _retry_after_s(error)
            if not isinstance(error, OSError | WebSocketException):
                self.surprise = error
        finally:
            self._note("close", self.reason)

    async def _connect(self, session: Session) -> None:
        connection = session.connection
        connection.ws_kwargs = {**connection.ws_kwargs, **_OPTIONS}
        async with connection.connect():
            await session.subscribe(connection)
            await self._serve(session, connection.conn)

    async def _serve(self, session: Session, websocket: Any) -> None:
        self.opened = True
        self.opened_s = self._host.clock.monotonic_s()
        self._note("open")
        self._host.opened(self)
        helpers = [asyncio.ensure_future(self._keep_alive(websocket))]
        if session.keepalive is not None:
            helpers.append(asyncio.ensure_future(self._say_regularly(session)))
        try:
            await self._read(session, websocket.recv)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _read(self, session: Session, receive: _Receive) -> None:
        record = self._host.record()
        if record is not None:
            receive = self._recorded(receive, record)
        pump = self._pump_all if session.prefix is None else self._pump_screened
        await pump(session, receive)

    async def _pump_screened(self, session: Session, receive: _Receive) -> None:
        # Binance; its handlers have no use for the time of receipt
        handle, connection, prefix = session.handle, session.connection, session.prefix or ""
        edge = len(prefix)
        frame = await self._first(receive)
        while True:
            try:
                if frame.startswith(prefix) and frame[edge] != "!":
                    await handle(frame, connection, 0.0)
                    if not self.delivers:
                        self._delivered()
                else:
                    await self._judged(session, frame)
            except Exception as error:
                self._host.bad(_short(error))
            if self._over:  # closed by that very callback; the next frame may never come
                return
            frame = await receive()
            self.frames += 1

    async def _pump_all(self, session: Session, receive: _Receive) -> None:
        now_ms = self._host.clock.now_ms
        frame = await self._first(receive)
        while True:
            try:
                await session.handle(frame, session.connection, now_ms() / 1000)
                if not self.delivers and (session.events is None or session.events() > 0):
                    self._delivered()
            except Exception as error:
                self._host.bad(_short(error))
            if self._over:  # closed by that very callback; the next frame may never come
                return
            frame = await receive()
            self.frames += 1

    async def _judged(self, session: Session, frame: str | bytes) -> None:
        verdict = session.judge(frame) if session.judge else Verdict("data")
        if verdict.kind == "data":
            await session.handle(frame, session.connection, 0.0)
            self._delivered()
        elif verdict.kind == "shutdown":
            self._host.shutdown(self, verdict.reason)
        elif verdict.kind == "bad":
            self._host.bad(verdict.reason)

    # -- around the frames -----------------------------------------------------------

    async def _first(self, receive: _Receive) -> Any:
        frame = await receive()
        self.frames = 1
        self._host.changed()
        return frame

    def _delivered(self) -> None:
        self.delivers = True
        self._host.changed()

    def _recorded(self, receive: _Receive, record: Callable[[Frame], None]) -> _Receive:
        async def recorded() -> Any:
            frame = await receive()
            text = frame if isinstance(frame, str) else bytes(frame).decode("utf-8", "replace")
            record(Frame("text", self.plan.name, self._now_ns(), text))
            return frame

        return recorded

    def _note(self, kind: Any, data: str = "") -> None:
        record = self._host.record()
        if record is not None and self.opened:
            record(Frame(kind, self.plan.name, self._now_ns(), data))

    def _now_ns(self) -> int:
        return self._host.clock.now_ms() * 1_000_000

    async def _say_regularly(self, session: Session) -> None:
        keepalive = session.keepalive
        while keepalive is not None:
            await self._host.clock.sleep(keepalive.every_s)
            await keepalive.say(session.connection)

    async def _keep_alive(self, websocket: Any) -> None:
        clock = self._host.clock
        with suppress(ConnectionClosed):
            while True:
                await clock.sleep(PING_EVERY_S)
                seen = self.frames
                pong = asyncio.ensure_future(await websocket.ping())
                pong.add_done_callback(_looked_at)
                waiting = asyncio.ensure_future(clock.sleep(PONG_WITHIN_S))
                try:
                    await asyncio.wait({pong, waiting}, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.wait({pong}, timeout=_PONG_AT_LEAST_REAL_S)
                finally:
                    waiting.cancel()
                if not pong.done() and self.frames == seen:
                    self.reason = f"no pong within {PONG_WITHIN_S:g} s"
                    websocket.transport.abort()
                    return


def describe(error: Exception) -> str:
    """Return what to tell about the error that ended a connection."""
    if isinstance(error, ConnectionClosed) and error.rcvd is not None:
        why = f" {error.rcvd.reason}" if error.rcvd.reason else ""
        return f"closed by the venue: {error.rcvd.code}{why}"
    if isinstance(error, ConnectionClosed):
        return "connection lost"
    if isinstance(error, InvalidStatus):
        return f"the venue answered HTTP {error.response.status_code}"
    return _short(error)


def _looked_at(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300] if str(error) else type(error).__name__


def _retry_after_s(error: Exception) -> float:
    if not isinstance(error, InvalidStatus):
        return 0.0
    try:
        seconds = float(error.response.headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
