"""Recorded exchange data through the adapters, against a decoding of its own."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import attrs
import pytest
from fakes import FakeExchange
from realdata import market_data

from velas.feed import FeedAdapter, Frame
from velas.models import BookTicker, Candle, Market, Trade
from velas_cryptofeed import BinanceFuturesFeed, BinanceSpotFeed, CryptofeedFeed

FEEDS = {"spot": BinanceSpotFeed, "usdm": BinanceFuturesFeed}
CAPTURES = [
    ("spot", "binance_spot_2021-10-12.ws"),
    ("usdm", "binance_usdm_2021-07-22.ws"),
    ("spot", "binance_spot_btcusdt_2024-08-08.gz"),
    ("usdm", "binance_usdm_btcusdt_2024-08-08.gz"),
]


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (receive time in ns, message) of a capture of either form."""
    if path.suffix == ".gz":
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            at, _, message = line.partition(" ")
            yield int(at), message
        return
    for line in path.read_text().splitlines()[1:]:
        if not line:
            continue
        at, _, message = line.partition(": ")
        yield int(Decimal(at) * 10**9), message


def expected(message: str) -> object:
    """Decode one message with nothing but the standard library; None: no event."""
    whole = json.loads(message)
    data, stream = whole.get("data"), whole.get("stream", "")
    if stream.endswith("@kline_1m"):
        k = data["k"]
        return Candle(
            symbol=data["s"], interval=k["i"], timestamp=k["t"], open=float(k["o"]),
            high=float(k["h"]), low=float(k["l"]), close=float(k["c"]), volume=float(k["v"]),
            close_time=k["T"], quote_volume=float(k["q"]), trades=k["n"],
            taker_buy_base=float(k["V"]), taker_buy_quote=float(k["Q"]), is_closed=k["x"],
            sequence=0, source="ws",
        )  # fmt: skip
    if stream.endswith("@aggTrade"):
        return Trade(
            symbol=data["s"], id=data["a"], timestamp=data["T"], price=Decimal(data["p"]),
            quantity=Decimal(data["q"]), is_buyer_maker=data["m"], first_trade_id=data["f"],
            last_trade_id=data["l"],
        )  # fmt: skip
    if stream.endswith("@bookTicker"):
        return BookTicker(
            symbol=data["s"], bid=Decimal(data["b"]), bid_quantity=Decimal(data["B"]),
            ask=Decimal(data["a"]), ask_quantity=Decimal(data["A"]), timestamp=data.get("T"),
            update_id=data["u"],
        )  # fmt: skip
    return None


async def replayed(feed: FeedAdapter, frames: list[Frame]) -> list[object]:
    async def source() -> AsyncIterator[Frame]:
        for frame in frames:
            yield frame

    events: list[object] = []
    feed.on_candle = feed.on_trade = feed.on_book_ticker = events.append
    feed.on_status = events.append
    await feed.play(source())
    return events


def by_id(event: object) -> object:
    if isinstance(event, Candle | Trade | BookTicker):
        return attrs.evolve(event, symbol=event.symbol.replace("/", ""))
    return event


@pytest.mark.parametrize(("market", "name"), CAPTURES, ids=[name for _, name in CAPTURES])
async def test_capture_every_event_comes_out_once_with_every_field(market: str, name: str) -> None:
    recorded = list(lines(market_data() / "ws" / name))
    wanted = [event for _, message in recorded if (event := expected(message)) is not None]
    ids = sorted({event.symbol for event in wanted})  # type: ignore[attr-defined]
    symbols = [f"{one[:-4]}/{one[-4:]}" if one.endswith("USDT") else one for one in ids]
    exchange = FakeExchange({(symbol, "1m"): None for symbol in symbols})  # type: ignore[misc]
    feed = FEEDS[market](exchange)
    feed.subscribe("candles", ids, intervals=["1m"])
    feed.subscribe("trades", ids)
    feed.subscribe("book_ticker", ids)
    events = await replayed(feed, [Frame("text", "stream-0", at, text) for at, text in recorded])
    assert len(wanted) > 20
    # depth, raw trades and the REST snapshot are neither events nor errors
    assert [by_id(event) for event in events] == wanted


@pytest.mark.skipif(int(version("cryptofeed")[0]) > 2, reason="recorded from Kraken's API v1")
async def test_kraken_capture_every_trade_and_ticker_comes_out_once() -> None:
    folder = market_data() / "other_venues"
    recorded = [text for name in ("48", "49") for text in sent(folder / f"KRAKEN.ws.{name}.0")]
    rows = [json.loads(text) for text in recorded]
    updates = [row for row in rows if isinstance(row, list)]
    names = sorted({row[-1] for row in rows if isinstance(row, list)})
    exchange = KrakenListing(tuple(names))
    feed = CryptofeedFeed("kraken", exchange)  # type: ignore[arg-type]
    feed.subscribe("trades", names)
    feed.subscribe("book_ticker", names)
    events = await replayed(feed, [Frame("text", "market-0", 0, text) for text in recorded])
    trades = [event for event in events if isinstance(event, Trade)]
    assert [(t.symbol, t.price, t.quantity, t.timestamp, t.is_buyer_maker) for t in trades] == [
        (row[-1], Decimal(one[0]), Decimal(one[1]), round(float(one[2]) * 1000), one[3] == "s")
        for row in updates
        if row[-2] == "trade"
        for one in row[1]
    ]
    tickers = [event for event in events if isinstance(event, BookTicker)]
    assert [(t.symbol, t.bid, t.ask) for t in tickers] == [
        (row[-1], Decimal(row[1]["b"][0]), Decimal(row[1]["a"][0]))
        for row in updates
        if row[-2] == "ticker"
    ]
    assert len(trades) > 5
    assert len(tickers) > 5
    assert len({trade.id for trade in trades}) == len(trades)
    assert len(events) == len(trades) + len(tickers)


def sent(path: Path) -> Iterator[str]:
    """Yield what the venue sent in a capture that also has what was sent to it."""
    for line in path.read_text().splitlines():
        at, _, message = line.partition(": ")
        if message and " " not in at:
            yield message


@attrs.frozen
class KrakenListing:
    """Markets named as Kraken's sockets name them."""

    names: tuple[str, ...]
    name: str = "kraken"

    async def market(self, symbol: str) -> Market:
        base, _, quote = symbol.partition("/")
        info = {"wsname": symbol}
        return Market(symbol=symbol, id=base + quote, base=base, quote=quote, info=info)
