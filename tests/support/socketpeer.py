"""A venue's socket side, small enough to script: one aiohttp websocket server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from velas.models import Candle
from velas.status import Status

WAIT_S = 10.0
MINUTE = 60_000


class Line:
    """One websocket a feed opened."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.path = request.raw_path
        self.socket = socket
        self.heard: list[str] = []
        self._transport = request.transport

    def cut(self) -> None:
        """Break the connection without a word."""
        assert self._transport is not None
        self._transport.abort()

    @property
    def streams(self) -> list[str]:
        return self.path.partition("streams=")[2].split("/")

    @property
    def route(self) -> str:
        return self.path.partition("?")[0]

    async def say(self, message: object) -> None:
        text = message if isinstance(message, str) else json.dumps(message, separators=(",", ":"))
        await self.socket.send_str(text)


class Peer:
    """Accepts websockets and says what the test tells it to; `refuse` answers HTTP 503."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.attempts = 0
        self.refuse = 0
        self.on_open: Callable[[Line], Awaitable[None]] | None = None
        self.url = ""
        self._changed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.attempts += 1
        self._changed.set()
        if self.refuse:
            return web.Response(status=self.refuse)
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        line = Line(request, socket)
        self.lines.append(line)
        self._changed.set()
        if self.on_open is not None:
            await self.on_open(line)
        async for message in socket:
            assert message.type is not WSMsgType.ERROR
            line.heard.append(message.data)
            self._changed.set()
        self._changed.set()
        return socket

    async def until(self, reached: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not reached():
                self._changed.clear()
                await self._changed.wait()

    async def line(self, number: int) -> Line:
        """Return the n-th websocket ever accepted, waiting for it."""
        await self.until(lambda: len(self.lines) > number)
        return self.lines[number]


class Heard:
    """What a feed said, and a way to wait for it: so many seconds of the loop."""

    def __init__(self, patience_s: float = WAIT_S) -> None:
        self._patience_s = patience_s
        self.events: list[object] = []
        self.statuses: list[Status] = []
        self._changed = asyncio.Event()

    def event(self, event: object) -> None:
        self.events.append(event)
        self._changed.set()

    def status(self, status: Status) -> None:
        self.statuses.append(status)
        self._changed.set()

    @property
    def names(self) -> list[str]:
        return [status.status for status in self.statuses]

    @property
    def candles(self) -> list[Candle]:
        return [event for event in self.events if isinstance(event, Candle)]

    async def until(self, reached: Callable[[], object]) -> None:
        async with asyncio.timeout(self._patience_s):
            while not reached():
                self._changed.clear()
                await self._changed.wait()


def kline(
    symbol: str = "BTCUSDT", interval: str = "1m", *, at: int = 0, closed: bool = False
) -> dict[str, object]:
    """Return a combined kline event that opens `at` minutes after the epoch."""
    opened = at * MINUTE
    bar = {
        "t": opened, "T": opened + MINUTE - 1, "s": symbol, "i": interval, "f": 1, "L": 7,
        "o": "1.5", "c": "2.5", "h": "3.5", "l": "0.5", "v": "10.25", "n": 7, "x": closed,
        "q": "20.5", "V": "4.25", "Q": "8.5", "B": "0",
    }  # fmt: skip
    data = {"e": "kline", "E": opened + 1, "s": symbol, "k": bar}
    return {"stream": f"{symbol.lower()}@kline_{interval}", "data": data}
