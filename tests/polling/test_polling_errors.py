"""`PollingFeed` and failures that waiting does not mend: of one series, or of the venue."""

from __future__ import annotations

import asyncio
import logging

import pytest
from polled import MINUTE, START, Heard, LiveExchange, live, running

from velas.errors import (
    AuthError,
    BadRequest,
    ExchangeError,
    FeedError,
    Forbidden,
    RestrictedLocation,
    UnknownSymbol,
    Unsupported,
)
from velas.interval import Interval
from velas.models import Candle, Subscription
from velas.polling import PollingFeed
from velas.status import Connected, Disconnected
from velas.testing import ManualClock

BTC = Subscription("candles", "BTC/USDT", "1m")
ETH = Subscription("candles", "ETH/USDT", "1m")
PERMANENT = pytest.mark.parametrize(
    "error",
    [
        UnknownSymbol("none"),
        Unsupported("cannot"),
        BadRequest("wrong"),
        ExchangeError("closed"),
        ValueError("a bug"),
    ],
)
OF_THE_VENUE = pytest.mark.parametrize(
    "error", [Forbidden("403"), RestrictedLocation("451"), AuthError("the key")]
)


class Delisting(LiveExchange):
    """Refuses the forming candle of one symbol while `error` is set."""

    error: Exception | None = None
    symbol = "ETH/USDT"

    async def fetch_forming_candle(self, symbol: str, interval: str | Interval) -> Candle | None:
        found = await super().fetch_forming_candle(symbol, interval)
        if symbol == self.symbol and self.error is not None:
            raise self.error
        return found


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START + 10_000)


def delisting(clock: ManualClock, error: Exception | None = None) -> Delisting:
    plain = live(clock, "BTC/USDT", "ETH/USDT")
    exchange = Delisting(plain.series, capabilities=plain.capabilities, clock=clock)
    exchange.error = error
    return exchange


def closed_of(heard: Heard, symbol: str) -> list[int]:
    return [one.timestamp for one in heard.candles if one.is_closed and one.symbol == symbol]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


# -- of one series ------------------------------------------------------------------------


@PERMANENT
async def test_permanent_failure_of_one_series_leaves_the_others(
    clock: ManualClock, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = delisting(clock)
    async with running(exchange, BTC, ETH) as heard:
        await clock.run_for(20)
        exchange.error = error
        await clock.run_for(3_580)
        assert not heard.running.done()
        assert closed_of(heard, "BTC/USDT") == [START + n * MINUTE for n in range(60)]
        (warning,) = warnings(caplog)
        assert "ETH/USDT" in warning
        assert str(error) in warning


async def test_permanent_failure_is_asked_again_at_most_every_ten_minutes_in_the_end(
    clock: ManualClock,
) -> None:
    exchange = delisting(clock, BadRequest("delisted"))
    async with running(exchange, ETH):
        await clock.run_for(20_000)
        early = [at for at, _, _ in exchange.calls if at < 120]
        late = [at for at, _, _ in exchange.calls if at >= 8_000]
        assert len(early) >= 3
        assert 20 <= len(late) <= 41  # one each 300 to 600 s


async def test_series_that_is_mended_comes_again_and_lacks_nothing(clock: ManualClock) -> None:
    exchange = delisting(clock, BadRequest("not now"))
    async with running(exchange, ETH) as heard:
        await clock.run_for(3_000)
        exchange.error = None
        await clock.run_for(750)
        found = heard.closed
        assert found == [START + n * MINUTE for n in range(len(found))]
        assert len(found) >= 61
        assert heard.times_s[-1] > 3_690  # in time again


async def test_mended_series_that_fails_again_much_later_warns_again(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = delisting(clock, BadRequest("first"))
    async with running(exchange, ETH):
        await clock.run_for(60)
        exchange.error = None
        await clock.run_for(2_000)
        exchange.error = BadRequest("second")
        await clock.run_for(600)
        assert [text.count("first") for text in warnings(caplog)] == [1, 0]


async def test_failing_series_can_be_removed(clock: ManualClock) -> None:
    exchange = delisting(clock, BadRequest("delisted"))
    async with running(exchange, ETH) as heard:
        await clock.run_for(20)
        heard.feed.unwatch(ETH)
        asked = len(exchange.calls)
        await clock.run_for(3_000)
        assert len(exchange.calls) == asked
        assert heard.feed.watched == ()


async def test_watch_an_unknown_symbol_concerns_that_series_only(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Subscription("candles", "NO/SUCH", "1m")
    async with running(live(clock, "BTC/USDT", "ETH/USDT"), BTC, nowhere) as heard:
        heard.feed.watch(Subscription("candles", "NO/THERE", "1m"))
        await clock.run_for(30)
        heard.feed.watch(ETH)
        await clock.run_for(90)
        assert not heard.running.done()
        assert closed_of(heard, "BTC/USDT") == [START, START + MINUTE]
        assert closed_of(heard, "ETH/USDT") == [START, START + MINUTE]
        assert len(warnings(caplog)) == 2


async def test_run_of_an_unknown_symbol_that_was_subscribed_ends_with_it(
    clock: ManualClock,
) -> None:
    feed = PollingFeed(live(clock), clock=clock)
    feed.subscribe("candles", ["BTC/USDT", "NO/SUCH"], intervals=["1m"])
    with pytest.raises(UnknownSymbol):
        await asyncio.wait_for(feed.run(), 30)


async def test_run_of_an_interval_the_venue_lacks_that_was_subscribed_ends_with_it(
    clock: ManualClock,
) -> None:
    feed = PollingFeed(live(clock), clock=clock)
    feed.subscribe("candles", ["BTC/USDT"], intervals=["3m"])
    with pytest.raises(Unsupported, match="3m"):
        await asyncio.wait_for(feed.run(), 30)


async def test_subscribed_series_that_fails_later_does_not_end_run(clock: ManualClock) -> None:
    exchange = delisting(clock)
    feed = PollingFeed(exchange, clock=clock)
    feed.subscribe("candles", ["BTC/USDT", "ETH/USDT"], intervals=["1m"])
    async with feed:
        task = asyncio.ensure_future(feed.run())
        await clock.run_for(20)
        exchange.error = UnknownSymbol("delisted")
        await clock.run_for(600)
        assert not task.done()
    await asyncio.wait_for(task, 30)


async def test_market_that_cannot_be_asked_for_at_the_start_is_asked_again(
    clock: ManualClock,
) -> None:
    exchange = live(clock)
    real = exchange.market

    async def market(symbol: str):  # type: ignore[no-untyped-def]
        if clock.monotonic_s() < 30:
            raise BadRequest("not yet")
        return await real(symbol)

    exchange.market = market  # type: ignore[method-assign]
    feed = PollingFeed(exchange, clock=clock)
    feed.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    found: list[int] = []
    feed.on_candle = lambda one: found.append(one.timestamp) if one.is_closed else None
    async with feed:
        task = asyncio.ensure_future(feed.run())
        await clock.run_for(180)
        assert found == [START, START + MINUTE, START + 2 * MINUTE]
    await asyncio.wait_for(task, 30)


async def test_watch_on_a_feed_that_has_ended_is_refused(clock: ManualClock) -> None:
    feed = PollingFeed(live(clock), clock=clock)
    feed.subscribe("candles", ["NO/SUCH"], intervals=["1m"])
    with pytest.raises(UnknownSymbol):
        await asyncio.wait_for(feed.run(), 30)
    with pytest.raises(FeedError, match="ended"):
        feed.watch(BTC)


# -- of the venue -------------------------------------------------------------------------


@OF_THE_VENUE
async def test_refusal_by_the_venue_is_one_outage_of_all(
    clock: ManualClock, error: Exception
) -> None:
    exchange = live(clock, "BTC/USDT", "ETH/USDT")
    trades = Subscription("trades", "BTC/USDT")

    def refuse() -> None:
        if 20 <= clock.monotonic_s() < 1_000:
            raise error

    exchange.trouble = refuse
    async with running(exchange, BTC, ETH, trades) as heard:
        await clock.run_for(2_400)
        kinds = [type(one) for one in heard.statuses]
        assert kinds == [Connected, Disconnected, Connected]
        for symbol in ("BTC/USDT", "ETH/USDT"):
            assert closed_of(heard, symbol) == [START + n * MINUTE for n in range(40)]
        ids = [trade.id for trade in heard.trades]
        assert ids == list(range(11, 11 + len(ids)))


@OF_THE_VENUE
async def test_refusal_by_the_venue_costs_few_requests_however_many_series(
    clock: ManualClock, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    symbols = [f"C{number}/USDT" for number in range(40)]
    exchange = live(clock, *symbols)

    def refuse() -> None:
        raise error

    exchange.trouble = refuse
    async with running(exchange, *(Subscription("book_ticker", one) for one in symbols)) as heard:
        await clock.run_for(60)
        before = len(exchange.calls)
        await clock.run_for(6_000)
        assert 8 <= len(exchange.calls) - before <= 40
        assert not heard.running.done()
        assert len(warnings(caplog)) == 1
