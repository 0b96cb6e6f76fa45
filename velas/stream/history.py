"""The past of a series, joined to its live candles without a seam."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING

import attrs
import numpy as np

from velas import frames
from velas.candles import candles_of
from velas.errors import BadRequest, Unsupported
from velas.interval import Interval
from velas.models import Candle
from velas.status import CatchingUp
from velas.stream.candle_track import CandleTrack
from velas.stream.desk import Desk
from velas.stream.outlet import Outlet
from velas.stream.revision import Revision
from velas.stream.series import Series
from velas.stream.tasks import until
from velas.stream.watermark import Watermarks

if TYPE_CHECKING:
    import pandas as pd

    from velas.protocols import Store

__all__ = ["Warmth"]

_FAILURES = 3  # of one series, each after the adapter's own retries: live candles go first
_PATIENCE_S = 20.0  # without a page for any series: the venue hangs
_SLICE_S = 1.0
_LONGEST_PAUSE_S = 600.0
_AT_ONCE = 4
_MUCH, _TELL_EVERY_S = 5_000, 10.0


@attrs.define
class _Missing:
    at_ms: int  # what opens from here on is still to be fetched
    end_ms: int
    tail_ms: int | None = None  # from here on what is stored is to be checked with it
    tell_at_s: float = float("-inf")
    rows: int = 0  # that came
    told: bool = False  # that it is missing, as live candles do not wait for it any more
    start_ms: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.start_ms = self.at_ms


class Warmth:
    """Fills the memory of a series before its first live candle is delivered.

    From the store comes what is there; from REST what is missing since, all of it, and
    it is stored first. What was stored last may never have been checked: it is asked for
    along with that, or checked later. Without a store, or with an empty one, REST gives
    the memory's length. Until that is done live candles wait - but not for a history that the venue
    fails to give: then they go first, and a `GapDetected` names what is missing.
    """

    def __init__(
        self,
        desk: Desk,
        store: Store | None,
        outlet: Outlet,
        revision: Revision,
        marks: Watermarks,
        *,
        memory: int,
    ) -> None:
        self._exchange = desk.exchange
        self._clock = desk.clock
        self._gaps = desk.gaps
        self._trouble = desk.trouble
        self._store = store
        self._outlet = outlet
        self._revision = revision
        self._marks = marks
        self._memory = memory
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._open: dict[tuple[str, str], _Missing] = {}
        self._moved_s = desk.clock.monotonic_s()  # when any series got on
        self._storing = 0  # pages that are being written

    async def load(self, series: Series[CandleTrack]) -> None:
        """Remember what the store has in front of `next_ms`; does nothing without a store.

        Raises:
            StoreError: the series cannot be read; a damaged one is no reason to go on.
        """
        if self._store is not None:
            async with self._slots:
                self._recall(series.track, await self._stored(self._store, series.track))
                await self._recall_unchecked(self._store, series.track)
        self._moved_s = self._clock.monotonic_s()

    async def patience(self, series: Series[CandleTrack], done: asyncio.Event) -> None:
        """Return when `done` is set, or no series has got on for a while."""
        while not await until(done, self._clock, _SLICE_S):
            if self._storing:  # it is the disk that takes long, and live candles need it, too
                self._moved_s = self._clock.monotonic_s()
            if self._clock.monotonic_s() - self._moved_s > _PATIENCE_S:
                missing = self._open.get(series.track.key)
                if missing is not None:
                    self._tell_missing(series, missing)
                return

    def _tell_missing(self, series: Series[CandleTrack], missing: _Missing) -> None:
        if not missing.told:
            missing.told, missing.rows = True, 0
            missing.start_ms = missing.at_ms
            self._gaps.tell_history(series, missing.start_ms, missing.end_ms)

    async def fetch(self, series: Series[CandleTrack], done: asyncio.Event) -> None:
        """Remember, and store, what is missing since; tries until the venue answers.

        `done` is set when the series need not wait any longer.
        """
        for start_ms, end_ms in self._missing(series.track):
            tail_ms = self._tail(series.track, start_ms)
            await self._fill(series, _Missing(start_ms, end_ms, tail_ms), done)
        done.set()

    async def _fill(
        self, series: Series[CandleTrack], missing: _Missing, done: asyncio.Event
    ) -> None:
        failures = 0
        self._open[series.track.key] = missing
        while not await self._fetched(series, missing):
            failures += 1
            if failures == _FAILURES:
                self._tell_missing(series, missing)
                done.set()
            await self._clock.sleep(min(2.0 ** min(failures - 1, 10), _LONGEST_PAUSE_S))
        del self._open[series.track.key]
        if missing.told:
            if missing.at_ms >= missing.end_ms:
                self._gaps.tell_history(series, missing.start_ms, missing.end_ms, missing.rows)
        elif missing.at_ms < missing.end_ms == series.track.next_ms and _joins(series, missing):
            # REST is behind: what it does not have yet is left to repair, which waits for it
            series.track.begin_at(missing.at_ms)

    async def _fetched(self, series: Series[CandleTrack], missing: _Missing) -> bool:
        track = series.track
        if missing.at_ms >= missing.end_ms:
            return True
        try:
            async with self._slots, aclosing(self._pages(track, missing)) as pages:
                async for page in pages:
                    await self._take(track, missing, page)
                    self._moved_s = self._clock.monotonic_s()
                    self._tell_progress(track, missing)
        except (Unsupported, BadRequest) as error:  # a recording, say, that has no more
            self._trouble.note(error, f"history of {series.name}")
            if missing.tail_ms is not None:  # nor what lies in front of it, perhaps
                missing.tail_ms = None
                return await self._fetched(series, missing)
        except Exception as error:  # of the venue, of the store, or a bug of either
            self._trouble.note(error, f"history of {series.name}")
            return False
        return True

    async def _take(self, track: CandleTrack, missing: _Missing, page: list[Candle]) -> None:
        if missing.tail_ms is not None:
            asked = missing.tail_ms, min(missing.at_ms, self._revision.settled(track))
            self._revision.compare(track, asked, page)
        page = [candle for candle in page if candle.timestamp >= missing.at_ms]
        if not page:
            return
        missing.tail_ms = None
        self._storing += 1
        try:
            await self._outlet.append(page, track.key)
        finally:
            self._storing -= 1
        track.remember(page)
        missing.rows += len(page)
        missing.at_ms = track.interval.next_open(page[-1].timestamp)
        settled_ms = self._revision.settled(track)
        for candle in page:
            if candle.timestamp >= settled_ms:  # REST may say otherwise in a moment
                track.unchecked.add(candle)

    def _tell_progress(self, track: CandleTrack, missing: _Missing) -> None:
        now_s = self._clock.monotonic_s()
        left = track.interval.count(missing.at_ms, missing.end_ms)
        if left < _MUCH or now_s < missing.tell_at_s:
            return
        missing.tell_at_s = now_s + _TELL_EVERY_S
        self._outlet.say(
            CatchingUp(
                at_ms=self._clock.now_ms(),
                channel="candles",
                symbol=track.symbol,
                interval=track.interval.name,
                missing=left,
            )
        )

    async def _stored(self, store: Store, track: CandleTrack) -> list[Candle]:
        tail = self._revision.reach(track.interval)
        start_ms = _back(track.interval, track.next_ms, max(self._memory, tail))

        def load() -> pd.DataFrame:
            last_ms = store.get_stats(track.symbol, track.interval).last_ms
            first_ms = start_ms
            if last_ms is not None:  # a series that ends before the memory begins: its tail
                first_ms = min(start_ms, _back(track.interval, last_ms, tail - 1))
            return store.load(track.symbol, track.interval, start_ms=first_ms, end_ms=track.next_ms)

        frame = await asyncio.to_thread(load)
        return candles_of(frame, track.symbol, track.interval.name)

    def _recall(self, track: CandleTrack, stored: list[Candle]) -> None:
        track.remember(stored)
        if stored:
            tail = self._revision.reach(track.interval)
            tail_ms = _back(track.interval, stored[-1].timestamp, tail - 1)
            for candle in stored[-tail:]:
                if candle.timestamp >= tail_ms:
                    track.unchecked.add(candle)

    async def _recall_unchecked(self, store: Store, track: CandleTrack) -> None:
        mark = self._marks.range_of(track)
        if mark is None:
            return
        start_ms, end_ms = mark[0], min(mark[1], track.next_ms)
        symbol, interval = track.symbol, track.interval
        frame = await asyncio.to_thread(
            store.load, symbol, interval, start_ms=start_ms, end_ms=max(start_ms, end_ms)
        )
        for candle in candles_of(frame, symbol, interval.name):
            track.unchecked.add(candle)

    def _tail(self, track: CandleTrack, start_ms: int) -> int | None:
        # only in front of what is asked for anyway; else it is checked with the live ones
        unchecked, reached_ms = track.unchecked, self._revision.reached(track)
        touches = track.memory and track.interval.next_open(track.memory[-1].timestamp) == start_ms
        if touches and len(unchecked) and reached_ms < start_ms:
            return max(unchecked.first_ms, reached_ms)
        return None

    def _missing(self, track: CandleTrack) -> list[tuple[int, int]]:
        known = np.array([candle.timestamp for candle in track.memory], dtype=np.int64)
        start_ms = _back(track.interval, track.next_ms, self._memory)
        if len(known):
            start_ms = min(start_ms, track.interval.next_open(int(known[-1])))
        holes = frames.gaps(known, track.interval, start_ms=start_ms, end_ms=track.next_ms)
        return [(hole.start_ms, hole.end_ms) for hole in holes]

    async def _pages(
        self, track: CandleTrack, missing: _Missing
    ) -> AsyncGenerator[list[Candle], None]:
        pages = self._exchange.iter_candles(
            track.symbol,
            track.interval,
            start_ms=missing.at_ms if missing.tail_ms is None else missing.tail_ms,
            end_ms=missing.end_ms,
        )
        closing = aclosing(pages) if isinstance(pages, AsyncGenerator) else nullcontext()
        async with closing:
            async for frame in pages:
                page = candles_of(frame, track.symbol, track.interval.name)
                if page:
                    yield page


def _back(interval: Interval, open_ms: int, count: int) -> int:
    # a memory longer than the calendar begins with it
    return interval.open_of(max(0, interval.slot(open_ms) - count))


def _joins(series: Series[CandleTrack], missing: _Missing) -> bool:
    # something is known right in front of what REST lacks; else it may be a new listing
    track = series.track
    if missing.at_ms > missing.start_ms:
        return True
    return bool(track.memory) and (
        track.interval.next_open(track.memory[-1].timestamp) >= missing.start_ms
    )
