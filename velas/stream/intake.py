"""Everything that is heard goes through here: into the track, and out what it releases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from velas.models import BookTicker, Candle, Trade
from velas.stream.candle_track import CandleTrack
from velas.stream.gaps import Gaps
from velas.stream.outlet import Outlet
from velas.stream.series import Series, TickerTrack
from velas.stream.trade_track import TradeTrack
from velas.stream.venue_time import VenueTime

__all__ = ["Intake"]

_AHEAD_MS = 5_000  # clocks and margins; what opens later than that is no candle of this world
_DOUBT_MS = 30_000  # how long after its end REST may still be behind the socket


class Intake:
    """Takes what socket, polling and repair say about a series.

    When the bot has left no room, or the store is too far behind, a series is parked: what
    comes is not taken, and asked for again by REST when there is room; what was held behind
    a hole stays held. So nothing is lost, and nothing piles up.
    """

    def __init__(self, outlet: Outlet, gaps: Gaps, time: VenueTime, counters: Counter[str]) -> None:
        self._outlet = outlet
        self._gaps = gaps
        self._time = time
        self._counters = counters

    def candle(self, series: Series[CandleTrack], candle: Candle) -> None:
        """Take a candle, forming or closed."""
        track = series.track
        if candle.timestamp != track.next_ms and not self._plausible(track, candle):
            return
        if not candle.is_closed:
            if track.update(candle) and not series.parked:
                self._outlet.forming(candle, track.key)
            return
        if track.interval.end_of(candle.timestamp) > self._time.now_ms() + _AHEAD_MS:
            self._counters["closed_early"] += 1  # REST will say what it was in the end
            return
        room = self._outlet.room_for(track.key)
        if series.parked or room <= 0:
            track.seen_ms = max(track.seen_ms, track.interval.floor(candle.timestamp))
            series.excused_ms = track.seen_ms
            self._park(series)
        elif self._final(track, candle):
            final = candle.source == "rest" and self._time.settled_ms() >= track.interval.end_of(
                candle.timestamp
            )
            self._send_candles(series, track.close(candle, room, final=final))

    def release_candles(self, series: Series[CandleTrack]) -> None:
        """Send on what is held and nothing is missing in front of, if there is room."""
        track = series.track
        self._send_candles(series, track.release(self._outlet.room_for(track.key)))

    def skip_candles(self, series: Series[CandleTrack], end_ms: int, reason: str) -> None:
        """Declare what is missing before `end_ms` absent and go on behind it."""
        self._gaps.give_up(series, end_ms, reason)
        track = series.track
        self._send_candles(series, track.skip(end_ms, self._outlet.room_for(track.key)))
        self._gaps.settle(series)

    def trade(self, series: Series[TradeTrack], trade: Trade) -> None:
        """Take a trade."""
        room = self._outlet.room
        if series.parked or room <= 0:
            if series.track.contiguous:
                self._park(series)
            else:
                self._counters["trades_lost"] += 1
                self._outlet.say_slow()
            return
        self._send_trades(series, series.track.take(trade, room), room)

    def release_trades(self, series: Series[TradeTrack]) -> None:
        """Send on what is held and nothing is missing in front of, if there is room."""
        room = self._outlet.room
        self._send_trades(series, series.track.release(room), room)

    def skip_trades(self, series: Series[TradeTrack], end_id: int, reason: str) -> None:
        """Declare the missing ids below `end_id` absent and go on behind them."""
        self._gaps.give_up(series, end_id, reason)
        room = self._outlet.room
        self._send_trades(series, series.track.skip(end_id, room), room)
        self._gaps.settle(series)

    def book_ticker(self, series: Series[TickerTrack], ticker: BookTicker) -> None:
        """Take a book ticker."""
        if series.track.take(ticker):
            self._outlet.book_ticker(ticker)

    def _send_candles(self, series: Series[CandleTrack], candles: Sequence[Candle]) -> None:
        track = series.track
        for candle in candles:
            self._outlet.candle(candle, track.key)
        if candles:
            self._counters["closed"] += len(candles)
            if track.forming is not None:  # it waited behind them
                self._outlet.forming(track.forming, track.key)
            if series.gap is not None:
                self._gaps.settle(series)
        if track.ready:
            self._park(series)

    def _send_trades(self, series: Series[TradeTrack], trades: Sequence[Trade], room: int) -> None:
        for trade in trades:
            self._outlet.trade(trade)
        count = len(trades)
        self._counters["trades"] += count
        if series.gap is not None:
            self._gaps.settle(series)
        if count >= room and series.track.ready:
            self._park(series)

    def _plausible(self, track: CandleTrack, candle: Candle) -> bool:
        if candle.timestamp > self._time.now_ms() + _AHEAD_MS:
            self._counters["from_the_future"] += 1
            return False
        if candle.source == "ws" and track.interval.floor(candle.timestamp) != candle.timestamp:
            # Spot had such bars once, for hours (binance-facts 1.4): REST decides
            self._counters["off_grid"] += 1
            return False
        return True

    def _final(self, track: CandleTrack, candle: Candle) -> bool:
        if candle.source == "ws":
            return True
        heard = track.forming
        if heard is None or heard.timestamp != candle.timestamp:
            return True
        # Spot klines come from a database that may be behind the engine (binance-facts 1.4)
        behind = candle.trades is not None and candle.trades < (heard.trades or 0)
        if behind and self._time.now_ms() < track.due_ms + _DOUBT_MS:
            self._counters["rest_behind"] += 1
            return False
        return True

    def _park(self, series: Series[CandleTrack] | Series[TradeTrack]) -> None:
        if not series.parked:
            series.parked = True
            if self._outlet.room <= 0:
                series.excuse = "the bot was too slow"
                self._outlet.say_slow()
            else:
                series.excuse = "the store was behind"
