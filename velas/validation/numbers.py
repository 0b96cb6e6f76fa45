"""Exact arithmetic of orders: a decimal context of our own that never rounds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    ROUND_CEILING,
    ROUND_FLOOR,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
)
from typing import Any

from velas.decimals import exact
from velas.errors import ConfigError

__all__ = [
    "ENDLESS",
    "FINEST",
    "LARGEST",
    "NO_BOUND",
    "PLACES",
    "Fields",
    "add",
    "divide",
    "multiply",
    "remainder",
    "subtract",
    "tidy",
]

# the largest number of an order has 40 digits before and 40 after the point: a product of
# three, and the quotient that a remainder needs, fit with room; what would not raises
_EXACT = Context(
    prec=400, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[InvalidOperation, DivisionByZero, Inexact]
)
# a bound by the price of a contract: at most 120 digits before the point, and 60 after it
_UP = Context(prec=200, rounding=ROUND_CEILING, Emax=MAX_EMAX, Emin=MIN_EMIN)
_DOWN = Context(prec=200, rounding=ROUND_FLOOR, Emax=MAX_EMAX, Emin=MIN_EMIN)
_BEYOND = Decimal("1E-60")
_ONE = Decimal(1)
add = _EXACT.add
multiply = _EXACT.multiply
remainder = _EXACT.remainder
subtract = _EXACT.subtract

ENDLESS = Decimal("Infinity")
NO_BOUND = Decimal("-Infinity")
PLACES = 40  # the most decimals of a number that an order may hold
FINEST = Decimal((0, (1,), -PLACES))
LARGEST = Decimal((0, (9,) * (2 * PLACES), -PLACES))


def divide(number: Decimal, by: Decimal, *, up: bool) -> Decimal:
    """Return a quotient, rounded up or down far behind the last digit an order can have.

    A number of an order is above the quotient exactly if it is above what is returned.
    """
    if not number.is_finite():
        return number
    context = _UP if up else _DOWN
    return context.quantize(context.divide(number, by), _BEYOND)


def tidy(number: Decimal) -> Decimal:
    """Return the same number without empty decimals, and without an exponent above 0."""
    short = _EXACT.normalize(number)
    exponent = short.as_tuple().exponent
    return _EXACT.quantize(short, _ONE) if isinstance(exponent, int) and exponent > 0 else short


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
