"""Exact numbers of the order side: fractions inside, plain decimal text on the wire."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

__all__ = ["decimals_of", "shortest", "text", "to_decimal"]

_MOST_DECIMALS = 18


def text(value: Fraction, decimals: int) -> str:
    """Return `value` with exactly so many decimals, never with an exponent."""
    scaled = round(value * 10**decimals)
    sign = "-" if scaled < 0 else ""
    whole, rest = divmod(abs(scaled), 10**decimals)
    return f"{sign}{whole}.{rest:0{decimals}d}" if decimals else f"{sign}{whole}"


def shortest(value: Fraction) -> str:
    """Return `value` without trailing zeros."""
    exact = text(value, _MOST_DECIMALS).rstrip("0").rstrip(".")
    return exact or "0"


def decimals_of(number: str) -> int:
    """Return how many decimals a plain decimal text needs, trailing zeros not counted."""
    return len(number.partition(".")[2].rstrip("0"))


def to_decimal(value: Fraction) -> Decimal:
    """Return `value` as a decimal, without trailing zeros."""
    return Decimal(shortest(value))
