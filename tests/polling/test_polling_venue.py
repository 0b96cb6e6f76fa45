"""`PollingFeed` over the real Binance adapters, at a stand-in venue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

import pytest
from fastforward import fast_forward

from velas.candles import candles_of
from velas.config import load_settings
from velas.limits import reset_shared_limiters
from velas.models import Candle, Subscription, Trade
from velas.polling import PollingFeed
from velas.status import Connected, Disconnected, Status
from velas.testing import Fault, FaultPlan, LoopClock, StandInVenue
from velas_ccxt import BinanceFutures, BinanceSpot

MINUTE = 60_000
START = 1_700_000_040_000 - 20_000
ADAPTERS = {"spot": BinanceSpot, "futures": BinanceFutures}
Kind = Literal["spot", "futures"]
KINDS = pytest.mark.parametrize("kind", ["spot", "futures"])


@pytest.fixture(autouse=True)
def _own_limiters() -> Iterator[None]:
    yield
    reset_shared_limiters()


@asynccontextmanager
async def opened(kind: Kind, **options: Any) -> AsyncIterator[tuple[StandInVenue, PollingFeed]]:
    clock = LoopClock(start_ms=START)
    venue = StandInVenue(kind, clock=clock, symbols=["BTCUSDT", "ETHUSDT"], **options)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(venue)
        exchange = await stack.enter_async_context(ADAPTERS[kind](url=venue.rest_url, clock=clock))
        settings = load_settings(environ={})
        feed = PollingFeed.from_settings(settings, exchange=exchange)
        yield venue, await stack.enter_async_context(feed)


async def until(feed: PollingFeed, done: Callable[[], bool]) -> None:
    """Run the feed until its events make `done` true."""
    enough = asyncio.Event()

    def checked(callback: Callable[[Any], object]) -> Callable[[Any], None]:
        def call(event: object) -> None:
            callback(event)
            if done():
                enough.set()

        return call

    for name in ("on_candle", "on_trade", "on_status"):
        if getattr(feed, name) is not None:
            setattr(feed, name, checked(getattr(feed, name)))
    task = asyncio.ensure_future(feed.run())
    await asyncio.wait_for(enough.wait(), 3_600)
    await feed.aclose()
    await asyncio.wait_for(task, 30)


@KINDS
@fast_forward
async def test_closed_candles_equal_the_venue(kind: Kind) -> None:
    async with opened(kind) as (venue, feed):
        feed.subscribe("candles", ["BTCUSDT", "ETHUSDT"], intervals=["1m", "3m"])
        found: list[Candle] = []
        feed.on_candle = lambda one: found.append(one) if one.is_closed else None
        await until(feed, lambda: len(found) >= 12)
        suffix = "" if kind == "spot" else ":USDT"
        for symbol in ("BTC", "ETH"):
            for interval, step in (("1m", MINUTE), ("3m", 3 * MINUTE)):
                name = f"{symbol}/USDT{suffix}"
                mine = [one for one in found if (one.symbol, one.interval) == (name, interval)]
                assert mine
                frame = venue.frame(
                    f"{symbol}USDT",
                    interval,
                    start_ms=START // step * step,
                    end_ms=mine[-1].timestamp + step,
                )
                assert mine == candles_of(frame, name, interval)


@KINDS
@fast_forward
async def test_a_closed_candle_costs_one_request(kind: Kind) -> None:
    async with opened(kind) as (venue, feed):
        feed.subscribe("candles", ["BTCUSDT"], intervals=["1m"])
        found: list[Candle] = []
        feed.on_candle = lambda one: found.append(one) if one.is_closed else None
        await until(feed, lambda: len(found) >= 4)
        asked = [one for one in venue.requests if "startTime" in one.query]
        assert len(found) <= len(asked) <= len(found) + 1  # one may be on its way
        assert {one.query["limit"] for one in asked} == {"1"}
        light = 2 if kind == "spot" else 1
        assert {one.weight for one in asked} == {light}


@KINDS
@fast_forward
async def test_trades_are_contiguous_and_forming_candles_are_of_the_running_slot(
    kind: Kind,
) -> None:
    async with opened(kind) as (_, feed):
        feed.subscribe("candles", ["BTCUSDT"], intervals=["1m"])
        feed.subscribe("trades", ["BTCUSDT"])
        trades: list[Trade] = []
        candles: list[Candle] = []
        feed.on_trade, feed.on_candle = trades.append, candles.append
        await until(feed, lambda: len(trades) >= 50 and any(one.is_closed for one in candles))
        ids = [int(one.id) for one in trades]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        closed = next(one for one in candles if one.is_closed)
        forming = [one for one in candles if one.timestamp == closed.timestamp]
        volumes = [one.volume for one in forming]
        assert len(forming) > 2
        assert volumes == sorted(volumes)


@fast_forward
async def test_a_venue_that_is_down_for_minutes_loses_no_candle() -> None:
    faults = FaultPlan.script([None, None] + [Fault.server_error()] * 30)
    async with opened("spot", faults=faults) as (venue, feed):
        feed.watch(Subscription("candles", "BTC/USDT", "1m"))
        found: list[Candle] = []
        statuses: list[Status] = []
        feed.on_candle = lambda one: found.append(one) if one.is_closed else None
        feed.on_status = statuses.append
        await until(feed, lambda: len(found) >= 3 and venue.count() > 40)
        assert [one.timestamp for one in found] == [
            found[0].timestamp + n * MINUTE for n in range(len(found))
        ]
        kinds = [type(one) for one in statuses]
        assert kinds == [Connected, Disconnected, Connected]


@fast_forward
async def test_many_series_stay_far_within_the_budget() -> None:
    async with opened("futures") as (venue, feed):
        feed.subscribe("candles", ["BTCUSDT", "ETHUSDT"], intervals=["1m", "3m", "5m", "15m"])
        feed.subscribe("book_ticker", ["BTCUSDT", "ETHUSDT"])
        found: list[Candle] = []
        feed.on_candle = lambda one: found.append(one) if one.is_closed else None
        await until(feed, lambda: len(found) >= 8)
        assert venue.max_used_weight <= 2400 * 0.15
        assert venue.refused == 0
