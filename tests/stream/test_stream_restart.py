"""What an earlier run stored and did not check, and history that was not final yet."""

from __future__ import annotations

from typing import Any

import attrs
import pandas as pd
import pytest
from fakes import FakeStore
from streamkit import CAPABILITIES, MINUTE, START, LiveVenue, live, name_of
from watched import FIRST, Watched, asked_about, close, close_at, opened, ranges, revised, until

from velas.candles import frame_of
from velas.errors import Unsupported
from velas.status import CandleRevised, CandlesUnchecked, CandleUnconfirmed, RowsLost
from velas.testing import ManualClock


def stored(*minutes: int) -> FakeStore:
    store = FakeStore()
    shop = LiveVenue(ManualClock(START))
    rows = [shop.at_rest(FIRST + n * MINUTE, "BTC/USDT", "1m") for n in minutes]
    store.append(frame_of(rows), "BTC/USDT", "1m")
    return store


@pytest.mark.parametrize("missing", [0, 5])
async def test_restart_with_a_stored_close_that_was_not_final_revises_it(missing: int) -> None:
    wrong = -2 - missing
    store = stored(*range(-30, -missing))
    before = close_at(store.load("BTC/USDT", "1m"), wrong)

    def later(clock: ManualClock) -> Watched:
        return Watched(clock, later={FIRST + wrong * MINUTE})

    async with live(store=store, venue=later, memory_candles=10) as at:
        await opened(at)
        if missing:  # the history request has it in its answer: known before the first live one
            await until(at, lambda: revised(at) == [wrong])
        await close(at, 0, 1)
        await at.run(30.0)
        await until(at, lambda: revised(at) == [wrong])
        (told,) = at.told(CandleRevised)
        assert (told.before.close, told.after.close) == (before, before + 0.5)
        assert told.before.sequence == told.after.sequence == 0
        assert close_at(at.stream.candles("BTC/USDT", "1m"), wrong) == before + 0.5
        assert close_at(store.load("BTC/USDT", "1m"), wrong) == before + 0.5
        assert asked_about(at, wrong) == 1


async def test_restart_checks_the_stored_tail_beyond_a_short_memory_with_one_request() -> None:
    def later(clock: ManualClock) -> Watched:
        return Watched(clock, later={FIRST - 20 * MINUTE})

    async with live(store=stored(*range(-60, 0)), venue=later, memory_candles=2) as at:
        await opened(at)
        await close(at, 0, 1)
        await until(at, lambda: revised(at) == [-20])
        assert asked_about(at, -20) == 1
        assert asked_about(at, -40) == 0


async def test_restart_after_a_long_absence_checks_the_stored_tail_with_the_history() -> None:
    def later(clock: ManualClock) -> Watched:
        return Watched(clock, later={FIRST - 402 * MINUTE})

    store = stored(*range(-420, -400))
    async with live(store=store, venue=later, memory_candles=10) as at:
        await opened(at)
        await until(at, lambda: revised(at) == [-402])
        assert store.gaps("BTC/USDT", "1m") == []
        assert len(ranges(at)) == 5  # pages of 100


async def test_restart_without_anything_stored_asks_for_nothing_more() -> None:
    async with live(store=FakeStore(), venue=Watched, memory_candles=10) as at:
        await opened(at)
        await at.run(25.0)
        assert len(ranges(at)) == 1


async def test_restart_on_a_venue_that_reaches_less_far_back_has_its_history_all_the_same() -> None:
    class Short(Watched):
        async def fetch_candles(self, *args: Any, **kwargs: Any) -> pd.DataFrame:
            if kwargs["start_ms"] < FIRST - 5 * MINUTE:
                raise Unsupported("a recording that begins later")
            return await super().fetch_candles(*args, **kwargs)

    async with live(store=stored(*range(-30, -5)), venue=Short, memory_candles=10) as at:
        await opened(at)
        memory = at.stream.candles("BTC/USDT", "1m")["timestamp"]
        assert [name_of(ms) for ms in memory] == list(range(-10, 0))
        await close(at, 0, 1, 2)
        assert 21 <= at.stream.counters["unchecked"] <= 23


async def test_restart_with_a_tail_older_than_rest_gives_tells_that_it_is_not_checked() -> None:
    class Recent(Watched):
        """Gives its newest 15 candles whatever it is asked for, as Kraken does."""

        async def fetch_candles(self, *args: Any, **kwargs: Any) -> pd.DataFrame:
            oldest = self.now_ms() // MINUTE * MINUTE - 14 * MINUTE
            kwargs["start_ms"] = max(kwargs["start_ms"], oldest)
            return await super().fetch_candles(*args, **kwargs)

    def shop(clock: ManualClock) -> Recent:
        return Recent(clock, capabilities=attrs.evolve(CAPABILITIES, newest_rows=15))

    async with live(store=stored(*range(-40, -10)), venue=shop, memory_candles=5) as at:
        await opened(at)
        await close(at, 0, 1, 2)
        await at.run(20.0)
        await until(at, lambda: at.told(CandlesUnchecked) != [])
        assert at.told(CandleUnconfirmed) == []
        (told,) = at.told(CandlesUnchecked)
        assert (name_of(told.start_ms), name_of(told.end_ms), told.count) == (-31, -13, 18)


async def test_history_that_rest_gave_seconds_after_its_end_is_checked_again() -> None:
    async with live(start_ms=FIRST + 2_500, memory_candles=5) as at:
        await at.run(5.0)
        at.venue.later = {FIRST - MINUTE}
        await close(at, 0, 1)
        await at.run(20.0)
        assert revised(at) == [-1]


async def test_rows_that_vanish_from_the_store_are_told() -> None:
    store = FakeStore()
    async with live(store=store) as at:
        await opened(at)
        await close(at, 0, 1)
        await until(at, lambda: len(at.closed()) == 2)
        before = len(store.load("BTC/USDT", "1m"))
        store.delete("BTC/USDT", "1m")
        await close(at, 2)
        await until(at, lambda: len(at.closed()) == 3)
        (lost,) = at.told(RowsLost)
        assert (lost.before, lost.now) == (before, 1)
        assert at.stream.stored == {("BTC/USDT", "1m"): before + 1}
