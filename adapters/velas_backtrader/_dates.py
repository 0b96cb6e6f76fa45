"""Milliseconds as the day numbers of backtrader, bit for bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["day_numbers", "ms_of"]

_EPOCH_DAY = 719_163  # 1970-01-01 as `datetime.date.toordinal` counts
_DAY_MS = 86_400_000
_AT_ONCE = 8_192

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def day_numbers(ms: Ints) -> Floats:
    """Return what `backtrader.date2num` says of each moment, in ms since the epoch, UTC.

    That one sums day, hour, minute, second and microsecond as fractions of a day without
    an error (`math.fsum`) and rounds once; so does this, some thousands at a time, so that
    what is in between stays in the processor's cache.
    """
    moments = np.asarray(ms, dtype=np.int64)
    found = np.empty(len(moments), dtype=np.float64)
    for first in range(0, len(moments), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        found[part] = _day_numbers(moments[part])
    return found


def _day_numbers(ms: Ints) -> Floats:
    day, of_day = np.divmod(ms, _DAY_MS)
    second, milli = np.divmod(of_day, 1000)
    minute, second = np.divmod(second, 60)
    hour, minute = np.divmod(minute, 60)
    total, low = _two_sum(hour / 24.0, minute / 1_440.0)
    total, low2 = _two_sum(total, second / 86_400.0)
    total, low3 = _two_sum(total, milli * 1000 / 86_400_000_000.0)
    total, high_error = _two_sum((day + _EPOCH_DAY).astype(np.float64), total)
    error, rest = _two_sum(low, low2)
    error, rest2 = _two_sum(error, low3)
    error, rest3 = _two_sum(high_error, error)
    return np.asarray(total + _to_odd(error, rest + rest2 + rest3), dtype=np.float64)


def ms_of(day_number: float) -> int:
    """Return the ms since the epoch of a time as backtrader's lines have it."""
    return round((day_number - _EPOCH_DAY) * _DAY_MS)


def _two_sum(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Return the rounded sum and what the rounding has left out (Knuth)."""
    total = one + other
    part = total - one
    return total, (one - (total - part)) + (other - part)


def _to_odd(value: Floats, rest: Floats) -> Floats:
    # of the two floats around a sum the one that is odd: it lies on the right side of every
    # tie of the last rounding, which then is as if the sum were known exactly
    even = (value.view(np.int64) & 1) == 0
    beside = np.nextafter(value, np.where(rest > 0, np.inf, -np.inf))
    return np.where((rest != 0) & even, beside, value)
