"""Raw frames out of a live feed, and back in through the same handlers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable

import pytest
from fakes import FakeExchange
from socketpeer import Heard, Peer, kline

from velas.feed import Frame
from velas.testing import ManualClock
from velas_cryptofeed import BinanceFuturesFeed, BinanceSpotFeed


async def stream(frames: Iterable[Frame]) -> AsyncIterator[Frame]:
    for frame in frames:
        yield frame


def text(message: object, connection: str = "stream-0") -> Frame:
    data = message if isinstance(message, str) else json.dumps(message, separators=(",", ":"))
    return Frame("text", connection, 0, data)


@pytest.fixture
def feed(exchange: FakeExchange, heard: Heard) -> BinanceSpotFeed:
    feed = BinanceSpotFeed(exchange, clock=ManualClock())
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    feed.on_candle = feed.on_trade = feed.on_book_ticker = heard.event
    feed.on_status = heard.status
    return feed


async def test_recorded_frames_replay_to_the_same_events(
    peer: Peer, heard: Heard, exchange: FakeExchange, feed: BinanceSpotFeed
) -> None:
    frames: list[Frame] = []
    live = BinanceSpotFeed(exchange, url=peer.url)
    live.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    lived = Heard()
    live.on_candle, live.on_frame = lived.event, frames.append
    async with live:
        running = asyncio.ensure_future(live.run())
        line = await peer.line(0)
        for message in (kline(at=1), "{broken", {"result": None}, kline(at=2, closed=True)):
            await line.say(message)
        await lived.until(lambda: len(lived.events) == 2)
    await running
    assert [frame.kind for frame in frames] == ["open", *["text"] * 4, "close"]
    assert {frame.connection for frame in frames} == {"stream-0"}
    await feed.play(stream(frames))
    assert heard.events == lived.events
    assert heard.names == ["Connected", "BadFrame", "Disconnected"]


async def test_play_overlapping_connections_are_a_rotation(
    feed: BinanceSpotFeed, heard: Heard
) -> None:
    kinds = ["open", "open", "close", "close"]
    await feed.play(stream(Frame(kind, "stream-0", 0, "why") for kind in kinds))  # type: ignore[arg-type]
    assert heard.names == ["Connected", "Rotated", "Disconnected"]


async def test_play_series_not_asked_for_is_passed_over(
    feed: BinanceSpotFeed, heard: Heard
) -> None:
    messages = [kline("ETHUSDT"), kline("BTCUSDT", "5m"), kline(at=1)]
    depth = {"stream": "btcusdt@depth", "data": {"e": "depthUpdate", "s": "BTCUSDT"}}
    trade = {"stream": "btcusdt@trade", "data": {"e": "trade", "s": "BTCUSDT"}}
    await feed.play(stream(map(text, [*messages, depth, trade])))
    assert [candle.timestamp for candle in heard.candles] == [60_000]
    assert heard.statuses == []


async def test_play_bad_frame_is_reported(feed: BinanceSpotFeed, heard: Heard) -> None:
    broken = kline(at=1)
    del broken["data"]["k"]["v"]  # type: ignore[attr-defined]
    await feed.play(stream([text(broken), text(kline(at=2))]))
    assert heard.names == ["BadFrame"]
    assert "'v'" in heard.statuses[0].reason
    assert len(heard.candles) == 1


async def test_play_connection_of_another_layout_is_still_read(
    exchange: FakeExchange, heard: Heard
) -> None:
    feed = BinanceFuturesFeed(exchange)
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    feed.on_candle = heard.event
    await feed.play(stream([text(kline(at=1), "stream-7")]))
    assert len(heard.candles) == 1


async def test_play_waits_for_an_async_callback(feed: BinanceSpotFeed) -> None:
    seen: list[str] = []

    async def slow(_candle: object) -> None:
        seen.append("begin")
        await asyncio.sleep(0)
        seen.append("end")

    feed.on_candle = slow
    await feed.play(stream([text(kline(at=1)), text(kline(at=2))]))
    assert seen == ["begin", "end"] * 2
