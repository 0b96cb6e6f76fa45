"""Slow bots, bots with bugs, and the end of a stream."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import pytest
from streamkit import MINUTE, START, LiveVenue, SpokenFeed, live, name_of

from velas.errors import ConfigError, FeedError, Unavailable, UnknownSymbol, Unsupported
from velas.models import Candle, Market
from velas.settings import Stream as StreamSettings
from velas.status import (
    CallbackFailed,
    Connected,
    ConsumerSlow,
    Disconnected,
    GapDetected,
    Reconnecting,
    Status,
)
from velas.stream import Stream
from velas.testing import ManualClock

FIRST = START // MINUTE * MINUTE
CANDLES: dict[str, Any] = {
    "channel": "candles",
    "symbols": ["BTC/USDT"],
    "intervals": ["1m"],
}


def a_stream(**settings: Any) -> tuple[ManualClock, LiveVenue, SpokenFeed, Stream]:
    clock = ManualClock(START)
    venue = LiveVenue(clock)
    feed = SpokenFeed(venue)
    settings.setdefault("memory_candles", 2)
    stream = Stream(venue, feed, settings=StreamSettings(**settings), clock=clock)  # type: ignore[arg-type]
    return clock, venue, feed, stream


async def test_bot_that_is_too_slow_gets_every_close_later_and_only_the_newest_forming() -> None:
    async with live(consume=False, queue_size=5) as at:
        events = at.stream.events()
        first: asyncio.Task[Any] = asyncio.ensure_future(anext(events))  # type: ignore[arg-type]
        await at.run(0.1)
        await first  # Connected
        for minute in range(30):
            for count in range(1, 20):
                at.feed.say(at.venue.forming(FIRST + minute * MINUTE, count))
            await at.run((FIRST + (minute + 1) * MINUTE - at.clock.now_ms()) / 1000 + 1)
            at.feed.say(at.venue.candle(FIRST + minute * MINUTE))
        assert len(at.stream._mailbox) <= 5 + 20
        heard: list[Any] = []

        async def listen() -> None:
            async for event in events:
                heard.append(event)

        task = asyncio.ensure_future(listen())
        await at.run(20.0)
        closed = [one for one in heard if isinstance(one, Candle) and one.is_closed]
        assert [name_of(one.timestamp) for one in closed] == list(range(30))
        assert [one.sequence for one in closed] == list(range(1, 31))
        slow = [one for one in heard if isinstance(one, ConsumerSlow)]
        assert slow
        assert all(one.waiting >= 5 for one in slow)
        assert at.stream.counters["conflated"] > 10
        await at.stream.aclose()
        await task


async def test_trades_for_a_slow_bot_are_held_back_and_all_come_later() -> None:
    subscribe = ({"channel": "trades", "symbols": ["BTC/USDT"]},)
    async with live(consume=False, queue_size=10, subscribe=subscribe) as at:
        events = at.stream.events()
        first: asyncio.Task[Any] = asyncio.ensure_future(anext(events))  # type: ignore[arg-type]
        await at.run(0.1)
        await first
        at.venue.first_trade_id = 1200
        at.feed.say(*(at.venue.trade(n) for n in range(1000, 1201)))
        assert len(at.stream._mailbox) <= 10 + 1
        ids: list[int] = []

        async def listen() -> None:
            async for event in events:
                if not isinstance(event, Status):
                    ids.append(event.id)  # type: ignore[union-attr, arg-type]

        task = asyncio.ensure_future(listen())
        for _ in range(60):
            await at.run(1.0)
        assert ids == list(range(1000, 1201))
        await at.stream.aclose()
        await task


async def test_callbacks_sync_and_async_are_driven_in_order() -> None:
    clock, venue, feed, stream = a_stream()
    stream.subscribe(**CANDLES)
    heard: list[str] = []

    async def on_candle(candle: Candle) -> None:
        await asyncio.sleep(0)
        heard.append(f"candle {candle.sequence}")

    stream.on_candle = on_candle
    stream.on_status = lambda status: heard.append(status.status)
    async with stream:
        task = asyncio.ensure_future(stream.run())
        await clock.run_for(31.0)
        feed.say(venue.candle(FIRST))
        await clock.run_for(1.0)
        assert heard == ["Connected", "candle 1"]
    await task


async def test_callback_that_raises_is_reported_and_the_stream_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, venue, feed, stream = a_stream()
    stream.subscribe(**CANDLES)
    heard: list[Any] = []

    def on_candle(candle: Candle) -> None:
        heard.append(candle)
        raise ZeroDivisionError("a bug of the bot")

    def on_status(status: Status) -> None:
        heard.append(status)
        raise KeyError("and another")

    stream.on_candle, stream.on_status = on_candle, on_status
    async with stream:
        task = asyncio.ensure_future(stream.run())
        await clock.run_for(0.5)
        with caplog.at_level(logging.ERROR):
            for count in (31, 32):
                feed.say(venue.forming(FIRST, count))
                await clock.run_for(1.0)
    await task
    assert sum(isinstance(one, Candle) for one in heard) == 2
    failed = [one for one in heard if isinstance(one, CallbackFailed)]
    assert [type(one.error) for one in failed] == [ZeroDivisionError] * 2
    assert "on_candle" in failed[0].callback
    assert "a bug of the bot" in caplog.text


async def test_callback_that_waited_for_a_task_somebody_cancelled_has_failed() -> None:
    clock, venue, feed, stream = a_stream()
    stream.subscribe(**CANDLES)
    heard: list[Any] = []

    async def on_candle(candle: Candle) -> None:
        heard.append(candle)
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    stream.on_candle, stream.on_status = on_candle, heard.append
    async with stream:
        running = asyncio.ensure_future(stream.run())
        await clock.run_for(0.5)
        for count in (31, 32):
            feed.say(venue.forming(FIRST, count))
            await clock.run_for(1.0)
        assert sum(isinstance(one, Candle) for one in heard) == 2
        failed = [one for one in heard if isinstance(one, CallbackFailed)]
        assert [type(one.error) for one in failed] == [asyncio.CancelledError] * 2
        running.cancel()  # and that is the bot's own wish
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_aclose_delivers_what_was_accepted_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with live(mute_after_s=5.0) as at:
        await at.run(40.0)
        at.feed.say(at.venue.candle(FIRST))
        await at.stream.aclose()
        await at.stream.aclose()
    assert [name_of(one.timestamp) for one in at.closed()] == [0]
    assert asyncio.all_tasks() == before


async def test_stream_is_not_started_twice_nor_after_its_end() -> None:
    clock, _, _, stream = a_stream()
    with pytest.raises(FeedError, match="nothing is subscribed"):
        await anext(stream.events())
    stream.subscribe(**CANDLES)
    async with stream:
        task = asyncio.ensure_future(stream.run())
        await clock.run_for(0.1)
        with pytest.raises(FeedError, match="started already"):
            await anext(stream.events())
        with pytest.raises(FeedError, match="before the stream runs"):
            stream.subscribe("trades", ["BTC/USDT"])
    await task
    with pytest.raises(FeedError, match="closed"):
        await anext(stream.events())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channel": "candle", "symbols": ["BTC/USDT"]}, "unknown channel 'candle'; choose"),
        ({"channel": "candles", "symbols": ["BTC/USDT"]}, "need intervals"),
        ({"channel": "candles", "symbols": "BTC/USDT", "intervals": ["1m"]}, "are lists"),
        ({"channel": "candles", "symbols": [], "intervals": ["1m"]}, "no symbols"),
        ({"channel": "candles", "symbols": ["A/B"], "intervals": ["7m"]}, "unknown interval '7m'"),
        ({"channel": "trades", "symbols": ["A/B"], "intervals": ["1m"]}, "have no intervals"),
        ({"channel": "trades", "symbols": ["A/B"], "since_ms": 5}, "for candles only"),
    ],
)
def test_subscribe_nonsense_is_refused(arguments: dict[str, Any], message: str) -> None:
    _, _, _, stream = a_stream()
    with pytest.raises(ConfigError, match=message):
        stream.subscribe(**arguments)


async def test_unknown_symbol_is_raised_to_the_bot() -> None:
    _, _, _, stream = a_stream()
    stream.subscribe("candles", ["NOPE/USDT"], intervals=["1m"])
    async with stream:
        with pytest.raises(UnknownSymbol):
            await anext(stream.events())


async def test_candles_of_a_series_not_subscribed_name_those_that_are() -> None:
    async with live() as at:
        with pytest.raises(ConfigError, match="BTC/USDT 1m"):
            at.stream.candles("ETH/USDT", "1m")


async def test_feed_that_raises_leaves_the_series_to_rest_and_is_run_again() -> None:
    async with live() as at:
        at.feed.say(at.venue.forming(FIRST, 40))
        at.feed.failure = ConnectionResetError("gone")
        at.feed.ended.set()
        await at.run(130.0)
        assert [name_of(one.timestamp) for one in at.closed()] == [0, 1]
        reasons = [one.reason for one in at.told(Disconnected)]
        assert reasons == ["ConnectionResetError: gone"]
        assert at.feed.runs == 2
        at.feed.say(at.venue.forming(FIRST + 2 * MINUTE, 40))
        await at.run(1.0)
        told = [one.connection for one in at.told(Connected)]
        assert told == ["spoken", "feed", "spoken", "rest"]
        assert at.statuses()[-1] == "Recovered"


async def test_feed_that_raises_a_cancellation_of_its_own_is_run_again() -> None:
    async with live() as at:
        at.feed.failure = asyncio.CancelledError()  # type: ignore[assignment]
        at.feed.ended.set()
        await at.run(10.0)
        assert at.feed.runs == 2
        assert at.statuses()[:3] == ["Connected", "Disconnected", "Reconnecting"]


async def test_feed_whose_aclose_raises_leaves_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    before = asyncio.all_tasks()
    clock, _, feed, stream = a_stream()
    stream.subscribe(**CANDLES)
    closing = feed.aclose

    async def aclose() -> None:
        await closing()
        raise OSError("a bug of the feed")

    monkeypatch.setattr(feed, "aclose", aclose)
    task = asyncio.ensure_future(stream.run())
    await clock.run_for(1.0)
    with pytest.raises(OSError, match="a bug of the feed"):
        await stream.aclose()
    await asyncio.wait_for(task, 30)
    assert asyncio.all_tasks() == before


async def test_feed_that_raises_again_and_again_is_run_ever_more_slowly() -> None:
    async with live() as at:
        at.feed.failure = FeedError("it cannot go on")
        at.feed.ended.set()
        for _ in range(600):
            await at.run(1.0)
            at.feed.ended.set()
        assert 10 <= at.feed.runs <= 25
        attempts = [one.attempt for one in at.told(Reconnecting)]
        assert attempts == list(range(1, len(attempts) + 1))


async def test_feed_that_cannot_do_what_is_asked_is_raised_to_the_bot() -> None:
    clock, _, feed, stream = a_stream()
    stream.subscribe(**CANDLES)
    feed.failure = Unsupported("no live candles of 1m")
    feed.ended.set()
    async with stream:
        task = asyncio.ensure_future(stream.run())
        await clock.run_for(1.0)
        with pytest.raises(Unsupported, match="no live candles"):
            await task


async def test_bug_in_the_stream_itself_is_raised_to_the_bot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, _, _, stream = a_stream()
    stream.subscribe(**CANDLES)

    def look(_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(stream._core._silence, "look", look)
    async with stream:
        task = asyncio.ensure_future(stream.run())
        await clock.run_for(2.0)
        with pytest.raises(ZeroDivisionError, match="a bug"):
            await asyncio.wait_for(task, 30)


async def test_start_that_fails_may_be_tried_again() -> None:
    clock, venue, feed, stream = a_stream()
    stream.subscribe(**CANDLES)

    def fault(what: str) -> None:
        raise Unavailable("down")

    venue.fault = fault
    async with stream:
        with pytest.raises(Unavailable):
            await anext(stream.events())
        venue.fault = lambda what: None
        events = stream.events()
        first: asyncio.Task[Any] = asyncio.ensure_future(anext(events))  # type: ignore[arg-type]
        await clock.run_for(0.5)
        assert isinstance(await first, Connected)
        assert feed.runs == 1


async def test_aclose_during_the_start_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    _, venue, _, stream = a_stream()
    stream.subscribe(**CANDLES)
    asked = asyncio.Event()
    answer = asyncio.Event()

    async def server_time_ms() -> int:
        asked.set()
        await answer.wait()
        return START

    venue.server_time_ms = server_time_ms  # type: ignore[method-assign]
    task = asyncio.ensure_future(stream.run())
    await asyncio.wait_for(asked.wait(), 30)
    await stream.aclose()
    answer.set()
    await asyncio.wait_for(task, 30)
    assert asyncio.all_tasks() == before


async def test_feed_that_is_over_ends_the_events() -> None:
    async with live() as at:
        at.feed.say(at.venue.forming(FIRST, 40))
        at.feed.ended.set()
        await at.run(1.0)
        assert len(at.forming()) == 1
        assert at.stream._mailbox.closed


async def test_since_delivers_what_closed_before_the_start() -> None:
    subscribe = ({**CANDLES, "since_ms": FIRST - 4 * MINUTE},)
    async with live(subscribe=subscribe, memory_candles=3) as at:
        await at.run(5.0)
        assert [name_of(one.timestamp) for one in at.closed()] == [-4, -3, -2, -1]
        memory = at.stream.candles("BTC/USDT", "1m")["timestamp"]
        assert [name_of(ms) for ms in memory] == [-3, -2, -1]


async def test_memory_is_flat_over_many_events() -> None:
    import tracemalloc

    async with live(memory_candles=50) as at:

        def burst(count: int) -> None:
            for number in range(count):
                at.feed.say(at.venue.forming(FIRST, number))

        burst(1_000)
        await at.run(0.1)
        at.heard.clear()
        gc.collect()
        tracemalloc.start()
        base = tracemalloc.get_traced_memory()[0]
        for _ in range(10):
            burst(2_000)
            await at.run(0.0)
            at.heard.clear()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - base
        tracemalloc.stop()
        assert grown < 100_000


async def test_series_is_found_by_every_spelling_of_its_symbol() -> None:
    class Linear(LiveVenue):
        async def markets(self, *, refresh: bool = False) -> Any:
            swap = Market("BTC/USDT:USDT", "BTCUSDT", "BTC", "USDT", "swap", "USDT", linear=True)
            return {swap.symbol: swap}

    subscribe = ({"channel": "candles", "symbols": ["BTCUSDT"], "intervals": ["1m"]},)
    async with live(venue=Linear, subscribe=subscribe) as at:
        rows = [at.stream.candles(name, "1m") for name in ("BTCUSDT", "BTC/USDT", "BTC/USDT:USDT")]
        assert [len(frame) for frame in rows] == [10] * 3


def test_since_that_is_no_time_is_refused() -> None:
    stream = Stream(LiveVenue(ManualClock()))  # type: ignore[arg-type]
    for wrong in ("x", 1.5, -1, 1_795_708_609):
        with pytest.raises(ConfigError, match="since_ms"):
            stream.subscribe("candles", ["BTC/USDT"], intervals=["1m"], since_ms=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["on_candle", "on_trade", "on_book_ticker"])
async def test_events_beside_a_callback_for_data_are_refused(name: str) -> None:
    _, _, _, stream = a_stream()
    stream.subscribe(**CANDLES)
    setattr(stream, name, print)
    with pytest.raises(FeedError, match="either"):
        await anext(aiter(stream.events()))
    await stream.aclose()


async def test_statuses_go_to_their_callback_beside_events() -> None:
    told: list[Status] = []
    async with live(consume=False) as at:
        at.stream.on_status = told.append
        async for event in at.stream.events():
            if isinstance(event, Connected):
                break
    assert [one.status for one in told] == ["Connected"]


async def test_slow_bot_is_what_its_gap_is_told_for(caplog: pytest.LogCaptureFixture) -> None:
    async with live(consume=False, queue_size=2) as at:
        heard = aiter(at.stream.events())
        await anext(heard)
        for minute in range(6):
            await at.run(29.5 if minute == 0 else 60.0)
            at.feed.say(at.venue.candle(FIRST + minute * MINUTE))
        seen: list[Any] = []

        async def listen() -> None:
            async for event in heard:
                seen.append(event)

        task = asyncio.ensure_future(listen())
        await at.run(30.0)
        reasons = {one.reason for one in seen if isinstance(one, GapDetected)}
        assert reasons == {"the bot was too slow"}
    await task


async def test_callback_that_always_raises_is_logged_with_its_traceback_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, venue, feed, stream = a_stream()
    stream.subscribe(**CANDLES)

    def fail(candle: Candle) -> None:
        raise ZeroDivisionError("a bug")

    stream.on_candle = fail
    task = asyncio.ensure_future(stream.run())
    await clock.run_for(0.1)
    for count in range(1, 21):
        feed.say(venue.forming(FIRST, count))
        await clock.run_for(0.1)
    await stream.aclose()
    await task
    records = [one for one in caplog.records if "fail raised" in one.getMessage()]
    assert sum(one.exc_info is not None for one in records) == 1
    assert 2 <= len(records) <= 6
