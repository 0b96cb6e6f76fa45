"""When a wire connects, waits, moves and gives up on a socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fakes import FakeExchange
from socketpeer import MINUTE, Heard, Line, Peer, kline

from velas.feed import Frame
from velas.models import Candle, Subscription
from velas.testing import ManualClock, ScaledClock
from velas_cryptofeed import BinanceSpotFeed

ONE = Subscription("candles", "BTC/USDT", "1m")


def feed_of(peer: Peer, heard: Heard, exchange: FakeExchange, **kwargs: object) -> BinanceSpotFeed:
    feed = BinanceSpotFeed(exchange, url=peer.url, **kwargs)  # type: ignore[arg-type]
    feed.on_candle, feed.on_status = heard.event, heard.status
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    return feed


async def test_wires_that_fail_share_the_venues_connection_budget(heard: Heard, peer: Peer) -> None:
    symbols = [f"COIN{number}/USDT" for number in range(80)]
    exchange = FakeExchange({(symbol, "1m"): None for symbol in symbols})  # type: ignore[misc]
    clock = ScaledClock(300)
    feed = BinanceSpotFeed(exchange, url=peer.url, clock=clock, streams_per_socket=1)
    feed.subscribe("candles", symbols, intervals=["1m"])
    peer.refuse = 503
    began = clock.monotonic_s()
    async with feed:
        running = asyncio.ensure_future(feed.run())
        await peer.until(lambda: peer.attempts >= 240)
        reached_s = clock.monotonic_s() - began
        await clock.sleep(max(0.0, 290.0 - reached_s))
        assert peer.attempts <= 240
        await peer.until(lambda: peer.attempts > 240)
        assert clock.monotonic_s() - began >= 300.0
    await running


async def test_rotation_that_cannot_connect_keeps_the_old_socket(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    async with feed_of(peer, heard, exchange) as feed:
        running = asyncio.ensure_future(feed.run())
        old = await peer.line(0)
        await heard.until(lambda: heard.names == ["Connected"])
        peer.refuse = 503
        feed.rotate(ONE, "mute")
        await peer.until(lambda: peer.attempts == 2)
        await old.say(kline(at=1))
        await heard.until(lambda: heard.candles)
        assert not old.socket.closed
    await running
    assert heard.names == ["Connected"]


async def test_old_socket_that_dies_during_a_rotation_is_told_and_replaced(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    async with feed_of(peer, heard, exchange) as feed:
        running = asyncio.ensure_future(feed.run())
        old = await peer.line(0)
        await heard.until(lambda: heard.names == ["Connected"])
        feed.rotate(ONE, "mute")
        fresh = await peer.line(1)
        old.cut()
        await fresh.say(kline(at=1))
        await heard.until(lambda: heard.names.count("Connected") == 2 or "Rotated" in heard.names)
        await heard.until(lambda: heard.candles)
    await running
    assert heard.names in (["Connected", "Disconnected", "Connected"], ["Connected", "Rotated"])
    assert len(peer.lines) == 2


async def test_planned_rotation_happens_by_the_clock(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    async def greet(line: Line) -> None:
        await line.say(kline(at=1))

    peer.on_open = greet
    clock = ManualClock()
    async with feed_of(peer, heard, exchange, clock=clock, rotate_after_h=10.0) as feed:
        running = asyncio.ensure_future(feed.run())
        await heard.until(lambda: heard.names == ["Connected"] and heard.candles)
        clock.advance(9.4 * 3600)
        await asyncio.sleep(0.05)
        assert len(peer.lines) == 1
        clock.advance(0.6 * 3600)
        await heard.until(lambda: "Rotated" in heard.names)
    await running
    assert "planned" in heard.statuses[-1].reason


async def test_rotation_waits_for_data_and_not_for_an_answer_or_a_notice(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    clock = ManualClock()
    frames = asyncio.Queue[Frame]()
    async with feed_of(peer, heard, exchange, clock=clock) as feed:
        feed.on_frame = lambda frame: frames.put_nowait(frame) if frame.kind == "text" else None
        running = asyncio.ensure_future(feed.run())
        old = await peer.line(0)
        await heard.until(lambda: heard.names == ["Connected"])
        feed.rotate(ONE, "planned")
        fresh = await peer.line(1)
        await fresh.say({"result": None, "id": 1})
        await fresh.say({"stream": "!other", "data": {"e": "other", "E": 1}})
        async with asyncio.timeout(10):
            await frames.get()
            await frames.get()
        await clock.run_for(5.0)
        await old.say(kline(at=1))
        await heard.until(lambda: heard.candles)
        assert "Rotated" not in heard.names
        await fresh.say(kline(at=2))
        await heard.until(lambda: "Rotated" in heard.names)
    await running


async def test_rotation_delivers_what_the_old_socket_still_held(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    release = asyncio.Event()
    feed = feed_of(peer, heard, exchange)

    async def slow(candle: Candle) -> None:
        heard.event(candle)
        if candle.timestamp == MINUTE:
            await release.wait()

    feed.on_candle = slow
    async with feed:
        running = asyncio.ensure_future(feed.run())
        old = await peer.line(0)
        for minute in range(1, 11):
            await old.say(kline(at=minute))
        await heard.until(lambda: heard.candles)  # the first is in the callback, nine wait
        feed.rotate(ONE, "mute")
        await (await peer.line(1)).say(kline(at=11))
        await heard.until(lambda: len(heard.candles) == 2)
        release.set()
        await heard.until(lambda: "Rotated" in heard.names)
    await running
    assert {candle.timestamp // MINUTE for candle in heard.candles} == set(range(1, 12))


async def test_second_shutdown_notice_waits_for_the_first_move_to_settle(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    async def warn(line: Line) -> None:
        await line.say({"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}})

    peer.on_open = warn
    clock = ScaledClock(100)
    began = clock.monotonic_s()
    async with feed_of(peer, heard, exchange, clock=clock) as feed:
        running = asyncio.ensure_future(feed.run())
        await peer.until(lambda: peer.attempts == 4)
        # the first at once, the others 30 s apart
        assert clock.monotonic_s() - began >= 60.0
    await running


@asynccontextmanager
async def hanging() -> AsyncIterator[tuple[str, asyncio.Queue[None]]]:
    """Serve connections that are accepted and never answered."""
    accepted = asyncio.Queue[None]()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.put_nowait(None)
        while await reader.read(1024):
            pass
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    yield f"ws://{host}:{port}", accepted
    server.close()


async def test_feed_that_never_connects_closes_at_once(exchange: FakeExchange) -> None:
    async with hanging() as (url, accepted):
        feed = BinanceSpotFeed(exchange, url=url)
        feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
        async with asyncio.timeout(5), feed:
            running = asyncio.ensure_future(feed.run())
            await accepted.get()
        await running


async def test_handshake_that_hangs_is_given_up_and_tried_again(
    heard: Heard, exchange: FakeExchange
) -> None:
    async with hanging() as (url, accepted):
        feed = BinanceSpotFeed(exchange, url=url, clock=ScaledClock(100))
        feed.on_status = heard.status
        feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
        async with asyncio.timeout(10), feed:
            running = asyncio.ensure_future(feed.run())
            await accepted.get()
            await accepted.get()
        await running
    assert heard.names[:2] == ["Disconnected", "Reconnecting"]
    assert heard.statuses[0].reason == "not open within 10 s"


@pytest.mark.parametrize("name", ["feedhandler", "cryptofeed"])
def test_cryptofeeds_own_log_is_quiet_unless_asked_for(name: str) -> None:
    import velas_cryptofeed._library

    assert velas_cryptofeed._library.CONFIG == {}
    assert logging.getLogger(name).getEffectiveLevel() == logging.CRITICAL


def test_listing_puts_back_what_another_user_of_cryptofeed_had() -> None:
    from cryptofeed.symbols import Symbols

    from velas_cryptofeed._library import listing

    Symbols.set("SOME", {"BTC-USDT": "X"}, {"tick_size": {}})
    try:
        with listing("SOME", {"BTC/USDT": "BTCUSDT"}):
            assert Symbols.get("SOME")[0] == {"BTC/USDT": "BTCUSDT"}
        assert Symbols.get("SOME") == ({"BTC-USDT": "X"}, {"tick_size": {}})
        with listing("OTHER", {}):
            assert Symbols.populated("OTHER")
        assert not Symbols.populated("OTHER")
    finally:
        Symbols.data.pop("SOME", None)
