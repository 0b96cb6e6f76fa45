"""`Candle` models and the rows of the candle frame: one as the other, and compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from velas.models import Candle, Source

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["candles_of", "frame_of", "same_row"]

_NULLABLE = ("quote_volume", "trades", "taker_buy_base", "taker_buy_quote")


def candles_of(
    frame: pd.DataFrame,
    symbol: str,
    interval: str,
    *,
    is_closed: bool = True,
    source: Source = "rest",
) -> list[Candle]:
    """Return a candle frame's rows as models, in its order; nulls become None."""
    from velas.frames import COLUMNS

    columns = [
        _values(frame[name]) if name in _NULLABLE else frame[name].tolist() for name in COLUMNS
    ]
    return [
        Candle(symbol, interval, *row, is_closed=is_closed, source=source)  # type: ignore[misc]
        for row in zip(*columns, strict=True)
    ]


def frame_of(candles: Sequence[Candle]) -> pd.DataFrame:
    """Return candles, in the order given, as a candle frame; None becomes null."""
    import pandas as pd

    from velas import frames

    if not candles:
        return frames.empty()
    return frames.coerce(pd.DataFrame({name: _column(candles, name) for name in frames.COLUMNS}))


def same_row(one: Candle, other: Candle) -> bool:
    """Say whether two candles hold the same values; a column that one lacks does not count."""
    return all(
        mine == theirs or mine is None or theirs is None
        for mine, theirs in zip(_row(one), _row(other), strict=True)
    )


def _row(candle: Candle) -> Iterable[object]:
    # between the names of the series and what says where the candle comes from
    return attrs.astuple(candle, recurse=False)[2:13]


def _values(column: pd.Series) -> list[Any]:
    missing = column.isna()
    if not missing.any():
        return column.tolist()
    return [
        None if absent else value for value, absent in zip(column.tolist(), missing, strict=True)
    ]


def _column(candles: Sequence[Candle], name: str) -> object:
    import pandas as pd

    values = [getattr(candle, name) for candle in candles]
    if name == "trades" and None in values:
        return pd.array(values, dtype="Int64")
    if name in _NULLABLE and name != "trades":
        return [float("nan") if value is None else value for value in values]
    return values
