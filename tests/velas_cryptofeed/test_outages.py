"""What a wire does about a venue that refuses for long, and about errors nobody expects."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import attrs
import pytest
from fakes import FakeExchange
from socketpeer import Heard, Peer, kline

from velas.feed import FeedAdapter
from velas.models import Candle, Subscription
from velas.status import Disconnected, Reconnecting
from velas.testing import ManualClock, ScaledClock
from velas_cryptofeed import BinanceSpotFeed
from velas_cryptofeed._session import Plan, Session
from velas_cryptofeed._supervisor import Wire

ONE = Subscription("candles", "BTC/USDT", "1m")
SUPERVISOR = "velas_cryptofeed._supervisor"


class Refusing:
    """A connection nobody answers."""

    def __init__(self) -> None:
        self.address = "ws://127.0.0.1:9"
        self.ws_kwargs: dict[str, Any] = {}
        self.conn = None

    async def write(self, _message: str) -> None:
        raise AssertionError("it is not open")

    def connect(self) -> AbstractAsyncContextManager[object]:
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[object]:
        raise ConnectionRefusedError("nobody there")
        yield


async def nothing(*_: object) -> None:
    return None


def refused() -> Session:
    return Session(Refusing(), nothing, nothing, None, None, lambda: None)


def wire_of(feed: FeedAdapter, rng: random.Random) -> Wire:
    plan = Plan("stream-0", "127.0.0.1", 1, (ONE,), refused)
    return Wire(plan, feed, rotate_after_s=3600.0, rng=rng)


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def log() -> Iterator[asyncio.Queue[logging.LogRecord]]:
    records = asyncio.Queue[logging.LogRecord]()
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.put_nowait  # type: ignore[method-assign]
    logging.getLogger(SUPERVISOR).addHandler(handler)
    yield records
    logging.getLogger(SUPERVISOR).removeHandler(handler)


def told(heard: Heard, kind: type[Any]) -> list[Any]:
    return [status for status in heard.statuses if isinstance(status, kind)]


async def test_wire_refused_for_days_goes_on_with_delays_below_the_cap(
    heard: Heard, exchange: FakeExchange, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    feed = BinanceSpotFeed(exchange, clock=ManualClock(auto=True))
    done = asyncio.Event()

    def count(status: object) -> None:
        if isinstance(status, Reconnecting):
            heard.status(status)
            if len(heard.statuses) == 3_000:
                done.set()

    feed.on_status = count
    task = asyncio.ensure_future(wire_of(feed, random.Random(5)).run())
    watching = asyncio.ensure_future(done.wait())
    await asyncio.wait({task, watching}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    reached = len(heard.statuses)
    assert not task.done(), f"ended after {reached} failures: {task.exception()!r}"
    await stopped(task)
    attempts = [status.attempt for status in told(heard, Reconnecting)][:3_000]
    assert attempts == list(range(1, 3_001))
    delays = [status.delay_s for status in told(heard, Reconnecting)]
    assert max(delays) <= 60.0
    assert max(delays[:6]) < 32.0
    assert max(delays[2_000:]) > 50.0  # it still spreads over all of the cap


class Clumsy(BinanceSpotFeed):
    """A feed that cannot make the first socket as often as `errors` says."""

    errors = 3

    async def _plans(self, subscriptions: Sequence[Subscription]) -> list[Plan]:
        first, *others = await super()._plans(subscriptions)
        return [attrs.evolve(first, dial=self._failing(first.dial)), *others]

    def _failing(self, dial: Callable[[], Session]) -> Callable[[], Session]:
        def fail() -> Session:
            if self.errors == 0:
                return dial()
            self.errors -= 1
            raise RuntimeError("a bug in here")

        return fail


async def test_wire_with_an_unexpected_error_is_restarted_while_the_others_deliver(
    peer: Peer, heard: Heard, exchange: FakeExchange, caplog: pytest.LogCaptureFixture
) -> None:
    feed = Clumsy(exchange, url=peer.url, clock=ScaledClock(20), streams_per_socket=1)
    feed.on_candle, feed.on_status = heard.event, heard.status
    feed.subscribe("candles", ["BTC/USDT", "ETH/USDT"], intervals=["1m"])
    async with feed:
        running = asyncio.ensure_future(feed.run())
        healthy = await peer.line(0)
        await heard.until(lambda: len(told(heard, Disconnected)) == 1)
        await healthy.say(kline("ETHUSDT", at=1))
        await heard.until(lambda: len(heard.candles) == 1)
        await (await peer.line(1)).say(kline("BTCUSDT", at=1))
        await heard.until(lambda: len(heard.candles) == 2)
    await running
    by_wire = {
        name: [status.status for status in heard.statuses if status.connection == name]  # type: ignore[attr-defined]
        for name in ("stream-0", "stream-1")
    }
    again = ["Disconnected", "Reconnecting"] * 3
    assert by_wire == {"stream-0": [*again, "Connected"], "stream-1": ["Connected"]}
    assert {status.reason for status in told(heard, Disconnected)} == {
        "RuntimeError: a bug in here"
    }
    logged = [one for one in caplog.records if one.name == SUPERVISOR and one.exc_info]
    assert len(logged) == 3


async def test_rotation_with_an_unexpected_error_keeps_the_old_socket(
    peer: Peer, heard: Heard, exchange: FakeExchange, log: asyncio.Queue[logging.LogRecord]
) -> None:
    feed = Clumsy(exchange, url=peer.url)
    feed.errors = 0
    feed.on_candle, feed.on_status = heard.event, heard.status
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    async with feed:
        running = asyncio.ensure_future(feed.run())
        old = await peer.line(0)
        await heard.until(lambda: heard.names == ["Connected"])
        feed.errors = 1
        feed.rotate(ONE, "mute")
        record = await asyncio.wait_for(log.get(), 30)
        await old.say(kline(at=1))
        await heard.until(lambda: heard.candles)
    await running
    assert heard.names == ["Connected"]
    assert record.getMessage() == "fake stream-0: cannot rotate: RuntimeError: a bug in here"
    assert record.exc_info is not None


class Broken(random.Random):
    """A source of chance that fails the first times."""

    failures = 2

    def uniform(self, a: float, b: float) -> float:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("a bug in here")
        return super().uniform(a, b)


async def test_wire_that_itself_fails_starts_again_with_a_traceback_in_the_log(
    heard: Heard, exchange: FakeExchange, caplog: pytest.LogCaptureFixture
) -> None:
    feed = BinanceSpotFeed(exchange, clock=ManualClock(auto=True))
    feed.on_status = heard.status
    task = asyncio.ensure_future(wire_of(feed, Broken(5)).run())
    waiting = asyncio.ensure_future(heard.until(lambda: "Reconnecting" in heard.names))
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    assert not task.done(), repr(task.exception())
    await waiting
    await stopped(task)
    assert heard.names[:4] == ["Disconnected", "Disconnected", "Disconnected", "Reconnecting"]
    assert heard.statuses[1].reason == "RuntimeError: a bug in here"  # type: ignore[attr-defined]
    assert heard.statuses[3].attempt == 3  # type: ignore[attr-defined]
    logged = [one for one in caplog.records if one.name == SUPERVISOR and one.exc_info]
    assert [one.levelno for one in logged] == [logging.ERROR] * 2


async def test_wire_that_always_fails_leaves_the_loop_to_others(
    heard: Heard, exchange: FakeExchange, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    feed = BinanceSpotFeed(exchange, clock=ManualClock(auto=True))
    feed.on_status = heard.status
    rng = Broken(5)
    rng.failures = 1_000
    task = asyncio.ensure_future(wire_of(feed, rng).run())
    await heard.until(lambda: len(heard.statuses) >= 2)
    for _ in range(50):
        await asyncio.sleep(0)
    assert rng.failures > 990
    await stopped(task)


@asynccontextmanager
async def busy(retry_after: str) -> AsyncIterator[tuple[str, asyncio.Queue[None]]]:
    """Serve handshakes that are refused with a `Retry-After`."""
    asked = asyncio.Queue[None]()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.put_nowait(None)
        answer = f"HTTP/1.1 429 Busy\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\n\r\n"
        writer.write(answer.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    yield f"ws://{host}:{port}", asked
    server.close()


async def refused_twice(
    heard: Heard, exchange: FakeExchange, clock: ScaledClock, retry_after: str
) -> float:
    async with busy(retry_after) as (url, asked):
        feed = BinanceSpotFeed(exchange, url=url, clock=clock)
        feed.on_status = heard.status
        feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
        async with asyncio.timeout(10), feed:
            running = asyncio.ensure_future(feed.run())
            await asked.get()
            began_s = clock.monotonic_s()
            await asked.get()
            took_s = clock.monotonic_s() - began_s
        await running
    return took_s


async def test_wire_refused_with_retry_after_waits_that_long(
    heard: Heard, exchange: FakeExchange
) -> None:
    took_s = await refused_twice(heard, exchange, ScaledClock(200), "120")
    assert took_s >= 119.0
    assert heard.names[:2] == ["Disconnected", "Reconnecting"]
    assert told(heard, Disconnected)[0].reason == "the venue answered HTTP 429"
    assert 119.0 <= told(heard, Reconnecting)[0].delay_s <= 120.0


@pytest.mark.parametrize("value", ["inf", "nan", "-5", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_wire_refused_with_a_retry_after_of_no_use_backs_off_as_always(
    heard: Heard, exchange: FakeExchange, value: str
) -> None:
    await refused_twice(heard, exchange, ScaledClock(20), value)
    assert told(heard, Reconnecting)[0].delay_s <= 1.0


@pytest.mark.parametrize("old_dies", [True, False])
async def test_rotation_refused_with_retry_after_is_not_tried_before(
    peer: Peer, heard: Heard, exchange: FakeExchange, old_dies: bool
) -> None:
    clock = ScaledClock(200)
    feed = BinanceSpotFeed(exchange, url=peer.url, clock=clock)
    feed.on_status = heard.status
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    async with busy("150") as (url, asked), asyncio.timeout(10), feed:
        running = asyncio.ensure_future(feed.run())
        await heard.until(lambda: heard.names == ["Connected"])
        wire = feed._wires[ONE]
        dial = wire.plan.dial

        def elsewhere() -> Session:
            session = dial()
            session.connection.address = url
            return session

        wire.plan = attrs.evolve(wire.plan, dial=elsewhere)
        feed.rotate(ONE, "mute")
        await asked.get()
        began_s = clock.monotonic_s()
        if old_dies:
            peer.lines[0].cut()
        await asked.get()
        assert clock.monotonic_s() - began_s >= 149.0
    await running


async def test_feed_closed_by_an_async_callback_returns_to_it_and_ends(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    feed = BinanceSpotFeed(exchange, url=peer.url, streams_per_socket=1)
    feed.subscribe("candles", ["BTC/USDT", "ETH/USDT"], intervals=["1m"])
    after: list[str] = []

    async def enough(candle: Candle) -> None:
        await feed.aclose()
        await asyncio.sleep(0)
        after.append(candle.symbol)

    feed.on_candle = enough
    async with asyncio.timeout(5):
        task = asyncio.ensure_future(feed.run())
        await peer.until(lambda: len(peer.lines) == 2)
        line = next(line for line in peer.lines if "btcusdt" in line.path)
        await line.say(kline(at=1))  # and nothing more: it must not wait for another
        await task
        await peer.until(lambda: all(line.socket.closed for line in peer.lines))
    assert after == ["BTC/USDT"]
