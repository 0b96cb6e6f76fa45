"""A client of the stand-in's streams, and a venue on a clock that the test moves."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from velas.testing import ManualClock, StandInVenue

__all__ = ["START", "Desk", "Socket", "closes", "desk"]

START = 1_790_000_040_000  # a whole minute; clocks begin five seconds later
_PATIENCE_S = 5.0


class Socket:
    """One open connection; every frame it reads is JSON, unless it is read as text."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.raw = socket
        self._messages: asyncio.Queue[aiohttp.WSMessage] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())
        self._ids = itertools.count(1_000)

    async def message(self) -> aiohttp.WSMessage:
        """Return the next message of any kind."""
        return await asyncio.wait_for(self._messages.get(), _PATIENCE_S)

    async def text(self) -> str:
        """Return the next text frame."""
        message = await self.message()
        assert message.type == aiohttp.WSMsgType.TEXT, message
        return str(message.data)

    async def json(self) -> Any:
        """Return the next text frame, read."""
        return orjson.loads(await self.text())

    async def ask(self, method: str, *params: object, request_id: object = 1) -> Any:
        """Send a request and return the next frame."""
        await self.raw.send_json({"method": method, "params": params, "id": request_id})
        return await self.json()

    async def so_far(self) -> list[str]:
        """Return all texts the venue has sent up to now, by asking something after them."""
        number = next(self._ids)
        await self.raw.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        texts = []
        while True:
            text = await self.text()
            if text.endswith(f'"id":{number}}}'):
                return texts
            texts.append(text)

    async def frames(self) -> list[Any]:
        """Return all frames the venue has sent up to now."""
        return [orjson.loads(text) for text in await self.so_far()]

    async def stop(self) -> None:
        """Read no more: pings stay unanswered."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        # all the time, since pings are answered only while reading
        while True:
            message = await self.raw.receive()
            self._messages.put_nowait(message)
            if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE):
                return
            if message.type == aiohttp.WSMsgType.ERROR:
                return


class Desk:
    """A venue, its clock, and a client session."""

    def __init__(
        self, venue: StandInVenue, clock: ManualClock, session: aiohttp.ClientSession
    ) -> None:
        self.venue = venue
        self.clock = clock
        self.session = session

    async def until(self, check: Callable[[], bool]) -> None:
        """Let everybody run until something holds."""
        async with asyncio.timeout(_PATIENCE_S):
            for _ in itertools.count():
                if check():
                    return
                await asyncio.sleep(0)

    async def all_gone(self) -> None:
        """Return when the venue has no connection any more."""
        await self.until(lambda: not self.venue.open_connections)

    @asynccontextmanager
    async def open(self, path: str, **options: Any) -> AsyncIterator[Socket]:
        """Connect to a path such as ``/ws/btcusdt@aggTrade``."""
        async with self.session.ws_connect(self.venue.ws_url + path, **options) as raw:
            socket = Socket(raw)
            try:
                yield socket
            finally:
                await socket.stop()


@asynccontextmanager
async def desk(market: Any = "spot", **options: Any) -> AsyncIterator[Desk]:
    """Run a venue for BTCUSDT and ETHUSDT on a clock that stands 5 s after `START`."""
    clock = options.pop("clock", None) or ManualClock(START + 5_000)
    options.setdefault("symbols", ["BTCUSDT", "ETHUSDT"])
    venue = StandInVenue(market, clock=clock, **options)
    async with venue, aiohttp.ClientSession() as session:
        yield Desk(venue, clock, session)


def closes(frames: list[Any]) -> list[Any]:
    """Return the candles of the close frames, in order, from raw or combined frames."""
    events = [frame.get("data", frame) for frame in frames]
    return [event["k"] for event in events if event.get("e") == "kline" and event["k"]["x"]]
