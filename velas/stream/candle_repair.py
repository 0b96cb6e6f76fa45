"""Fetches by REST the closed candles that the socket did not deliver."""

from __future__ import annotations

import asyncio
import random

import pandas as pd

from velas.adapter import lane
from velas.candles import candles_of
from velas.errors import Unsupported
from velas.limits import RequestType
from velas.models import VENUE
from velas.stream.candle_track import CandleTrack
from velas.stream.desk import Desk
from velas.stream.intake import Intake
from velas.stream.series import Series
from velas.stream.silence import Silence

__all__ = ["CandleRepair"]

_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_SLICE_S = 1.0
_SEAM_MS = 3_000
_STALE_S = 5.0  # younger requests are only slow, whatever else is being repeated
_CONFIRM_S = 2.0  # two answers this far apart must agree that a candle is absent
_AT_ONCE = 8


class CandleRepair:
    """Heals one series at a time per series, a few series at once, in the live lane.

    What is overdue costs one request for each page of candles. A candle is declared
    absent only if two answers name a later one and not it: an answer without rows proves
    nothing. Meanwhile the series is not polled, so that nobody asks twice for the same.
    """

    def __init__(self, desk: Desk, intake: Intake, silence: Silence) -> None:
        self._exchange = desk.exchange
        self._time = desk.time
        self._clock = desk.clock
        self._gaps = desk.gaps
        self._trouble = desk.trouble
        self._tasks = desk.tasks
        self._intake = intake
        self._silence = silence
        self._failing: set[tuple[str, str]] = set()  # whose last request failed
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
        pause_s = _PAUSE_S
        self._silence.pause_polling(series)
        try:
            while self.overdue(series) and not series.parked:
                if not self._is_seam(series):
                    self._gaps.detect(series, self._end(series.track), reason)
                if await self._round(series):
                    pause_s = _PAUSE_S
                    continue
                if series.doubted is not None:
                    await self._clock.sleep(_CONFIRM_S)
                elif await self._news(series.track, pause_s):
                    pause_s = _PAUSE_S
                else:
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        finally:
            series.healing = None
            self._silence.resume_polling(series)

    def _is_seam(self, series: Series[CandleTrack]) -> bool:
        # what ended before the stream was at work is fetched, not missed; unless that fails
        settled_ms = series.opened_ms + _SEAM_MS
        return series.track.due_ms <= settled_ms and self._time.now_ms() < settled_ms + _SEAM_MS

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

    async def _round(self, series: Series[CandleTrack]) -> bool:
        """Ask once; say whether the series got on."""
        before_ms = series.track.next_ms
        try:
            async with self._slots:
                frame = await self._answer(series)
        except Unsupported as error:  # REST will never have it: what waits behind it goes on
            self._trouble.note(error, f"repair of {series.name}")
            held_ms = series.track.next_held_ms
            if held_ms is not None and not series.parked:
                self._intake.skip_candles(series, held_ms, str(error))
            return series.track.next_ms > before_ms
        except Exception as error:  # also a bug of an adapter: the hole stays one
            self._trouble.note(error, f"repair of {series.name}")
            self._failing.add(series.track.key)
            series.doubted = None
            return False
        self._failing.discard(series.track.key)
        self.sign_of_life()
        self._take(series, frame)
        return series.track.next_ms > before_ms

    async def _answer(self, series: Series[CandleTrack]) -> pd.DataFrame:
        while True:
            request = asyncio.create_task(self._ask(series), name=f"repair of {series.name}")
            try:
                if not await self._outdated(request, series.track):
                    return await request
            finally:
                request.cancel()
                await asyncio.gather(request, return_exceptions=True)

    async def _outdated(self, request: asyncio.Task[pd.DataFrame], track: CandleTrack) -> bool:
        """Wait for an answer; True if by now another question is better than trying on.

        The exchange repeats what fails, ever more slowly, and with the range of back then.
        """
        end_ms, signs = self._end(track), self._signs
        retries = self._exchange.usage.retries
        stale_s = self._clock.monotonic_s() + _STALE_S
        while not request.done():
            pause = asyncio.ensure_future(self._clock.sleep(_SLICE_S))
            try:
                await asyncio.wait({request, pause}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                pause.cancel()
            moved = self._end(track) != end_ms or self._signs != signs
            stuck = self._exchange.usage.retries != retries
            if moved and stuck and not request.done() and self._clock.monotonic_s() >= stale_s:
                return True
        return False

    async def _ask(self, series: Series[CandleTrack]) -> pd.DataFrame:
        track = series.track
        end_ms = self._end(track)
        missing = track.interval.count(track.next_ms, end_ms)
        with lane(RequestType.LIVE):
            return await self._exchange.fetch_candles(
                track.symbol,
                track.interval,
                start_ms=track.next_ms,
                end_ms=end_ms,
                limit=max(1, min(missing, self._exchange.capabilities.page_rows)),
            )

    def _end(self, track: CandleTrack) -> int:
        # up to the first candle that waits behind the hole, and with it: its presence in an
        # answer is what proves that one in front of it is absent
        end_ms = track.interval.floor(self._time.served_ms())
        held_ms = track.next_held_ms
        return end_ms if held_ms is None else min(end_ms, track.interval.next_open(held_ms))

    def _take(self, series: Series[CandleTrack], frame: pd.DataFrame) -> None:
        track = series.track
        start_ms = track.next_ms
        candles = candles_of(frame, track.symbol, track.interval.name)
        candles = [candle for candle in candles if candle.timestamp >= start_ms]
        for candle in candles:
            self._intake.candle(series, candle)
        if candles and track.next_ms == start_ms and not series.parked:
            first_ms = track.interval.floor(candles[0].timestamp)
            if first_ms > start_ms:
                self._doubt(series, start_ms, first_ms)

    def _doubt(self, series: Series[CandleTrack], start_ms: int, end_ms: int) -> None:
        if series.doubted != (start_ms, end_ms):
            series.doubted = (start_ms, end_ms)  # asked again after a while
        else:
            series.doubted = None
            self._intake.skip_candles(series, end_ms, VENUE)
