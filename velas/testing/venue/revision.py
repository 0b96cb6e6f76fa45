"""A closed candle as a frame told it that the venue corrected later."""

from __future__ import annotations

from decimal import Decimal

from velas.testing.venue.series import Row

__all__ = ["revised"]


def revised(row: Row, price_decimals: int) -> Row:
    """Return a possible row that differs in its close, by one tick, and in its volumes."""
    tick = Decimal(1).scaleb(-price_decimals)
    closed = Decimal(row[4]) + tick
    high = max(Decimal(row[2]), closed)
    volume, quote = (_more(str(row[at])) for at in (5, 7))
    trades = int(row[8]) + 1
    return (
        row[0],
        row[1],
        _like(str(row[2]), high),
        row[3],
        _like(str(row[4]), closed),
        volume,
        row[6],
        quote,
        trades,
        *row[9:],
    )


def _more(text: str) -> str:
    # by its last digit that is not zero, so that it looks like any other
    exponent = Decimal(text).normalize().as_tuple().exponent
    step = Decimal(1).scaleb(min(0, exponent if isinstance(exponent, int) else 0))
    return _like(text, Decimal(text) + step)


def _like(text: str, value: Decimal) -> str:
    exponent = value.normalize().as_tuple().exponent
    needed = -exponent if isinstance(exponent, int) else 0
    return f"{value:.{max(0, needed, len(text.partition('.')[2]))}f}"
