"""Candles as bars that a picture has room for: themselves, or of a coarser interval."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd

from velas.errors import FrameError
from velas.interval import INTERVALS, Interval

__all__ = ["Bars", "bars_of", "coarser"]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
_NEEDED = ("timestamp", "open", "high", "low", "close", "volume")


@attrs.frozen(eq=False)
class Bars:
    """Bars of `interval`, one element of each array for a bar; times in ms, half-open."""

    interval: Interval
    start_ms: Int64
    end_ms: Int64
    open: Float64
    high: Float64
    low: Float64
    close: Float64
    volume: Float64


def bars_of(frame: pd.DataFrame, interval: Interval, drawn: Interval) -> Bars:
    """Return the candles of `frame`, each a bar, or summed up to bars of `drawn`.

    Rows without finite prices are left out.

    Raises:
        FrameError: a column is missing, the rows do not ascend, or there is none to draw.
    """
    opens, values = _checked(frame)
    if drawn == interval:
        # a bar off the grid is drawn where it is
        return Bars(drawn, opens, _ends(opens, drawn), *values)
    slots = drawn.slot(opens)
    first = np.flatnonzero(np.concatenate([[True], np.diff(slots) > 0]))
    last = np.concatenate([first[1:], [len(slots)]]) - 1
    open_, high, low, close, volume = values
    starts = drawn.open_of(slots[first])
    return Bars(
        drawn,
        starts,
        _ends(starts, drawn),
        open_[first],
        np.maximum.reduceat(high, first),
        np.minimum.reduceat(low, first),
        close[last],
        np.add.reduceat(np.nan_to_num(volume), first),
    )


def coarser(interval: Interval, span_ms: int, most: int) -> Interval:
    """Return the shortest interval of which at most `most` fit into a span.

    It is `interval` itself or one that its candles add up to.
    """
    wider = [Interval(name) for name in INTERVALS[INTERVALS.index(interval.name) :]]
    fitting = [one for one in wider if one == interval or _adds_up(interval, one)]
    return next((one for one in fitting if span_ms <= most * one.length_ms), fitting[-1])


def _adds_up(part: Interval, whole: Interval) -> bool:
    # weeks do not make months, but of what is longer than a day nothing else does
    return whole.is_calendar or whole.length_ms % part.length_ms == 0


def _checked(frame: pd.DataFrame) -> tuple[Int64, list[Float64]]:
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing:
        raise FrameError(f"a chart needs the columns {', '.join(_NEEDED)}; missing: {missing}")
    opens = frame["timestamp"].to_numpy(dtype=np.int64)
    if (np.diff(opens) <= 0).any():
        raise FrameError("the candles of a chart must ascend by timestamp, each once")
    values = [frame[name].to_numpy(dtype=np.float64) for name in _NEEDED[1:]]
    sound = np.isfinite(values[:4]).all(axis=0)
    if not sound.any():
        raise FrameError("there is no candle to draw")
    return opens[sound], [one[sound] for one in values]


def _ends(opens: Int64, interval: Interval) -> Int64:
    if interval.is_calendar:
        return interval.open_of(interval.slot(opens) + 1)
    return opens + interval.length_ms
