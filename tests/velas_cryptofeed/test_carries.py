"""Which series a connection's events are about."""

from __future__ import annotations

import asyncio

import attrs
import pytest
from fakes import FakeExchange
from socketpeer import Heard, Peer

from velas.feed import FeedAdapter, Frame
from velas.models import Market, Subscription
from velas.status import ConnectionStatus
from velas.testing import ScaledClock
from velas_cryptofeed import BinanceSpotFeed, CryptofeedFeed

BTC = Subscription("candles", "BTC/USDT", "1m")
ETH = Subscription("candles", "ETH/USDT", "1m")
TRADES = Subscription("trades", "BTC/USDT")


class Listing:
    """An exchange that knows one market of OKX."""

    name = "okx"

    async def market(self, _symbol: str) -> Market:
        info = {
            "instType": "SPOT", "instId": "BTC-USDT", "baseCcy": "BTC", "quoteCcy": "USDT",
            "tickSz": "0.1", "state": "live",
        }  # fmt: skip
        market = Market(symbol="BTC/USDT", id="BTC-USDT", base="BTC", quote="USDT")
        return attrs.evolve(market, info=info)


def binance(peer: Peer, exchange: FakeExchange) -> tuple[FeedAdapter, dict[str, Subscription]]:
    feed = BinanceSpotFeed(exchange, url=peer.url, clock=ScaledClock(50), streams_per_socket=1)
    feed.subscribe("candles", ["BTC/USDT", "ETH/USDT"], intervals=["1m"])
    return feed, {"stream-0": BTC, "stream-1": ETH}


def other(peer: Peer, _exchange: FakeExchange) -> tuple[FeedAdapter, dict[str, Subscription]]:
    feed = CryptofeedFeed("okx", Listing(), url=peer.url, clock=ScaledClock(50))  # type: ignore[arg-type]
    feed.subscribe("trades", ["BTC/USDT"])
    return feed, {"market-0": TRADES}


def kinds(heard: Heard, carried: dict[str, Subscription]) -> set[str]:
    for status in heard.statuses:
        assert isinstance(status, ConnectionStatus)
        assert status.carries == (carried[status.connection],), status
    return {status.status for status in heard.statuses}


@pytest.mark.parametrize("make", [binance, other])
async def test_feed_statuses_of_a_connection_name_the_series_it_carries(
    peer: Peer, heard: Heard, exchange: FakeExchange, make: object
) -> None:
    feed, carried = make(peer, exchange)  # type: ignore[operator]
    feed.on_status = heard.status
    async with feed:
        running = asyncio.ensure_future(feed.run())
        await heard.until(lambda: len(heard.statuses) == len(carried))
        await peer.lines[0].say("{broken")
        await heard.until(lambda: "BadFrame" in heard.names)
        feed.rotate(next(iter(carried.values())), "mute")
        fresh = await peer.line(len(carried))
        await fresh.say("{broken")
        for line in peer.lines[: len(carried)]:
            await line.say("{broken")
        await heard.until(lambda: "Rotated" in heard.names)
        fresh.cut()
        await heard.until(lambda: heard.names.count("Connected") > len(carried))
    await running
    expected = {"Connected", "BadFrame", "Rotated", "Disconnected", "Reconnecting"}
    assert kinds(heard, carried) == expected


async def frames(connection: str) -> object:
    for kind, data in (
        ("open", ""), ("text", "{broken"), ("open", ""), ("close", "a"), ("close", "b")
    ):  # fmt: skip
        yield Frame(kind, connection, 0, data)  # type: ignore[arg-type]


async def test_play_statuses_name_the_series_the_connection_carries(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    feed, carried = binance(peer, exchange)
    feed.on_status = heard.status
    await feed.play(frames("stream-1"))  # type: ignore[arg-type]
    assert kinds(heard, carried) == {"Connected", "BadFrame", "Rotated", "Disconnected"}


async def test_play_connection_no_plan_names_may_carry_any_series(
    peer: Peer, heard: Heard, exchange: FakeExchange
) -> None:
    feed, _ = binance(peer, exchange)
    feed.on_status = heard.status
    await feed.play(frames("stream-7"))  # type: ignore[arg-type]
    assert heard.names == ["Connected", "BadFrame", "Rotated", "Disconnected"]
    assert {status.carries for status in heard.statuses} == {()}  # type: ignore[attr-defined]
