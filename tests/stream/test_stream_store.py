"""History, durability and later revisions, on a clock moved by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeStore
from streamkit import MINUTE, START, Live, LiveVenue, SpokenFeed, live, name_of

from velas import frames
from velas.candles import frame_of
from velas.errors import StoreCorrupt, StoreFull, Unavailable, Unsupported
from velas.models import Candle
from velas.status import (
    CandleRevised,
    CandleUnconfirmed,
    GapAbsent,
    GapDetected,
    GapFilled,
    StoreFailed,
)
from velas.stream import Stream
from velas.testing import ManualClock
from velas_parquet import ParquetStore

FIRST = START // MINUTE * MINUTE


async def close(at: Live, minute: int) -> None:
    """Let a minute end and say its close."""
    await at.run((FIRST + (minute + 1) * MINUTE - at.clock.now_ms()) / 1000 + 0.5)
    at.feed.say(at.venue.candle(FIRST + minute * MINUTE))
    await at.settle()


def rows(venue: LiveVenue, start: int, stop: int) -> Any:
    return frame_of(
        [venue.at_rest(FIRST + n * MINUTE, "BTC/USDT", "1m") for n in range(start, stop)]
    )


async def test_history_without_a_store_comes_from_rest() -> None:
    async with live(memory_candles=5) as at:
        memory = at.stream.candles("BTC/USDT", "1m")
        assert [name_of(ms) for ms in memory["timestamp"]] == [-5, -4, -3, -2, -1]
        await close(at, 0)
        memory = at.stream.candles("BTCUSDT", "1m")
        assert [name_of(ms) for ms in memory["timestamp"]] == [-4, -3, -2, -1, 0]
        assert tuple(memory.columns) == frames.COLUMNS


async def test_history_of_a_start_just_after_a_close_has_no_seam() -> None:
    async with live(memory_candles=4, start_ms=FIRST + MINUTE + 900) as at:
        memory = at.stream.candles("BTC/USDT", "1m")["timestamp"]
        assert [name_of(ms) for ms in memory] == [-4, -3, -2, -1]
        await at.run(4.0)  # REST has it two seconds after its end
        memory = at.stream.candles("BTC/USDT", "1m")["timestamp"]
        assert [name_of(ms) for ms in memory] == [-3, -2, -1, 0]
        assert [name_of(one.timestamp) for one in at.closed()] == [0]


async def test_history_with_a_store_fetches_only_what_is_missing_since_and_stores_it() -> None:
    store = FakeStore()
    venue = LiveVenue(ManualClock(START))
    store.append(rows(venue, -40, -3), "BTC/USDT", "1m")
    async with live(store=store, memory_candles=10) as at:
        await at.settle()
        stored = store.load("BTC/USDT", "1m")["timestamp"]
        assert [name_of(ms) for ms in stored][-4:] == [-4, -3, -2, -1]
        memory = at.stream.candles("BTC/USDT", "1m")["timestamp"]
        assert [name_of(ms) for ms in memory] == list(range(-10, 0))


async def test_history_longer_than_the_memory_is_stored_without_a_hole() -> None:
    store = FakeStore()
    venue = LiveVenue(ManualClock(START))
    store.append(rows(venue, -400, -399), "BTC/USDT", "1m")
    async with live(store=store, memory_candles=10) as at:
        for _ in range(20):
            await at.settle()
        assert store.gaps("BTC/USDT", "1m") == []
        assert len(store.load("BTC/USDT", "1m")) == 400


async def test_history_that_is_damaged_is_raised_to_the_bot(tmp_path: Path) -> None:
    clock = ManualClock(START)
    venue = LiveVenue(clock)
    store = ParquetStore(tmp_path)
    store.save(rows(venue, -40, -3), "BTC/USDT", "1m")
    store.close()
    path = tmp_path / "BTCUSDT" / "1m.parquet"
    path.write_bytes(path.read_bytes()[:-500])
    stream = Stream(venue, SpokenFeed(venue), ParquetStore(tmp_path), clock=clock)  # type: ignore[arg-type]
    stream.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    async with stream:
        with pytest.raises(StoreCorrupt, match=r"1m\.parquet"):
            await anext(stream.events())


async def test_history_of_a_venue_that_has_none_leaves_the_live_candles() -> None:
    def dumb(clock: ManualClock) -> LiveVenue:
        venue = LiveVenue(clock)
        venue.fault = fail
        return venue

    def fail(what: str) -> None:
        if what != "time":
            raise Unsupported("a recording of frames only")

    async with live(venue=dumb, mute_after_s=5.0) as at:
        at.feed.say(at.venue.forming(FIRST, 40))
        await at.run(40.0)
        at.feed.say(at.venue.candle(FIRST))
        await at.run(40.0)
        assert [name_of(one.timestamp) for one in at.closed()] == [0]


def refusing(clock: ManualClock) -> LiveVenue:
    venue = LiveVenue(clock)

    def fail(what: str) -> None:
        if what == "candles":
            raise Unavailable("down")

    venue.fault = fail
    return venue


async def test_live_candles_wait_for_a_history_that_fails_once() -> None:
    async with live(venue=refusing, memory_candles=3) as at:
        at.feed.say(at.venue.forming(FIRST, 40))
        assert at.forming() == []
        at.venue.fault = lambda what: None
        await at.run(2.0)
        memory = at.stream.candles("BTC/USDT", "1m")["timestamp"]
        assert [name_of(ms) for ms in memory] == [-3, -2, -1]
        assert len(at.forming()) == 1
        assert at.told(GapDetected) == []


@pytest.mark.parametrize("stored", [False, True])
async def test_live_candles_do_not_wait_for_a_history_the_venue_fails_to_give(
    stored: bool,
) -> None:
    store = FakeStore() if stored else None
    async with live(venue=refusing, memory_candles=4, store=store) as at:
        await at.run(5.0)
        await close(at, 0)
        await close(at, 1)
        assert [one.sequence for one in at.closed()] == [1, 2]
        (gap,) = at.told(GapDetected)
        assert (name_of(gap.start_ms), gap.missing, gap.reason) == (-4, 4, "history")
        at.venue.fault = lambda what: None
        await at.run(120.0, step_s=10.0)
        assert [one.missing for one in at.told(GapFilled)] == [4]
        memory = at.stream.candles("BTC/USDT", "1m")["timestamp"]
        assert list(memory) == sorted(memory)
        assert len(set(memory)) == 4
        if store is not None:
            assert store.gaps("BTC/USDT", "1m") == []
            assert name_of(store.load("BTC/USDT", "1m")["timestamp"].iloc[0]) == -4


async def test_live_candles_do_not_wait_for_a_venue_that_hangs() -> None:
    def hanging(clock: ManualClock) -> LiveVenue:
        venue = LiveVenue(clock)

        async def ask(what: str) -> None:
            await asyncio.Event().wait()

        venue._ask = ask  # type: ignore[method-assign]
        return venue

    async with live(venue=hanging) as at:
        at.feed.say(at.venue.forming(FIRST, 40))
        await at.run(15.0)
        assert at.forming() == []
        await at.run(10.0)
        assert len(at.forming()) == 1


async def test_close_is_durable_before_it_is_delivered(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    seen: list[bool] = []
    async with live(store=store, memory_candles=3) as at:
        await at.settle()
        for minute in range(3):
            before = len(at.closed())
            await close(at, minute)
            for candle in at.closed()[before:]:
                stored = ParquetStore(tmp_path).load("BTC/USDT", "1m")["timestamp"]
                seen.append(candle.timestamp in set(stored))
        assert seen == [True, True, True]
    assert store.gaps("BTC/USDT", "1m") == []


async def test_store_that_fails_holds_the_series_back_and_says_so_until_it_works() -> None:
    full = {"now": True}

    def fail(symbol: str) -> None:
        if full["now"]:
            raise StoreFull("no space left on the device")

    store = FakeStore(fail=fail)
    full["now"] = False
    async with live(store=store, memory_candles=2) as at:
        await at.settle()
        full["now"] = True
        await close(at, 0)
        at.feed.say(at.venue.forming(FIRST + MINUTE, 2))
        await at.run(3.0)
        assert at.closed() == []
        assert at.forming() == []
        assert [one.error for one in at.told(StoreFailed)] == [
            "StoreFull: no space left on the device"
        ]
        full["now"] = False
        await at.run(40.0, step_s=10.0)
        assert [name_of(one.timestamp) for one in at.closed()][:1] == [0]
        assert name_of(at.forming()[0].timestamp) == 1


async def test_store_that_fails_at_the_end_is_told_and_the_candle_not_delivered() -> None:
    full = {"now": False}

    def fail(symbol: str) -> None:
        if full["now"]:
            raise StoreFull("no space left on the device")

    async with live(store=FakeStore(fail=fail), memory_candles=2) as at:
        await at.settle()
        full["now"] = True
        await close(at, 0)
    assert at.closed() == []
    assert len(at.told(StoreFailed)) == 2  # when it began, and when it was given up


@pytest.mark.parametrize("stored", [False, True])
async def test_candle_that_rest_has_otherwise_later_is_told_and_the_store_follows(
    stored: bool,
) -> None:
    store = FakeStore() if stored else None
    async with live(store=store, memory_candles=5) as at:
        await at.settle()
        at.venue.later = {FIRST}
        await close(at, 0)
        before = at.closed()[0]
        await at.run(120.0)
        await at.settle()
        (told,) = at.told(CandleRevised)
        assert told.before == before
        assert told.after.close == before.close + 0.5
        assert told.after.sequence == before.sequence
        memory = at.stream.candles("BTC/USDT", "1m").set_index("timestamp")["close"]
        assert memory[FIRST] == told.after.close
        if store is not None:
            rows = store.load("BTC/USDT", "1m").set_index("timestamp")["close"]
            assert rows[FIRST] == told.after.close


async def test_candle_that_rest_does_not_have_later_is_told_as_unconfirmed() -> None:
    async with live() as at:
        await close(at, 0)
        at.venue.absent = {FIRST}
        await close(at, 1)
        await at.run(100.0)
        assert at.told(CandleRevised) == []
        assert [one.candle for one in at.told(CandleUnconfirmed)] == at.closed()[:1]


async def test_rest_that_settles_within_seconds_revises_nothing() -> None:
    async with live() as at:
        at.venue.later = {FIRST}
        await close(at, 0)
        await at.run(7.0)
        at.venue.later = set()
        await at.run(100.0)
        assert at.told(CandleRevised) == []
        assert at.stream.counters["checked"] >= 1


async def test_gap_statuses_keep_their_place_among_candles_that_wait_for_the_store() -> None:
    slow = {"now": False}

    def fail(symbol: str) -> None:
        if slow["now"]:
            raise StoreFull("not now")

    async with live(store=FakeStore(fail=fail), memory_candles=2) as at:
        await at.settle()
        slow["now"] = True
        at.venue.absent = {FIRST + MINUTE}
        await close(at, 0)
        await close(at, 2)
        await at.run(20.0)
        assert at.told(GapAbsent) == []  # it comes after a candle that is not durable yet
        slow["now"] = False
        await at.run(40.0, step_s=10.0)
        order = [
            type(one).__name__
            for one in at.heard
            if isinstance(one, GapAbsent) or (isinstance(one, Candle) and one.is_closed)
        ]
        assert order[:3] == ["Candle", "GapAbsent", "Candle"]


async def test_candle_told_twice_differently_is_checked_at_once() -> None:
    async with live() as at:
        at.venue.later = {FIRST}
        await close(at, 0)
        await at.run(130.0)
        count = len(at.told(CandleRevised))
        assert count == 1
        at.venue.later = set()
        at.feed.say(at.venue.candle(FIRST))  # not what is known now
        await at.run(15.0)
        assert [one.after.close for one in at.told(CandleRevised)][1:] == [
            at.venue.candle(FIRST).close
        ]


async def test_every_delivered_candle_is_checked_once_with_few_requests() -> None:
    async with live() as at:
        for minute in range(10):
            await close(at, minute)
        await at.run(60.0)
        assert at.stream.counters["checked"] >= 9
        assert at.stream.counters["closed"] - at.stream.counters["checked"] <= 2
