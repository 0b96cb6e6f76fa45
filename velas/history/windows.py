"""Pure arithmetic of a download: which slots are missing, and which pages cover them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

import attrs
import numpy as np
import numpy.typing as npt

from velas.interval import Interval
from velas.models import Gap

__all__ = ["Window", "cover", "explain", "missing_slots", "runs", "subtract"]

Slots = npt.NDArray[np.int64]


@attrs.frozen
class Window:
    """One page to ask for: candles that open in ``[start_ms, end_ms)``, `slots` at most."""

    start_ms: int
    end_ms: int
    slots: int


def missing_slots(present: Slots, start_slot: int, end_slot: int) -> Slots:
    """Return the slots of ``[start_slot, end_slot)`` that are not in `present`, ascending."""
    wanted = np.ones(max(0, end_slot - start_slot), dtype=np.bool_)
    inside = present[(present >= start_slot) & (present < end_slot)]
    wanted[inside - start_slot] = False
    return np.flatnonzero(wanted).astype(np.int64) + start_slot


def subtract(slots: Slots, absent: Iterable[Gap], interval: Interval) -> Slots:
    """Return `slots` without those that lie in a range known to be absent."""
    keep = np.ones(len(slots), dtype=np.bool_)
    for gap in absent:
        low = interval.slot(interval.ceil(gap.start_ms))
        high = interval.slot(interval.ceil(gap.end_ms))
        first, last = np.searchsorted(slots, [low, high])
        keep[first:last] = False
    return slots[keep]


def runs(slots: Slots) -> list[tuple[int, int]]:
    """Return the runs of consecutive slots as half-open pairs, ascending."""
    if not len(slots):
        return []
    breaks = np.flatnonzero(np.diff(slots) > 1)
    firsts = np.concatenate([slots[:1], slots[breaks + 1]])
    lasts = np.concatenate([slots[breaks], slots[-1:]])
    return [(int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True)]


def cover(slots: Slots, interval: Interval, page_rows: int) -> list[Window]:
    """Return the fewest windows that hold all `slots`, ascending, for pages of `page_rows`.

    A window is one slot shorter than a page: where bars leave or rejoin the grid a
    venue has one bar more than slots, and a page that is not full is known to be whole.
    """
    room = max(1, page_rows - 1)
    windows: list[Window] = []
    at = 0
    while at < len(slots):
        first = int(slots[at])
        after = int(np.searchsorted(slots, first + room))
        end = int(slots[after - 1]) + 1
        windows.append(Window(interval.open_of(first), interval.open_of(end), end - first))
        at = after
    return windows


def explain(gaps: Iterable[Gap], absent: Iterable[Gap], interval: Interval) -> list[Gap]:
    """Return `gaps`, split where ranges known to be absent begin and end, with reasons."""
    known = _merged(absent, interval)
    ends = [end for _, end, _ in known]
    found: list[Gap] = []
    for gap in gaps:
        at, gap_end = interval.slot(gap.start_ms), interval.slot(gap.end_ms)
        for first, end, reason in known[bisect_right(ends, at) :]:
            if first >= gap_end:
                break
            if first > at:
                found.append(_gap(interval, at, first, gap.reason))
            at = max(at, first)
            found.append(_gap(interval, at, min(end, gap_end), reason))
            at = min(end, gap_end)
        if at < gap_end:
            found.append(_gap(interval, at, gap_end, gap.reason))
    return found


def _merged(absent: Iterable[Gap], interval: Interval) -> list[tuple[int, int, str]]:
    """Return known ranges as slots, ascending, without overlap, neighbours joined."""
    known: list[tuple[int, int, str]] = []
    for gap in sorted(absent, key=lambda gap: gap.start_ms):
        first = interval.slot(interval.ceil(gap.start_ms))
        end = interval.slot(interval.ceil(gap.end_ms))
        if known:
            first = max(first, known[-1][1])
        if first >= end:
            continue
        if known and known[-1][1] == first and known[-1][2] == gap.reason:
            first = known.pop()[0]
        known.append((first, end, gap.reason))
    return known


def _gap(interval: Interval, first: int, end: int, reason: str) -> Gap:
    return Gap(interval.open_of(first), interval.open_of(end), end - first, reason)
