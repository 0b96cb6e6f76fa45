"""Prove what the venue does not have: absence is proved by presence, never by silence.

An empty answer may be a fault; a candle on the far side of a hole cannot be. So a hole is
believed only when one answer names a candle beyond it and shows that it began before it:
with the candle in front of the hole, or because the venue is known to honour the start
(`Capabilities.probe_listing`). Behind the newest candle nothing can prove an absence: that
a series is over is a finding of the day, forgotten as soon as a later candle is stored.
"""

from __future__ import annotations

import attrs
import numpy as np
import pandas as pd

from velas import frames
from velas.history.windows import Slots, runs
from velas.interval import Interval
from velas.models import VENUE, Gap
from velas.protocols import Exchange

__all__ = ["SETTLE_MS", "Answer", "Inquiry", "next_candle_ms"]

SETTLE_MS = 24 * 3_600_000  # the end of a series may still be published later
_MOST_FRUITLESS = 4  # answers in a row that prove nothing, about one hole
_MOST_GIVEN_UP = 8  # holes that nothing could be learned about, until the rest is left too


@attrs.frozen
class Answer:
    """What one answer taught: candles that are there after all, ranges that are not.

    `newest_ms` is where the venue's newest candle opened, when nothing that is still
    missing lies before it: the series is over, as of now.
    """

    recovered: pd.DataFrame
    absent: tuple[Gap, ...]
    newest_ms: int | None = None


class Inquiry:
    """Asks the venue about missing slots, page by page, until each is found or settled.

    `slots` ascend; several holes within a page's reach cost one request. A hole whose
    answers prove nothing is given up after a few. No candle outside `slots` is returned.
    """

    def __init__(self, exchange: Exchange, symbol: str, interval: Interval, slots: Slots) -> None:
        self._exchange = exchange
        self._symbol = symbol
        self._interval = interval
        self._asked = slots
        self._left = slots
        self._start_ms: int | None = None
        self._fruitless = 0
        self._given_up = 0

    @property
    def open(self) -> bool:
        """Whether there is anything left to ask."""
        return bool(len(self._left))

    async def ask(self) -> Answer:
        """Ask once (twice where the first answer is empty) and return what that taught."""
        first = int(self._left[0])
        start_ms = self._start_ms or self._interval.open_of(first - 1)
        limit = self._limit(first)
        rows = await self._exchange.fetch_candles(
            self._symbol, self._interval, start_ms=start_ms, limit=limit
        )
        slots = self._interval.slot(rows["timestamp"].to_numpy(dtype=np.int64))
        if not len(slots) or slots[-1] < first:
            return await self._nothing_from(first)
        began_before = bool(slots[0] <= self._interval.slot(start_ms))
        proves = began_before or self._exchange.capabilities.probe_listing
        return self._learn(rows, slots, first, proves=proves, full=len(rows) >= limit)

    def _limit(self, first: int) -> int:
        """Ask for as many rows as the holes within reach span, and one on either side."""
        most = self._exchange.capabilities.page_rows
        within = self._left[self._left < first + max(1, most - 2)]
        return min(most, int(within[-1]) - first + 3)

    def _learn(
        self, rows: pd.DataFrame, slots: Slots, first: int, *, proves: bool, full: bool
    ) -> Answer:
        last = int(slots[-1])
        inside = self._left[(self._left >= first) & (self._left < last)]
        lacking = inside[~np.isin(inside, slots)]
        absent = _absences(self._interval, lacking) if proves else ()
        wanted = np.isin(slots, self._asked)
        wanted &= rows["timestamp"].to_numpy() != self._start_ms  # came with the page before
        if not proves and not np.isin(slots, self._left).any():
            self._doubt()
            return Answer(frames.empty(), ())
        self._fruitless = 0
        self._left = self._left[self._left > last]
        # two bars may share a slot where they leave the grid, one on either page
        edge = full and bool(wanted[-1])
        self._start_ms = int(rows["timestamp"].iloc[-1]) if edge and self.open else None
        if not proves:
            self._left = np.union1d(lacking, self._left)
            self._doubt()
        return Answer(rows[wanted].reset_index(drop=True), absent)

    async def _nothing_from(self, first: int) -> Answer:
        self._start_ms = None
        newest_ms = await _newest_ms(self._exchange, self._symbol, self._interval)
        if newest_ms is not None and self._interval.slot(newest_ms) < first:
            self._left = self._left[:0]
            return Answer(frames.empty(), (), newest_ms)
        self._doubt()
        return Answer(frames.empty(), ())

    def _doubt(self) -> None:
        """Count an answer that proves nothing; leave the hole after a few, all after many."""
        self._start_ms = None
        self._fruitless += 1
        if self._fruitless < _MOST_FRUITLESS or not self.open:
            return
        self._fruitless = 0
        self._given_up += 1
        hole_end = runs(self._left)[0][1]
        enough = self._given_up >= _MOST_GIVEN_UP
        self._left = self._left[:0] if enough else self._left[self._left >= hole_end]


async def next_candle_ms(
    exchange: Exchange, symbol: str, interval: Interval, start_ms: int, end_ms: int
) -> int:
    """Return where the next candle from `start_ms` on opens, `end_ms` if there is none.

    Where the answers prove nothing, it is `start_ms` itself. So an empty page in the
    middle of years without candles is not followed by all the others.
    """
    rows = await exchange.fetch_candles(symbol, interval, start_ms=start_ms, limit=1)
    if not rows.empty:
        honest = exchange.capabilities.probe_listing
        return min(end_ms, int(rows["timestamp"].iloc[0])) if honest else start_ms
    newest_ms = await _newest_ms(exchange, symbol, interval)
    return end_ms if newest_ms is not None and newest_ms < start_ms else start_ms


async def _newest_ms(exchange: Exchange, symbol: str, interval: Interval) -> int | None:
    newest = await exchange.fetch_candles(symbol, interval, limit=1)
    return None if newest.empty else int(newest["timestamp"].iloc[-1])


def _absences(interval: Interval, slots: Slots) -> tuple[Gap, ...]:
    return tuple(
        Gap(interval.open_of(first), interval.open_of(end), end - first, VENUE)
        for first, end in runs(slots)
    )
