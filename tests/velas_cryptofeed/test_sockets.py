"""Real sockets: connecting, delivering, losing, replacing, closing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fakes import FakeExchange
from socketpeer import Heard, Line, Peer, kline

from velas import settings as cfg
from velas.errors import Unsupported
from velas.feed import FeedAdapter
from velas.models import Candle, Subscription
from velas.testing import ScaledClock
from velas_cryptofeed import BinanceFuturesFeed, BinanceSpotFeed

ONE = Subscription("candles", "BTC/USDT", "1m")


@asynccontextmanager
async def running(feed: FeedAdapter, heard: Heard) -> AsyncIterator[asyncio.Task[None]]:
    feed.on_candle = feed.on_trade = feed.on_book_ticker = heard.event
    feed.on_status = heard.status
    async with feed:
        task = asyncio.ensure_future(feed.run())
        yield task
    await task


async def test_feed_first_candle_is_delivered_whole(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    feed = BinanceSpotFeed(exchange, url=peer.url)
    feed.subscribe("candles", ["BTCUSDT"], intervals=["1m", "1s"])
    async with running(feed, heard):
        line = await peer.line(0)
        assert line.path == "/stream?streams=btcusdt@kline_1m/btcusdt@kline_1s"
        await line.say(kline(at=3, closed=True))
        await heard.until(lambda: heard.events)
    assert heard.events == [
        Candle(
            symbol="BTC/USDT", interval="1m", timestamp=180_000, open=1.5, high=3.5, low=0.5,
            close=2.5, volume=10.25, close_time=239_999, quote_volume=20.5, trades=7,
            taker_buy_base=4.25, taker_buy_quote=8.5, is_closed=True, sequence=0, source="ws",
        )
    ]  # fmt: skip
    assert heard.names == ["Connected"]
    assert heard.statuses[0].streams == 2


async def test_futures_feed_every_channel_goes_to_its_route(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    feed = BinanceFuturesFeed(exchange, url=peer.url)
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    feed.subscribe("trades", ["BTC/USDT"])
    feed.subscribe("book_ticker", ["BTC/USDT"])
    async with running(feed, heard):
        await heard.until(lambda: heard.names.count("Connected") == 2)
    assert {line.route: line.streams for line in peer.lines} == {
        "/market/stream": ["btcusdt@kline_1m", "btcusdt@aggTrade"],
        "/public/stream": ["btcusdt@bookTicker"],
    }
    assert {status.connection for status in heard.statuses} == {"market-0", "public-0"}


async def test_feed_lost_socket_is_replaced(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    feed = BinanceSpotFeed(exchange, url=peer.url, clock=ScaledClock(100))
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    async with running(feed, heard):
        line = await peer.line(0)
        await line.say(kline(at=1))
        await heard.until(lambda: len(heard.candles) == 1)
        line.cut()
        await (await peer.line(1)).say(kline(at=2))
        await heard.until(lambda: len(heard.candles) == 2)
    assert heard.names == ["Connected", "Disconnected", "Reconnecting", "Connected"]
    assert heard.statuses[1].reason == "connection lost"


async def test_feed_clean_close_waits_before_it_reconnects(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    async def close(line: Line) -> None:
        await line.socket.close(code=1008, message=b"Too many requests")

    peer.on_open = close
    feed = BinanceSpotFeed(exchange, url=peer.url, clock=ScaledClock(100))
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    async with running(feed, heard):
        await peer.until(lambda: peer.attempts == 4)
    delays = [s.delay_s for s in heard.statuses if s.status == "Reconnecting"]
    assert len(delays) >= 3
    assert all(0 <= delay <= 2.0**number for number, delay in enumerate(delays))
    reason = next(s.reason for s in heard.statuses if s.status == "Disconnected")
    assert reason == "closed by the venue: 1008 Too many requests"


async def test_feed_refused_connection_is_tried_again(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    peer.refuse = 503
    feed = BinanceSpotFeed(exchange, url=peer.url, clock=ScaledClock(100))
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    async with running(feed, heard):
        await peer.until(lambda: peer.attempts == 3)
        peer.refuse = 0
        await heard.until(lambda: "Connected" in heard.names)
    assert heard.names[:2] == ["Disconnected", "Reconnecting"]
    assert heard.statuses[0].reason == "the venue answered HTTP 503"


async def test_feed_rotation_opens_the_new_before_it_drops_the_old(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    feed = BinanceSpotFeed(exchange, url=peer.url)
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    async with running(feed, heard):
        old = await peer.line(0)
        await heard.until(lambda: "Connected" in heard.names)
        feed.rotate(ONE, "mute")
        feed.rotate(ONE, "mute")
        new = await peer.line(1)
        await old.say(kline(at=1))
        await heard.until(lambda: len(heard.candles) == 1)
        assert not old.socket.closed
        await new.say(kline(at=2))
        await heard.until(lambda: "Rotated" in heard.names)
        feed.rotate(ONE, "again, too soon")
        await new.say(kline(at=3))
        await heard.until(lambda: len(heard.candles) == 3)
    assert len(peer.lines) == 2
    assert heard.names == ["Connected", "Rotated"]
    assert heard.statuses[1].reason == "mute"


@pytest.mark.parametrize(
    "notice",
    [
        {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}},
        {"e": "serverShutdown", "E": 1},
    ],
)
async def test_feed_shutdown_notice_moves_to_a_new_socket(
    peer: Peer, heard: Heard, exchange: FakeExchange, notice: dict[str, object]
) -> None:
    feed = BinanceSpotFeed(exchange, url=peer.url)
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    async with running(feed, heard):
        await (await peer.line(0)).say(notice)
        await (await peer.line(1)).say(kline(at=1))
        await heard.until(lambda: "Rotated" in heard.names)
    assert heard.names == ["Connected", "Rotated"]
    assert [candle.timestamp for candle in heard.candles] == [60_000]


@pytest.mark.parametrize(
    ("frame", "word"),
    [
        ("{not json", "no JSON"),
        ("[1,2]", "no object"),
        ({"error": {"code": 4, "msg": "Too many subscriptions"}}, "Too many subscriptions"),
        ({"stream": "btcusdt@kline_1m", "data": {"e": "kline", "s": "BTCUSDT"}}, "KeyError"),
        (kline("ETHUSDT"), "nobody asked"),
        ('{"stream":"btcusdt@kline_1m","data":{"e":"kl', ""),
    ],
)
async def test_feed_bad_frame_is_reported_and_the_socket_stays(
    peer: Peer, heard: Heard, exchange: FakeExchange, frame: object, word: str
) -> None:
    feed = BinanceSpotFeed(exchange, url=peer.url)
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    async with running(feed, heard):
        line = await peer.line(0)
        await line.say(frame)
        await line.say({"result": None, "id": 1})
        await line.say(kline(at=1))
        await heard.until(lambda: heard.candles)
    assert heard.names == ["Connected", "BadFrame"]
    assert word in heard.statuses[1].reason


async def test_feed_silent_peer_is_dropped_for_want_of_a_pong(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    release = asyncio.Event()

    async def deaf(line: Line) -> None:
        await release.wait()

    peer.on_open = deaf
    feed = BinanceSpotFeed(exchange, url=peer.url, clock=ScaledClock(100))
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    async with running(feed, heard):
        await heard.until(lambda: "Disconnected" in heard.names)
        release.set()
    assert heard.statuses[1].reason == "no pong within 20 s"
    assert heard.statuses[1].at_ms - heard.statuses[0].at_ms < 120_000


async def test_feed_answered_pings_keep_a_quiet_socket(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    clock = ScaledClock(200)
    feed = BinanceSpotFeed(exchange, url=peer.url, clock=clock)
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    async with running(feed, heard):
        await peer.line(0)
        await clock.sleep(100)
    assert heard.names == ["Connected"]


def own_tasks() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if "velas_cryptofeed/_" in repr(task)]


async def test_feed_closing_leaves_no_task_and_no_connection(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    feed = BinanceSpotFeed(exchange, url=peer.url, streams_per_socket=1)
    feed.subscribe("candles", ["BTC/USDT", "ETH/USDT", "SOL/USDT"], intervals=["1m"])
    async with running(feed, heard):
        await heard.until(lambda: heard.names.count("Connected") == 3)
        assert own_tasks()
    assert own_tasks() == []
    await peer.until(lambda: all(line.socket.closed for line in peer.lines))


async def test_feed_closed_by_its_own_callback_ends(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    feed = BinanceSpotFeed(exchange, url=peer.url)
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])

    async def enough(candle: Candle) -> None:
        heard.event(candle)
        await feed.aclose()

    feed.on_candle = enough
    async with asyncio.timeout(5):
        task = asyncio.ensure_future(feed.run())
        line = await peer.line(0)
        for minute in range(5):
            await line.say(kline(at=minute))
        await task
        await peer.until(lambda: line.socket.closed)
        await asyncio.gather(*own_tasks())
    assert len(heard.candles) == 1


async def test_feed_closing_does_not_wait_for_a_peer_that_is_gone(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    release = asyncio.Event()

    async def deaf(_line: Line) -> None:
        await release.wait()

    peer.on_open = deaf
    feed = BinanceSpotFeed(exchange, url=peer.url)
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    async with asyncio.timeout(4):
        async with running(feed, heard):
            await heard.until(lambda: heard.names == ["Connected"])
    release.set()
    assert own_tasks() == []


def test_feed_from_settings_takes_address_and_rotation(exchange: FakeExchange) -> None:
    ws, stream = cfg.Ws(url="ws://127.0.0.1:9"), cfg.Stream(rotate_after_h=2.0)
    feed = BinanceSpotFeed.from_settings(cfg.Settings(ws=ws, stream=stream), exchange=exchange)
    assert (feed._url, feed._rotate_after_s) == ("ws://127.0.0.1:9", 7200.0)


@pytest.mark.parametrize(
    ("feed_class", "address"),
    [
        (BinanceSpotFeed, "wss://stream.binance.com:9443/stream?streams=btcusdt@aggTrade"),
        (BinanceFuturesFeed, "wss://fstream.binance.com/market/stream?streams=btcusdt@aggTrade"),
    ],
)
async def test_feed_without_an_address_goes_to_the_venue(
    exchange: FakeExchange, feed_class: type[BinanceSpotFeed], address: str
) -> None:
    feed = feed_class(exchange)
    feed.subscribe("trades", ["BTC/USDT"])
    (plan,) = await feed._plans(await feed.subscriptions())
    session = plan.dial()
    session.release()
    assert session.connection.address == address


async def test_feed_callback_that_raises_is_reported_and_the_socket_stays(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    feed = BinanceSpotFeed(exchange, url=peer.url)
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])

    def broken(candle: Candle) -> None:
        heard.event(candle)
        raise RuntimeError("a bug of the user")

    async with running(feed, heard):
        feed.on_candle = broken
        line = await peer.line(0)
        await line.say(kline(at=1))
        await line.say(kline(at=2))
        await heard.until(lambda: len(heard.candles) == 2)
    assert heard.names == ["Connected", "CallbackFailed", "CallbackFailed"]


def test_futures_feed_unknown_interval_is_refused_at_once(exchange: FakeExchange) -> None:
    feed = BinanceFuturesFeed(exchange)
    with pytest.raises(Unsupported, match="no live candles of 1s; it has 1m, 3m"):
        feed.subscribe("candles", ["BTC/USDT"], intervals=["1s"])
