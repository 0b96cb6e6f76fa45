"""The stream at work: who hears what, and what is looked at again and again."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from velas.clock import Clock
from velas.errors import FeedError
from velas.feed import FeedAdapter
from velas.interval import Interval
from velas.mailbox import Mailbox
from velas.models import BookTicker, Candle, Subscription, Trade
from velas.polling import PollingFeed
from velas.settings import Stream as StreamSettings
from velas.status import Connected, Status
from velas.stream.candle_repair import CandleRepair
from velas.stream.candle_track import CandleTrack
from velas.stream.desk import Desk
from velas.stream.feeding import Feeding
from velas.stream.gaps import Gaps
from velas.stream.history import Warmth
from velas.stream.intake import Intake
from velas.stream.outlet import Key, Outlet, Said
from velas.stream.revision import Revision
from velas.stream.series import AnySeries, Series, TickerTrack
from velas.stream.silence import Silence
from velas.stream.tasks import Tasks
from velas.stream.trade_repair import TradeRepair
from velas.stream.trade_track import TradeTrack
from velas.stream.trouble import Trouble
from velas.stream.venue_time import VenueTime
from velas.stream.watermark import Watermarks

if TYPE_CHECKING:
    from velas.ledger import Ledger
    from velas.protocols import Event, Exchange, Feed, Store

__all__ = ["Core"]

_LOG = logging.getLogger(__name__)
_GRACE_MS = 3_000  # after a candle's end its close may still be on its way (binance-facts 5)
_LOOK_S = 0.25


class Core:
    """Connects feed, polling, repair and outlet; made anew for each run of a stream."""

    def __init__(
        self,
        exchange: Exchange,
        feed: Feed,
        store: Store | None,
        mailbox: Mailbox[Said],
        clock: Clock,
        settings: StreamSettings,
        counters: Counter[str],
        ledger: Ledger | Path | None = None,
    ) -> None:
        self.listening = False  # whether the feed's callbacks are ours
        self.candles: dict[tuple[str, str], Series[CandleTrack]] = {}
        self.trades: dict[str, Series[TradeTrack]] = {}
        self.tickers: dict[str, Series[TickerTrack]] = {}
        self._exchange = exchange
        self._feed = feed
        self._clock = clock
        self._settings = settings
        self._counters = counters
        self._mailbox = mailbox
        self._tasks = Tasks(self._fail)
        self._closed = False
        self._ending: asyncio.Future[None] | None = None
        self._outlet = Outlet(mailbox, store, clock, counters)
        self._time = VenueTime(exchange, clock)
        say = self._outlet.say
        self._trouble = Trouble(exchange, clock, say)
        gaps = Gaps(clock, say)
        desk = Desk(exchange, clock, self._time, self._tasks, say, self._trouble, gaps, counters)
        # a feed that polls needs no fallback to polling
        polls = isinstance(feed, PollingFeed)
        self._polling = None if polls else PollingFeed(exchange, clock=clock)
        self._intake = Intake(self._outlet, gaps, self._time, counters)
        self._silence = Silence(desk, feed, self._polling, mute_after_s=settings.mute_after_s)
        self._lull_s = self._silence.lull_s
        tells = not isinstance(feed, FeedAdapter) or feed.tells_closes
        self._repair = CandleRepair(desk, self._intake, self._silence, tells_closes=tells)
        self._trade_repair = TradeRepair(desk, self._intake)
        self._revision = Revision(desk, self.candles)
        self._marks = Watermarks(
            desk, ledger if store is not None else None, self._outlet, self.candles
        )
        self._warmth = Warmth(
            desk, store, self._outlet, self._revision, self._marks, memory=settings.memory_candles
        )

    @property
    def stored(self) -> Counter[Key]:
        """How many rows were added to the store, by series."""
        return self._outlet.stored

    # -- lifecycle -------------------------------------------------------------------

    async def start(
        self, subscriptions: Sequence[Subscription], since_ms: dict[Subscription, int]
    ) -> None:
        """Begin to listen; history is fetched in the background."""
        await self._time.measure()
        for one in subscriptions:
            self._add(one, since_ms.get(one))
        await self._marks.recall()
        await asyncio.gather(*(self._warmth.load(series) for series in self.candles.values()))
        await self._marks.begin()
        if self._closed:  # meanwhile
            return
        self._listen()
        try:  # subscribed only now: whoever else holds the feed is not disturbed
            for one in subscriptions:
                intervals = (one.interval,) if one.interval is not None else ()
                self._feed.subscribe(one.channel, [one.symbol], intervals=intervals)
        except BaseException:
            self._stop_listening()
            raise
        self._tasks.spawn(self._run_feed(), "the feed")
        self._tasks.spawn(self._look_on(), "the watch over silence")
        self._tasks.spawn(self._marks.keep(), "the marks of what is unchecked")
        if self._polling is not None:
            self._tasks.spawn(self._run_polling(self._polling), "polling")
        for series in self.candles.values():
            self._tasks.spawn(self._open(series), f"start of {series.name}")

    async def finish(self) -> None:
        """Stop listening, store what was accepted, end the mailbox."""
        self._closed = True
        try:
            if self.listening:  # else it is somebody else's
                await self._feed.aclose()
        finally:  # whatever a feed of somebody else's raises
            await self._stop()
            if self.listening:
                self._stop_listening()

    async def _stop(self) -> None:
        try:
            if self._polling is not None:
                await self._polling.aclose()
        finally:
            await self._tasks.cancel()
            await asyncio.shield(self._end())

    def _end(self) -> asyncio.Future[None]:
        # one for all who ask: what is being stored is not to be cancelled half-way
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._store_the_rest())
        return self._ending

    async def _store_the_rest(self) -> None:
        try:
            await self._outlet.finish()
        finally:
            await self._marks.finish()

    def _fail(self, what: str, error: BaseException) -> None:
        # without one of its tasks the stream could keep no promise: the bot must know
        _LOG.error("%s failed", what, exc_info=error)
        self._mailbox.close(error)

    def _add(self, one: Subscription, since_ms: int | None) -> None:
        now_s = self._clock.monotonic_s()
        series: AnySeries
        if one.channel == "candles" and one.interval is not None:
            grid = Interval.of(one.interval)
            # the first slot that REST cannot serve yet: all before it are history
            next_ms = grid.floor(self._time.served_ms())
            if since_ms is not None:
                next_ms = min(next_ms, grid.ceil(since_ms))
            track = CandleTrack(
                one.symbol,
                grid,
                next_ms,
                memory=self._settings.memory_candles,
                counters=self._counters,
            )
            series = self.candles[one.symbol, one.interval] = Series(one, track, now_s, now_s)
        elif one.channel == "trades":
            by_id = self._exchange.capabilities.trades_by_id
            trades = TradeTrack(one.symbol, contiguous=by_id, counters=self._counters)
            series = self.trades[one.symbol] = Series(one, trades, now_s, now_s)
        else:
            ticker = TickerTrack(one.symbol, self._counters)
            series = self.tickers[one.symbol] = Series(one, ticker, now_s, now_s)
        self._silence.add(series)

    async def _open(self, series: Series[CandleTrack]) -> None:
        done = asyncio.Event()
        self._tasks.spawn(self._warmth.fetch(series, done), f"history of {series.name}")
        await self._warmth.patience(series, done)
        series.track.open = True
        series.opened_ms = self._time.now_ms()
        self._intake.release_candles(series)
        if series.track.forming is not None:
            self._outlet.forming(series.track.forming, series.track.key)

    async def _run_feed(self) -> None:
        await Feeding(self._feed, self._clock, self._feed_status).run()
        if not self._closed:  # a recording is over
            await self._stop()

    async def _run_polling(self, polling: PollingFeed) -> None:
        try:
            await polling.run()
        except Exception as error:  # the socket and repair go on
            _LOG.error("polling has failed: %s", error, exc_info=error)

    # -- listening -------------------------------------------------------------------

    def _listen(self) -> None:
        feed, polling = self._feed, self._polling
        if feed.on_candle or feed.on_trade or feed.on_book_ticker or feed.on_status:
            raise FeedError(
                "the feed has callbacks already, another stream's or your own; "
                "set those of the stream instead"
            )
        self.listening = True
        feed.on_candle, feed.on_trade = self._hear_candle, self._hear_trade
        feed.on_book_ticker, feed.on_status = self._hear_ticker, self._feed_status
        if polling is not None:
            polling.on_candle, polling.on_trade = self._poll_candle, self._poll_trade
            polling.on_book_ticker, polling.on_status = self._poll_ticker, self._trouble.hear

    def _stop_listening(self) -> None:
        self.listening = False
        feed = self._feed
        feed.on_candle = feed.on_trade = feed.on_book_ticker = feed.on_status = None

    def _hear_candle(self, candle: Candle) -> None:
        series = self.candles.get((candle.symbol, candle.interval))
        if series is None:
            self._counters["not_subscribed"] += 1
            return
        self._hear(series, candle)
        self._intake.candle(series, candle)

    def _hear_trade(self, trade: Trade) -> None:
        series = self.trades.get(trade.symbol)
        if series is None:
            self._counters["not_subscribed"] += 1
            return
        self._hear(series, trade)
        self._take_trade(series, trade)

    def _hear_ticker(self, ticker: BookTicker) -> None:
        series = self.tickers.get(ticker.symbol)
        if series is None:
            self._counters["not_subscribed"] += 1
            return
        self._hear(series, ticker)
        self._intake.book_ticker(series, ticker)

    def _hear(self, series: AnySeries, event: Event) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - series.heard_s > self._lull_s:
            self._silence.lull(series, now_s)
        series.heard_s, series.heard = now_s, event
        if series.fallen_s is not None or series.mute:
            self._silence.heard(series)

    def _poll_candle(self, candle: Candle) -> None:
        series = self.candles.get((candle.symbol, candle.interval))
        if series is not None:
            self._silence.show(series, candle)
            self._intake.candle(series, candle)

    def _poll_trade(self, trade: Trade) -> None:
        series = self.trades.get(trade.symbol)
        if series is not None:
            self._silence.show(series, trade)
            self._take_trade(series, trade)

    def _poll_ticker(self, ticker: BookTicker) -> None:
        series = self.tickers.get(ticker.symbol)
        if series is not None:
            self._silence.show(series, ticker)
            self._intake.book_ticker(series, ticker)

    def _take_trade(self, series: Series[TradeTrack], trade: Trade) -> None:
        self._intake.trade(series, trade)
        if series.track.holed and series.healing is None:
            self._trade_repair.start(series, "ids are missing")

    def _feed_status(self, status: Status) -> None:
        self._silence.connection(status)
        if isinstance(status, Connected):
            self._repair.sign_of_life()
        self._trouble.hear(status)

    # -- looking ---------------------------------------------------------------------

    async def _look_on(self) -> None:
        measuring: asyncio.Task[None] | None = None
        ahead = 0
        while True:
            await self._clock.sleep(_LOOK_S)
            was_ahead, ahead = ahead, self._ahead()
            if ahead != was_ahead:
                self._time.doubt()
            if self._time.stale and (measuring is None or measuring.done()):
                # on its own: a request that takes long must not blind the watch
                measuring = self._tasks.spawn(self._measure(), "the venue's time")
            self._trouble.look()
            roomy = self._outlet.roomy
            for series in self.candles.values():
                self._look_candles(series, roomy)
            for trades in self.trades.values():
                self._look_trades(trades, roomy)
            for tickers in self.tickers.values():
                self._silence.look(tickers)

    def _ahead(self) -> int:
        return self._counters["from_the_future"] + self._counters["closed_early"]

    async def _measure(self) -> None:
        try:
            await self._time.measure()
        except Exception as error:  # carried on as it is
            self._trouble.note(error, "the venue's time")

    def _look_candles(self, series: Series[CandleTrack], roomy: bool) -> None:
        track = series.track
        if series.parked:
            if not roomy or self._outlet.behind(track.key):
                return
            series.parked = False
            self._intake.release_candles(series)
        if not track.open:
            return
        self._silence.look(series)
        if series.healing is None and self._repair.overdue(series):
            if track.seen_ms > track.next_ms:
                self._mend(series, "the socket left it out")
            elif self._time.now_ms() >= track.due_ms + self._grace_ms(series):
                self._mend(series, "its close did not come")
        self._revision.look(series)

    def _mend(self, series: Series[CandleTrack], reason: str) -> None:
        excused = series.track.next_ms <= series.excused_ms
        self._repair.start(series, series.excuse if excused else reason)

    def _grace_ms(self, series: Series[CandleTrack]) -> int:
        polling = self._feed if isinstance(self._feed, PollingFeed) else self._polling
        if polling is None or (polling is self._polling and series.fallen_s is None):
            return _GRACE_MS
        # it asks at the margin, at its pace, and needs the time of a request or two
        pace_ms = int(1_500 * polling.closed_period_s(series.subscription))
        return _GRACE_MS + self._time.margin_ms + pace_ms

    def _look_trades(self, series: Series[TradeTrack], roomy: bool) -> None:
        if series.parked and roomy:
            series.parked = False
            self._tasks.spawn(self._trade_repair.catch_up(series), f"catching up {series.name}")
        self._silence.look(series)
