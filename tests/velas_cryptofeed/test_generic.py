"""Other venues: what is offered, what they are called, and two of them over a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import attrs
import pytest
from socketpeer import Heard, Line, Peer

from velas import settings as cfg
from velas.errors import UnknownSymbol, Unsupported
from velas.feed import Frame
from velas.models import BookTicker, Candle, Market, Subscription, Trade
from velas.testing import ManualClock
from velas_cryptofeed import CryptofeedFeed, catalog

SPOT = Market(symbol="BTC/USDT", id="BTC-USDT", base="BTC", quote="USDT")
SWAP = attrs.evolve(SPOT, symbol="BTC/USDT:USDT", id="BTC-USDT-SWAP", type="swap", settle="USDT")


class Listing:
    """An exchange that knows some markets and nothing else."""

    name = "venue"

    def __init__(self, *markets: Market) -> None:
        self._markets = {market.symbol: market for market in markets}

    async def market(self, symbol: str) -> Market:
        if symbol not in self._markets:
            raise UnknownSymbol(symbol)
        return self._markets[symbol]


def okx(symbol: str = "BTC-USDT") -> dict[str, object]:
    return {
        "instType": "SPOT", "instId": symbol, "baseCcy": "BTC", "quoteCcy": "USDT",
        "tickSz": "0.1", "state": "live",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(catalog()))
async def test_catalog_every_venue_plans_its_sockets_without_a_download(name: str) -> None:
    feed = CryptofeedFeed(name, Listing(SPOT, SWAP))
    market = SPOT if "spot" in feed._venue.types else SWAP
    assert feed.channels
    for channel in feed.channels:
        few = feed.intervals[:2] if channel == "candles" else ()
        try:
            feed.subscribe(channel, [market.symbol], intervals=few)
            wanted = await feed.subscriptions()
            plans = await feed._plans(wanted)
        except Unsupported:  # of this channel for this kind of market
            feed._wanted = {one: None for one in feed._wanted if one.channel != channel}
            continue
        assert {one for plan in plans for one in plan.carries} == set(wanted)
        assert len({plan.name for plan in plans}) == len(plans)
        for plan in plans:
            plan.dial().release()


def test_catalog_has_the_large_venues() -> None:
    assert {"kraken", "okx", "bybit", "krakenfutures", "gate", "gateio", "htx"} <= set(catalog())


def test_catalog_factory_takes_the_settings() -> None:
    settings = cfg.Settings(ws=cfg.Ws(url="ws://127.0.0.1:1"))
    feed = catalog()["okx"].from_settings(settings, exchange=Listing(SPOT))
    assert isinstance(feed, CryptofeedFeed)
    assert feed._url == "ws://127.0.0.1:1"


def test_feed_of_an_unknown_venue_is_refused_with_the_choices() -> None:
    with pytest.raises(Unsupported, match=r"no feed of 'mtgox'.*choose one of .*kraken"):
        CryptofeedFeed("mtgox", Listing())


def test_feed_channel_the_venue_lacks_is_refused_with_what_it_has() -> None:
    feed = CryptofeedFeed("bitstamp", Listing(SPOT))
    with pytest.raises(Unsupported, match="has no candles; it has trades"):
        feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])


def test_feed_interval_the_venue_lacks_is_refused_with_what_it_has() -> None:
    feed = CryptofeedFeed("okx", Listing(SPOT))
    with pytest.raises(Unsupported, match=r"no live candles of 8h; it has 1m, 3m, .*1d, 1w, 1M"):
        feed.subscribe("candles", ["BTC/USDT"], intervals=["1m", "8h"])
    assert not feed._wanted


async def test_feed_market_the_feed_does_not_serve_is_refused() -> None:
    feed = CryptofeedFeed("kraken", Listing(SWAP))
    feed.subscribe("trades", ["BTC/USDT:USDT"])
    with pytest.raises(Unsupported, match="no swap markets such as BTC/USDT:USDT; it has spot"):
        await feed.run()


async def test_okx_trades_arrive_by_our_symbol_with_numeric_ids(peer: Peer, heard: Heard) -> None:
    listing = Listing(attrs.evolve(SPOT, info=okx()))
    feed = CryptofeedFeed("okx", listing, url=peer.url)
    feed.on_trade, feed.on_status = heard.event, heard.status
    feed.subscribe("trades", ["BTC/USDT"])
    row = {
        "instId": "BTC-USDT", "tradeId": "91", "px": "0.016", "sz": "50", "side": "sell",
        "ts": "1597026383085",
    }  # fmt: skip
    async with feed:
        running = asyncio.ensure_future(feed.run())
        line = await peer.line(0)
        await peer.until(lambda: line.heard)
        await line.say({"event": "subscribe", "arg": {"channel": "trades", "instId": "BTC-USDT"}})
        await line.say("{broken")
        await line.say({"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [row]})
        await heard.until(lambda: heard.events)
    await running
    assert line.path == "/ws/v5/public"
    assert json.loads(line.heard[0])["args"] == [{"channel": "trades", "instId": "BTC-USDT"}]
    assert heard.events == [
        Trade("BTC/USDT", 91, 1_597_026_383_085, Decimal("0.016"), Decimal(50), True)
    ]
    assert heard.names == ["Connected", "BadFrame"]


async def test_bybit_two_intervals_are_two_sockets_with_candles_in_ms(
    peer: Peer, heard: Heard
) -> None:
    info = {
        "symbol": "BTCUSDT", "contractType": "LinearPerpetual", "baseCoin": "BTC",
        "quoteCoin": "USDT", "priceFilter": {"tickSize": "0.1"}, "status": "Trading",
    }  # fmt: skip
    feed = CryptofeedFeed(
        "bybit", Listing(attrs.evolve(SWAP, id="BTCUSDT", info=info)), url=peer.url
    )
    feed.on_candle, feed.on_status = heard.event, heard.status
    feed.subscribe("candles", ["BTC/USDT:USDT"], intervals=["5m", "1h"])
    bar = {
        "start": 1671187800000, "end": 1671188099999, "interval": "5", "open": "16991",
        "close": "16980.5", "high": "16991", "low": "16980.5", "volume": "2.501",
        "turnover": "42493.2305", "confirm": False, "timestamp": 1671187815755,
    }  # fmt: skip
    async with feed:
        running = asyncio.ensure_future(feed.run())
        await peer.until(lambda: sum(bool(line.heard) for line in peer.lines) == 2)
        topics = {json.loads(line.heard[0])["args"][0]: line for line in peer.lines}
        assert set(topics) == {"kline.5.BTCUSDT", "kline.60.BTCUSDT"}
        message = {"topic": "kline.5.BTCUSDT", "type": "snapshot", "ts": 1671187815755}
        await topics["kline.5.BTCUSDT"].say({**message, "data": [bar]})
        await heard.until(lambda: heard.events)
    await running
    (candle,) = heard.events
    assert isinstance(candle, Candle)
    assert candle == Candle(
        symbol="BTC/USDT:USDT", interval="5m", timestamp=1671187800000, open=16991.0,
        high=16991.0, low=16980.5, close=16980.5, volume=2.501, close_time=1671188099999,
        is_closed=False, source="ws",
    )  # fmt: skip
    assert {s.connection for s in heard.statuses} == {"candles-5m-0", "candles-1h-0"}


def okx_trade(number: int) -> dict[str, object]:
    row = {
        "instId": "BTC-USDT", "tradeId": str(number), "px": "0.016", "sz": "50", "side": "sell",
        "ts": "1597026383085",
    }  # fmt: skip
    return {"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [row]}


@asynccontextmanager
async def rotating(peer: Peer, heard: Heard) -> AsyncIterator[tuple[ManualClock, Line, Line]]:
    """Rotate a feed of trades; the new socket has been greeted, but not subscribed yet."""
    clock = ManualClock()
    listing = Listing(attrs.evolve(SPOT, info=okx()))
    feed = CryptofeedFeed("okx", listing, url=peer.url, clock=clock)
    feed.on_trade, feed.on_status = heard.event, heard.status
    feed.subscribe("trades", ["BTC/USDT"])
    frames = heard_frames(feed)
    async with feed:
        running = asyncio.ensure_future(feed.run())
        await heard.until(lambda: heard.names == ["Connected"])
        feed.rotate(Subscription("trades", "BTC/USDT"), "planned")
        old, fresh = await peer.line(0), await peer.line(1)
        await peer.until(lambda: fresh.heard)
        greeting = {"event": "subscribe", "arg": {"channel": "trades"}}
        await fresh.say(greeting)
        async with asyncio.timeout(10):
            await frames.get()
        yield clock, old, fresh
    await running


def heard_frames(feed: CryptofeedFeed) -> asyncio.Queue[Frame]:
    """Return what takes the text frames of a feed."""
    frames = asyncio.Queue[Frame]()
    feed.on_frame = lambda frame: frames.put_nowait(frame) if frame.kind == "text" else None
    return frames


async def test_generic_rotation_keeps_the_old_socket_until_the_new_one_has_delivered_a_while(
    peer: Peer, heard: Heard
) -> None:
    async with rotating(peer, heard) as (clock, old, fresh):
        await clock.run_for(1.0)
        await old.say(okx_trade(1))  # an answer is no event: the old one still counts
        await heard.until(lambda: len(heard.events) == 1)
        await fresh.say(okx_trade(2))
        await heard.until(lambda: len(heard.events) == 2)
        await clock.run_for(4.0)
        await old.say(okx_trade(3))  # of a series that the new one is not asked for yet
        await heard.until(lambda: len(heard.events) == 3)
        assert "Rotated" not in heard.names
        await clock.run_for(2.0)
        await heard.until(lambda: "Rotated" in heard.names)
        assert old.socket.closed


async def test_generic_rotation_in_a_quiet_market_happens_all_the_same(
    peer: Peer, heard: Heard
) -> None:
    async with rotating(peer, heard) as (clock, _, _):
        await clock.run_for(9.0)
        assert "Rotated" not in heard.names
        await clock.run_for(2.0)
        await heard.until(lambda: "Rotated" in heard.names)


@attrs.frozen
class Unnamed:
    """A cryptofeed Trade of a venue without ids."""

    timestamp: float
    price: Decimal = Decimal("1.5")
    amount: Decimal = Decimal(2)
    side: str = "buy"
    id: None = None


def test_trades_without_ids_are_named_alike_by_two_sockets_and_differ() -> None:
    from velas_cryptofeed._events import TradeNames, trade

    said = [Unnamed(1.0), Unnamed(1.5), Unnamed(1.5), Unnamed(1.5, side="sell"), Unnamed(2.0)]
    old, fresh = TradeNames(), TradeNames()
    first = [trade(one, "BTC/USDT", old).id for one in said]
    again = [trade(one, "BTC/USDT", fresh).id for one in said[1:]]
    assert len(set(first)) == len(said)
    assert again == first[1:]


def test_book_ticker_of_other_venues_has_no_quantities() -> None:
    from velas_cryptofeed._events import book_ticker

    class Ticker:
        bid, ask, timestamp = Decimal("1.5"), Decimal("1.6"), 1_600_000_000.5

    event = book_ticker(Ticker, "BTC/USDT")
    assert isinstance(event, BookTicker)
    assert (event.bid, event.ask, event.timestamp) == (
        Decimal("1.5"),
        Decimal("1.6"),
        1600000000500,
    )
    assert event.bid_quantity.is_nan()
    assert event.ask_quantity.is_nan()


def test_generic_feed_of_a_name_alone_has_an_exchange_of_that_name() -> None:
    feed = CryptofeedFeed("kraken")
    assert (feed.name, feed.exchange.name) == ("kraken", "kraken")
