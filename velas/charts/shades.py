"""Gaps as bands that can be seen: by kind, wide enough, neighbours joined."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from velas.charts.bars import Float64
from velas.models import VENUE, Gap

__all__ = ["SHADES", "Look", "Shade", "shade_gaps"]


@attrs.frozen
class Look:
    """How a kind of gap is drawn."""

    fill: str
    line: str
    hatch: str | None


SHADES = {
    "venue": Look(fill="#e3e8f1", line="#8494b2", hatch=None),
    "missing": Look(fill="#fdeecb", line="#e08a00", hatch="////"),
}


@attrs.frozen(eq=False)
class Shade:
    """The bands of one kind of gap, and what the legend says of them."""

    kind: str
    label: str
    start_ms: Float64
    end_ms: Float64


def shade_gaps(gaps: Sequence[Gap], *, least_ms: float) -> list[Shade]:
    """Return the bands of the venue's own gaps and of all others, none narrower than told."""
    own = [gap for gap in gaps if gap.reason == VENUE]
    other = [gap for gap in gaps if gap.reason != VENUE]
    reasons = "; ".join(dict.fromkeys(gap.reason for gap in other))
    return [
        Shade(kind, f"{text}: {_amount(some)}", *_bands(some, least_ms))
        for kind, text, some in (
            ("venue", "the venue has none", own),
            ("missing", f"missing ({reasons})", other),
        )
        if some
    ]


def _bands(gaps: Sequence[Gap], least_ms: float) -> tuple[Float64, Float64]:
    times = np.array([(gap.start_ms, gap.end_ms) for gap in gaps], dtype=np.float64)
    start, end = times[np.argsort(times[:, 0])].T
    lacking = np.maximum(0, least_ms - (end - start)) / 2
    start, end = start - lacking, np.maximum.accumulate(end + lacking)
    first = np.concatenate([[True], start[1:] > end[:-1]])
    last = np.concatenate([first[1:], [True]])
    return start[first], end[last]


def _amount(gaps: Sequence[Gap]) -> str:
    missing = sum(gap.missing for gap in gaps)
    gap, candle = ("" if n == 1 else "s" for n in (len(gaps), missing))
    return f"{len(gaps):,} gap{gap}, {missing:,} candle{candle}"
