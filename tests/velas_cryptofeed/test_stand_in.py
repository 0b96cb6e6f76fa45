"""The Binance feeds against the stand-in venue and its faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
from fastforward import fast_forward
from socketpeer import Heard

from velas.errors import ExchangeError
from velas.models import BookTicker, Candle, Trade
from velas.testing import LoopClock, SocketFault, SocketFaultPlan, StandInVenue
from velas_ccxt import BinanceFutures, BinanceSpot
from velas_cryptofeed import BinanceFuturesFeed, BinanceSpotFeed

MARKETS = {"spot": (BinanceSpot, BinanceSpotFeed), "futures": (BinanceFutures, BinanceFuturesFeed)}


@pytest.fixture
def heard() -> Heard:
    return Heard(patience_s=3_600.0)


@attrs.frozen
class Scene:
    venue: StandInVenue
    feed: BinanceSpotFeed | BinanceFuturesFeed
    heard: Heard


@asynccontextmanager
async def scene(
    heard: Heard,
    market: str = "spot",
    *,
    plan: SocketFaultPlan | None = None,
    rotate_after_h: float = 23.0,
    life_h: float = 24.0,
) -> AsyncIterator[Scene]:
    clock = LoopClock()
    venue = StandInVenue(
        market,  # type: ignore[arg-type]
        symbols=["BTCUSDT", "ETHUSDT"],
        clock=clock,
        socket_faults=plan,
        ws_life_h=life_h,
    )
    exchange_class, feed_class = MARKETS[market]
    async with venue, exchange_class(url=venue.rest_url, clock=clock) as exchange:
        feed = feed_class(exchange, url=venue.ws_url, clock=clock, rotate_after_h=rotate_after_h)
        feed.on_candle = feed.on_trade = feed.on_book_ticker = heard.event
        feed.on_status = heard.status
        feed.subscribe("candles", ["BTC/USDT", "ETH/USDT"], intervals=["1m"])
        feed.subscribe("trades", ["BTC/USDT"])
        feed.subscribe("book_ticker", ["BTC/USDT"])
        async with feed:
            running = asyncio.ensure_future(feed.run())
            yield Scene(venue, feed, heard)
        await running


def kinds(heard: Heard) -> set[type]:
    return {type(event) for event in heard.events}


@pytest.mark.parametrize("market", ["spot", "futures"])
@fast_forward
async def test_feed_every_channel_delivers(heard: Heard, market: str) -> None:
    async with scene(heard, market):
        await heard.until(lambda: kinds(heard) == {Candle, Trade, BookTicker})
    suffix = ":USDT" if market == "futures" else ""
    assert {event.symbol for event in heard.events} <= {f"BTC/USDT{suffix}", f"ETH/USDT{suffix}"}
    assert set(heard.names) == {"Connected"}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (SocketFault.drop(), "connection lost"),
        (SocketFault.close(1001, "going away"), "closed by the venue: 1001 going away"),
        (SocketFault.half_open(), "no pong within 20 s"),
    ],
    ids=["drop", "close", "half open"],
)
@fast_forward
async def test_feed_socket_that_ends_is_replaced(
    heard: Heard, fault: SocketFault, reason: str
) -> None:
    async with scene(heard) as at:
        await heard.until(lambda: heard.events)
        assert at.venue.strike(fault) == 1
        await heard.until(lambda: heard.names.count("Connected") == 2)
        heard.events.clear()
        await heard.until(lambda: heard.events)
    assert heard.names == ["Connected", "Disconnected", "Reconnecting", "Connected"]
    assert heard.statuses[1].reason == reason


@pytest.mark.parametrize("shape", ["cut", "garbage", "list", "no_data", "no_fields", "text_price"])
@fast_forward
async def test_feed_broken_frame_is_reported_and_the_socket_stays(heard: Heard, shape: str) -> None:
    async with scene(heard) as at:
        await heard.until(lambda: heard.events)
        at.venue.strike(SocketFault.wrong_json(shape))  # type: ignore[arg-type]
        await heard.until(lambda: "BadFrame" in heard.names)
        heard.events.clear()
        await heard.until(lambda: heard.events)
    assert heard.names == ["Connected", "BadFrame"]


@fast_forward
async def test_feed_error_frame_is_reported_and_the_socket_stays(heard: Heard) -> None:
    async with scene(heard) as at:
        await heard.until(lambda: heard.events)
        at.venue.strike(SocketFault.error_frame(2, "Invalid request"))
        await heard.until(lambda: "BadFrame" in heard.names)
    assert "Invalid request" in heard.statuses[1].reason


@fast_forward
async def test_feed_announced_shutdown_leaves_no_hole(heard: Heard) -> None:
    async with scene(heard) as at:
        await heard.until(lambda: heard.events)
        at.venue.strike(SocketFault.server_shutdown(seconds=600.0))
        await heard.until(lambda: "Rotated" in heard.names)
        closed = [one for one in heard.candles if one.is_closed]
        await heard.until(lambda: len([c for c in heard.candles if c.is_closed]) > len(closed))
    assert heard.names == ["Connected", "Rotated"]


@fast_forward
async def test_feed_planned_rotation_keeps_the_trades_contiguous(heard: Heard) -> None:
    async with scene(heard, rotate_after_h=0.05):
        await heard.until(lambda: heard.names.count("Rotated") == 2)
    ids = sorted({event.id for event in heard.events if isinstance(event, Trade)})
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert set(heard.names) == {"Connected", "Rotated"}


@fast_forward
async def test_feed_refused_for_a_while_stays_within_the_connection_limit(heard: Heard) -> None:
    plan = SocketFaultPlan.script([SocketFault.refuse(120.0, 429)])
    async with scene(heard, plan=plan) as at:
        await heard.until(lambda: heard.events)
        attempts = len(at.venue.connections)
    assert 2 <= attempts <= 60
    assert "Disconnected" in heard.names


@pytest.mark.parametrize("market", ["spot", "futures"])
@fast_forward
async def test_feed_without_an_exchange_opens_its_own_and_closes_it(
    monkeypatch: pytest.MonkeyPatch, heard: Heard, market: str
) -> None:
    clock = LoopClock()
    async with StandInVenue(market, symbols=["BTCUSDT"], clock=clock) as venue:  # type: ignore[arg-type]
        monkeypatch.setenv("REST_URL", venue.rest_url)
        monkeypatch.setenv("WS_URL", venue.ws_url)
        feed = MARKETS[market][1](clock=clock)
        feed.on_candle = heard.event
        feed.subscribe("candles", ["BTCUSDT"], intervals=["1m"])
        async with feed:
            running = asyncio.ensure_future(feed.run())
            await heard.until(lambda: heard.candles)
        await running
        with pytest.raises(ExchangeError, match="closed"):
            await feed.exchange.markets(refresh=True)
