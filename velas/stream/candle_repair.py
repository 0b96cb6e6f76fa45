"""Fetches by REST the closed candles that the socket did not deliver."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from velas.errors import Transient, Unsupported
from velas.models import VENUE, Candle
from velas.status import RepairFailed
from velas.stream.candle_asking import Asking, Search
from velas.stream.candle_track import CandleTrack
from velas.stream.desk import Desk
from velas.stream.intake import Intake
from velas.stream.series import Series
from velas.stream.share import Share
from velas.stream.silence import Silence

__all__ = ["CandleRepair"]

_PAUSE_S, _LONGEST_PAUSE_S, _LONGEST_REFUSED_S = 0.5, 30.0, 600.0
_SLICE_S = 1.0
_SEAM_MS = 3_000
_ROUTINE_MS = 10_000
_CONFIRM_S = 2.0  # two answers this far apart must agree that a candle is absent
_AT_ONCE = 8
_SHARE = 0.2  # of the venue's request budget, at most, for asking again


class CandleRepair:
    """Heals one series at a time per series, a few series at once, in the live lane.

    What is overdue costs one request for each page of candles. A candle is declared
    absent only if two answers name a later one and not it: an answer without rows proves
    nothing. Meanwhile the series is not polled, so that nobody asks twice for the same.
    Where the feed does not tell closes (`tells_closes`), REST closes every candle, and
    that is no hole.
    """

    def __init__(
        self, desk: Desk, intake: Intake, silence: Silence, *, tells_closes: bool = True
    ) -> None:
        self._time = desk.time
        self._clock = desk.clock
        self._say = desk.say
        self._gaps = desk.gaps
        self._trouble = desk.trouble
        self._tasks = desk.tasks
        self._intake = intake
        self._silence = silence
        self._tells_closes = tells_closes
        self._asking = Asking(desk, lambda: self._signs)
        self._again = Share(desk.exchange.capabilities, desk.clock, _SHARE)
        self._failing: set[tuple[str, str]] = set()  # whose last request failed
        self._refused: set[tuple[str, str]] = set()  # and will not do better by itself
        self._signs = 0  # of life, that the venue gave
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._random = random.Random()

    def overdue(self, series: Series[CandleTrack]) -> bool:
        """Whether REST can have the candle that is to be delivered next."""
        return self._time.served_ms() >= series.track.due_ms

    def start(self, series: Series[CandleTrack], reason: str) -> None:
        """Heal a series, unless that is under way."""
        if series.healing is None and series.track.open and not series.parked:
            work = self._heal(series, reason)
            series.healing = self._tasks.spawn(work, f"repair of {series.name}")

    def sign_of_life(self) -> None:
        """Let those that wait because their request failed try again now."""
        self._signs += 1

    async def _heal(self, series: Series[CandleTrack], reason: str) -> None:
        pause_s, search = _PAUSE_S, Search()
        self._silence.pause_polling(series)
        try:
            while self.overdue(series) and not series.parked:
                if not self._is_expected(series):
                    self._gaps.detect(series, self._hole_end_ms(series.track), reason)
                if await self._round(series, search):
                    pause_s = _PAUSE_S
                    continue
                if series.doubted is not None:
                    await self._clock.sleep(_CONFIRM_S)
                elif await self._news(series.track, pause_s):
                    pause_s = _PAUSE_S
                else:
                    pause_s = min(2 * pause_s, self._longest_s(series.track))
                await self._turn(series)
        finally:
            series.healing = None
            self._silence.resume_polling(series)

    def _is_expected(self, series: Series[CandleTrack]) -> bool:
        track, now_ms = series.track, self._time.now_ms()
        if not self._tells_closes and track.next_held_ms is None:
            return now_ms < track.due_ms + self._time.margin_ms + _ROUTINE_MS
        # what ended before the stream was at work is fetched, not missed; unless that fails
        settled_ms = series.opened_ms + _SEAM_MS
        return track.due_ms <= settled_ms and now_ms < settled_ms + _SEAM_MS

    def _hole_end_ms(self, track: CandleTrack) -> int:
        held_ms = track.next_held_ms
        return track.interval.floor(self._time.served_ms()) if held_ms is None else held_ms

    def _longest_s(self, track: CandleTrack) -> float:
        return _LONGEST_REFUSED_S if track.key in self._refused else _LONGEST_PAUSE_S

    async def _turn(self, series: Series[CandleTrack]) -> None:
        # a venue that has halted has nothing for anybody, however often it is asked
        while not self._again.take(series.subscription):
            await self._clock.sleep(_SLICE_S * self._random.uniform(1.0, 2.0))

    async def _news(self, track: CandleTrack, pause_s: float) -> bool:
        """Wait, at most until something is new that makes asking worthwhile; say so."""
        seen_ms, held_ms, signs = track.seen_ms, track.next_held_ms, self._signs
        until_s = self._clock.monotonic_s() + pause_s * self._random.uniform(0.7, 1.0)
        while (left_s := until_s - self._clock.monotonic_s()) > 0:
            await self._clock.sleep(min(left_s, _SLICE_S))
            if track.seen_ms != seen_ms or track.next_held_ms != held_ms:
                return True
            if track.key in self._failing and self._signs != signs:
                return True
        return False

    async def _round(self, series: Series[CandleTrack], search: Search) -> bool:
        """Ask, page by page until there is something; say whether the series got on."""
        before_ms = series.track.next_ms
        try:
            candles = await self._found(series, search)
        except Unsupported as error:  # REST will never have it: what waits behind it goes on
            self._trouble.note(error, f"repair of {series.name}")
            held_ms = series.track.next_held_ms
            if held_ms is not None and not series.parked:
                self._intake.skip_candles(series, held_ms, str(error))
            return series.track.next_ms > before_ms
        except Exception as error:  # also a bug of an adapter: the hole stays one
            self._fail(series, error)
            search.restart()
            return False
        self._failing.discard(series.track.key)
        self._refused.discard(series.track.key)
        self.sign_of_life()
        self._take(series, candles)
        return series.track.next_ms > before_ms

    async def _found(self, series: Series[CandleTrack], search: Search) -> Sequence[Candle]:
        track = series.track
        while True:
            async with self._slots:
                candles = await self._asking.answer(series, search)
            if candles:
                search.restart()
                return candles
            served_ms = self._time.served_ms()
            end_ms, rows = search.end_ms(track, served_ms), self._asking.rows(track, search)
            if not search.found_nothing(track, end_ms, rows, served_ms):
                return candles

    def _fail(self, series: Series[CandleTrack], error: Exception) -> None:
        key = series.track.key
        self._trouble.note(error, f"repair of {series.name}")
        self._failing.add(key)
        series.doubted = None
        if not isinstance(error, Transient) and key not in self._refused:
            self._refused.add(key)
            reason = f"{type(error).__name__}: {error}"
            self._say(RepairFailed(**series.about(self._clock.now_ms()), reason=reason))

    def _take(self, series: Series[CandleTrack], candles: Sequence[Candle]) -> None:
        track, start_ms = series.track, series.track.next_ms
        for candle in candles:
            self._silence.show(series, candle)
            self._intake.candle(series, candle)
        if candles and track.next_ms == start_ms and not series.parked:
            first_ms = track.interval.floor(candles[0].timestamp)
            if first_ms > start_ms:
                self._doubt(series, start_ms, first_ms)

    def _doubt(self, series: Series[CandleTrack], start_ms: int, end_ms: int) -> None:
        held_ms = series.track.next_held_ms  # REST may lack it although the socket closed it
        end_ms = end_ms if held_ms is None else min(end_ms, held_ms)
        if series.doubted != (start_ms, end_ms):
            series.doubted = (start_ms, end_ms)  # asked again after a while
        else:
            series.doubted = None
            self._intake.skip_candles(series, end_ms, VENUE)
