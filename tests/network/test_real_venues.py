"""The few tests that talk to real venues; only public data, a handful of requests."""

from __future__ import annotations

import os

import pytest

import velas
from velas import frames

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(
        os.environ.get("SKIP_NETWORK_TESTS", "1") != "0",
        reason="talks to real venues; set SKIP_NETWORK_TESTS=0",
    ),
]
VENUES = ("binance_spot", "binance_futures", "kraken")
HOUR = 3_600_000


@pytest.mark.parametrize("name", VENUES)
async def test_newest_candles_of_a_real_venue_are_closed_and_on_the_grid(name):
    async with velas.open_exchange(name) as exchange:
        now_ms = await exchange.server_time_ms()
        candles = await exchange.fetch_candles("BTC/USDT", "1h", limit=48)
    assert len(candles) == 48
    assert frames.gaps(candles["timestamp"].to_numpy(), "1h") == []
    assert candles["timestamp"].iloc[-1] + HOUR <= now_ms


@pytest.mark.parametrize("name", ["binance_spot", "binance_futures"])
async def test_known_candle_of_a_real_venue_has_all_columns(name):
    async with velas.open_exchange(name) as exchange:
        start_ms = 1_700_000_000_000 // HOUR * HOUR
        candles = await exchange.fetch_candles(
            "BTCUSDT", "1h", start_ms=start_ms, end_ms=start_ms + 3 * HOUR
        )
        market = await exchange.market("BTC/USDT")
    assert list(candles["timestamp"]) == [start_ms + n * HOUR for n in range(3)]
    assert not candles.isna().any(axis=None)
    assert {one["filterType"] for one in market.filters} >= {"PRICE_FILTER", "LOT_SIZE"}


@pytest.mark.parametrize("name", ["binance_spot", "binance_futures"])
async def test_wrong_symbol_of_a_real_venue_names_near_ones(name):
    async with velas.open_exchange(name) as exchange:
        with pytest.raises(velas.UnknownSymbol) as caught:
            await exchange.market("BTCUSDD")
    assert caught.value.near
