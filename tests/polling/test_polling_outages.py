"""`PollingFeed` at a venue that fails: waits, says so once, and misses nothing."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable

import pytest
from polled import MINUTE, START, LiveExchange, live, running

from velas.errors import (
    BadResponse,
    Banned,
    ExchangeError,
    RateLimited,
    RequestTimeout,
    Unavailable,
)
from velas.limits import RequestType
from velas.models import Subscription
from velas.polling import PollingFeed
from velas.status import Banned as BannedStatus
from velas.status import Connected, Disconnected
from velas.testing import ManualClock

BTC = Subscription("candles", "BTC/USDT", "1m")
SERIES = (
    BTC,
    Subscription("candles", "BTC/USDT", "5m"),
    Subscription("trades", "BTC/USDT"),
    Subscription("book_ticker", "BTC/USDT"),
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START + 10_000)


def between(
    clock: ManualClock, start_s: float, end_s: float, error: Callable[[], Exception]
) -> Callable[[], None]:
    def trouble() -> None:
        if start_s <= clock.monotonic_s() < end_s:
            raise error()

    return trouble


@pytest.mark.parametrize(
    "error",
    [
        lambda: Unavailable("down"),
        lambda: RequestTimeout("late"),
        lambda: BadResponse("strange"),
        lambda: RateLimited("slower", retry_after_s=7),
    ],
)
async def test_outage_is_reported_once_and_nothing_is_missed(
    clock: ManualClock, error: Callable[[], Exception]
) -> None:
    exchange = live(clock)
    exchange.trouble = between(clock, 30, 400, error)
    async with running(exchange, *SERIES) as heard:
        await clock.run_for(600)
        connections = [(type(one), one.connection) for one in heard.statuses]
        assert connections == [(Connected, "rest"), (Disconnected, "rest"), (Connected, "rest")]
        assert [one.streams for one in heard.statuses if isinstance(one, Connected)] == [4, 4]
        assert str(error()) in heard.statuses[1].reason
        assert heard.closed_of("1m") == [START + n * MINUTE for n in range(10)]
        ids = [trade.id for trade in heard.trades]
        assert ids == list(range(11, 11 + len(ids)))
        assert len(ids) > 580


async def test_outage_of_hours_costs_few_requests(clock: ManualClock) -> None:
    exchange = live(clock, forming_candles=False)
    exchange.trouble = between(clock, 1, 7_200, lambda: Unavailable("down"))
    async with running(exchange, BTC):
        await clock.run_for(7_200)
        assert 240 <= len(exchange.asked_s) <= 500  # one each 15 to 30 s


async def test_outage_from_the_start_is_waited_out(clock: ManualClock) -> None:
    exchange = live(clock)
    real = exchange.market

    async def market(symbol: str):  # type: ignore[no-untyped-def]
        between(clock, 0, 100, lambda: Unavailable("down"))()
        return await real(symbol)

    exchange.market = market  # type: ignore[method-assign]
    async with running(exchange, BTC) as heard:
        await clock.run_for(200)
        assert [type(one) for one in heard.statuses] == [Disconnected, Connected]
        # the slot that ran when the series was added, not when the venue came back
        assert heard.closed_of("1m") == [START, START + MINUTE, START + 2 * MINUTE]


async def test_outage_of_one_series_ends_only_when_it_gets_through(clock: ManualClock) -> None:
    exchange = live(clock)
    real = exchange.fetch_trades

    async def fetch_trades(*args: object, **kwargs: object):  # type: ignore[no-untyped-def]
        between(clock, 20, 100, lambda: Unavailable("no trades"))()
        return await real(*args, **kwargs)  # type: ignore[arg-type]

    exchange.fetch_trades = fetch_trades  # type: ignore[method-assign,assignment]
    async with running(exchange, *SERIES) as heard:
        await clock.run_for(99)
        assert [type(one) for one in heard.statuses] == [Connected, Disconnected]
        assert heard.closed_of("1m") == [START]  # the others are served meanwhile
        await clock.run_for(60)
        assert [type(one) for one in heard.statuses] == [Connected, Disconnected, Connected]


@pytest.mark.parametrize("named", [True, False])
async def test_ban_is_reported_once_and_waited_for(clock: ManualClock, named: bool) -> None:
    exchange = live(clock)
    until_ms = clock.now_ms() + 300_000

    def error() -> Exception:
        return Banned("418", until_ms=until_ms if named else None, retry_after_s=270)

    exchange.trouble = between(clock, 30, 300, error)
    async with running(exchange, *SERIES) as heard:
        await clock.run_for(299)
        asked = sum(at >= 30 for at in exchange.asked_s)
        asked += sum(at >= 30 for at, _, _ in exchange.calls)
        assert asked <= len(SERIES)
        await clock.run_for(60)
        bans = [one for one in heard.statuses if isinstance(one, BannedStatus)]
        assert [one.until_ms for one in bans] == [until_ms if named else None]
        assert not any(isinstance(one, Disconnected) for one in heard.statuses)
        assert heard.closed_of("1m") == [START + n * MINUTE for n in range(6)]


async def test_second_ban_is_reported_too(clock: ManualClock) -> None:
    exchange = live(clock)

    def trouble() -> None:
        for start_s in (20, 200):
            if start_s <= clock.monotonic_s() < start_s + 50:
                raise Banned("418", until_ms=START + 10_000 + (start_s + 50) * 1000)

    exchange.trouble = trouble
    async with running(exchange, BTC) as heard:
        await clock.run_for(400)
        assert sum(isinstance(one, BannedStatus) for one in heard.statuses) == 2


@pytest.mark.parametrize("ahead_ms", [3_600_000, 0, -3_600_000])
async def test_ban_by_a_clock_that_is_off_is_told_once_and_waited_for(ahead_ms: int) -> None:
    clock = ManualClock(START + 10_000)
    exchange = live(clock)

    def error() -> Exception:
        until_ms = START + 310_000 + ahead_ms  # by the venue's clock
        return Banned("418", until_ms=until_ms, retry_after_s=300 - clock.monotonic_s())

    exchange.trouble = between(clock, 30, 300, error)
    async with running(exchange, *SERIES) as heard:
        await clock.run_for(299)
        asked = sum(at >= 30 for at in exchange.asked_s)
        asked += sum(at >= 30 for at, _, _ in exchange.calls)
        assert asked <= len(SERIES)
        before = len(heard.tickers)
        await clock.run_for(5)
        assert len(heard.tickers) > before
        assert sum(isinstance(one, BannedStatus) for one in heard.statuses) == 1


async def test_outage_whose_series_are_removed_ends_when_the_venue_answers(
    clock: ManualClock,
) -> None:
    exchange = live(clock)

    def trouble() -> None:
        if 20 <= clock.monotonic_s() < 120 or 400 <= clock.monotonic_s() < 500:
            raise Unavailable("down")

    exchange.trouble = trouble
    async with running(exchange, *SERIES) as heard:
        await clock.run_for(40)
        for one in SERIES:
            heard.feed.unwatch(one)
        await clock.run_for(10)
        kinds = [type(one) for one in heard.statuses]
        assert kinds == [Connected, Disconnected]  # nothing proves that it is over
        await clock.run_for(100)
        kinds = [type(one) for one in heard.statuses]
        assert kinds == [Connected, Disconnected, Connected]
        asked = len(exchange.asked_s) + len(exchange.calls)
        await clock.run_for(200)
        assert len(exchange.asked_s) + len(exchange.calls) == asked
        heard.feed.watch(BTC)
        await clock.run_for(300)
        kinds = [type(one) for one in heard.statuses]
        assert kinds == [Connected, Disconnected, Connected, Disconnected, Connected]


async def test_outage_whose_last_series_meets_another_error_does_not_hide_the_next(
    clock: ManualClock,
) -> None:
    exchange = live(clock, forming_candles=False)

    def trouble() -> None:
        now_s = clock.monotonic_s()
        if 40 <= now_s < 100 or now_s >= 200:
            raise Unavailable("down")
        if 100 <= now_s < 200:
            raise ExchangeError("strange")

    exchange.trouble = trouble
    async with running(exchange, BTC) as heard:
        await clock.run_for(600)
        assert [type(one) for one in heard.statuses] == [Connected, Disconnected, Disconnected]


async def test_series_removed_and_added_at_once_still_waits_in_vain(clock: ManualClock) -> None:
    exchange = live(clock, "BTC/USDT", "ETH/USDT")
    fetch_trades, market = exchange.fetch_trades, exchange.market
    stuck = asyncio.Event()

    async def hang(*args: object, **kwargs: object):  # type: ignore[no-untyped-def]
        if not 20 <= clock.monotonic_s() < 200:
            return await fetch_trades(*args, **kwargs)  # type: ignore[arg-type]
        stuck.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for _ in range(5):  # as a connection takes to be closed
                await asyncio.sleep(0)

    async def fail(symbol: str):  # type: ignore[no-untyped-def]
        if symbol == "ETH/USDT":
            between(clock, 20, 200, lambda: RateLimited("slower", retry_after_s=60))()
        return await market(symbol)

    exchange.fetch_trades, exchange.market = hang, fail  # type: ignore[method-assign,assignment]
    trades = Subscription("trades", "ETH/USDT")
    async with running(exchange, BTC, trades) as heard:
        await clock.run_for(30)
        assert stuck.is_set()
        heard.feed.unwatch(trades)
        heard.feed.watch(trades)
        await clock.run_for(100)
        assert [type(one) for one in heard.statuses] == [Connected, Disconnected]
        await clock.run_for(100)
        assert [type(one) for one in heard.statuses] == [Connected, Disconnected, Connected]


async def test_requests_go_in_the_live_lane(clock: ManualClock) -> None:
    from velas.adapter import _lane

    exchange = live(clock)
    lanes = set()
    exchange.trouble = lambda: lanes.add(_lane.get())
    async with running(exchange, *SERIES) as heard:
        heard.feed.watch(Subscription("candles", "BTC/USDT", "1h"), from_ms=START - 100 * MINUTE)
        await clock.run_for(120)
        assert lanes == {RequestType.LIVE}
    assert _lane.get() is RequestType.HISTORY


@pytest.mark.parametrize("seed", range(4))
async def test_random_failures_lose_and_repeat_nothing(clock: ManualClock, seed: int) -> None:
    exchange = live(clock)
    draw = random.Random(seed)
    errors = (Unavailable("a"), RequestTimeout("b"), BadResponse("c"), RateLimited("d"))

    def trouble() -> None:
        if draw.random() < 0.4:
            raise draw.choice(errors)

    exchange.trouble = trouble
    async with running(exchange, *SERIES, seed=seed) as heard:
        await clock.run_for(900)
        exchange.trouble = lambda: None
        await clock.run_for(120)
        assert heard.closed_of("1m") == [START + n * MINUTE for n in range(17)], f"seed {seed}"
        ids = [trade.id for trade in heard.trades]
        assert ids == list(range(int(ids[0]), int(ids[0]) + len(ids))), f"seed {seed}"
        kinds = [type(one) for one in heard.statuses]
        assert Connected in kinds
        assert all(a is not b for a, b in itertools.pairwise(kinds)), f"seed {seed}"


async def test_no_failure_makes_the_feed_spin(clock: ManualClock) -> None:
    exchange: LiveExchange = live(clock)

    def fail() -> None:
        raise Unavailable("down")

    exchange.trouble = fail
    async with running(exchange, *SERIES):
        for _ in range(500):
            await asyncio.sleep(0)
        assert len(exchange.calls) + len(exchange.asks) <= len(SERIES)


async def test_error_while_closing_is_nobodys_business(clock: ManualClock) -> None:
    feed = PollingFeed(live(clock), clock=clock)
    feed.watch(BTC)
    task = asyncio.ensure_future(feed.run())
    await clock.run_for(1)
    feed.exchange.trouble = lambda: (_ for _ in ()).throw(ExchangeError("closed"))  # type: ignore[attr-defined]
    await feed.aclose()
    await asyncio.wait_for(task, 30)
