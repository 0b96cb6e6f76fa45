"""What `PollingFeed` spends of a venue's budget when there are many series, or many rows."""

from __future__ import annotations

import attrs
import pytest
from fakes import candles
from polled import LIVE, START, Heard, LiveExchange, live, running

from velas.models import Subscription
from velas.testing import ManualClock

SECOND = 1_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


def venue_of_seconds(clock: ManualClock, count: int, **claims: object) -> LiveExchange:
    frame = candles(range(START - 60_000, START + 300_000, SECOND), "1s")
    capabilities = attrs.evolve(LIVE, intervals=("1s",), **claims)  # type: ignore[arg-type]
    series = {(f"C{number}/USDT", "1s"): frame for number in range(count)}
    return LiveExchange(series, capabilities=capabilities, clock=clock)


def by_symbol(heard: Heard) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for candle in heard.candles:
        if candle.is_closed:
            found.setdefault(candle.symbol, []).append(candle.timestamp)
    return found


def watch_all(heard: Heard, exchange: LiveExchange) -> None:
    for symbol, interval in exchange.series:
        heard.feed.watch(Subscription("candles", symbol, interval))


# -- closed candles -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "cost", "per_minute", "latest_s"),
    [
        ({}, 2, 6000, 9),
        ({"weight_per_minute": 2400, "page_rows": 100}, 2, 2400, 16),
        ({"weight_per_minute": None, "requests_per_second": 48.0}, 1, 48 * 60, 9),
    ],
)
async def test_closed_candles_of_short_intervals_stay_within_a_quarter_of_the_budget(
    clock: ManualClock, claims: dict[str, object], cost: int, per_minute: int, latest_s: int
) -> None:
    exchange = venue_of_seconds(clock, 60, **claims)
    async with running(exchange) as heard:
        watch_all(heard, exchange)
        await clock.run_for(30)
        before = exchange.usage.requests
        await clock.run_for(60)
        spent = cost * (exchange.usage.requests - before)
        assert spent <= (0.25 + 0.1) * per_minute * 1.02
        found = by_symbol(heard)
        assert len(found) == 60
        for opens in found.values():
            assert opens == list(range(START, START + len(opens) * SECOND, SECOND))
            assert opens[-1] + SECOND >= clock.now_ms() - latest_s * SECOND


async def test_closed_candles_of_few_short_series_come_in_time(clock: ManualClock) -> None:
    exchange = venue_of_seconds(clock, 10)  # 20 of the 25 a second that are a quarter
    async with running(exchange) as heard:
        watch_all(heard, exchange)
        await clock.run_for(30.1)
        for opens in by_symbol(heard).values():
            assert opens == [START + n * SECOND for n in range(28)]


async def test_closed_candles_that_are_missing_are_not_asked_for_beyond_the_quarter(
    clock: ManualClock,
) -> None:
    exchange = venue_of_seconds(clock, 60, forming_candles=False, page_rows=1000)
    nothing = candles([], "1s")
    exchange.fault = lambda ask: nothing
    async with running(exchange) as heard:
        watch_all(heard, exchange)
        await clock.run_for(30)
        before = exchange.usage.requests
        await clock.run_for(60)
        assert 2 * (exchange.usage.requests - before) <= 0.25 * 6000 * 1.02


async def test_long_intervals_come_in_time_beside_many_short_ones(clock: ManualClock) -> None:
    exchange = venue_of_seconds(clock, 60)
    exchange.capabilities = attrs.evolve(exchange.capabilities, intervals=("1s", "1m"))
    exchange.series["C0/USDT", "1m"] = live(clock, "C0/USDT").series["C0/USDT", "1m"]
    async with running(exchange) as heard:
        watch_all(heard, exchange)
        await clock.run_for(125)
        closed = iter(heard.times_s)
        times = [(candle.interval, next(closed)) for candle in heard.candles if candle.is_closed]
        assert [at for interval, at in times if interval == "1m"] == pytest.approx(
            [62.0, 122.0], abs=0.05
        )


async def test_series_that_are_removed_give_their_share_back(clock: ManualClock) -> None:
    exchange = venue_of_seconds(clock, 60)
    async with running(exchange) as heard:
        watch_all(heard, exchange)
        await clock.run_for(20)
        kept = [one.symbol for one in heard.feed.watched[:10]]
        for one in heard.feed.watched[10:]:
            heard.feed.unwatch(one)
        await clock.run_for(20.1)
        for symbol in kept:
            assert by_symbol(heard)[symbol] == [START + n * SECOND for n in range(38)]


async def test_forming_candle_never_comes_before_closed_ones_that_are_asked_for_rarely(
    clock: ManualClock,
) -> None:
    exchange = live(clock, *(f"C{n}/USDT" for n in range(60)), weight_per_minute=240)
    async with running(exchange) as heard:
        for symbol, _ in list(exchange.series):
            heard.feed.watch(Subscription("candles", symbol, "1m"))
        await clock.run_for(900)
        newest: dict[str, int] = {}
        for one in heard.candles:
            assert one.timestamp >= newest.get(one.symbol, 0)
            newest[one.symbol] = one.timestamp + (60_000 if one.is_closed else 0)
        assert len(heard.forming) > 60


# -- trades -------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [20, 100, 499, 1000])
async def test_trades_of_a_venue_with_pages_of_any_size_do_not_fall_behind(
    clock: ManualClock, rows: int
) -> None:
    exchange = live(clock)
    exchange.page_trades = rows
    clock.advance(3_000)
    async with running(exchange) as heard:
        heard.feed.watch(Subscription("trades", "BTC/USDT"), from_id=0)
        await clock.run_for(3)
        assert [trade.id for trade in heard.trades][:3_001] == list(range(3_001))


async def test_trades_of_a_quiet_market_cost_one_request_at_a_time(clock: ManualClock) -> None:
    exchange = live(clock)  # a trade a second, so two or three each time
    async with running(exchange) as heard:
        heard.feed.watch(Subscription("trades", "BTC/USDT"))
        await clock.run_for(60)
        assert len(exchange.calls) <= 32
        assert len(heard.trades) > 50
