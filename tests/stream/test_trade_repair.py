"""Trades that the socket left out, and a venue that fails, refuses or is asked too late."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from streamkit import LiveVenue, live

from velas.errors import BadRequest, TooOld, Unavailable
from velas.models import VENUE, Trade
from velas.status import ConsumerSlow, GapAbsent, GapDetected, GapFilled
from velas.testing import ManualClock

TRADES = ({"channel": "trades", "symbols": ["BTC/USDT"]},)


@attrs.define(slots=False)
class TradesVenue(LiveVenue):
    """A venue whose trades below `oldest` cannot be looked up; remembers what was asked.

    `before` is called with a request's first id and may raise.
    """

    oldest: int = 0
    before: Callable[[int | None], None] = lambda from_id: None
    requests: list[tuple[int, int | None]] = attrs.Factory(list)
    at_once: int = 0
    most_at_once: int = 0

    async def fetch_trades(
        self, symbol: str, *, from_id: int | None = None, limit: int | None = None
    ) -> list[Trade]:
        self.requests.append((self.clock.now_ms(), from_id))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.clock.sleep(0.05)
            self.before(from_id)
            if from_id is not None and from_id < self.oldest:
                raise TooOld("HTTP 400 -4166 only the last 48 hours")
            return await super().fetch_trades(symbol, from_id=from_id, limit=limit)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def trading(**settings: Any) -> AsyncIterator[tuple[Any, TradesVenue]]:
    made: list[TradesVenue] = []

    def venue(clock: ManualClock) -> TradesVenue:
        made.append(TradesVenue(clock))
        return made[0]

    settings.setdefault("mute_after_s", 3600.0)  # nobody but repair asks
    async with live(subscribe=TRADES, venue=venue, **settings) as at:
        yield at, made[0]


def fails(errors: list[Exception | None]) -> Callable[[int | None], None]:
    """Raise these one after another, nothing once they are used up."""

    def before(from_id: int | None) -> None:
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error

    return before


def ids(at: Any) -> list[int]:
    return [one.id for one in at.trades()]


# -- requests that fail -----------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        BadRequest("-1102 a parameter was not sent"),
        TooOld("-4166 said once"),
        Unavailable("down"),
        KeyError("a bug of the adapter"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_repair_whose_request_fails_once_loses_nothing(error: Exception) -> None:
    async with trading() as (at, venue):
        venue.first_trade_id = 1500
        venue.before = fails([error])
        at.feed.say(venue.trade(1000), venue.trade(1500))
        await at.run(6.0)
        assert at.told(GapAbsent) == []
        assert ids(at) == list(range(1000, 1501))
        assert [one.missing for one in at.told(GapFilled)] == [499]


@pytest.mark.parametrize(
    "error", [KeyError("a bug of the adapter"), BadRequest("-1102 no")], ids=["bug", "refusal"]
)
async def test_repair_that_keeps_failing_backs_off_and_warns_once(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with trading() as (at, venue):
        venue.before = fails([error] * 1000)
        with caplog.at_level(logging.WARNING):
            for number in (1000, *range(1500, 1620)):
                at.feed.say(venue.trade(number))
                await at.run(1.0)
        assert 5 <= len(venue.requests) <= 12
        assert len([one for one in caplog.records if "repair of" in one.getMessage()]) == 1
        assert at.told(GapAbsent) == []
        venue.first_trade_id = 1619
        venue.before = fails([])
        await at.run(45.0)
        assert ids(at) == list(range(1000, 1620))


async def test_absence_is_not_proved_by_answers_with_a_failure_between() -> None:
    async with trading() as (at, venue):
        venue.first_trade_id = 1010
        venue.gone_ids = {1001, 1002}
        venue.before = fails([None, Unavailable("down"), None, Unavailable("down"), None, None])
        at.feed.say(venue.trade(1000), venue.trade(1003))
        while len(venue.requests) < 6:
            assert at.told(GapAbsent) == [], venue.requests
            await at.run(0.1)
        await at.run(0.2)
        (absent,) = at.told(GapAbsent)
        assert (absent.missing, absent.reason) == (2, VENUE)
        assert venue.requests[5][0] - venue.requests[4][0] >= 2_000


async def test_trades_that_came_meanwhile_are_not_skipped_with_the_absent_ones() -> None:
    async with trading() as (at, venue):
        venue.first_trade_id = 1010
        venue.gone_ids = {1001, 1002, 1003}
        at.feed.say(venue.trade(1000), venue.trade(1004))
        await at.run(1.0)
        at.feed.say(venue.trade(1002))  # REST is behind the socket
        await at.run(15.0)
        assert ids(at)[:3] == [1000, 1002, 1004]
        assert sum(one.missing for one in at.told(GapAbsent)) == 2


# -- too old ----------------------------------------------------------------------------


async def test_trades_too_old_are_given_up_after_two_answers_two_seconds_apart() -> None:
    async with trading() as (at, venue):
        venue.oldest = venue.first_trade_id = 1500
        at.feed.say(venue.trade(1000), venue.trade(1500))
        await at.run(2.2)
        assert at.told(GapAbsent) == []
        await at.run(6.0)
        (absent,) = at.told(GapAbsent)
        assert absent.missing == 499
        assert "-4166 only the last 48 hours" in absent.reason
        assert ids(at) == [1000, 1500]
        asked_ms = [at_ms for at_ms, from_id in venue.requests if from_id == 1001]
        assert asked_ms[1] - asked_ms[0] >= 2_000


@pytest.mark.parametrize("oldest", [1002, 1003, 1300, 4999, 5000])
async def test_only_the_ids_the_venue_no_longer_serves_are_given_up(oldest: int) -> None:
    async with trading() as (at, venue):
        venue.oldest, venue.first_trade_id = oldest, 5000
        at.feed.say(venue.trade(1000), venue.trade(5000))
        await at.run(12.0)
        (absent,) = at.told(GapAbsent)
        assert (absent.start_ms, absent.end_ms) == (1001, oldest)
        assert ids(at) == [1000, *range(oldest, 5001)]
        filled = [one.missing for one in at.told(GapFilled)]
        assert filled == ([5000 - oldest] if oldest < 5000 else [])
        assert len(venue.requests) <= 2 + 13 + 5


async def test_search_for_the_oldest_that_fails_gives_nothing_up() -> None:
    async with trading() as (at, venue):
        venue.oldest, venue.first_trade_id = 1300, 1500
        venue.before = fails([None, None, None, Unavailable("down")])
        at.feed.say(venue.trade(1000), venue.trade(1500))
        while len(venue.requests) < 5:
            assert at.told(GapAbsent) == []
            await at.run(0.1)
        await at.run(15.0)
        assert ids(at) == [1000, *range(1300, 1501)]


async def test_refusal_in_the_search_that_is_not_repeated_gives_nothing_up() -> None:
    lied: list[int | None] = []

    def before(from_id: int | None) -> None:
        if from_id not in (None, 1001) and not lied:
            lied.append(from_id)
            raise TooOld("-4166 by mistake")

    async with trading() as (at, venue):
        venue.oldest, venue.first_trade_id = 1002, 1500
        venue.before = before
        at.feed.say(venue.trade(1000), venue.trade(1500))
        await at.run(20.0)
        assert lied
        assert ids(at) == [1000, *range(1002, 1501)]


# -- after the bot was too slow ---------------------------------------------------------


@asynccontextmanager
async def too_slow() -> AsyncIterator[tuple[Any, TradesVenue, Callable[[], None]]]:
    """Run a stream whose bot has taken nothing of trades 1000 to 1299 yet; then let it."""
    async with trading(consume=False, queue_size=200) as (at, venue):
        venue.first_trade_id = 1299
        tasks = []

        async def listen() -> None:
            async for event in at.stream.events():
                at.heard.append(event)
                if len(at.heard) == 1:
                    await go.wait()

        go = asyncio.Event()
        tasks.append(asyncio.ensure_future(listen()))
        await at.run(0.2)
        at.feed.say(*(venue.trade(number) for number in range(1000, 1300)))
        yield at, venue, go.set
        await at.stream.aclose()
        await asyncio.wait_for(tasks[0], 30)


async def test_bot_that_has_caught_up_gets_the_rest_though_requests_fail() -> None:
    async with too_slow() as (at, venue, go):
        venue.before = fails([Unavailable("down"), KeyError("bug"), Unavailable("down")])
        go()
        await at.run(12.0)
        assert len(at.told(ConsumerSlow)) == 1
        assert ids(at) == list(range(1000, 1300))
        asked = len(venue.requests)
        await at.run(15.0)
        assert len(venue.requests) == asked  # the newest is reached


async def test_catching_up_and_repair_do_not_ask_for_the_same_twice() -> None:
    async with too_slow() as (at, venue, go):
        go()
        await at.run(0.1)
        at.feed.say(venue.trade(1305))
        venue.first_trade_id = 1305
        await at.run(5.0)
        assert ids(at) == list(range(1000, 1306))
        assert venue.most_at_once == 1
        assert len({from_id for _, from_id in venue.requests}) == len(venue.requests)
        assert len(at.told(GapDetected)) == len(at.told(GapFilled)) <= 1


@pytest.mark.parametrize("ahead", [0, 5])  # of the socket, is REST
async def test_catching_up_ends_in_a_market_that_goes_on(ahead: int) -> None:
    async with too_slow() as (at, venue, go):
        go()
        for number in range(1300, 1700):
            venue.first_trade_id = number + ahead
            at.feed.say(venue.trade(number))
            await at.run(0.02)
        assert ids(at)[:700] == list(range(1000, 1700))
        assert len(venue.requests) <= 6


async def test_catching_up_on_what_is_too_old_goes_on_behind_it() -> None:
    async with too_slow() as (at, venue, go):
        venue.oldest, venue.first_trade_id = 3000, 3100
        go()
        await at.run(15.0)
        (absent,) = at.told(GapAbsent)
        assert absent.end_ms == 3000
        assert ids(at) == [*range(1000, absent.start_ms), *range(3000, 3101)]


async def test_id_that_is_yet_to_come_is_not_given_up_as_too_old() -> None:
    async with too_slow() as (at, venue, go):
        venue.oldest, venue.first_trade_id = 1201, 1199  # nobody has traded since
        go()
        await at.run(15.0)
        at.feed.say(venue.trade(1200))
        await at.run(1.0)
        assert at.told(GapAbsent) == []
        assert ids(at) == list(range(1000, 1201))
