"""One WebSocket connection: what it reads, what it is sent, how it ends."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

import attrs
from aiohttp import WSCloseCode, WSMsgType, web

from velas.testing.venue import frames_out
from velas.testing.venue.damage import reset_connection
from velas.testing.venue.frame_lane import FrameLane
from velas.testing.venue.frames_out import Frame
from velas.testing.venue.instruments import MarketName
from velas.testing.venue.socket_faults import SocketFault
from velas.testing.venue.socket_plans import Fate
from velas.testing.venue.socket_records import Ending, SocketRecord
from velas.testing.venue.socket_requests import reply_to
from velas.testing.venue.sources import NEVER_MS
from velas.testing.venue.streams import MOST_STREAMS, Route

__all__ = ["LAWS", "Connection", "Host", "Law"]

_MOST_WAITING = 50_000  # frames for a client that does not read; then the venue hangs up
_SECOND_MS = 1000


@attrs.frozen
class Law:
    """What a market demands of connections, ms (binance-facts 3.2)."""

    ping_ms: int
    pong_ms: int
    messages_per_second: int
    any_pong: bool


LAWS: dict[MarketName, Law] = {
    "spot": Law(20_000, 60_000, 5, any_pong=False),
    "futures": Law(180_000, 600_000, 10, any_pong=True),
}


class Host(Protocol):
    """The venue as a connection sees it."""

    law: Law
    life_ms: int

    def now_ms(self) -> int:
        """Return the venue's time."""
        ...

    def is_silent(self) -> bool:
        """Return whether nothing passes the network at present."""
        ...

    async def until_heard(self) -> None:
        """Return when something passes the network again."""
        ...

    def subscribe(self, connection: Connection, stream: str) -> None:
        """Deliver a stream, if it delivers on this route at all."""
        ...

    def unsubscribe(self, connection: Connection, stream: str) -> None:
        """Deliver a stream no more."""
        ...

    def recheck(self, connection: Connection) -> None:
        """Let `work` be called soon."""
        ...

    def note(self, fault: SocketFault) -> None:
        """Count a fault."""
        ...


@attrs.frozen
class _Ping:
    payload: bytes


@attrs.frozen
class _Pong:
    payload: bytes


@attrs.frozen
class _Close:
    code: int
    reason: str


class Connection:
    """Serves one client until either side ends it; `record` is its story."""

    def __init__(
        self, host: Host, request: web.Request, route: Route, fate: Fate, record: SocketRecord
    ) -> None:
        self.route = route
        self.record = record
        self.streams: dict[str, None] = {}
        self._host = host
        self._request = request
        self._fate = fate
        self._struck: list[tuple[int, SocketFault]] = []
        self._lane = FrameLane(combined=route.combined)
        self._socket = web.WebSocketResponse(
            timeout=1.0, autoping=False, autoclose=False, compress=False
        )
        self._out: deque[bytes | _Ping | _Pong | _Close] = deque()
        self._ready = asyncio.Event()
        self._done = asyncio.Event()
        self._over = False
        self._deaf = False
        self._tasks: list[asyncio.Task[None]] = []
        self._frames = 0
        self._messages: deque[int] = deque()
        self._opened_ms = record.time_ms
        self._ping_ms = self._opened_ms + host.law.ping_ms
        self._unanswered: dict[bytes, int] = {}
        self._cut_ms = NEVER_MS

    @property
    def path(self) -> str:
        """The URL path and query it came in by."""
        return self.record.path

    async def serve(self) -> web.StreamResponse:
        """Talk until it ends."""
        await self._socket.prepare(self._request)
        self._tasks = [
            asyncio.create_task(self._write(), name="stand-in socket writer"),
            asyncio.create_task(self._read(), name="stand-in socket reader"),
        ]
        try:
            self._begin()
            await self._done.wait()
        finally:
            self._over = True
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        return self._socket

    def story(self) -> SocketRecord:
        """Return the record as of now."""
        return attrs.evolve(self.record, streams=len(self.streams), frames=self._frames)

    def ended(self) -> SocketRecord:
        """Return the record of a connection that is over; by the client, if not by us."""
        self._end("client")
        return self.story()

    def abort(self, ending: Ending) -> None:
        """Reset the TCP connection at once."""
        self._end(ending)
        self._out.clear()
        reset_connection(self._request)
        self._done.set()

    def close(self, ending: Ending, code: int, reason: str = "") -> None:
        """Close the connection cleanly after what is still to be sent."""
        if not self._over:
            self._end(ending)
            self._push(_Close(code, reason))

    def strike(self, fault: SocketFault) -> None:
        """Let a fault happen now, or after as many frames as it says."""
        if fault.after:
            self._struck.append((self._frames + fault.after, fault))
        else:
            self._suffer(fault)

    def offer(self, frame: Frame, now_ms: int) -> None:
        """Take a frame of a stream it subscribed to."""
        if self._over or self._deaf or self._lane.is_mute(frame.stream):
            return
        self._frames += 1
        for text in self._lane.put(frame, now_ms):
            self._push(text)
        self._suffer_what_is_due()

    def work(self, now_ms: int) -> int:
        """Do what is due by itself; return when to be asked again, ms."""
        if self._over or self._deaf or self._host.is_silent() or self._ends(now_ms):
            return NEVER_MS
        if now_ms >= self._lane.held_until_ms:
            for text in self._lane.release():
                self._push(text)
        if now_ms >= self._ping_ms:
            self._ping(now_ms)
        return min(
            self._ping_ms,
            self._cut_ms,
            self._opened_ms + self._host.life_ms,
            self._pong_due_ms(),
            self._lane.held_until_ms if self._lane.held_until_ms > now_ms else NEVER_MS,
        )

    def resume(self) -> None:
        """Go on after a silence: too long a one has cost the venue its pong."""
        if self._host.now_ms() >= self._ping_ms + self._host.law.pong_ms and not self._deaf:
            self.abort("no_pong")
        self._ready.set()
        self._host.recheck(self)

    def _begin(self) -> None:
        for fault in self._fate.due(0):
            self._suffer(fault)
        if len(self.route.streams) > MOST_STREAMS:
            self._too_many_streams(frames_out.error(4, "Too many subscriptions"))
            return
        self._subscribe(self.route.streams)

    def _ends(self, now_ms: int) -> bool:
        if now_ms >= self._cut_ms:
            self.abort("server_shutdown")
        elif now_ms >= self._opened_ms + self._host.life_ms:
            self.close("life", WSCloseCode.GOING_AWAY)
        elif now_ms >= self._pong_due_ms():
            self.abort("no_pong")
        return self._over

    def _subscribe(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name not in self.streams:
                self.streams[name] = None
                self._host.subscribe(self, name)

    def _suffer_what_is_due(self) -> None:
        for fault in self._fate.due(self._frames):
            self._suffer(fault)
        for entry in [one for one in self._struck if one[0] <= self._frames]:
            self._struck.remove(entry)
            self._suffer(entry[1])

    def _suffer(self, fault: SocketFault) -> None:
        if self._over or self._deaf:
            return
        self._host.note(fault)
        now_ms = self._host.now_ms()
        match fault.kind:
            case "drop":
                self.abort("drop")
            case "close":
                self.close("close", fault.code, fault.reason)
            case "half_open":
                self._deafen()
            case "error_frame":
                self._push(frames_out.error(fault.code, fault.reason))
            case "server_shutdown":
                self._push(frames_out.shutdown(now_ms, combined=self._lane.combined))
                self._cut_ms = now_ms + round(fault.seconds * 1000)
            case _:
                self._lane.spoil(fault, now_ms)
        self._host.recheck(self)

    def _deafen(self) -> None:
        self._deaf = True
        self._out.clear()
        for task in self._tasks:
            task.cancel()

    def _end(self, ending: Ending) -> None:
        self._over = True
        if self.record.ended is None:
            self.record = attrs.evolve(self.record, ended=ending, ended_ms=self._host.now_ms())

    def _push(self, item: bytes | _Ping | _Pong | _Close) -> None:
        if len(self._out) >= _MOST_WAITING:
            self.abort("slow")
            return
        self._out.append(item)
        self._ready.set()

    def _ping(self, now_ms: int) -> None:
        payload = str(now_ms).encode()
        self._unanswered.setdefault(payload, now_ms)
        self._push(_Ping(payload))
        self._ping_ms = now_ms + self._host.law.ping_ms

    def _pong_due_ms(self) -> int:
        if not self._unanswered:
            return NEVER_MS
        return next(iter(self._unanswered.values())) + self._host.law.pong_ms

    async def _write(self) -> None:
        try:
            while not self._done.is_set():
                await self._ready.wait()
                self._ready.clear()
                while self._out and not self._host.is_silent():
                    await self._send(self._out.popleft())
        except ConnectionError:
            self._done.set()

    async def _send(self, item: bytes | _Ping | _Pong | _Close) -> None:
        if isinstance(item, bytes):
            await self._socket.send_str(item.decode())
        elif isinstance(item, _Ping):
            await self._socket.ping(item.payload)
        elif isinstance(item, _Pong):
            await self._socket.pong(item.payload)
        else:
            await self._socket.close(code=item.code, message=item.reason.encode())
            self._done.set()

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if self._host.is_silent():
                await self._host.until_heard()
            if message.type in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
                break
            if message.type == WSMsgType.CLOSE:
                self._end("client")
                await self._socket.close(code=message.data or WSCloseCode.OK)
                break
            self._hear(message.type, message.data)
        # a clean close by this side ends in the writer, once the client has agreed
        if not any(isinstance(item, _Close) for item in self._out) and self._ended_by_client():
            self._done.set()

    def _ended_by_client(self) -> bool:
        return self.record.ended in (None, "client")

    def _hear(self, kind: WSMsgType, data: str | bytes) -> None:
        if self._over:
            return
        now_ms = self._host.now_ms()
        self._messages.append(now_ms)
        while self._messages[0] <= now_ms - _SECOND_MS:
            self._messages.popleft()
        if len(self._messages) > self._host.law.messages_per_second:
            self.close("too_many_messages", WSCloseCode.POLICY_VIOLATION, "Too many requests")
            return
        content = data.encode() if isinstance(data, str) else bytes(data)
        if kind == WSMsgType.PING:
            self._push(_Pong(content))
        elif kind == WSMsgType.PONG:
            if self._host.law.any_pong or content in self._unanswered:
                self._unanswered.clear()
                self._host.recheck(self)
        else:
            self._obey(content)

    def _obey(self, content: bytes) -> None:
        reply = reply_to(content, self.streams, combined=self._lane.combined)
        if reply.too_many and reply.text is not None:
            self._too_many_streams(reply.text)
            return
        if reply.text is not None:
            self._push(reply.text)
        if reply.combined is not None:
            self._lane.combined = reply.combined
        self._subscribe(reply.subscribe)
        for name in reply.unsubscribe:
            if name in self.streams:
                del self.streams[name]
                self._host.unsubscribe(self, name)

    def _too_many_streams(self, text: bytes) -> None:
        self._push(text)
        self.close("too_many_streams", WSCloseCode.POLICY_VIOLATION, "Too many subscriptions")
