"""Clients of the frame server, each run in a process of its own: velas and its peers.

    python -m benchmarks.live_peers <contestant> <url> <script as JSON>

prints what it measured as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs

from benchmarks.live_frames import IDS, SYMBOLS, Script

__all__ = ["CONTESTANTS", "WARM_MINUTES", "Meter", "main", "redirected"]

WARM_MINUTES = 2
_Client = Callable[[str, Script, "Meter"], Awaitable[None]]


@attrs.define
class Meter:
    """Counts what a client is given; CPU from the end of the warm-up to the end.

    Closed candles mark both, as they are never left out; trades do where there are any.
    """

    script: Script
    events: int = 0
    marks: int = 0
    delays_us: list[int] = attrs.Factory(list)
    closed_us: list[int] = attrs.Factory(list)
    done: asyncio.Event = attrs.Factory(asyncio.Event)
    _first: int = 0
    _last: int = 0
    _cpu_s: float = 0.0
    _seen: int = 0

    def __attrs_post_init__(self) -> None:
        a_minute = self.script.messages if self.script.trades else len(IDS)
        self._first = WARM_MINUTES * a_minute
        self._last = self.script.minutes * a_minute

    def take(self, marks: bool) -> None:
        """Take note of an event."""
        self.events += 1
        if marks:
            self._mark()

    def take_stamped(self, marks: bool, sent_us: float) -> None:
        """Take note of an event and how long ago it was sent."""
        delay_us = time.monotonic_ns() // 1_000 - int(sent_us)
        if self.marks >= self._first:
            (self.closed_us if marks else self.delays_us).append(delay_us)
        self.take(marks)

    def result(self) -> dict[str, Any]:
        """Return what was measured."""
        return {
            "messages": (self.script.minutes - WARM_MINUTES) * self.script.messages,
            "events": self._seen,
            "cpu": self._cpu_s,
            "delays_us": self.delays_us,
            "closed_us": self.closed_us,
        }

    def _mark(self) -> None:
        self.marks += 1
        if self.marks == self._first:
            self._cpu_s, self._seen = time.process_time(), self.events
        elif self.marks == self._last:
            self._cpu_s = time.process_time() - self._cpu_s
            self._seen = self.events - self._seen
            self.done.set()


def main(argv: list[str] | None = None) -> None:
    """Run one contestant and print what it measured."""
    name, url, script = argv or sys.argv[1:]
    print(json.dumps(asyncio.run(_measured(name, url, Script(**json.loads(script))))))


def redirected(url: str, script: Script, callback: Any) -> Any:
    """Return cryptofeed's Binance feed as its users make it, but for the address."""
    from cryptofeed.defines import BINANCE, CANDLES, TRADES
    from cryptofeed.exchanges.binance import Binance
    from cryptofeed.symbols import Symbols

    class Redirected(Binance):  # type: ignore[misc]
        def _address(self) -> Any:
            return ["wss" + url.removeprefix("ws") + "/stream"]

        def connect(self) -> list[Any]:
            parts: list[Any] = super().connect()
            for part in parts:
                part[0].address = url + "/stream"
            return parts

    names = [symbol.replace("/", "-") for symbol in SYMBOLS]
    kinds = {"instrument_type": dict.fromkeys(names, "spot"), "tick_size": {}}
    Symbols.set(BINANCE, dict(zip(names, IDS, strict=True)), kinds)
    channel = TRADES if script.trades else CANDLES
    return Redirected(
        symbols=names, channels=[channel], callbacks={channel: callback}, candle_closed_only=False
    )


async def _measured(name: str, url: str, script: Script) -> dict[str, Any]:
    meter = Meter(script)
    running = asyncio.ensure_future(CONTESTANTS[name](url, script, meter))
    waiting = asyncio.ensure_future(meter.done.wait())
    done, _ = await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if running in done:
        running.result()
    if not meter.done.is_set():
        raise SystemExit(f"{name} ended after {meter.events} events, {meter.marks} marks")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return meter.result()


# -- the contestants -------------------------------------------------------------------


async def _bare(url: str, script: Script, meter: Meter) -> None:
    import orjson
    from websockets.asyncio.client import connect

    async with connect(url + "/stream", compression=None, max_queue=64) as socket:
        async for frame in socket:
            data = orjson.loads(frame)["data"]
            if script.trades:
                meter.take(True)
            elif script.stamped:
                meter.take_stamped(data["k"]["x"], float(data["k"]["c"]))
            else:
                meter.take(data["k"]["x"])


async def _cryptofeed(url: str, script: Script, meter: Meter) -> None:
    async def take(event: Any, _received_s: float) -> None:
        meter.take(event.closed)

    async def take_stamped(event: Any, _received_s: float) -> None:
        meter.take_stamped(event.closed, event.close)

    async def take_trade(event: Any, _received_s: float) -> None:
        meter.take(True)

    callback = take_trade if script.trades else take_stamped if script.stamped else take
    feed = redirected(url, script, callback)
    if version("cryptofeed").startswith("2."):
        feed.start(asyncio.get_running_loop())
        await meter.done.wait()
        feed.stop()
    else:
        await feed.run(meter.done)


async def _events(url: str, script: Script, meter: Meter) -> None:
    from velas.models import Candle

    async with _velas(url, script) as stream:
        async for event in stream.events():
            if event.__class__ is not Candle:
                if script.trades:
                    meter.take(event.__class__.__name__ == "Trade")
            elif script.stamped:
                meter.take_stamped(event.is_closed, event.close)
            else:
                meter.take(event.is_closed)


async def _callback(url: str, script: Script, meter: Meter) -> None:
    await _with_callbacks(_velas(url, script), script, meter)


async def _stored(url: str, script: Script, meter: Meter) -> None:
    from velas_parquet import ParquetStore

    with tempfile.TemporaryDirectory() as folder:
        await _with_callbacks(_velas(url, script, ParquetStore(Path(folder))), script, meter)


async def _with_callbacks(stream: Any, script: Script, meter: Meter) -> None:
    async def take(event: Any) -> None:
        meter.take(event.is_closed)

    async def take_stamped(event: Any) -> None:
        meter.take_stamped(event.is_closed, event.close)

    async def take_trade(event: Any) -> None:
        meter.take(True)

    async with stream:
        stream.on_candle = take_stamped if script.stamped else take
        stream.on_trade = take_trade
        await stream.run()


def _velas(url: str, script: Script, store: Any = None) -> Any:
    from benchmarks.live_venue import LocalVenue, StillClock
    from velas.settings import Stream as StreamSettings
    from velas.stream import Stream, intake
    from velas_cryptofeed import BinanceSpotFeed

    intake._AHEAD_MS = 10**12  # as the clock stands still, everything would be too early
    clock = StillClock()
    exchange = LocalVenue(clock)
    feed = BinanceSpotFeed(exchange, url=url, clock=clock)
    settings = StreamSettings(memory_candles=100)
    stream = Stream(exchange, feed, store, settings=settings, clock=clock)
    if script.trades:
        stream.subscribe("trades", SYMBOLS)
    else:
        stream.subscribe("candles", SYMBOLS, intervals=["1m"])
    return stream


CONTESTANTS: dict[str, _Client] = {
    "bare": _bare,
    "cryptofeed": _cryptofeed,
    "velas-events": _events,
    "velas-callback": _callback,
    "velas-stored": _stored,
}


if __name__ == "__main__":
    main()
