"""What every Feed adapter must keep: subclass it and override one fixture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from velas.errors import ConfigError, FeedError, UnknownSymbol, Unsupported
from velas.interval import Interval
from velas.models import BookTicker, Candle, Channel, Trade
from velas.protocols import Event, Feed
from velas.status import CallbackFailed

__all__ = ["FeedContract"]


class FeedContract:
    """Tests of the `Feed` protocol, for pytest with pytest-asyncio.

    A subclass overrides the fixture `feed`: an open feed, nothing subscribed, of a venue,
    real or stand-in, that trades `symbol`, whose unified name is `unified`. One candle of
    the first of `intervals` closes well within `patience_s` of real time, so let a
    stand-in run on a fast clock; and in its own thread, as no task may be left in the
    test's event loop when the feed is closed. Channels that the feed refuses as
    `Unsupported` are skipped.

        class TestMyFeed(FeedContract):
            @pytest.fixture
            async def feed(self):
                async with MyVenue(url=...) as exchange, MyFeed(exchange) as feed:
                    yield feed
    """

    symbol: ClassVar[str] = "BTCUSDT"
    unified: ClassVar[str] = "BTC/USDT"
    intervals: ClassVar[tuple[str, ...]] = ("1m",)
    patience_s: ClassVar[float] = 20.0
    pytestmark: ClassVar[object] = pytest.mark.asyncio

    @pytest.fixture
    def feed(self) -> Feed:
        """Give the feed under test."""
        raise NotImplementedError("override the fixture `feed`")

    # -- subscribing ------------------------------------------------------------------

    async def test_feed_as_built_keeps_the_protocol(self, feed: Feed) -> None:
        """Has every method and every callback, none set."""
        assert isinstance(feed, Feed)
        callbacks = (feed.on_candle, feed.on_trade, feed.on_book_ticker, feed.on_status)
        assert callbacks == (None, None, None, None)

    async def test_subscribe_an_unknown_channel_is_refused(self, feed: Feed) -> None:
        """Names the channels there are."""
        with pytest.raises(ConfigError, match="candles"):
            feed.subscribe("klines", [self.symbol])  # type: ignore[arg-type]

    async def test_subscribe_a_symbol_that_is_no_list_is_refused(self, feed: Feed) -> None:
        """Takes no text for a list of letters."""
        with pytest.raises(ConfigError, match="list"):
            feed.subscribe("candles", self.symbol, intervals=self.intervals)

    async def test_subscribe_an_interval_that_is_no_list_is_refused(self, feed: Feed) -> None:
        """Takes no text for a list of letters."""
        with pytest.raises(ConfigError, match="list"):
            feed.subscribe("candles", [self.symbol], intervals=self.intervals[0])

    async def test_subscribe_candles_without_interval_is_refused(self, feed: Feed) -> None:
        """Needs to know which."""
        with pytest.raises(ConfigError, match="interval"):
            feed.subscribe("candles", [self.symbol])

    async def test_subscribe_an_unknown_interval_is_refused(self, feed: Feed) -> None:
        """Needs an interval velas knows."""
        with pytest.raises(ConfigError, match="7m"):
            feed.subscribe("candles", [self.symbol], intervals=["7m"])

    async def test_subscribe_no_symbol_is_refused(self, feed: Feed) -> None:
        """Needs one at least."""
        with pytest.raises(ConfigError, match="symbol"):
            feed.subscribe("candles", [], intervals=self.intervals)

    async def test_subscribe_trades_with_interval_is_refused(self, feed: Feed) -> None:
        """Only candles have intervals."""
        with pytest.raises((ConfigError, Unsupported)):
            feed.subscribe("trades", [self.symbol], intervals=self.intervals)

    async def test_run_with_an_unknown_symbol_ends_with_it(self, feed: Feed) -> None:
        """Needs a market the venue lists."""
        feed.subscribe("candles", ["NOSUCHCOIN"], intervals=self.intervals)
        with pytest.raises(UnknownSymbol):
            await self._soon(feed.run())

    async def test_events_with_an_unknown_symbol_end_with_it(self, feed: Feed) -> None:
        """Needs a market the venue lists."""
        feed.subscribe("candles", ["NOSUCHCOIN"], intervals=self.intervals)
        with pytest.raises(UnknownSymbol):
            await self._soon(anext(aiter(feed.events())))

    async def test_subscribe_while_it_runs_is_refused(self, feed: Feed) -> None:
        """Is for before."""
        feed.subscribe("candles", [self.symbol], intervals=self.intervals)
        running = asyncio.ensure_future(feed.run())
        await asyncio.sleep(0)
        with pytest.raises(FeedError):
            feed.subscribe("candles", [self.symbol], intervals=self.intervals)
        await feed.aclose()
        await self._soon(running)

    # -- what arrives -----------------------------------------------------------------

    async def test_candles_are_of_what_was_subscribed(self, feed: Feed) -> None:
        """Come by unified symbol and asked-for interval, and are possible."""
        feed.subscribe("candles", [self.symbol], intervals=self.intervals)
        closed = 0
        async for event in self._events(feed):
            assert isinstance(event, Candle)
            assert event.symbol == self.unified
            assert event.interval in self.intervals
            self._check(event)
            closed += event.is_closed
            if closed == 2:
                break

    async def test_closed_candles_follow_one_another(self, feed: Feed) -> None:
        """Leave no slot out while nothing goes wrong."""
        feed.subscribe("candles", [self.symbol], intervals=self.intervals[:1])
        opens: dict[int, None] = {}
        async for event in self._events(feed):
            if isinstance(event, Candle) and event.is_closed:
                opens[event.timestamp] = None
            if len(opens) == 3:
                break
        grid = Interval(self.intervals[0])
        first, *later = opens
        assert later == [grid.next_open(first), grid.next_open(grid.next_open(first))]

    @pytest.mark.parametrize(("channel", "kind"), [("trades", Trade), ("book_ticker", BookTicker)])
    async def test_channel_gives_its_own_kind_of_event(
        self, feed: Feed, channel: Channel, kind: type[Trade] | type[BookTicker]
    ) -> None:
        """Trades have an id, a price and a quantity; a book ticker is not crossed."""
        self._subscribe(feed, channel)
        seen = 0
        async for event in self._events(feed):
            assert isinstance(event, kind)
            assert event.symbol == self.unified
            if isinstance(event, Trade):
                assert event.price > 0
                assert event.quantity > 0
            if isinstance(event, BookTicker):
                assert 0 < event.bid < event.ask
            seen += 1
            if seen == 3:
                break

    # -- callbacks --------------------------------------------------------------------

    async def test_callback_gets_candles(self, feed: Feed) -> None:
        """May be a plain function."""
        feed.subscribe("candles", [self.symbol], intervals=self.intervals)
        arrived = asyncio.Event()

        def on_candle(candle: Candle) -> None:
            if candle.is_closed:
                arrived.set()

        feed.on_candle = on_candle
        await self._run_until(feed, arrived)

    async def test_callback_may_be_async(self, feed: Feed) -> None:
        """Is awaited when it is a coroutine function."""
        feed.subscribe("candles", [self.symbol], intervals=self.intervals)
        arrived = asyncio.Event()

        async def on_candle(candle: Candle) -> None:
            await asyncio.sleep(0)
            if candle.is_closed:
                arrived.set()

        feed.on_candle = on_candle
        await self._run_until(feed, arrived)

    @pytest.mark.parametrize("how", ["sync", "async"])
    async def test_callback_that_raises_is_reported_and_the_feed_goes_on(
        self, feed: Feed, how: str
    ) -> None:
        """Is told to `on_status` as `CallbackFailed`; the next event comes."""
        feed.subscribe("candles", [self.symbol], intervals=self.intervals)
        problem = ZeroDivisionError("a bug of the user's")
        reported: list[object] = []
        went_on = asyncio.Event()

        def fail(candle: Candle) -> None:
            if sum(isinstance(status, CallbackFailed) for status in reported) >= 2:
                went_on.set()
            raise problem

        async def fail_later(candle: Candle) -> None:
            await asyncio.sleep(0)
            fail(candle)

        feed.on_candle = fail if how == "sync" else fail_later
        feed.on_status = reported.append
        await self._run_until(feed, went_on)
        failure = next(status for status in reported if isinstance(status, CallbackFailed))
        assert failure.error is problem
        assert "fail" in failure.callback

    async def test_events_beside_a_callback_are_refused(self, feed: Feed) -> None:
        """Either iterate or set callbacks."""
        feed.subscribe("candles", [self.symbol], intervals=self.intervals)
        feed.on_candle = _ignore
        with pytest.raises(FeedError, match="callback"):
            await self._soon(anext(aiter(feed.events())))

    async def test_run_twice_is_refused(self, feed: Feed) -> None:
        """Has one run at a time."""
        feed.subscribe("candles", [self.symbol], intervals=self.intervals)
        running = asyncio.ensure_future(feed.run())
        await asyncio.sleep(0)
        with pytest.raises(FeedError):
            await self._soon(feed.run())
        await feed.aclose()
        await self._soon(running)

    # -- the end ----------------------------------------------------------------------

    async def test_aclose_twice_does_nothing_more(self, feed: Feed) -> None:
        """May be closed again, also before it ran."""
        await feed.aclose()
        await feed.aclose()
        with pytest.raises(FeedError):
            await self._soon(feed.run())

    async def test_aclose_ends_run(self, feed: Feed) -> None:
        """Lets `run` return, without an error."""
        feed.subscribe("candles", [self.symbol], intervals=self.intervals)
        arrived = asyncio.Event()
        feed.on_candle = lambda _: arrived.set()
        await self._run_until(feed, arrived)

    async def test_aclose_by_a_callback_ends_run(self, feed: Feed) -> None:
        """May be called from within."""
        feed.subscribe("candles", [self.symbol], intervals=self.intervals)

        async def on_candle(candle: Candle) -> None:
            await feed.aclose()

        feed.on_candle = on_candle
        await self._soon(feed.run())

    async def test_aclose_ends_events(self, feed: Feed) -> None:
        """Lets the iteration end, without an error."""
        feed.subscribe("candles", [self.symbol], intervals=self.intervals)
        async for _ in self._events(feed):
            await feed.aclose()

    @pytest.mark.parametrize("how", ["closed", "cancelled"])
    async def test_nothing_is_left_running(self, feed: Feed, how: str) -> None:
        """Ends every task it started, when closed and when its own task is cancelled."""
        before = asyncio.all_tasks()
        self._subscribe_to_all(feed)
        arrived = asyncio.Event()
        feed.on_candle = lambda _: arrived.set()
        running = asyncio.ensure_future(feed.run())
        await self._soon(arrived.wait())
        if how == "cancelled":
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await self._soon(running)
        await feed.aclose()
        with suppress(asyncio.CancelledError):
            await self._soon(running)
        await self._settled(before)

    async def test_events_can_be_left_early(self, feed: Feed) -> None:
        """Leave nothing behind when the loop is left and the feed closed."""
        before = asyncio.all_tasks()
        self._subscribe_to_all(feed)
        async for _ in self._events(feed):
            break
        await feed.aclose()
        await self._settled(before)

    # -- helpers ----------------------------------------------------------------------

    def _check(self, candle: Candle) -> None:
        grid = Interval(candle.interval)
        assert candle.source in ("ws", "rest")
        assert candle.sequence == 0
        assert candle.timestamp == grid.floor(candle.timestamp)
        assert candle.close_time == grid.next_open(candle.timestamp) - 1
        assert candle.high >= max(candle.open, candle.close)
        assert 0 < candle.low <= min(candle.open, candle.close)
        assert candle.volume >= 0
        if candle.taker_buy_base is not None:
            assert 0 <= candle.taker_buy_base <= candle.volume * (1 + 1e-9)

    def _subscribe(self, feed: Feed, channel: Channel) -> None:
        try:
            feed.subscribe(channel, [self.symbol])
        except Unsupported as error:
            pytest.skip(str(error))

    def _subscribe_to_all(self, feed: Feed) -> None:
        feed.subscribe("candles", [self.symbol], intervals=self.intervals)
        for channel in ("trades", "book_ticker"):
            with suppress(Unsupported):
                feed.subscribe(channel, [self.symbol])

    async def _events(self, feed: Feed) -> AsyncIterator[Event]:
        events = aiter(feed.events())
        while True:
            try:
                yield await self._soon(anext(events))
            except StopAsyncIteration:
                return

    async def _run_until(self, feed: Feed, arrived: asyncio.Event) -> None:
        running = asyncio.ensure_future(feed.run())
        await self._soon(asyncio.wait({running, waiter := _waiting(arrived)}, return_when=_FIRST))
        waiter.cancel()
        assert arrived.is_set(), f"run() ended early: {running}"
        await feed.aclose()
        await self._soon(running)

    async def _soon(self, awaited: Any) -> Any:
        return await asyncio.wait_for(awaited, self.patience_s)

    async def _settled(self, before: set[asyncio.Task[Any]]) -> None:
        for _ in range(20):
            if asyncio.all_tasks() <= before:
                return
            await asyncio.sleep(0)
        assert asyncio.all_tasks() - before == set()


_FIRST = asyncio.FIRST_COMPLETED


def _waiting(event: asyncio.Event) -> asyncio.Task[Any]:
    return asyncio.ensure_future(event.wait())


def _ignore(event: object) -> None:
    del event
