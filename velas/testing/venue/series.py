"""What a candle source is, and the venue's rule for which candles a request gets."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from velas.interval import Interval
from velas.testing.venue.instruments import Instrument

__all__ = ["CandleSource", "Float64", "Int64", "Row", "Series", "select"]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Row = tuple[int | str, ...]
"""One candle as the wire has it, 12 fields (binance-facts 1.4)."""


class Series(Protocol):
    """One symbol's candles of one interval, numbered from 0, the oldest."""

    def before(self, ts_ms: int) -> int:
        """Return how many candles open before `ts_ms`."""
        ...

    def closed(self, now_ms: int) -> int:
        """Return how many candles are over at `now_ms`; they never change again."""
        ...

    def rows(self, start: int, stop: int, now_ms: int) -> list[Row]:
        """Return candles `start` to `stop - 1`; one not over at `now_ms` as it is then."""
        ...


class CandleSource(Protocol):
    """Where the stand-in's candles and prices come from."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The ids this source has; empty when it can make up any."""
        ...

    def series(self, instrument: Instrument, interval: Interval) -> Series | None:
        """Return a series, or None where the venue is to say `-1121`."""
        ...

    def prices(self, instrument: Instrument, times_ms: Int64) -> Float64:
        """Return the last price at each time (ascending), in quote units."""
        ...


def select(
    series: Series, *, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int
) -> tuple[int, int]:
    """Return the candles a klines request gets, as a range of their numbers.

    Bounds are on the open time, both inclusive. Without bounds the newest; with only a
    start the oldest from there; with only an end the newest up to it (binance-facts 1.2).
    """
    stop = series.before(now_ms + 1)
    if end_ms is not None:
        stop = min(stop, series.before(end_ms + 1))
    if start_ms is None:
        return max(0, stop - limit), stop
    start = min(series.before(start_ms), stop)
    return start, min(start + limit, stop)
