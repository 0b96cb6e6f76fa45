"""Compares what was delivered, or stored by an earlier run, with what REST says later."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import attrs

from velas.adapter import lane
from velas.candles import candles_of, same_row
from velas.errors import BadRequest, Unsupported
from velas.interval import Interval
from velas.limits import RequestType
from velas.models import Candle
from velas.status import CandleRevised, CandlesUnchecked, CandleUnconfirmed
from velas.stream.candle_track import CandleTrack
from velas.stream.desk import Desk
from velas.stream.series import Series
from velas.stream.venue_time import SETTLED_MS

__all__ = ["Revision"]

_EVERY_S = 60.0
_SOON_S = 10.0  # if there is a doubt, or more than one request can check
_AT_ONCE = 4
_SHARE = 0.05  # of the venue's request budget, at most
_BURST_S = 1.0
_TAIL = 20  # stored candles that an earlier run may not have checked, at least
_MOST = 1_000_000  # candles that wait to be checked, of all series together: 0.1 GB
_LEAST = 100
_SPARE_SLOTS = 2  # may begin before an answer comes
_GONE_MS = 3_600_000  # what REST does not have that long after is not behind, but not there

Range = tuple[int, int]


class Revision:
    """Checks every candle once against REST, many with one request.

    The series take turns, and all checks together keep to a share of the budget. What can
    not be checked any more is told as `CandlesUnchecked`, and counted.
    """

    def __init__(self, desk: Desk, candles: Mapping[tuple[str, str], Series[CandleTrack]]) -> None:
        self._exchange = desk.exchange
        self._time = desk.time
        self._clock = desk.clock
        self._say = desk.say
        self._trouble = desk.trouble
        self._tasks = desk.tasks
        self._counters = desk.counters
        self._candles = candles
        self._queue: deque[Series[CandleTrack]] = deque()
        self._busy: set[tuple[str, str]] = set()  # in the queue, or being checked
        self._failing: set[tuple[str, str]] = set()
        self._running = 0
        self._next_s = 0.0  # when the budget's share has room for another request

    def look(self, series: Series[CandleTrack]) -> None:
        """Put a series in the queue if a check is due, and start what may be started."""
        track = series.track
        now_s = self._clock.monotonic_s()
        self._bound(series)
        if series.healing is not None:
            series.healed_s = now_s
        calm = now_s >= series.healed_s + _SOON_S  # what is missing goes first, of all series
        if calm and len(track.unchecked) and track.key not in self._busy:
            if not series.checked_s:  # the first checks of many series are spread
                series.checked_s = now_s - _EVERY_S * series.phase
            if self._due(series, now_s):
                self._busy.add(track.key)
                self._queue.append(series)
        self._start(now_s)

    def reach(self, interval: Interval) -> int:
        """Return how many candles, of those stored last, an earlier run may not have checked."""
        period_s = max(_EVERY_S, self._gap_s() * len(self._candles))
        unchecked = int(period_s * 1000 + SETTLED_MS) // interval.length_ms
        return min(_TAIL + unchecked, self._exchange.capabilities.page_rows)

    def settled(self, track: CandleTrack) -> int:
        """Return the open time from which on REST may say otherwise later."""
        return track.interval.floor(self._time.settled_ms())

    def reached(self, track: CandleTrack) -> int:
        """Return the open time from which on REST has candles at all."""
        newest = self._exchange.capabilities.newest_rows
        if newest is None:
            return 0
        grid = track.interval
        return grid.open_of(max(0, grid.slot(self._time.now_ms()) - newest + _SPARE_SLOTS))

    def compare(self, track: CandleTrack, asked: Range, said: Sequence[Candle]) -> bool:
        """Compare with the answer for a range what lies in it; say whether that was anything.

        An answer may be cut short: what is newer than its last candle is compared later.
        """
        rows = {candle.timestamp: candle for candle in said}
        if not rows:
            return False
        told = track.unchecked.take(asked[0], min(asked[1], max(rows) + 1))
        for before in told:
            known, after = before, rows.get(before.timestamp)
            if after is None:
                self._unconfirmed(track, before)
            elif not same_row(before, after):
                known = self._revise(track, before, after)
            self._counters["checked"] += 1
            if before.timestamp in track.unchecked.doubted:  # since this was asked
                track.unchecked.add(known)
        return bool(told)

    # -- when ------------------------------------------------------------------------

    def _due(self, series: Series[CandleTrack], now_s: float) -> bool:
        track = series.track
        doubted = track.unchecked.doubted
        many = len(track.unchecked) > self._exchange.capabilities.page_rows
        soon = (doubted or many) and track.key not in self._failing
        waited_s = now_s - series.checked_s
        if waited_s < (_SOON_S if soon else _EVERY_S):
            return False
        self._forget_unreached(series)
        if not len(track.unchecked):
            return False
        end_ms = self.settled(track)
        if waited_s < _EVERY_S and not many:
            return min(doubted, default=end_ms) < end_ms
        return track.unchecked.first_ms < end_ms

    def _start(self, now_s: float) -> None:
        while self._queue and self._running < _AT_ONCE and now_s >= self._next_s:
            self._next_s = max(self._next_s, now_s - _BURST_S) + self._gap_s()
            self._running += 1
            series = self._queue.popleft()
            series.checked_s = now_s
            self._tasks.spawn(self._check(series), f"check of {series.name}")

    def _gap_s(self) -> float:
        able = self._exchange.capabilities
        if able.weight_per_minute is not None:
            return 60.0 * max(1, able.page_weight) / (_SHARE * able.weight_per_minute)
        return 1.0 / (_SHARE * (able.requests_per_second or 1.0))

    # -- one request -----------------------------------------------------------------

    async def _check(self, series: Series[CandleTrack]) -> None:
        track = series.track
        asked = self._range(track)
        doubts = {one for one in track.unchecked.doubted if asked[0] <= one < asked[1]}
        track.unchecked.doubted -= doubts
        self._failing.add(track.key)
        try:
            got_on = self.compare(track, asked, await self._ask(track, asked))
        except Unsupported as error:  # a recording, say: it is noted once
            self._trouble.note(error, f"check of {series.name}")
            self._counters["unchecked"] += len(track.unchecked.take(*asked))
        except Exception as error:  # also a bug of an adapter: checked again later
            self._trouble.note(error, f"check of {series.name}")
            track.unchecked.doubted |= doubts
            if isinstance(error, BadRequest):
                self._give_up(series, asked)
        else:
            self._failing.discard(track.key)
            if not got_on:
                self._give_up(series, asked)
        finally:
            self._running -= 1
            self._busy.discard(track.key)

    def _range(self, track: CandleTrack) -> Range:
        end_ms = self.settled(track)
        unchecked, grid = track.unchecked, track.interval
        start_ms = min((one for one in unchecked.doubted if one < end_ms), default=end_ms)
        if start_ms == end_ms:
            start_ms = unchecked.first_ms
        page_ms = grid.open_of(grid.slot(start_ms) + self._exchange.capabilities.page_rows - 1)
        last_ms = unchecked.last_before(max(min(end_ms, page_ms), start_ms + 1))
        # with the one behind it, whose presence proves that the last is absent
        return start_ms, max(min(end_ms, grid.open_of(grid.slot(last_ms) + 2)), last_ms + 1)

    async def _ask(self, track: CandleTrack, asked: Range) -> Sequence[Candle]:
        start_ms, end_ms = asked
        rows = track.interval.count(track.interval.floor(start_ms), end_ms)
        with lane(RequestType.LIVE):
            frame = await self._exchange.fetch_candles(
                track.symbol,
                track.interval,
                start_ms=start_ms,
                end_ms=end_ms,
                limit=min(rows, self._exchange.capabilities.page_rows),
            )
        return candles_of(frame, track.symbol, track.interval.name)

    # -- what comes of it ------------------------------------------------------------

    def _unconfirmed(self, track: CandleTrack, candle: Candle) -> None:
        self._counters["unconfirmed"] += 1
        self._say(
            CandleUnconfirmed(
                at_ms=self._clock.now_ms(),
                channel="candles",
                symbol=track.symbol,
                interval=track.interval.name,
                candle=candle,
            )
        )

    def _revise(self, track: CandleTrack, before: Candle, after: Candle) -> Candle:
        after = attrs.evolve(after, sequence=before.sequence)
        track.revise(before, after)
        self._counters["revised"] += 1
        self._say(
            CandleRevised(
                at_ms=self._clock.now_ms(),
                channel="candles",
                symbol=track.symbol,
                interval=track.interval.name,
                before=before,
                after=after,
            )
        )
        return after

    def _bound(self, series: Series[CandleTrack]) -> None:
        unchecked = series.track.unchecked
        most = max(_LEAST, _MOST // len(self._candles))
        if len(unchecked) > most:  # a tenth at once: told of a few times, not for each candle
            first_ms, last_ms = unchecked.oldest(len(unchecked) - most + most // 10)
            self._lose(series, (first_ms, last_ms + 1), "too many for too long without an answer")

    def _forget_unreached(self, series: Series[CandleTrack]) -> None:
        reached_ms = self.reached(series.track)
        if series.track.unchecked.first_ms < reached_ms:
            self._lose(series, (0, reached_ms), "older than what the venue gives by REST")

    def _give_up(self, series: Series[CandleTrack], asked: Range) -> None:
        if asked[1] < self._time.now_ms() - _GONE_MS:
            self._lose(series, asked, "the venue does not have them any more")

    def _lose(self, series: Series[CandleTrack], lost: Range, reason: str) -> None:
        unchecked = series.track.unchecked
        candles = unchecked.take(*lost)
        unchecked.doubted.difference_update(candle.timestamp for candle in candles)
        if not candles:
            return
        self._counters["unchecked"] += len(candles)
        self._say(
            CandlesUnchecked(
                **series.about(self._clock.now_ms()),
                start_ms=candles[0].timestamp,
                end_ms=series.track.interval.next_open(candles[-1].timestamp),
                count=len(candles),
                reason=reason,
            )
        )
