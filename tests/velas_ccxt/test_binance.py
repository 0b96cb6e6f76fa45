from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from binance_venue import HOUR, MARKETS, newest, opened
from realdata import market_data

from velas import frames
from velas.errors import (
    ConfigError,
)
from velas.limits import RateLimiter
from velas.testing import Fault, FaultPlan, GivenCandles, ManualClock
from velas_ccxt import BinanceFutures, BinanceSpot

# -- markets ----------------------------------------------------------------------------


@MARKETS
async def test_markets_cost_one_request_of_the_documented_weight(
    clock: ManualClock, market: str
) -> None:
    async with opened(clock, market) as (venue, exchange):
        await asyncio.gather(*(exchange.markets() for _ in range(5)))
        assert [record.path.rsplit("/", 1)[1] for record in venue.requests] == ["exchangeInfo"]
        assert exchange.usage.weight == venue.requests[0].weight == exchange.weights.exchange_info


async def test_markets_refreshed_by_several_are_fetched_once(clock: ManualClock) -> None:
    async with opened(clock) as (venue, exchange):
        await exchange.markets()
        await asyncio.gather(*(exchange.markets(refresh=True) for _ in range(5)))
        assert venue.count("exchangeInfo") == 2


@MARKETS
async def test_markets_give_the_limiter_the_venue_weight_limit(
    clock: ManualClock, market: str
) -> None:
    async with opened(clock, market, weight_limit=777) as (_, exchange):
        await exchange.markets()
        assert exchange.limiter.snapshot().limit == 777


@pytest.mark.parametrize(
    ("market", "name"),
    [
        ("spot", "binance_spot_2021-10-12"),
        ("spot", "binance_spot_2025-08-07"),
        ("futures", "binance_usdm_2021-07-22"),
        ("futures", "binance_usdm_2025-08-07"),
    ],
)
async def test_markets_of_recorded_exchange_info_are_all_there(
    clock: ManualClock, market: str, name: str
) -> None:
    document = json.loads((market_data() / f"exchange_info/{name}.json").read_text())
    async with opened(clock, market, exchange_info=document) as (_, exchange):
        markets = await exchange.markets()
        for entry in document["symbols"]:
            found = await exchange.market(entry["symbol"])
            assert found.id == entry["symbol"]
            assert found.status == entry["status"]
            assert [dict(one) for one in found.filters] == entry["filters"]
            price = next(f for f in entry["filters"] if f["filterType"] == "PRICE_FILTER")
            assert found.precision["price"] == Decimal(price["tickSize"])
            assert str(found.limits["price"][0]) == str(Decimal(price["minPrice"]))
            assert found.listed_ms == entry.get("onboardDate")
            assert found.order_types == tuple(entry.get("orderTypes") or entry["OrderType"])
        assert len({market.id for market in markets.values()}) == len(markets)


async def test_markets_perpetual_of_any_kind_keeps_its_name_when_delisted(
    clock: ManualClock,
) -> None:
    client: Any = BinanceFutures(url="http://127.0.0.1:9", clock=clock)._client.exchange
    row = {
        "symbol": "XAUUSDT",
        "contractType": "TRADIFI_PERPETUAL",
        "deliveryDate": 1_800_000_000_000,
        "baseAsset": "XAU",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "status": "TRADING",
        "filters": [],
        "somethingNew": {"a": 1},
    }
    parsed = client.parse_market(row)
    assert (parsed["symbol"], parsed["type"]) == ("XAU/USDT:USDT", "swap")
    assert parsed["info"] is row
    assert client.parse_market({**row, "baseAsset": None, "symbol": "-"}) is None


@MARKETS
async def test_market_with_a_unicode_name_is_asked_for_percent_encoded(
    clock: ManualClock, market: str
) -> None:
    symbols = ["BTCUSDT", "币安人生USDT"]
    async with opened(clock, market, symbols=symbols) as (venue, exchange):
        page = await exchange.fetch_candles("币安人生USDT", "1h", limit=2)
        assert len(page) == 2
        assert venue.requests[-1].query["symbol"] == "币安人生USDT"


async def test_market_on_futures_of_base_and_quote_is_the_perpetual(clock: ManualClock) -> None:
    async with opened(clock, "futures") as (_, exchange):
        assert (await exchange.market("BTC/USDT")).symbol == "BTC/USDT:USDT"


async def test_market_that_is_no_text_is_refused(clock: ManualClock) -> None:
    async with opened(clock) as (_, exchange):
        with pytest.raises(ConfigError, match="expected text"):
            await exchange.market(7)  # type: ignore[arg-type]


# -- time and closed candles ------------------------------------------------------------


@pytest.mark.parametrize("skew_ms", [-90_000, 0, 5_000_000])
async def test_server_time_follows_the_venue_clock(clock: ManualClock, skew_ms: int) -> None:
    async with opened(clock, clock_skew_ms=skew_ms) as (venue, exchange):
        assert abs(await exchange.server_time_ms() - venue.now_ms()) <= 1
        clock.advance(30)
        assert abs(await exchange.server_time_ms() - venue.now_ms()) <= 1
        assert venue.count("time") == 1


async def test_server_time_is_measured_again_after_ten_minutes(clock: ManualClock) -> None:
    async with opened(clock) as (venue, exchange):
        await exchange.server_time_ms()
        clock.advance(601)
        await asyncio.gather(*(exchange.server_time_ms() for _ in range(5)))
        assert venue.count("time") == 2


async def test_server_time_is_measured_again_when_the_wall_clock_jumps(
    clock: ManualClock,
) -> None:
    async with opened(clock) as (venue, exchange):
        await exchange.server_time_ms()
        clock._start_ms += 5_000  # as after a suspend or a correction
        assert abs(await exchange.server_time_ms() - venue.now_ms()) <= 1
        assert venue.count("time") == 2


async def test_server_time_is_behind_by_a_round_trip_at_most(clock: ManualClock) -> None:
    async with opened(clock, latency_s=0.4) as (venue, exchange):
        told_ms = await exchange.server_time_ms()
        assert 0 <= venue.now_ms() - told_ms <= 401
        assert venue.count("time") == 1


async def test_server_time_by_slow_answers_is_asked_three_times(clock: ManualClock) -> None:
    async with opened(clock, latency_s=4.0) as (venue, exchange):
        told_ms = await exchange.server_time_ms()
        assert 0 <= venue.now_ms() - told_ms <= 4_001
        assert venue.count("time") == 3


@MARKETS
async def test_iter_candles_after_an_empty_first_page_loses_nothing(
    clock: ManualClock, market: str
) -> None:
    faults = FaultPlan.script([Fault.empty()], path="klines")
    async with opened(clock, market, faults=faults) as (venue, exchange):
        start, end = newest(venue, 1_200)
        pages = exchange.iter_candles("BTCUSDT", "1h", start_ms=start, end_ms=end)
        found = [at async for page in pages for at in page["timestamp"]]
        assert found == list(range(start, end, HOUR))


async def test_candles_still_open_at_the_venue_are_left_out(clock: ManualClock) -> None:
    async with opened(clock, clock_skew_ms=HOUR) as (venue, exchange):
        page = await exchange.fetch_candles("BTCUSDT", "1h", limit=1)
        assert page["timestamp"].to_list() == [venue.now_ms() // HOUR * HOUR - HOUR]


@pytest.mark.parametrize(("past_s", "closed"), [(1.9, False), (2.1, True)])
async def test_candles_count_as_closed_after_the_margin(past_s: float, closed: bool) -> None:
    edge = 1_700_000_000_000 // HOUR * HOUR
    clock = ManualClock(edge + int(past_s * 1000), auto=True)
    async with opened(clock) as (_, exchange):
        page = await exchange.fetch_candles("BTCUSDT", "1h", limit=1)
        assert bool(page["timestamp"].iloc[0] == edge - HOUR) is closed


async def test_candles_off_the_grid_that_are_not_over_are_left_out(clock: ManualClock) -> None:
    start = clock.now_ms() // HOUR * HOUR - 3 * HOUR
    rows = [
        [at, "1", "2", "0.5", "1", "3", at + HOUR - 1, "4", 5, "1", "1", "0"]
        for at in (start, start + HOUR, start + 2 * HOUR + HOUR - 30_000)
    ]
    candles = GivenCandles({("BTCUSDT", "1h"): rows})
    async with opened(clock, symbols=None, candles=candles) as (_, exchange):
        page = await exchange.fetch_candles("BTCUSDT", "1h", start_ms=start)
        assert page["timestamp"].to_list() == [start, start + HOUR]


# -- candles ----------------------------------------------------------------------------


@MARKETS
async def test_candles_equal_the_venue_in_every_column(clock: ManualClock, market: str) -> None:
    async with opened(clock, market) as (venue, exchange):
        start, end = newest(venue, 400)
        page = await exchange.fetch_candles("BTC/USDT", "1h", start_ms=start, end_ms=end)
        assert frames.digest(page) == frames.digest(
            venue.frame("BTCUSDT", "1h", start_ms=start, end_ms=end)
        )


@MARKETS
async def test_candles_are_asked_for_with_limit_and_inclusive_bounds(
    clock: ManualClock, market: str
) -> None:
    async with opened(clock, market) as (venue, exchange):
        start, end = newest(venue, 10)
        await exchange.fetch_candles("BTC/USDT", "1h", start_ms=start, end_ms=end)
        assert dict(venue.requests[-1].query) == {
            "symbol": "BTCUSDT",
            "interval": "1h",
            "limit": str(exchange.capabilities.page_rows),
            "startTime": str(start),
            "endTime": str(end - 1),
        }


@pytest.mark.parametrize(
    ("market", "limit", "weight"),
    [
        ("spot", 1, 2),
        ("spot", 1000, 2),
        ("futures", 99, 1),
        ("futures", 100, 2),
        ("futures", 499, 2),
        ("futures", 500, 5),
        ("futures", 1000, 5),
        ("futures", 1001, 10),
        ("futures", 1500, 10),
    ],
)
async def test_candles_count_the_weight_of_their_limit(
    clock: ManualClock, market: str, limit: int, weight: int
) -> None:
    async with opened(clock, market) as (venue, exchange):
        await exchange.server_time_ms()
        await exchange.markets()
        before = exchange.usage
        assert len(await exchange.fetch_candles("BTC/USDT", "1h", limit=limit)) == limit
        assert exchange.usage.since(before).weight == weight
        assert venue.requests[-1].weight <= weight


@pytest.mark.parametrize(("market", "limit"), [("spot", 1001), ("futures", 1501)])
async def test_candles_above_the_venue_maximum_are_refused(
    clock: ManualClock, market: str, limit: int
) -> None:
    async with opened(clock, market) as (_, exchange):
        with pytest.raises(ConfigError, match=f"1 to {limit - 1}"):
            await exchange.fetch_candles("BTC/USDT", "1h", limit=limit)


@pytest.mark.parametrize("bounds", [(1.5, None), (-1, None), (None, "x"), (None, -5)])
async def test_candles_with_bounds_that_are_no_ms_are_refused(
    clock: ManualClock, bounds: tuple[Any, Any]
) -> None:
    async with opened(clock) as (_, exchange):
        with pytest.raises(ConfigError, match="ms since the epoch"):
            await exchange.fetch_candles("BTC/USDT", "1h", start_ms=bounds[0], end_ms=bounds[1])


async def test_candles_from_time_zero_begin_at_the_listing(clock: ManualClock) -> None:
    async with opened(clock) as (_, exchange):
        page = await exchange.fetch_candles("BTC/USDT", "1M", start_ms=0, limit=2)
        assert len(page) == 2
        assert page["timestamp"].iloc[0] > 1_400_000_000_000


async def test_candles_of_fifty_pages_at_once_keep_their_own_replies(clock: ManualClock) -> None:
    async with opened(clock) as (venue, exchange):
        start, _ = newest(venue, 60)
        starts = [start + i * HOUR for i in range(50)]
        pages = await asyncio.gather(
            *(exchange.fetch_candles("BTCUSDT", "1h", start_ms=at, limit=1) for at in starts)
        )
        assert [int(page["timestamp"].iloc[0]) for page in pages] == starts
        used = exchange.limiter.snapshot().used
        assert used == max(record.used_weight for record in venue.requests)


async def test_candles_weight_others_spent_is_seen_in_the_header(clock: ManualClock) -> None:
    async with opened(clock) as (venue, exchange):
        await exchange.markets()
        async with BinanceSpot(
            url=venue.rest_url, clock=clock, limiter=RateLimiter(clock=clock)
        ) as other:
            await other.fetch_candles("BTCUSDT", "1h", limit=1)
        await exchange.fetch_candles("BTCUSDT", "1h", limit=1)
        assert exchange.limiter.snapshot().used == venue.requests[-1].used_weight


async def test_book_ticker_on_futures_ignores_its_used_weight(clock: ManualClock) -> None:
    seen: list[object] = []
    async with opened(clock, "futures") as (_, exchange):
        await exchange.markets()
        exchange.limiter.observe = lambda *used: seen.append(used)  # type: ignore[method-assign]
        await exchange.fetch_book_ticker("BTCUSDT")
        assert seen == []
        await exchange.fetch_trades("BTCUSDT", limit=1)
        assert len(seen) == 1


# -- paging -----------------------------------------------------------------------------


@MARKETS
async def test_iter_candles_equals_the_venue_over_many_pages(
    clock: ManualClock, market: str
) -> None:
    async with opened(clock, market) as (venue, exchange):
        start, end = newest(venue, 3 * exchange.capabilities.page_rows + 100)
        found = [
            page
            async for page in exchange.iter_candles("BTCUSDT", "1h", start_ms=start, end_ms=end)
        ]
        truth = venue.frame("BTCUSDT", "1h", start_ms=start, end_ms=end)
        assert frames.digest(pd.concat(found, ignore_index=True)) == frames.digest(truth)
        assert venue.count("klines") == 4


async def test_iter_candles_from_before_the_listing_skips_to_it(clock: ManualClock) -> None:
    async with opened(clock) as (venue, exchange):
        end = clock.now_ms()
        pages = exchange.iter_candles("BTCUSDT", "1d", start_ms=0, end_ms=end)
        rows = sum([len(page) async for page in pages])
        assert rows == len(venue.frame("BTCUSDT", "1d", start_ms=0, end_ms=end))
        assert venue.count("klines") == 1 + -(-(rows - 1000) // 999)


async def test_iter_candles_of_less_than_a_page_is_one_request(clock: ManualClock) -> None:
    async with opened(clock) as (venue, exchange):
        start, end = newest(venue, 30)
        pages = exchange.iter_candles("BTCUSDT", "1h", start_ms=start, end_ms=end)
        assert [len(page) async for page in pages] == [30]
        assert venue.count("klines") == 1


async def test_iter_candles_before_the_listing_gives_no_page(clock: ManualClock) -> None:
    async with opened(clock) as (venue, exchange):
        pages = exchange.iter_candles("BTCUSDT", "1h", start_ms=0, end_ms=10**12)
        assert [page async for page in pages] == []
        assert venue.count("klines") == 2  # none there, and where the series begins


async def test_iter_candles_with_bars_off_the_grid_misses_none(clock: ManualClock) -> None:
    step = 60_000
    start = clock.now_ms() // step * step - 5_000 * step
    opens = sorted({start + i * step + (20_000 if i % 3 else 0) for i in range(4_000)})
    opens = sorted({*opens, *(start + 1_500 * step + j for j in (1_000, 2_000, 3_000))})
    rows = [[at, "1", "2", "0.5", "1", "3", at + 9, "4", 5, "1", "1", "0"] for at in opens]
    candles = GivenCandles({("BTCUSDT", "1m"): rows})
    async with opened(clock, symbols=None, candles=candles) as (_, exchange):
        pages = exchange.iter_candles("BTCUSDT", "1m", start_ms=start, end_ms=start + 4_500 * step)
        found = [int(at) async for page in pages for at in page["timestamp"]]
        assert found == opens


async def test_iter_candles_closed_early_cancels_what_is_under_way(clock: ManualClock) -> None:
    async with opened(clock) as (venue, exchange):
        start, end = newest(venue, 20_000)
        pages = exchange.iter_candles("BTCUSDT", "1h", start_ms=start, end_ms=end)
        await anext(pages)
        await anext(pages)
        await pages.aclose()  # type: ignore[attr-defined]
        assert len([t for t in asyncio.all_tasks() if "_window" in repr(t)]) == 0


# -- trades -----------------------------------------------------------------------------


@MARKETS
async def test_trades_count_their_documented_weight(clock: ManualClock, market: str) -> None:
    async with opened(clock, market) as (venue, exchange):
        await exchange.markets()
        before = exchange.usage
        trades = await exchange.fetch_trades("BTC/USDT")
        assert len(trades) == 1000
        assert exchange.usage.since(before).weight == venue.requests[-1].weight
        assert trades[0].symbol == (await exchange.market("BTC/USDT")).symbol


@pytest.mark.parametrize("limit", [0, 1001])
async def test_trades_with_an_impossible_limit_are_refused(clock: ManualClock, limit: int) -> None:
    async with opened(clock) as (_, exchange):
        with pytest.raises(ConfigError, match="limit"):
            await exchange.fetch_trades("BTC/USDT", limit=limit)
