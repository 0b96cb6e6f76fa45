"""The Binance adapters: lanes, shared limiters, opening, closing, settings."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import attrs
import pytest
from binance_venue import CLASSES, MARKETS, opened

from velas.adapter import lane
from velas.config import Settings
from velas.errors import (
    ExchangeError,
    UnknownSymbol,
)
from velas.interval import Interval
from velas.limits import RequestType, WeightLimit
from velas.testing import ManualClock, StandInVenue
from velas_ccxt import BinanceFutures, BinanceSpot


async def test_lane_is_history_unless_the_task_says_otherwise(clock: ManualClock) -> None:
    lanes: list[RequestType] = []
    async with opened(clock) as (_, exchange):
        send = exchange.limiter.execute_with_retry

        async def spy(call: Any, request_type: RequestType, *rest: Any, **more: Any) -> Any:
            lanes.append(request_type)
            return await send(call, request_type, *rest, **more)

        exchange.limiter.execute_with_retry = spy  # type: ignore[method-assign]
        await exchange.markets()
        await exchange.server_time_ms()
        lanes.clear()
        await exchange.fetch_candles("BTCUSDT", "1h", limit=1)
        with lane(RequestType.LIVE):
            await asyncio.create_task(exchange.fetch_candles("BTCUSDT", "1h", limit=1))
        await exchange.fetch_candles("BTCUSDT", "1h", limit=1)
    assert lanes == [RequestType.HISTORY, RequestType.LIVE, RequestType.HISTORY]


async def test_limiter_is_shared_by_adapters_of_one_host(clock: ManualClock) -> None:
    one, two = (BinanceSpot(url="http://127.0.0.1:9", clock=clock) for _ in range(2))
    other = BinanceSpot(url="http://127.0.0.1:10", clock=clock)
    assert one.limiter is two.limiter
    assert one.limiter is not other.limiter
    assert BinanceSpot().limiter.venue == "api.binance.com"
    assert BinanceFutures().limiter.venue == "fapi.binance.com"


async def test_limiter_knows_the_documented_limit_before_the_first_request() -> None:
    assert BinanceSpot().limiter.config.weight_limits == (WeightLimit(60, 6000),)
    assert BinanceFutures().limiter.config.weight_limits == (WeightLimit(60, 2400),)


@MARKETS
async def test_closed_adapter_refuses_requests(clock: ManualClock, market: str) -> None:
    async with opened(clock, market) as (venue, exchange):
        await exchange.fetch_candles("BTCUSDT", "1h", limit=1)
        await exchange.aclose()
        count = venue.count()
        for refused in (
            exchange.fetch_candles("BTCUSDT", "1h", limit=1),
            exchange.fetch_trades("BTCUSDT"),
            exchange.fetch_book_ticker("BTCUSDT"),
            exchange.markets(refresh=True),
        ):
            with pytest.raises(ExchangeError, match="closed"):
                await refused
        assert venue.count() == count
        assert "closed" in repr(exchange)


async def test_closed_adapter_leaves_nothing_open(clock: ManualClock) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with opened(clock) as (_, exchange):
            await exchange.fetch_candles("BTCUSDT", "1h", limit=1)
        del exchange
        unused = BinanceFutures()
        await unused.aclose()
        del unused
        gc.collect()
    assert [str(one.message) for one in caught] == []


def test_constructor_needs_no_loop_and_does_no_io() -> None:
    for adapter in (BinanceSpot(), BinanceFutures()):
        assert adapter.usage.requests == 0


@MARKETS
async def test_from_settings_takes_address_and_limits(clock: ManualClock, market: str) -> None:
    settings = Settings()
    async with StandInVenue(market, symbols=["BTCUSDT"]) as venue:  # type: ignore[arg-type]
        rest = attrs.evolve(settings.rest, url=venue.rest_url, timeout_s=7.0)
        limits = attrs.evolve(settings.limits, retry_attempts=2, burst_size=3)
        settings = attrs.evolve(settings, rest=rest, limits=limits)
        async with CLASSES[market].from_settings(settings) as exchange:
            assert len(await exchange.fetch_candles("BTCUSDT", "1h", limit=2)) == 2
            assert exchange.limiter.config.retry_attempts == 2
            assert exchange.limiter.config.burst_size == 3
            assert exchange._client.exchange.timeout == 7000


async def test_unknown_symbol_costs_no_request_of_its_own(clock: ManualClock) -> None:
    async with opened(clock) as (venue, exchange):
        await exchange.markets()
        with pytest.raises(UnknownSymbol, match="BTC/USDT") as caught:
            await exchange.fetch_candles("BTC/USTD", Interval("1h"))
        assert caught.value.near[0] == "BTC/USDT"
        assert venue.count() == 1
