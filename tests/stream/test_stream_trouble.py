"""Bans, budgets, clocks and requests that are refused, on a clock moved by hand."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from streamkit import MINUTE, START, LiveVenue, live, name_of

from velas.adapter import ExchangeAdapter
from velas.errors import Banned as BannedError
from velas.errors import TooOld, Unavailable
from velas.limit_models import LimiterSnapshot
from velas.limits import RequestType
from velas.models import BookTicker
from velas.polling import PollingFeed
from velas.settings import Stream as StreamSettings
from velas.status import (
    Banned,
    BudgetLow,
    Connected,
    ConnectionStatus,
    Disconnected,
    GapAbsent,
    GapDetected,
    GapFilled,
    Recovered,
    Status,
    StreamMute,
)
from velas.stream import Stream
from velas.stream.trouble import Trouble
from velas.testing import ManualClock

FIRST = START // MINUTE * MINUTE
TRADES = ({"channel": "trades", "symbols": ["BTC/USDT"]},)


class _Limited(ExchangeAdapter):
    """An adapter of which only the limiter is looked at."""

    def __init__(self) -> None:
        self.used = 0
        self.blocked_until_ms: int | None = None
        self.limiter = self  # type: ignore[assignment]

    def snapshot(self) -> LimiterSnapshot:
        return LimiterSnapshot("here", self.used, 1000, self.blocked_until_ms, {})

    async def _ask_markets(self) -> Any: ...
    async def _ask_time_ms(self) -> Any: ...
    async def _ask_candles(self, *args: Any) -> Any: ...
    async def _close(self) -> None: ...


@pytest.fixture
def watched() -> tuple[ManualClock, _Limited, Trouble, list[Status]]:
    clock, exchange, said = ManualClock(START), _Limited(), list[Status]()
    return clock, exchange, Trouble(exchange, clock, said.append), said


def test_budget_that_is_nearly_spent_is_told_once_until_there_is_room_again(
    watched: tuple[ManualClock, _Limited, Trouble, list[Status]],
) -> None:
    clock, exchange, trouble, said = watched
    for used in (100, 899, 900, 950, 800, 990, 699, 900):
        exchange.used = used
        trouble.look()
    assert said == [
        BudgetLow(at_ms=clock.now_ms(), used=900, limit=1000),
        BudgetLow(at_ms=clock.now_ms(), used=900, limit=1000),
    ]


def test_ban_the_limiter_knows_of_is_told_once(
    watched: tuple[ManualClock, _Limited, Trouble, list[Status]],
) -> None:
    clock, exchange, trouble, said = watched
    exchange.blocked_until_ms = START + 60_000
    for _ in range(5):
        trouble.look()
        clock.advance(10.0)
    assert [one.until_ms for one in said if isinstance(one, Banned)] == [START + 60_000]
    exchange.blocked_until_ms = clock.now_ms() + 60_000
    trouble.look()
    assert len(said) == 2


async def test_ban_met_by_a_repair_is_told_and_the_candle_comes_when_it_is_over() -> None:
    async with live() as at:

        def fault(what: str) -> None:
            if at.clock.now_ms() < START + 90_000:
                raise BannedError("HTTP 418", until_ms=START + 90_000)

        at.venue.fault = fault
        await at.run(80.0)
        assert [one.until_ms for one in at.told(Banned)] == [START + 90_000]
        assert at.closed() == []
        await at.run(60.0)
        assert name_of(at.closed()[0].timestamp) == 0


@pytest.mark.parametrize("ahead_ms", [3_600_000, 0, -3_600_000])
def test_ban_by_a_clock_that_is_off_is_told_once_and_the_next_one_too(
    watched: tuple[ManualClock, _Limited, Trouble, list[Status]], ahead_ms: int
) -> None:
    clock, _, trouble, said = watched
    for _ in range(2):
        until_s = clock.monotonic_s() + 300.0
        until_ms = clock.now_ms() + 300_000 + ahead_ms  # by the venue's clock
        while (left_s := until_s - clock.monotonic_s()) > 0:
            trouble.note(BannedError("418", until_ms=until_ms, retry_after_s=left_s), "a test")
            clock.advance(10.0)
        clock.advance(60.0)
    assert [type(one) for one in said] == [Banned, Banned]


@pytest.mark.parametrize("ahead_ms", [3_600_000, 0, -3_600_000])
async def test_ban_met_by_polling_and_by_repair_is_told_once(ahead_ms: int) -> None:
    def venue(clock: ManualClock) -> LiveVenue:
        return LiveVenue(clock, ahead_ms=ahead_ms)

    subscribe = ({"channel": "candles", "symbols": ["BTC/USDT", "ETH/USDT"], "intervals": ["1m"]},)
    async with live(venue=venue, subscribe=subscribe) as at:
        over_s = at.clock.monotonic_s() + 400.0

        def fault(what: str) -> None:
            left_s = over_s - at.clock.monotonic_s()
            if left_s > 0:
                until_ms = at.venue.now_ms() + round(left_s * 1000)
                raise BannedError("418", until_ms=until_ms, retry_after_s=left_s)

        at.venue.fault = fault
        at.feed.drop()
        await at.run(390.0)
        assert len(at.told(Banned)) == 1
        assert "forming" not in at.venue.asked
        await at.run(90.0)
        assert "forming" in at.venue.asked  # polled again
        assert len(at.told(Banned)) == 1
        assert len(at.closed()) >= 6


async def test_ban_of_a_feed_that_polls_by_itself_is_told_once() -> None:
    clock = ManualClock(START)
    venue = LiveVenue(clock)
    feed = PollingFeed(venue, clock=clock)  # type: ignore[arg-type]
    settings = StreamSettings(memory_candles=3)
    stream = Stream(venue, feed, settings=settings, clock=clock)  # type: ignore[arg-type]
    stream.subscribe("candles", ["BTC/USDT", "ETH/USDT"], intervals=["1m"])
    heard: list[object] = []

    async def listen() -> None:
        async for event in stream.events():
            heard.append(event)

    def fault(what: str) -> None:
        if 20 <= clock.monotonic_s() < 320:
            raise BannedError("418", retry_after_s=320 - clock.monotonic_s())

    venue.fault = fault
    async with stream:
        listening = asyncio.ensure_future(listen())
        await clock.run_for(400.0)
    await listening
    assert sum(isinstance(one, Banned) for one in heard) == 1


async def test_outage_of_rest_ends_also_when_the_socket_is_back_first() -> None:
    async with live() as at:
        down = True

        def fault(what: str) -> None:
            if down:
                raise Unavailable("down")

        at.feed.say(at.venue.forming(FIRST, 1))
        at.venue.fault = fault
        at.feed.drop()
        await at.run(20.0)
        at.feed.connect()
        at.feed.say(at.venue.forming(FIRST, 2))
        await at.run(1.0)
        down = False
        await at.run(40.0)
        told = [one for one in at.told(ConnectionStatus) if one.connection == "rest"]
        assert [type(one) for one in told] == [Connected, Disconnected, Connected]


async def test_everything_asked_goes_by_the_live_lane() -> None:
    subscribe = (
        {"channel": "candles", "symbols": ["BTC/USDT"], "intervals": ["1m"]},
        {"channel": "trades", "symbols": ["BTC/USDT"]},
        {"channel": "book_ticker", "symbols": ["BTC/USDT"]},
    )
    async with live(subscribe=subscribe, mute_after_s=10.0) as at:
        assert at.venue.lanes == {RequestType.HISTORY}  # what came before the start
        at.venue.lanes.clear()
        at.venue.first_trade_id = 1300
        at.feed.say(at.venue.trade(1000), at.venue.trade(1200))
        at.feed.say(at.venue.forming(FIRST, 1))
        await at.run(31.0)
        at.feed.say(at.venue.forming(FIRST + MINUTE, 1))
        await at.run(5.0)
        assert len(at.told(GapFilled)) == 2  # repaired, both
        await at.run(200.0)
    assert set(at.venue.asked) == {"candles", "trades", "book_ticker", "forming"}
    assert at.venue.lanes == {RequestType.LIVE}


async def test_venue_with_another_clock_is_followed_by_its_clock() -> None:
    def venue(clock: ManualClock) -> LiveVenue:
        return LiveVenue(clock, ahead_ms=7 * MINUTE + 20_000)

    async with live(venue=venue) as at:
        await at.run(136.0)
        assert [name_of(one.timestamp) for one in at.closed()] == [7, 8, 9]


async def test_venue_clock_that_drifts_is_measured_again() -> None:
    async with live() as at:
        at.venue.ahead_ms = -30_000  # it was set back
        await at.run(400.0)
        due = (at.venue.now_ms() - FIRST) // MINUTE
        assert [name_of(one.timestamp) for one in at.closed()] == list(range(due))
        assert len(at.told(GapDetected)) <= 1


async def test_venue_clock_that_cannot_be_measured_again_is_carried_on() -> None:
    async with live() as at:

        def fault(what: str) -> None:
            if what == "time":
                raise Unavailable("down")

        at.venue.fault = fault
        await at.run(150.0)
        assert [name_of(one.timestamp) for one in at.closed()] == [0, 1]


async def test_trades_too_old_to_look_up_are_declared_absent_with_the_venues_words() -> None:
    async with live(subscribe=TRADES) as at:

        def fault(what: str) -> None:
            raise TooOld("-4166 only the last 48 hours")

        at.venue.fault = fault
        at.feed.say(at.venue.trade(1000), at.venue.trade(1500))
        await at.run(6.0)
        (absent,) = at.told(GapAbsent)
        assert absent.missing == 499
        assert "-4166" in absent.reason
        assert [one.id for one in at.trades()] == [1000, 1500]


async def test_frames_that_are_only_late_are_not_called_mute() -> None:
    async with live(mute_after_s=20.0) as at:
        at.feed.say(at.venue.forming(FIRST, 1))
        await at.run(23.0)  # asked by now
        assert "forming" in at.venue.asked
        at.feed.say(at.venue.forming(FIRST, 2))
        await at.run(8.0)
        assert at.told(StreamMute) == []


async def test_quiet_market_is_asked_less_and_less_often() -> None:
    def venue(clock: ManualClock) -> LiveVenue:
        return LiveVenue(clock, quiet=True)

    subscribe = ({"channel": "candles", "symbols": ["BTC/USDT"], "intervals": ["5m"]},)
    async with live(venue=venue, mute_after_s=10.0, subscribe=subscribe) as at:
        at.venue.asked.clear()
        await at.run(240.0)
        assert 3 <= at.venue.asked.count("forming") <= 10


async def test_socket_that_stays_mute_is_rotated_again_but_not_at_every_look() -> None:
    async with live(mute_after_s=10.0) as at:
        await at.run(600.0)
        assert 2 <= len(at.feed.rotated) <= 5


async def test_recovered_series_is_polled_no_more() -> None:
    subscribe = ({"channel": "book_ticker", "symbols": ["BTC/USDT"]},)
    async with live(subscribe=subscribe, mute_after_s=10.0) as at:
        await at.run(30.0)
        one = Decimal(1)
        at.feed.say(BookTicker("BTC/USDT", one, one, one, one, None, 1))
        await at.run(1.0)
        assert len(at.told(Recovered)) == 1
        at.venue.asked.clear()
        for update in range(2, 20):
            at.feed.say(BookTicker("BTC/USDT", one, one, one, one, None, update))
            await at.run(3.0)
        assert at.venue.asked == []
