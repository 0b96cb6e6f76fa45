"""What was delivered, or stored by an earlier run, against what REST says later."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from fakes import FakeStore
from streamkit import CAPABILITIES, MINUTE, START, Live, live
from watched import (
    FIRST,
    Watched,
    asked_about,
    close,
    close_at,
    opened,
    ranges,
    revised,
    until,
    venue,
)

from velas.errors import Banned, RequestTimeout, Unavailable
from velas.status import CandleRevised, CandlesUnchecked, CandleUnconfirmed
from velas.testing import ManualClock

SECONDS: tuple[dict[str, Any], ...] = (
    {"channel": "candles", "symbols": ["BTC/USDT"], "intervals": ["1s"]},
)


# -- a venue that cannot be asked for long -----------------------------------------------


async def ban(at: Live, seconds: int) -> None:
    """Refuse requests for so long while the socket closes a candle each second."""

    def refuse(what: str) -> None:
        if what != "time":
            raise Banned("418", until_ms=None)

    at.venue.fault = refuse
    begin_ms = at.stream._core.candles["BTC/USDT", "1s"].track.next_ms
    for open_ms in range(begin_ms, begin_ms + seconds * 1000, 1000):
        at.feed.say(at.venue.candle(open_ms, interval="1s"))
        await at.run(1.0)
    at.venue.fault = lambda what: None


async def test_ban_longer_than_the_memory_leaves_no_candle_unchecked() -> None:
    async with live(venue=venue(intervals=("1s",)), subscribe=SECONDS) as at:
        bad = START // 1000 * 1000 + 60_000
        at.venue.later.add(bad)
        await ban(at, 5_500)
        assert at.stream.counters["closed"] >= 5_499
        assert "checked" not in at.stream.counters
        at.feed.drop()  # REST goes on alone
        await at.run(900.0)
        assert at.stream.counters["closed"] - at.stream.counters["checked"] <= 175
        assert [one.before.timestamp for one in at.told(CandleRevised)] == [bad]
        assert at.told(CandlesUnchecked) == []


async def test_unchecked_candles_beyond_the_bound_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("velas.stream.revision._MOST", 200)
    async with live(venue=venue(intervals=("1s",)), subscribe=SECONDS) as at:
        await ban(at, 300)
        told = at.told(CandlesUnchecked)
        lost = sum(one.count for one in told)
        assert 100 <= lost <= 130
        assert at.stream.counters["unchecked"] == lost
        assert len(told) <= 6
        assert told[0].start_ms <= at.closed()[0].timestamp
        assert [one.start_ms for one in told[1:]] == [one.end_ms for one in told[:-1]]
        at.feed.drop()
        await at.run(300.0)
        left = at.stream.counters["closed"] - at.stream.counters["checked"] - lost
        assert 0 <= left <= 175


# -- doubts ------------------------------------------------------------------------------


def contradict(at: Live, minute: int, change: float = 0.5) -> None:
    candle = at.venue.candle(FIRST + minute * MINUTE)
    at.feed.say(attrs.evolve(candle, close=candle.close + change))


async def checking(at: Live) -> None:
    """Let time pass until a check has asked and waits for its answer."""
    shop = at.venue
    assert isinstance(shop, Watched)
    shop.gate.clear()
    count = len(shop.ranges)
    while len(shop.ranges) == count:
        await at.run(0.25)


async def test_doubt_that_arrives_while_another_check_is_under_way_is_decided_by_rest() -> None:
    async with live(venue=Watched) as at:
        await close(at, 0, 1, 2, 3)
        await at.run(11.0)
        await checking(at)
        at.venue.later = {FIRST}
        contradict(at, 0)
        await at.run(1.0)
        at.venue.gate.set()  # type: ignore[attr-defined]
        await at.run(30.0)
        assert at.told(CandleUnconfirmed) == []
        assert revised(at) == [0]
        assert (
            close_at(at.stream.candles("BTC/USDT", "1m"), 0) == at.venue.candle(FIRST).close + 0.5
        )


async def test_doubt_about_the_candle_that_is_being_checked_has_it_checked_again() -> None:
    async with live(venue=Watched) as at:
        await close(at, 0)
        await checking(at)  # REST says what the socket said
        at.venue.later = {FIRST}
        contradict(at, 0)
        at.venue.gate.set()  # type: ignore[attr-defined]
        await at.run(25.0)
        assert revised(at) == [0]


async def test_socket_that_contradicts_itself_every_second_costs_few_requests() -> None:
    async with live(venue=Watched) as at:
        await close(at, 0, 1, 2)
        await at.run(12.0)
        ranges(at).clear()
        for second in range(40):
            contradict(at, 0, 0.25 + second / 100)
            await at.run(1.0)
        assert 3 <= asked_about(at, 0) <= 5
        assert revised(at) == []


async def test_doubt_about_an_old_candle_costs_at_most_a_page_and_the_newer_are_checked() -> None:
    async with live(venue=venue(page_rows=20), memory_candles=100) as at:
        await close(at, *range(60))
        await at.run(11.0)
        ranges(at).clear()
        at.venue.later = {FIRST, FIRST + 60 * MINUTE}
        contradict(at, 0)
        await close(at, 60, 61)
        await at.run(30.0)
        assert revised(at) == [0, 60]
        assert asked_about(at, 0) == 1
        assert all(limit <= 20 for _, _, limit in ranges(at))
        assert max(end - start for start, end, _ in ranges(at)) <= 20 * MINUTE


async def test_candle_that_rest_lost_with_all_behind_it_is_given_up_after_an_hour() -> None:
    async with live(venue=venue(page_rows=5), memory_candles=100) as at:
        at.venue.absent = {FIRST + minute * MINUTE for minute in range(10)}
        await close(at, *range(59))
        assert at.told(CandlesUnchecked) == []
        await close(at, *range(59, 80))
        assert at.told(CandlesUnchecked) != []
        lost = sum(one.count for one in at.told(CandlesUnchecked))
        assert lost + len(at.told(CandleUnconfirmed)) == 10
        assert at.stream.counters["checked"] >= 75 - lost


# -- the share of the budget -------------------------------------------------------------


async def test_checks_of_many_series_keep_to_their_share_of_the_budget() -> None:
    symbols = tuple(f"C{number}/USDT" for number in range(40))
    subscribe = ({"channel": "candles", "symbols": symbols, "intervals": ["1m"]},)

    def shop(clock: ManualClock) -> Watched:
        # a twentieth of 600 a minute is 3 pages of 10
        able = attrs.evolve(CAPABILITIES, weight_per_minute=600, page_weight=10)
        return Watched(clock, symbols=symbols, capabilities=able)

    async with live(venue=shop, subscribe=subscribe) as at:
        await at.run(1.0)
        ranges(at).clear()
        for minute in range(30):
            await at.run((FIRST + (minute + 1) * MINUTE - at.clock.now_ms()) / 1000 + 0.5)
            for symbol in symbols:
                told = at.venue.candle(FIRST + minute * MINUTE, symbol)
                at.feed.say(told)
                if minute:
                    again = at.venue.candle(FIRST + (minute - 1) * MINUTE, symbol)
                    at.feed.say(attrs.evolve(again, close=again.close + 0.25))
        asked = len(ranges(at))
        assert 80 <= asked <= 3 * 30 + 4
        checked = at.stream.counters["checked"]
        assert checked >= 40 * 12  # the next round begins when all have had their turn


# -- candles that REST closed ------------------------------------------------------------


async def test_candle_that_rest_closed_too_early_is_checked_again_and_revised() -> None:
    store = FakeStore()
    async with live(store=store) as at:
        await opened(at)
        at.feed.drop()
        await at.run(36.0)  # two seconds after its end REST closes it
        await until(at, lambda: at.closed() != [])
        (early,) = at.closed()
        assert early.source == "rest"
        at.venue.later = {FIRST}  # and knows better afterwards
        await at.run(120.0)
        await until(at, lambda: revised(at) == [0])
        assert at.told(CandleRevised)[0].before == early
        assert close_at(store.load("BTC/USDT", "1m"), 0) == early.close + 0.5
        assert close_at(at.stream.candles("BTC/USDT", "1m"), 0) == early.close + 0.5


async def test_check_that_fails_is_tried_again_a_minute_later() -> None:
    async with live(venue=Watched) as at:

        def fault(what: str) -> None:
            if what == "candles":
                raise RequestTimeout("no answer")

        await close(at, 0)
        at.venue.fault = fault
        await at.run(45.0)
        contradict(at, 0)
        at.venue.later = {FIRST}
        await at.run(10.0)
        at.venue.fault = lambda what: None
        await close(at, 1, 2)
        await at.run(30.0)
        assert revised(at) == [0]


async def test_candles_that_rest_gave_long_after_their_end_are_not_asked_for_again() -> None:
    async with live() as at:
        at.feed.say(at.venue.candle(FIRST))

        def away(what: str) -> None:
            raise Unavailable("away")

        at.venue.fault = away
        await at.run(600.0)
        at.venue.fault = lambda what: None
        at.feed.connect()
        await at.run(120.0)
        assert len(at.closed()) == 12
        asked = at.venue.asked.count("candles")
        at.feed.say(at.venue.candle(FIRST + 12 * MINUTE))
        await at.run(5.0)
        assert at.stream.counters["checked"] <= 4  # the first, and what came by REST at once
        assert asked
