"""Count a series' candles day by day: expected, present, and the venue's own absences."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import attrs
import numpy as np
import numpy.typing as npt

from velas.interval import Interval
from velas.models import VENUE, Gap

__all__ = ["DAY_MS", "DayCounts", "Level", "count_days", "whole_share"]

DAY_MS = 86_400_000
_ALMOST, _HALF = 0.9, 0.5

Counts = npt.NDArray[np.int64]


class Level(IntEnum):
    """How much there is of what the venue has.

    FULL lacks nothing, VENUE only what the venue lacks, too; MOST has nine tenths or more,
    HALF at least half, FEW less, NONE nothing at all. OUTSIDE is before or after the series.
    """

    OUTSIDE = 0
    FULL = 1
    VENUE = 2
    MOST = 3
    HALF = 4
    FEW = 5
    NONE = 6


@attrs.frozen(eq=False)
class DayCounts:
    """Candles of consecutive days (UTC), the first of them `first_day` days after the epoch.

    `expected` is how many slots open on each day between the series' first and last
    candle, `present` how many of them have one, `absent` how many the venue proved not to
    have. What is left is missing. On days inside a longer candle nothing is expected.
    """

    first_day: int
    expected: Counts
    present: Counts
    absent: Counts

    def __len__(self) -> int:
        return len(self.expected)

    @property
    def missing(self) -> Counts:
        """How many slots of each day lack a candle that the venue may have."""
        return self.expected - self.present - self.absent

    def levels(self, edges: Counts | None = None) -> npt.NDArray[np.int8]:
        """Return the `Level` of each day, or of all days between neighbours of `edges`.

        `edges` are days since the epoch, ascending. Where nothing opens it is that of the
        candle under way.
        """
        if edges is None:
            return _levels(self.expected, self.present, self.absent)
        places = edges - self.first_day
        parts = (self.expected, self.present, self.absent)
        found = _levels(*(_sums(part, places) for part in parts))
        found[(places[1:] <= 0) | (places[:-1] >= len(self))] = Level.OUTSIDE
        return found


def count_days(
    timestamps: npt.NDArray[np.int64],
    interval: str | Interval,
    *,
    absent: Iterable[Gap] = (),
    extent: tuple[int, int] | None = None,
) -> DayCounts:
    """Return the counts of a series' days, from the open times (ms, ascending) it has.

    `absent` are ranges that the venue proved to have no candles in; those with another
    reason do not count. `extent` is the first and last open time the series ever had,
    where it may have lost some. A candle off the grid fills the slot it opened in.
    """
    grid = Interval.of(interval)
    slots = grid.slot(np.asarray(timestamps, dtype=np.int64))
    ends = [*slots[:1].tolist(), *slots[-1:].tolist(), *(grid.slot(ms) for ms in extent or ())]
    if not ends:
        nothing = np.empty(0, dtype=np.int64)
        return DayCounts(0, nothing, nothing, nothing)
    low, high = min(ends), max(ends) + 1
    there = np.zeros(high - low, dtype=np.bool_)
    there[slots - low] = True
    gone = _absences(absent, grid, low, high) & ~there
    first_day = grid.open_of(low) // DAY_MS
    edges = _day_edges(grid, low, high, first_day)
    return DayCounts(first_day, np.diff(edges), _sums(there, edges), _sums(gone, edges))


def whole_share(present: int, missing: int) -> str:
    """Return how much is there of what the venue has; ``100%`` only where nothing is missing.

    >>> whole_share(1439, 1)
    '99.9%'
    """
    if not missing:
        return "100%"
    return f"{present * 1000 // (present + missing) / 10}%"


def _levels(expected: Counts, present: Counts, absent: Counts) -> npt.NDArray[np.int8]:
    missing = expected - present - absent
    share = present / np.maximum(1, expected - absent)
    found = np.select(
        [expected == 0, (missing == 0) & (absent == 0), missing == 0, present == 0],
        [Level.OUTSIDE, Level.FULL, Level.VENUE, Level.NONE],
        np.select([share >= _ALMOST, share >= _HALF], [Level.MOST, Level.HALF], Level.FEW),
    ).astype(np.int8)
    opened = np.maximum.accumulate(np.where(expected > 0, np.arange(len(found)), 0))
    return found[opened]


def _absences(absent: Iterable[Gap], grid: Interval, low: int, high: int) -> npt.NDArray[np.bool_]:
    gone = np.zeros(high - low, dtype=np.bool_)
    for gap in absent:
        if gap.reason == VENUE:
            first, end = (grid.slot(grid.ceil(ms)) - low for ms in (gap.start_ms, gap.end_ms))
            gone[max(0, first) : max(0, end)] = True
    return gone


def _day_edges(grid: Interval, low: int, high: int, first_day: int) -> Counts:
    """Return the place, counted from `low`, of the first slot of each day, and the end."""
    # a long candle's last days are days of the series, too
    end_day = -(-grid.open_of(high) // DAY_MS)
    midnights = np.arange(first_day, end_day + 1, dtype=np.int64) * DAY_MS
    slots = grid.slot(midnights)
    slots += grid.open_of(slots) < midnights
    return np.clip(slots, low, high) - low


def _sums(values: npt.NDArray[np.int64] | npt.NDArray[np.bool_], edges: Counts) -> Counts:
    """Return the sums of ``values[edges[i]:edges[i + 1]]``; beyond the ends there is nothing."""
    places = np.clip(edges, 0, len(values))
    sums = np.zeros(len(edges) - 1, dtype=np.int64)
    some = np.diff(places) > 0
    if some.any():
        # one after the other these parts touch; the last one ends where the edges do
        parts = values[: places[-1]]
        sums[some] = np.add.reduceat(parts, places[:-1][some], dtype=np.int64)
    return sums
