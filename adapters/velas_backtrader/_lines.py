"""The lines of a candle feed, and candles as their values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from velas.interval import Interval
from velas.models import Candle
from velas_backtrader._dates import day_numbers
from velas_backtrader._library import TimeFrame

__all__ = ["LINES", "MORE_LINES", "columns_of", "ends_of", "row_of", "timeframe_of"]

# behind those of every feed
MORE_LINES = (
    "quote_volume",
    "trades",
    "taker_buy_base",
    "taker_buy_quote",
    "timestamp",
    "close_time",
)
LINES = ("close", "low", "high", "open", "volume", "openinterest", "datetime", *MORE_LINES)
_NULLABLE = ("quote_volume", "trades", "taker_buy_base", "taker_buy_quote")
_UNITS = {
    "s": TimeFrame.Seconds,
    "m": TimeFrame.Minutes,
    "h": TimeFrame.Minutes,
    "d": TimeFrame.Days,
    "w": TimeFrame.Weeks,
    "M": TimeFrame.Months,
}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def timeframe_of(interval: Interval) -> tuple[int, int]:
    """Return an interval as backtrader's timeframe and compression."""
    count, unit = int(interval.name[:-1]), interval.name[-1]
    return _UNITS[unit], count * 60 if unit == "h" else count


def ends_of(opens: Ints, interval: Interval) -> Ints:
    """Return when candles are over, in ms; one off the grid is as long as any other."""
    if interval.is_calendar:
        return interval.open_of(interval.slot(opens) + 1)
    return opens + interval.length_ms


def columns_of(frame: pd.DataFrame, interval: Interval) -> Mapping[str, Floats]:
    """Return a candle frame as a column for each line; nulls become NaN.

    ``datetime`` is the end of each candle: before that nobody knows it.
    """
    columns = {
        name: frame[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in frame.columns
    }
    columns["openinterest"] = np.full(len(frame), np.nan)
    columns["datetime"] = day_numbers(ends_of(frame["timestamp"].to_numpy(), interval))
    return columns


def row_of(candle: Candle, end_ms: int) -> dict[str, float]:
    """Return one candle as the value of each line, as `columns_of` has it."""
    row = {
        name: float(getattr(candle, name))
        for name in ("open", "high", "low", "close", "volume", "timestamp", "close_time")
    }
    row.update(_known(candle, _NULLABLE))
    row["openinterest"] = math.nan
    row["datetime"] = float(day_numbers(np.array([end_ms]))[0])
    return row


def _known(candle: Candle, names: Iterable[str]) -> Iterable[tuple[str, float]]:
    for name in names:
        value = getattr(candle, name)
        yield name, math.nan if value is None else float(value)
