"""The candle frame a perfect client would have, for tests to compare with."""

from __future__ import annotations

import numpy as np
import pandas as pd

from velas.frames import COLUMNS, INT_COLUMNS
from velas.testing.venue.series import Series

__all__ = ["frame_of"]


def frame_of(series: Series, start_ms: int, end_ms: int, now_ms: int) -> pd.DataFrame:
    """Return the closed candles that open within ``[start_ms, end_ms)`` as a candle frame."""
    stop = min(series.before(end_ms), series.closed(now_ms))
    rows = series.rows(series.before(start_ms), stop, now_ms)
    fields = list(zip(*rows, strict=True)) if rows else [()] * (len(COLUMNS) + 1)
    return pd.DataFrame(
        {
            name: np.array(values, dtype=np.int64)
            if name in INT_COLUMNS
            else np.array([float(value) for value in values], dtype=np.float64)
            for name, values in zip(COLUMNS, fields, strict=False)
        }
    )
