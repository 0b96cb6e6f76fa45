"""Remembers, across a restart, which stored candles REST was not compared with yet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from velas.ledger import Ledger
from velas.stream.candle_track import CandleTrack
from velas.stream.desk import Desk
from velas.stream.outlet import Outlet
from velas.stream.series import Series
from velas.symbols import series_key

__all__ = ["Watermarks"]

_EVERY_S = 60.0
_SPARE_MS = 150_000  # what may be stored before the next mark is written

Range = tuple[int, int]


class Watermarks:
    """Keeps in the ledger a range for each series: all that is unchecked lies in it.

    It is written before the first candle in it is stored, and moves on once a minute, so
    that a crash costs no check. Does nothing without a ledger.
    """

    def __init__(
        self,
        desk: Desk,
        ledger: Ledger | Path | None,
        outlet: Outlet,
        candles: Mapping[tuple[str, str], Series[CandleTrack]],
    ) -> None:
        self._ledger = ledger
        self._name = desk.exchange.name
        self._clock = desk.clock
        self._time = desk.time
        self._trouble = desk.trouble
        self._outlet = outlet
        self._candles = candles
        self._known: dict[tuple[str, str], Range] = {}

    async def recall(self) -> None:
        """Read what an earlier run has left."""
        if self._ledger is None:
            return
        try:
            self._known = await asyncio.to_thread(self._read)
        except Exception as error:  # then the newest candles have to do
            self._trouble.note(error, "what is unchecked")

    def range_of(self, track: CandleTrack) -> Range | None:
        """Return where candles lie that an earlier run stored unchecked."""
        return self._known.get(_key(track))

    async def begin(self) -> None:
        """Write the marks of a stream that is about to store its first candle."""
        await self._write(at_start=True)

    async def keep(self) -> None:
        """Move the marks on, again and again."""
        while True:
            await self._clock.sleep(_EVERY_S)
            await self._write()

    async def finish(self) -> None:
        """Write what is left; when everything is stored."""
        await self._write(at_end=True)

    async def _write(self, *, at_start: bool = False, at_end: bool = False) -> None:
        if self._ledger is None or not self._candles:
            return
        marks: dict[tuple[str, str], Range | None] = {}
        for series in self._candles.values():
            start_ms, end_ms = self._range(series.track, at_start=at_start, at_end=at_end)
            nothing = at_end and start_ms >= end_ms
            marks[_key(series.track)] = None if nothing else (start_ms, end_ms)
        try:
            await asyncio.to_thread(self._save, marks)
        except Exception as error:  # candles go first; checked they are all the same
            self._trouble.note(error, "what is unchecked")
            return
        self._known |= {key: mark for key, mark in marks.items() if mark is not None}

    def _read(self) -> dict[tuple[str, str], Range]:
        with self._opened() as ledger:
            return ledger.unchecked(self._name)

    def _save(self, marks: Mapping[tuple[str, str], Range | None]) -> None:
        with self._opened() as ledger:
            ledger.set_unchecked(self._name, marks)

    def _opened(self) -> AbstractContextManager[Ledger]:
        if isinstance(self._ledger, Path):  # nobody keeps it open for us
            return Ledger(self._ledger)
        assert self._ledger is not None
        return nullcontext(self._ledger)

    def _range(self, track: CandleTrack, *, at_start: bool, at_end: bool) -> Range:
        start_ms = track.unchecked.first_ms if len(track.unchecked) else track.next_ms
        known = self._known.get(_key(track))
        if at_start:  # of history, what is too young to be final will be unchecked, too
            start_ms = min(start_ms, track.interval.floor(self._time.settled_ms()))
        if known is not None and (at_start or not self._outlet.idle(track.key)):
            start_ms = min(start_ms, known[0])  # a correction may be on its way to the disk
        end_ms = track.next_ms
        if not at_end:
            end_ms = max(end_ms, track.interval.next_open(self._time.now_ms() + _SPARE_MS))
        return start_ms, end_ms


def _key(track: CandleTrack) -> tuple[str, str]:
    return series_key(track.symbol), track.interval.name
