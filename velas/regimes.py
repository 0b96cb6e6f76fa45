"""Volatility regimes: name each candle's market by the volatility realised up to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from velas.config import VolatilityRegimes
from velas.errors import ConfigError, FrameError
from velas.interval import Interval

__all__ = ["REGIMES", "UNKNOWN", "bars_per_year", "classify", "realised_volatility"]

UNKNOWN = "unknown"
REGIMES = (UNKNOWN, "low", "normal", "high", "extreme")
_YEAR_MS = 365 * 24 * 60 * 60 * 1000  # these markets never close
_LEAST_SHARE = 0.5  # of the window's returns; fewer say too little


def bars_per_year(interval: str | Interval) -> float:
    """Return how many candles of an interval a year of 365 days has; 12 for ``1M``."""
    grid = Interval.of(interval)
    return 12.0 if grid.is_calendar else _YEAR_MS / grid.length_ms


def realised_volatility(
    frame: pd.DataFrame, interval: str | Interval, *, window: int
) -> pd.Series[float]:
    """Return each candle's annualised volatility over the `window` slots that end with it.

    The root of the mean squared logarithmic return from close to close, times the root of
    the bars in a year: 0.5 is 50 % a year. Only the candle itself and earlier ones count.
    A return counts only between neighbouring slots: one that spans a gap is several bars'
    worth and is left out, and a gap takes up its room in the window. NaN where fewer than
    half of the window's returns are there, or a price is not positive.

    Raises:
        FrameError: no `timestamp` or `close`, or open times that do not rise.
        ConfigError: `window` is less than 2.
    """
    if window < 2:
        raise ConfigError(f"window: expected at least 2 candles, not {window!r}")
    slots, close = _series(frame, Interval.of(interval))
    squares, counts = _squared_returns(slots, close)
    # the first return inside the window of each row; sums by difference of running totals
    first = np.searchsorted(slots, slots - window, side="right")
    total = _running(squares)
    number = _running(counts)
    rows = np.arange(1, len(slots) + 1)
    inside = number[rows] - number[first]
    mean = np.maximum(total[rows] - total[first], 0.0) / np.maximum(inside, 1)
    volatility = np.sqrt(mean * bars_per_year(interval))
    volatility[inside < window * _LEAST_SHARE] = np.nan
    return pd.Series(volatility, index=frame.index, name="realised_volatility")


def classify(
    frame: pd.DataFrame, interval: str | Interval, thresholds: VolatilityRegimes | None = None
) -> pd.Series[str]:
    """Return the regime of each candle, by name, as an ordered categorical.

    ``low`` < `thresholds.low` <= ``normal`` < `thresholds.high` <= ``high`` <
    `thresholds.extreme` <= ``extreme``; ``unknown`` where `realised_volatility` is NaN.
    Thresholds default to those of `VolatilityRegimes`; errors are `realised_volatility`'s.
    """
    lines = thresholds or VolatilityRegimes()
    volatility = realised_volatility(frame, interval, window=lines.window).to_numpy()
    bounds = np.array([lines.low, lines.high, lines.extreme])
    codes = 1 + np.searchsorted(bounds, volatility, side="right")
    codes[np.isnan(volatility)] = 0
    names = pd.Categorical.from_codes(codes, categories=pd.Index(REGIMES), ordered=True)
    return pd.Series(names, index=frame.index, name="regime")


def _series(
    frame: pd.DataFrame, grid: Interval
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    missing = [name for name in ("timestamp", "close") if name not in frame.columns]
    if missing:
        raise FrameError(f"candle frame: missing columns {missing}")
    opens = frame["timestamp"].to_numpy(dtype=np.int64)
    if (np.diff(opens) <= 0).any():
        raise FrameError("candle frame: open times must rise, each once; sort and merge it first")
    return grid.slot(opens), frame["close"].to_numpy(dtype=np.float64)


def _squared_returns(
    slots: npt.NDArray[np.int64], close: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    prices = np.where(np.isfinite(close) & (close > 0), close, np.nan)
    returns = np.full(len(prices), np.nan)
    returns[1:] = np.diff(np.log(prices))
    returns[1:][np.diff(slots) != 1] = np.nan
    counted = np.isfinite(returns)
    return np.where(counted, returns, 0.0) ** 2, counted.astype(np.float64)


def _running(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.concatenate([np.zeros(1), np.cumsum(values)])
