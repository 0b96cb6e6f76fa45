"""ccxt takes the stand-in for the venue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import ccxt.async_support as ccxt
import orjson
import pytest
from realdata import market_data

from velas.testing import DEFAULT_SYMBOLS, StandInVenue


@asynccontextmanager
async def _client(market: Literal["spot", "futures"], **options: Any) -> AsyncIterator[Any]:
    async with StandInVenue(market, **options) as venue:
        kind, types = (ccxt.binance, "spot") if market == "spot" else (ccxt.binanceusdm, "linear")
        client = kind({"options": {"fetchMarkets": {"types": [types]}}})
        client.urls["api"] |= {
            "public": f"{venue.rest_url}/api/v3",
            "fapiPublic": f"{venue.rest_url}/fapi/v1",
            "fapiPublicV2": f"{venue.rest_url}/fapi/v2",
        }
        try:
            yield client
        finally:
            await client.close()


@pytest.fixture
async def spot() -> AsyncIterator[Any]:
    async with _client("spot") as client:
        yield client


@pytest.fixture
async def futures() -> AsyncIterator[Any]:
    async with _client("futures") as client:
        yield client


async def test_ccxt_spot_loads_the_markets(spot: Any) -> None:
    markets = await spot.load_markets()
    assert len(markets) == len(DEFAULT_SYMBOLS)
    market = markets["BTC/USDT"]
    assert (market["active"], market["precision"]) == (
        True,
        {**market["precision"], "price": 0.01, "amount": 1e-05},
    )
    assert market["limits"]["cost"]["min"] == 5.0


async def test_ccxt_futures_loads_the_markets(futures: Any) -> None:
    markets = await futures.load_markets()
    assert len(markets) == len(DEFAULT_SYMBOLS)
    market = markets["BTC/USDT:USDT"]
    assert (market["active"], market["linear"], market["swap"]) == (True, True, True)
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.1, 0.001)
    assert market["created"] == 1_567_900_800_000


@pytest.mark.parametrize(
    ("name", "market"),
    [("binance_spot_2025-08-07", "spot"), ("binance_usdm_2025-08-07", "futures")],
)
async def test_ccxt_loads_a_real_document_through_the_stand_in(name: str, market: str) -> None:
    document = orjson.loads((market_data() / "exchange_info" / f"{name}.json").read_bytes())
    async with _client("spot" if market == "spot" else "futures", exchange_info=document) as client:
        assert len(await client.load_markets()) == len(document["symbols"])


async def test_ccxt_reads_each_spot_endpoint(spot: Any) -> None:
    await _reads_each(spot, "ETH/USDT")


async def test_ccxt_reads_each_futures_endpoint(futures: Any) -> None:
    await _reads_each(futures, "ETH/USDT:USDT")


async def _reads_each(client: Any, symbol: str) -> None:
    candles = await client.fetch_ohlcv(symbol, "1h", limit=7)
    trades = await client.fetch_trades(symbol, limit=7)
    book = await client.fetch_order_book(symbol, limit=10)
    best = (await client.fetch_bids_asks([symbol]))[symbol]
    ticker = await client.fetch_ticker(symbol)
    assert (len(candles), len(trades), len(book["bids"])) == (7, 7, 10)
    assert best["bid"] < best["ask"]
    assert ticker["low"] <= ticker["last"] <= ticker["high"]


async def test_ccxt_unknown_symbol_is_its_bad_symbol(spot: Any) -> None:
    with pytest.raises(ccxt.BadSymbol):
        await spot.publicGetKlines({"symbol": "NOPEUSDT", "interval": "1h"})
