"""The candles and trades a perfect client would have, for tests to compare with."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd

from velas.frames import COLUMNS, INT_COLUMNS
from velas.models import Trade
from velas.testing.venue import public_trades
from velas.testing.venue.instruments import Instrument
from velas.testing.venue.quotes import Quotes
from velas.testing.venue.series import Series

__all__ = ["frame_of", "trades_of"]


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


def trades_of(
    quotes: Quotes,
    instrument: Instrument,
    first_id: int,
    end_id: int,
    now_ms: int,
    *,
    futures: bool,
) -> list[Trade]:
    """Return the aggregate trades of a range of ids that happened, tombstones left out."""
    happened = int(quotes.tape(instrument).before(np.array([now_ms + 1], dtype=np.int64))[0])
    numbers = np.arange(first_id, min(end_id, happened), dtype=np.int64)
    rows = public_trades.aggregate(quotes, instrument, numbers, futures=futures)
    symbol = _unified(instrument, futures=futures)
    return [
        Trade(
            symbol,
            int(row["a"]),
            int(row["T"]),
            Decimal(str(row["p"])),
            Decimal(str(row["q"])),
            bool(row["m"]),
            int(row["f"]),
            int(row["l"]),
        )
        for row in rows
        if row["f"] != -1
    ]


def _unified(instrument: Instrument, *, futures: bool) -> str:
    pair = f"{instrument.base}/{instrument.quote}"
    if not futures:
        return pair
    expiry = instrument.symbol.partition("_")[2]
    return f"{pair}:{instrument.quote}" + (f"-{expiry}" if expiry else "")
