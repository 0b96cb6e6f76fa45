"""Rows of the candle frame as `Candle` models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velas.models import Candle, Source

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["candles_of"]

_MAY_LACK = ("quote_volume", "trades", "taker_buy_base", "taker_buy_quote")


def candles_of(
    frame: pd.DataFrame,
    symbol: str,
    interval: str,
    *,
    is_closed: bool = True,
    source: Source = "rest",
) -> list[Candle]:
    """Return a candle frame's rows as models, in its order; nulls become None."""
    from velas import frames

    columns = []
    for name in frames.COLUMNS:
        column = frame[name]
        if name in _MAY_LACK:
            column = column.astype(object).where(column.notna(), None)
        columns.append(column.tolist())
    rows = (dict(zip(frames.COLUMNS, row, strict=True)) for row in zip(*columns, strict=True))
    return [Candle(symbol, interval, **row, is_closed=is_closed, source=source) for row in rows]
