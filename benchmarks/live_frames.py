"""Binance frames of 60 series and a bare server that plays them, in a process of its own.

The server does nothing but write, so that what is measured is the client. Plain
WebSocket without TLS, for all contestants alike.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import multiprocessing
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["IDS", "MINUTE_MS", "START_MS", "SYMBOLS", "FrameServer", "Script", "frames"]

MINUTE_MS = 60_000
START_MS = 1_780_000_000_000 // MINUTE_MS * MINUTE_MS
SYMBOLS = tuple(f"C{number:02}/USDT" for number in range(60))
IDS = tuple(symbol.replace("/", "") for symbol in SYMBOLS)
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SETTLE_S = 0.3  # for the client to get its history
_KLINE = (
    '{"stream":"%s@kline_1m","data":{"e":"kline","E":%d,"s":"%s","k":{"t":%d,"T":%d,"s":"%s",'
    '"i":"1m","f":710917276,"L":%d,"o":"56215.99000000","c":"%s","h":"56238.59000000",'
    '"l":"56181.99000000","v":"13.80522200","n":%d,"x":%s,"q":"775978.37383076",'
    '"V":"7.19660600","Q":"404521.60814919","B":"0"}}}'
)
_TRADE = (
    '{"stream":"%s@aggTrade","data":{"e":"aggTrade","E":%d,"s":"%s","a":%d,"p":"%s",'
    '"q":"0.01382000","f":%d,"l":%d,"T":%d,"m":true,"M":true}}'
)


@attrs.frozen
class Script:
    """What is played to each client: `minutes` of `forming` frames and a close a series.

    A round is one frame of each series. `rounds_per_s` 0 plays flat out. `stamped` plays
    single frames, `per_s` of them, whose price is the time of sending in us; after each
    `forming` of them all series close at once. With `trades` frames are aggregate trades.
    """

    minutes: int
    forming: int = 40
    rounds_per_s: float = 0.0
    stamped: bool = False
    per_s: float = 1_000.0
    trades: bool = False

    @property
    def messages(self) -> int:
        """How many frames a minute has."""
        if self.stamped:
            return self.forming + len(IDS)
        return (self.forming + 1) * len(IDS)


class FrameServer:
    """Plays a script to every client that connects, from its beginning; a context manager."""

    def __init__(self, script: Script) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, script), daemon=True)
        self.url = ""

    def __enter__(self) -> FrameServer:
        self._process.start()
        self.url = f"ws://127.0.0.1:{self._pipe.recv()}"
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.join(10)


def frames(script: Script) -> Iterator[list[str]]:
    """Return the rounds of a script, one after the other."""
    for minute in range(script.minutes):
        for beat in range(script.forming + 1):
            if script.trades:
                number = minute * (script.forming + 1) + beat
                yield [_trade(venue_id, number, "56232.07000000") for venue_id in IDS]
            else:
                closed = beat == script.forming
                yield [
                    _kline(venue_id, minute, beat + 1, closed, f"562{beat:02}.07000000")
                    for venue_id in IDS
                ]


def _kline(venue_id: str, minute: int, count: int, closed: bool, price: str) -> str:
    opened = START_MS + minute * MINUTE_MS
    end = opened + MINUTE_MS - 1
    truth = "true" if closed else "false"
    at = opened + min(count * 1_000, MINUTE_MS)
    return _KLINE % (
        *(venue_id.lower(), at, venue_id, opened, end, venue_id, 710917276 + count),
        *(price, count, truth),
    )  # fmt: skip


def _trade(venue_id: str, number: int, price: str) -> str:
    at = START_MS + number
    return _TRADE % (venue_id.lower(), at, venue_id, number, price, number, number, at)


# -- the server ------------------------------------------------------------------------


def _serve(pipe: Connection, script: Script) -> None:
    asyncio.run(_listen(pipe, script))


async def _listen(pipe: Connection, script: Script) -> None:
    rounds = [] if script.stamped else [b"".join(map(_framed, one)) for one in frames(script)]

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _shake_hands(reader, writer)
            await asyncio.sleep(_SETTLE_S)
            if script.stamped:
                await _play_stamped(script, writer)
            else:
                await _play(script, rounds, writer)
            await asyncio.wait_for(reader.read(1), 5)  # until the client hangs up
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await reader.readuntil(b"\r\n\r\n")
    headers: dict[bytes, bytes] = {}
    for line in request.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        headers[name.lower()] = value
    key = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + _MAGIC).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + key + b"\r\n\r\n"
    )


async def _play(script: Script, rounds: list[bytes], writer: asyncio.StreamWriter) -> None:
    began, pause = time.monotonic(), 0.0
    for number, one in enumerate(rounds, 1):
        writer.write(one)
        await writer.drain()
        if script.rounds_per_s:
            pause = began + number / script.rounds_per_s - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)


async def _play_stamped(script: Script, writer: asyncio.StreamWriter) -> None:
    due, sent = time.monotonic(), 0
    for minute in range(script.minutes):
        for beat in range(script.forming):
            venue_id, count = IDS[sent % len(IDS)], beat + 1
            writer.write(_framed(_kline(venue_id, minute, count, False, _now_us())))
            sent += 1
            due += 1 / script.per_s
            if (pause := due - time.monotonic()) > 0:
                await asyncio.sleep(pause)
        for venue_id in IDS:
            writer.write(_framed(_kline(venue_id, minute, script.forming, True, _now_us())))
        await writer.drain()


def _now_us() -> str:
    return str(time.monotonic_ns() // 1_000)


def _framed(text: str) -> bytes:
    data = text.encode()
    assert 126 <= len(data) < 1 << 16, len(data)
    return b"\x81\x7e" + len(data).to_bytes(2, "big") + data
