"""`FeedAdapter`: what every feed shares, with a subclass that says what it is told."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

import pytest
from fakes import FakeExchange, candles

from velas.errors import ConfigError, FeedError, UnknownSymbol, Unsupported
from velas.feed import CHANNELS, FeedAdapter, Frame, wanted
from velas.models import BookTicker, Candle, Subscription, Trade
from velas.protocols import Event, Feed, Rotatable
from velas.status import CallbackFailed, Connected, Status
from velas.testing import ManualClock

ONE = Decimal(1)


class Told(FeedAdapter):
    """Delivers what is put into `script`, then waits; `ended` once it has cleaned up."""

    def __init__(self, *script: Event, queue_size: int = 10_000) -> None:
        series = {(name, "1h"): candles([0]) for name in ("BTC/USDT", "ETH/USDT")}
        super().__init__("told", FakeExchange(series), clock=ManualClock(), queue_size=queue_size)
        self.script = list(script)
        self.got: Sequence[Subscription] = ()
        self.ended = False
        self.error: Exception | None = None
        self.told = asyncio.Event()

    async def _drive(self, subscriptions: Sequence[Subscription]) -> None:
        self.got = subscriptions
        try:
            for event in self.script:
                await self._say(event)
            self.told.set()
            if self.error is not None:
                raise self.error
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            self.ended = True

    async def _say(self, event: Event) -> None:
        if isinstance(event, Candle):
            later = self.deliver_candle(event)
        elif isinstance(event, Trade):
            later = self.deliver_trade(event)
        else:
            later = self.deliver_book_ticker(event)
        if later is not None:
            await later


def candle(at: int = 0, *, closed: bool = True, close: float = 1.0) -> Candle:
    return Candle(
        "BTC/USDT", "1h", at, 1.0, 2.0, 0.5, close, 10.0, at + 3_599_999, is_closed=closed
    )


def trade(number: int) -> Trade:
    return Trade("BTC/USDT", number, number, ONE, ONE, True)


def ticker(number: int, symbol: str = "BTC/USDT") -> BookTicker:
    return BookTicker(symbol, ONE, ONE, ONE + 1, ONE, update_id=number)


def subscribed(*script: Event, queue_size: int = 10_000) -> Told:
    feed = Told(*script, queue_size=queue_size)
    feed.subscribe("candles", ["BTCUSDT"], intervals=["1h"])
    return feed


async def run_through(feed: Told) -> None:
    """Run the feed until it has said everything, then close it."""
    running = asyncio.ensure_future(feed.run())
    await asyncio.wait_for(feed.told.wait(), 30)
    await feed.aclose()
    await asyncio.wait_for(running, 30)


# -- subscribing --------------------------------------------------------------------------


def test_wanted_is_every_pair_of_symbol_and_interval() -> None:
    assert wanted("candles", ["A", "B"], ["1m", "1h"], CHANNELS) == [
        Subscription("candles", "A", "1m"),
        Subscription("candles", "A", "1h"),
        Subscription("candles", "B", "1m"),
        Subscription("candles", "B", "1h"),
    ]
    assert wanted("trades", ["A"], (), CHANNELS) == [Subscription("trades", "A")]


@pytest.mark.parametrize(
    ("channel", "symbols", "intervals", "said"),
    [
        ("klines", ["A"], ["1m"], "'klines'.*candles, trades, book_ticker"),
        ("candles", "A", ["1m"], "lists"),
        ("candles", ["A"], "1m", "lists"),
        ("candles", [], ["1m"], "no symbols"),
        ("candles", ["A"], [], "need intervals"),
        ("candles", ["A"], ["7m"], "7m"),
        ("trades", ["A"], ["1m"], "no intervals, but got 1m"),
    ],
)
def test_wanted_that_makes_no_sense_is_refused(
    channel: str, symbols: Sequence[str], intervals: Sequence[str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        wanted(channel, symbols, intervals, CHANNELS)


def test_subscribe_a_channel_the_feed_lacks_is_unsupported() -> None:
    feed = Told()
    feed.channels = ("candles",)
    with pytest.raises(Unsupported, match="told has no trades; it has candles"):
        feed.subscribe("trades", ["BTC/USDT"])
    with pytest.raises(ConfigError, match="choose one of"):
        feed.subscribe("nonsense", ["BTC/USDT"])  # type: ignore[arg-type]


async def test_subscriptions_are_unified_and_each_once() -> None:
    feed = Told()
    feed.subscribe("candles", ["BTCUSDT", "BTC/USDT"], intervals=["1h"])
    feed.subscribe("trades", ["BTC/USDT"])
    assert await feed.subscriptions() == (
        Subscription("candles", "BTC/USDT", "1h"),
        Subscription("trades", "BTC/USDT"),
    )
    await run_through(feed)
    assert feed.got == await feed.subscriptions()


async def test_run_without_subscription_is_refused() -> None:
    with pytest.raises(FeedError, match="nothing is subscribed"):
        await Told().run()


async def test_run_with_an_unknown_symbol_ends_with_it() -> None:
    feed = Told()
    feed.subscribe("trades", ["NO/SUCH"])
    with pytest.raises(UnknownSymbol):
        await feed.run()


async def test_run_twice_is_refused() -> None:
    feed = subscribed()
    running = asyncio.ensure_future(feed.run())
    await asyncio.sleep(0)
    with pytest.raises(FeedError, match="runs already"):
        await feed.run()
    with pytest.raises(FeedError, match="before the feed runs"):
        feed.subscribe("trades", ["BTC/USDT"])
    await feed.aclose()
    await running


async def test_run_after_close_is_refused() -> None:
    feed = subscribed()
    await feed.aclose()
    with pytest.raises(FeedError, match="closed"):
        await feed.run()
    with pytest.raises(FeedError):
        feed.subscribe("trades", ["BTC/USDT"])
    assert repr(feed) == "<Told told closed>"


# -- callbacks ----------------------------------------------------------------------------


async def test_callbacks_get_their_kind_of_event() -> None:
    feed = subscribed(candle(), trade(1), ticker(1))
    got: list[Event] = []
    feed.on_candle = feed.on_trade = feed.on_book_ticker = got.append  # type: ignore[assignment]
    await run_through(feed)
    assert got == [candle(), trade(1), ticker(1)]


async def test_callback_that_is_not_set_is_not_missed() -> None:
    await run_through(subscribed(candle(), trade(1), ticker(1)))


async def test_async_callback_is_awaited_before_the_next_event() -> None:
    feed = subscribed(trade(1), trade(2))
    said: list[str] = []

    async def on_trade(event: Trade) -> None:
        said.append(f"begin {event.id}")
        await asyncio.sleep(0)
        said.append(f"end {event.id}")

    feed.on_trade = on_trade
    await run_through(feed)
    assert said == ["begin 1", "end 1", "begin 2", "end 2"]


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_callback_that_raises_is_reported_and_the_next_event_comes(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    feed = subscribed(trade(1), trade(2))
    statuses: list[Status] = []
    feed.on_status = statuses.append
    problem = ZeroDivisionError("a bug")

    def fail(event: Trade) -> None:
        raise problem

    async def fail_later(event: Trade) -> None:
        raise problem

    feed.on_trade = fail if how == "sync" else fail_later
    await run_through(feed)
    name = f"fail{'' if how == 'sync' else '_later'}"
    assert [type(status) for status in statuses] == [CallbackFailed, CallbackFailed]
    assert isinstance(statuses[0], CallbackFailed)
    assert statuses[0].error is problem
    assert statuses[0].callback.endswith(name)
    assert caplog.text.count("a bug") >= 2


async def test_status_callback_that_raises_is_logged_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    feed = subscribed()
    calls: list[Status] = []

    def fail(status: Status) -> None:
        calls.append(status)
        raise ZeroDivisionError("a bug")

    feed.on_status = fail
    feed.report(Connected(at_ms=1, connection="a"))
    assert len(calls) == 1
    assert "a bug" in caplog.text


async def test_async_status_callback_runs_on_its_own_and_ends_with_the_feed() -> None:
    feed = subscribed()
    calls: list[Status] = []

    async def slow(status: Status) -> None:
        calls.append(status)
        await asyncio.get_running_loop().create_future()

    feed.on_status = slow
    feed.report(Connected(at_ms=1, connection="a"))
    await asyncio.sleep(0)
    assert len(calls) == 1
    await feed.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# -- events -------------------------------------------------------------------------------


async def listen(feed: Told) -> AsyncIterator[Event]:
    """Let the feed say everything before the consumer takes the first event."""
    events = aiter(feed.events())
    first = asyncio.ensure_future(anext(events))
    await asyncio.wait_for(feed.told.wait(), 30)
    await feed.aclose()
    try:
        yield await first
        async for event in events:
            yield event
    except StopAsyncIteration:
        return


async def test_events_give_everything_in_order_and_end_on_close() -> None:
    script = [candle(), trade(1), ticker(1)]
    assert [event async for event in listen(subscribed(*script))] == script


async def test_events_of_a_burst_are_all_there() -> None:
    forming = [candle(closed=False, close=1.0 + step / 10) for step in range(50)]
    script = [*forming, *map(ticker, range(50)), candle()]
    assert [event async for event in listen(subscribed(*script))] == script


async def test_events_beyond_the_room_conflate_what_is_replaced_anyway() -> None:
    forming = [candle(closed=False, close=price) for price in (1.0, 1.5, 2.0)]
    events = (trade(0), *forming, ticker(1), ticker(2), ticker(3, "ETH/USDT"))
    found = [event async for event in listen(subscribed(*events, queue_size=1))]
    assert found == [trade(0), forming[-1], ticker(2), ticker(3, "ETH/USDT")]


async def test_events_beyond_the_room_are_dropped() -> None:
    feed = subscribed(*map(trade, range(5)), candle(), ticker(1), queue_size=3)
    found = [event async for event in listen(feed)]
    assert found == [trade(0), trade(1), trade(2), ticker(1)]


async def test_callback_that_returns_something_has_not_failed() -> None:
    heard: list[object] = []
    statuses: list[object] = []
    feed = subscribed(trade(0), trade(1))
    feed.on_trade = lambda event: heard.append(event) or len(heard)  # type: ignore[assignment]
    feed.on_status = statuses.append
    await run_through(feed)
    assert (heard, statuses) == ([trade(0), trade(1)], [])


async def test_events_beside_a_callback_are_refused() -> None:
    feed = subscribed()
    feed.on_trade = lambda _: None
    with pytest.raises(FeedError, match="either"):
        await anext(aiter(feed.events()))


async def test_events_end_with_the_error_of_the_feed() -> None:
    feed = subscribed(trade(1))
    feed.error = FeedError("cannot go on")
    events = aiter(feed.events())
    assert await anext(events) == trade(1)
    with pytest.raises(FeedError, match="cannot go on"):
        await anext(events)


async def test_events_left_early_stop_the_feed() -> None:
    feed = subscribed(trade(1), trade(2))
    async for _ in feed.events():
        break
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)
    assert feed.ended
    assert asyncio.all_tasks() == {asyncio.current_task()}


# -- the end ------------------------------------------------------------------------------


async def test_aclose_waits_until_everything_is_released() -> None:
    feed = subscribed()
    running = asyncio.ensure_future(feed.run())
    await feed.told.wait()
    await feed.aclose()
    assert feed.ended
    await asyncio.wait_for(running, 30)
    await feed.aclose()


async def test_run_cancelled_releases_everything_and_is_cancelled() -> None:
    feed = subscribed()
    running = asyncio.ensure_future(feed.run())
    await feed.told.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert feed.ended


async def test_run_cancelled_while_it_is_closed_is_cancelled_all_the_same() -> None:
    feed = subscribed()
    running = asyncio.ensure_future(feed.run())
    await feed.told.wait()
    closing = asyncio.ensure_future(feed.aclose())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await closing


async def test_aclose_that_is_cancelled_is_not_silently_done() -> None:
    feed = subscribed()
    stuck = asyncio.Event()

    async def slow(event: Trade) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await stuck.wait()

    feed.on_trade, feed.script = slow, [trade(1)]
    running = asyncio.ensure_future(feed.run())
    await asyncio.sleep(0.0)
    for _ in range(5):
        await asyncio.sleep(0)
    closing = asyncio.ensure_future(feed.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    stuck.set()
    await asyncio.wait_for(running, 30)


async def test_aclose_by_a_callback_closes_and_returns() -> None:
    feed = subscribed(trade(1), trade(2))
    said: list[str] = []

    async def once(event: Trade) -> None:
        await feed.aclose()
        said.append("closed")

    feed.on_trade = once
    running = asyncio.ensure_future(feed.run())
    await asyncio.wait_for(running, 30)
    assert said == ["closed"]


async def test_aclose_by_a_status_callback_closes_and_returns() -> None:
    feed = subscribed()
    said: list[str] = []

    async def once(status: Status) -> None:
        await feed.aclose()
        said.append("closed")

    feed.on_status = once
    running = asyncio.ensure_future(feed.run())
    await feed.told.wait()
    feed.report(Connected(at_ms=1, connection="a"))
    await asyncio.wait_for(running, 30)
    await asyncio.sleep(0)
    assert said == ["closed"]


async def test_feed_that_cannot_rotate_or_replay_says_so() -> None:
    feed = subscribed()
    assert isinstance(feed, Feed)
    assert isinstance(feed, Rotatable)
    feed.rotate(Subscription("trades", "BTC/USDT"), "mute")

    async def frames() -> AsyncIterator[Frame]:
        yield Frame("open", "a", 0)

    with pytest.raises(Unsupported, match="replay"):
        await feed.play(frames())


async def test_async_with_closes_the_feed() -> None:
    async with subscribed() as feed:
        pass
    with pytest.raises(FeedError):
        await feed.run()
