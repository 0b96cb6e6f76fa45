"""What others do wrong must not cost the bot a candle, on a clock moved by hand."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import attrs
import pytest
from fakes import FakeStore
from streamkit import MINUTE, START, LiveVenue, SpokenFeed, live, name_of

from velas.candles import frame_of
from velas.errors import FeedError, StoreFull, Unavailable, Unsupported
from velas.models import Capabilities
from velas.settings import Stream as StreamSettings
from velas.status import (
    CatchingUp,
    ConsumerSlow,
    FellBack,
    GapAbsent,
    GapDetected,
    GapFilled,
    StoreFailed,
    StoreRecovered,
)
from velas.stream import Stream
from velas.testing import ManualClock

FIRST = START // MINUTE * MINUTE
CANDLES: dict[str, Any] = {
    "channel": "candles",
    "symbols": ["BTC/USDT"],
    "intervals": ["1m"],
}


def rows(venue: LiveVenue, *ranges: tuple[int, int]) -> Any:
    slots = [slot for start, stop in ranges for slot in range(start, stop)]
    return frame_of([venue.at_rest(FIRST + n * MINUTE, "BTC/USDT", "1m") for n in slots])


async def test_adapter_with_a_bug_is_asked_again_ever_more_slowly() -> None:
    async with live() as at:

        def fault(what: str) -> None:
            if what == "candles":
                raise KeyError("a bug of the adapter")

        at.venue.fault = fault
        await at.run(35.0)
        at.venue.asked.clear()
        await at.run(60.0)
        assert at.venue.asked.count("candles") <= 8
        at.venue.fault = lambda what: None
        await at.run(60.0)
        assert [name_of(one.timestamp) for one in at.closed()][:2] == [0, 1]


async def test_venue_without_any_rest_gives_what_the_socket_says_and_names_the_rest() -> None:
    def frames_only(clock: ManualClock) -> LiveVenue:
        venue = LiveVenue(clock)
        venue.fault = refuse
        return venue

    def refuse(what: str) -> None:
        if what != "time":
            raise Unsupported("this tape has no REST part")

    subscribe = (CANDLES, {"channel": "trades", "symbols": ["BTC/USDT"]})
    async with live(venue=frames_only, subscribe=subscribe, mute_after_s=10.0) as at:
        await at.run(31.0)
        at.feed.say(at.venue.candle(FIRST))
        await at.run(120.0)
        at.feed.say(at.venue.candle(FIRST + 2 * MINUTE))
        at.feed.say(at.venue.trade(1000), at.venue.trade(1005))
        await at.run(60.0)
        assert [name_of(one.timestamp) for one in at.closed()] == [0, 2]
        assert [one.id for one in at.trades()] == [1000, 1005]
        assert {one.reason for one in at.told(GapAbsent)} == {"this tape has no REST part"}


async def test_venue_clock_that_raises_or_hangs_does_not_blind_the_watch() -> None:
    async with live() as at:
        hang = asyncio.Event()

        async def server_time_ms() -> int:
            if at.clock.now_ms() < START + 100_000:
                raise TimeoutError("of some library")
            await hang.wait()
            return at.clock.now_ms()

        at.venue.server_time_ms = server_time_ms  # type: ignore[method-assign]
        await at.run(90.0)
        at.feed.drop()
        await at.run(400.0)
        assert len(at.told(FellBack)) == 1
        due = (at.clock.now_ms() - 5_000 - FIRST) // MINUTE
        assert [name_of(one.timestamp) for one in at.closed()] == list(range(due))


async def test_store_that_raises_anything_during_the_history_does_not_stop_the_series() -> None:
    def fail(symbol: str) -> None:
        raise ValueError("not even a StoreError")

    async with live(store=FakeStore(fail=fail), memory_candles=3) as at:
        at.feed.say(at.venue.forming(FIRST, 40))
        await at.run(30.0, step_s=1.0)
        assert len(at.forming()) >= 1
        assert [one.reason for one in at.told(GapDetected)][:1] == ["history"]


async def test_store_that_fails_during_the_history_is_told_and_told_again_when_it_works() -> None:
    full = {"now": True}

    def fail(symbol: str) -> None:
        if full["now"]:
            raise StoreFull("no space left on the device")

    async with live(store=FakeStore(fail=fail), memory_candles=3) as at:
        await at.run(10.0, step_s=1.0)
        assert [one.error for one in at.told(StoreFailed)] == [
            "StoreFull: no space left on the device"
        ]
        full["now"] = False
        await at.run(30.0, step_s=1.0)
        assert len(at.told(StoreRecovered)) == 1
        assert len(at.told(StoreFailed)) == 1


async def test_history_that_is_long_tells_how_much_is_left() -> None:
    store = FakeStore()
    store.append(rows(LiveVenue(ManualClock(START)), (-9000, -8999)), "BTC/USDT", "1m")
    async with live(store=store, memory_candles=10) as at:
        await at.settle()
        left = [one.missing for one in at.told(CatchingUp)]
        assert left
        assert all(5_000 <= one < 9_000 for one in left)
        assert store.gaps("BTC/USDT", "1m") == []


async def test_candle_that_ended_just_before_the_start_comes_without_an_alarm() -> None:
    async with live(start_ms=FIRST + MINUTE + 500) as at:
        await at.run(4.0)
        assert [name_of(one.timestamp) for one in at.closed()] == [0]
        assert at.statuses() == ["Connected"]


async def test_candle_that_ended_just_before_the_start_and_does_not_come_is_a_gap() -> None:
    async with live(start_ms=FIRST + MINUTE + 500) as at:

        def fault(what: str) -> None:
            raise Unavailable("down")

        at.venue.fault = fault
        await at.run(15.0)
        assert len(at.told(GapDetected)) == 1


async def test_history_fills_holes_and_what_is_shorter_than_the_memory() -> None:
    store = FakeStore()
    store.append(rows(LiveVenue(ManualClock(START)), (-9, -6), (-3, 0)), "BTC/USDT", "1m")
    async with live(store=store, memory_candles=20) as at:
        await at.run(2.0, step_s=0.1)
        memory = at.stream.candles("BTC/USDT", "1m")["timestamp"]
        assert [name_of(ms) for ms in memory] == list(range(-20, 0))
        assert store.gaps("BTC/USDT", "1m") == []
        assert len(store.load("BTC/USDT", "1m")) == 20


async def test_history_that_rest_is_behind_with_leaves_no_seam() -> None:
    class Late(LiveVenue):
        async def fetch_candles(self, *args: Any, **kwargs: Any) -> Any:
            frame = await super().fetch_candles(*args, **kwargs)
            late = frame["timestamp"] + MINUTE > self.clock.now_ms() - 6_000
            return frame[~late].reset_index(drop=True)

    start_ms = FIRST + 3_000  # REST ought to have the candle before, and has it in 3 s
    async with live(venue=Late, memory_candles=4, start_ms=start_ms) as at:
        await at.run(130.0)
        memory = [name_of(ms) for ms in at.stream.candles("BTC/USDT", "1m")["timestamp"]]
        assert memory == list(range(memory[0], memory[-1] + 1))
        assert memory[-1] >= 1
        closed = [name_of(one.timestamp) for one in at.closed()]
        assert closed[0] == -1


async def test_history_whose_last_candle_rest_lacks_still_is_begun_with_it() -> None:
    class Late(LiveVenue):
        async def fetch_candles(self, *args: Any, **kwargs: Any) -> Any:
            frame = await super().fetch_candles(*args, **kwargs)
            late = frame["timestamp"] + MINUTE > START + 30_000 - 500
            ready = self.clock.now_ms() >= FIRST + 8_000
            return frame if ready else frame[~late].reset_index(drop=True)

    store = FakeStore()
    store.append(rows(LiveVenue(ManualClock(START)), (-6, -1)), "BTC/USDT", "1m")
    async with live(venue=Late, store=store, memory_candles=5, start_ms=FIRST + 3_000) as at:
        await at.run(150.0, step_s=1.0)
        assert store.gaps("BTC/USDT", "1m") == []
        memory = [name_of(ms) for ms in at.stream.candles("BTC/USDT", "1m")["timestamp"]]
        assert memory == list(range(memory[0], memory[-1] + 1))


async def test_history_that_hangs_is_named_when_live_candles_go_first() -> None:
    def hanging(clock: ManualClock) -> LiveVenue:
        venue = LiveVenue(clock)

        async def ask(what: str) -> None:
            await asyncio.Event().wait()

        venue._ask = ask  # type: ignore[method-assign]
        return venue

    async with live(venue=hanging, memory_candles=7) as at:
        await at.run(28.0)
        assert [(one.missing, one.reason) for one in at.told(GapDetected)] == [(7, "history")]


async def test_aclose_that_is_cancelled_is_finished_by_the_next() -> None:
    gate = threading.Event()
    blocking = {"now": False}

    def wait(symbol: str) -> None:
        if blocking["now"]:
            gate.wait(30)

    store = FakeStore(fail=wait)
    async with live(store=store, memory_candles=2) as at:
        await at.run(2.0, step_s=0.1)
        blocking["now"] = True
        await at.run(40.0)
        at.feed.say(at.venue.candle(FIRST))
        await at.run(0.1)
        first = asyncio.ensure_future(at.stream.aclose())
        await at.run(0.0)
        first.cancel()
        second = asyncio.ensure_future(at.stream.aclose())
        await at.run(0.0)
        assert not second.done()  # it is being stored still
        gate.set()
        await asyncio.wait_for(second, 30)
    assert [name_of(one.timestamp) for one in at.closed()] == [0]


async def test_close_said_before_its_time_is_not_believed() -> None:
    async with live() as at:
        at.feed.say(at.venue.candle(FIRST))  # half a minute too early
        await at.run(1.0)
        assert at.closed() == []
        assert at.stream.counters["closed_early"] == 1
        await at.run(34.0)
        assert [one.source for one in at.closed()] == ["rest"]


async def test_candle_off_the_grid_is_left_to_rest() -> None:
    async with live() as at:
        await at.run(40.0)
        at.feed.say(attrs.evolve(at.venue.candle(FIRST), timestamp=FIRST + 14_800))
        await at.run(5.0)
        assert [one.timestamp for one in at.closed()] == [FIRST]
        assert at.stream.counters["off_grid"] == 1


async def test_wall_clock_that_is_set_makes_no_gap() -> None:
    async with live() as at:
        await at.run(20.0)
        for step in (3_600_000, -7_200_000):
            at.clock._start_ms += step
            at.venue.ahead_ms -= step  # the venue's clock is right all the time
            for _ in range(5):
                await at.run(25.0)
        due = (at.venue.now_ms() - 5_000 - FIRST) // MINUTE
        assert [name_of(one.timestamp) for one in at.closed()] == list(range(due))
        assert len(at.told(GapDetected)) == len(at.told(GapFilled))


async def test_second_stream_on_a_feed_is_refused_and_the_first_goes_on() -> None:
    async with live() as at:
        second = Stream(at.venue, at.feed, settings=StreamSettings(), clock=at.clock)  # type: ignore[arg-type]
        second.subscribe(**CANDLES)
        async with second:
            with pytest.raises(FeedError, match="callbacks already"):
                await anext(second.events())
        at.feed.say(at.venue.forming(FIRST, 45))
        await at.run(1.0)
        assert len(at.forming()) == 1


async def test_trades_without_ids_to_look_up_are_counted_where_they_are_lost() -> None:
    def venue(clock: ManualClock) -> LiveVenue:
        return LiveVenue(clock, capabilities=Capabilities(intervals=("1m",), trades=True))

    subscribe = ({"channel": "trades", "symbols": ["BTC/USDT"]},)
    async with live(venue=venue, consume=False, queue_size=10, subscribe=subscribe) as at:
        events = at.stream.events()
        first: asyncio.Task[Any] = asyncio.ensure_future(anext(events))  # type: ignore[arg-type]
        await at.run(0.1)
        await first
        at.feed.say(*(at.venue.trade(n) for n in range(1000, 1100)))
        assert at.stream.counters["trades_lost"] == 90
        await at.stream.aclose()
        rest = [event async for event in events]
        assert len([one for one in rest if isinstance(one, ConsumerSlow)]) == 1
        assert len(rest) == 11


def test_feed_of_the_venue_is_not_touched_by_a_stream_that_never_ran() -> None:
    clock = ManualClock(START)
    venue = LiveVenue(clock)
    feed = SpokenFeed(venue)
    stream = Stream(venue, feed, clock=clock)  # type: ignore[arg-type]
    asyncio.run(stream.aclose())
    assert not feed._closed


async def test_frames_of_the_future_have_the_venues_clock_measured_anew() -> None:
    async with live() as at:
        at.venue.ahead_ms = 123_000  # this machine stood still, clocks and all
        at.venue.asked.clear()
        now_ms = at.venue.now_ms()
        at.feed.say(at.venue.forming(now_ms // MINUTE * MINUTE, 5))
        await at.run(6.0)
        at.feed.say(at.venue.forming(now_ms // MINUTE * MINUTE, 6))
        await at.run(6.0)
        last_ms = now_ms // MINUTE * MINUTE - MINUTE
        assert [one.timestamp for one in at.closed()][-1] == last_ms
        at.feed.say(at.venue.candle(last_ms + MINUTE))
        assert at.stream.counters["from_the_future"] == 2


async def test_feed_that_refuses_a_subscription_is_left_as_it_was() -> None:
    clock = ManualClock(START)
    venue = LiveVenue(clock)
    feed = SpokenFeed(venue)

    def refuse(*args: object, **more: object) -> None:
        raise Unsupported("no such thing")

    feed.subscribe = refuse  # type: ignore[method-assign]
    stream = Stream(venue, feed, clock=clock)  # type: ignore[arg-type]
    stream.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    for _ in range(2):  # the same error again, not that it was started
        with pytest.raises(Unsupported, match="no such thing"):
            await anext(aiter(stream.events()))
    assert feed.on_candle is None
    await stream.aclose()


@pytest.mark.parametrize("name", ["on_candle", "on_status"])
async def test_feed_with_callbacks_of_somebody_else_is_refused(name: str) -> None:
    clock = ManualClock(START)
    venue = LiveVenue(clock)
    feed = SpokenFeed(venue)
    setattr(feed, name, print)
    stream = Stream(venue, feed, clock=clock)  # type: ignore[arg-type]
    stream.subscribe("candles", ["BTC/USDT"], intervals=["1m"])
    with pytest.raises(FeedError, match="callbacks already"):
        await anext(aiter(stream.events()))
    assert getattr(feed, name) is print
    await stream.aclose()


async def test_closed_stream_leaves_no_callback_on_the_feed() -> None:
    async with live() as at:
        assert at.feed.on_candle is not None
        feed = at.feed
    assert (feed.on_candle, feed.on_trade, feed.on_book_ticker, feed.on_status) == (None,) * 4
