"""Exact arithmetic of orders: a decimal context of our own that never rounds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
)
from fractions import Fraction
from typing import Any

from velas.decimals import exact
from velas.errors import ConfigError

__all__ = [
    "ENDLESS",
    "FINEST",
    "NO_BOUND",
    "Fields",
    "decimal_of",
    "multiply",
    "remainder",
    "subtract",
]

# the largest number of an order has 40 digits before and 40 after the point: a product of
# three, and the quotient that a remainder needs, fit with room; what would not raises
_EXACT = Context(
    prec=400, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[InvalidOperation, DivisionByZero, Inexact]
)
multiply = _EXACT.multiply
remainder = _EXACT.remainder
subtract = _EXACT.subtract

ENDLESS = Decimal("Infinity")
NO_BOUND = -ENDLESS
FINEST = Decimal("1E-40")  # every number that an order may hold is a multiple of it


def decimal_of(value: Fraction) -> Decimal:
    """Return a fraction whose decimals end as a Decimal, without empty decimals.

    Raises:
        ValueError: its decimals never end.
    """
    digits, base, places = value.numerator, value.denominator, 0
    while base != 1:
        if base % 10 == 0:
            base //= 10
        elif base % 2 == 0:
            base, digits = base // 2, digits * 5
        elif base % 5 == 0:
            base, digits = base // 5, digits * 2
        else:
            raise ValueError(f"{value} has no end as a decimal number")
        places += 1
    return _EXACT.scaleb(Decimal(digits), -places)


class Fields:
    """Reads the numbers of one raw row of a venue; remembers which it could not read."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row
        self.missing: list[str] = []

    def number(self, *names: str) -> Decimal | None:
        """Return the first of these fields that is there, None (noted) if it is no number."""
        name = next((one for one in names if self._row.get(one) is not None), names[0])
        found = number_or_none(self._row.get(name))
        if found is None:
            self.missing.append(name)
        return found

    def step(self, name: str) -> Decimal | None:
        """Return a step; one below zero is no number of steps."""
        found = self.number(name)
        if found is not None and found < 0:
            self.missing.append(name)
            return None
        return found

    def flag(self, name: str) -> bool | None:
        """Return a truth value, None (noted) if it is none."""
        found = _TRUTH.get(str(self._row.get(name)).lower())
        if found is None:
            self.missing.append(name)
        return found


_TRUTH = {"true": True, "false": False}


def number_or_none(value: object) -> Decimal | None:
    """Return a number of a venue's row, None for what is no number."""
    if isinstance(value, float):
        # JSON's number as a parser read it: its shortest spelling is what was written
        value = repr(value)
    try:
        return exact(value)
    except ConfigError:
        return None
