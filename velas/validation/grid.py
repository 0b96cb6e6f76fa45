"""Which values a field may have: grids of whole numbers, their intersection, the nearest."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from math import gcd
from typing import Literal, Protocol

import attrs

from velas.validation.numbers import ENDLESS, NO_BOUND, decimal_of

__all__ = ["Digits", "Grid", "Lattice", "Span", "Ties", "intersection", "nearest"]

Ties = Literal["down", "up"]

_SMALLEST = Fraction(1, 10**50)  # below every number that an order may hold


class Lattice(Protocol):
    """The legal values of a field, bounds apart."""

    def at_most(self, value: Fraction) -> Fraction | None:
        """Return the largest legal value that is not above `value`."""

    def at_least(self, value: Fraction) -> Fraction | None:
        """Return the smallest legal value that is not below `value`."""


@attrs.frozen
class Grid:
    """``offset + n * step`` for all whole n, in units of ``10 ** -places``."""

    step: int
    offset: int
    places: int

    @classmethod
    def of(cls, step: Decimal, offset: Decimal = Decimal(0)) -> Grid:
        """Return the grid of decimal numbers, on a scale that holds both exactly."""
        places = max(_places(step), _places(offset))
        size = _units(step, places)
        return cls(size, _units(offset, places) % size, places)

    @property
    def spacing(self) -> Decimal:
        """How far apart its values are."""
        return decimal_of(Fraction(self.step, 10**self.places))

    def at(self, places: int) -> Grid:
        """Return the same grid in finer units."""
        more = 10 ** (places - self.places)
        return Grid(self.step * more, self.offset * more, places)

    def holds(self, other: Grid) -> bool:
        """Return whether every value of `other` is one of this grid."""
        places = max(self.places, other.places)
        mine, theirs = self.at(places), other.at(places)
        return theirs.step % mine.step == 0 and (theirs.offset - mine.offset) % mine.step == 0

    def at_most(self, value: Fraction) -> Fraction:
        """Return the largest value of the grid that is not above `value`."""
        units = value.numerator * 10**self.places // value.denominator
        return Fraction(units - (units - self.offset) % self.step, 10**self.places)

    def at_least(self, value: Fraction) -> Fraction:
        """Return the smallest value of the grid that is not below `value`."""
        units = -(-value.numerator * 10**self.places // value.denominator)
        return Fraction(units + (self.offset - units) % self.step, 10**self.places)


@attrs.frozen
class Digits:
    """Positive numbers of at most `count` significant digits."""

    count: int

    def at_most(self, value: Fraction) -> Fraction | None:
        """Return the largest such number that is not above `value`; none is below 0."""
        if value <= 0:
            return None
        step = self._step(value)
        return value // step * step

    def at_least(self, value: Fraction) -> Fraction | None:
        """Return the smallest such number that is not below a positive `value`."""
        if value <= 0:
            return None
        step = self._step(value)
        return -(-value // step) * step

    def _step(self, value: Fraction) -> Fraction:
        magnitude = len(str(value.numerator)) - len(str(value.denominator))
        # the numbers of digits tell it but for one
        if value < Fraction(10) ** magnitude:
            magnitude -= 1
        return Fraction(10) ** (magnitude - self.count + 1)


def intersection(grids: Iterable[Grid]) -> Grid | None:
    """Return the values that all grids have, None where there are none.

    Chinese remainders, on whole numbers of the finest grid's units.
    """
    one, *others = grids
    for other in others:
        places = max(one.places, other.places)
        mine, theirs = one.at(places), other.at(places)
        common = gcd(mine.step, theirs.step)
        apart = theirs.offset - mine.offset
        if apart % common:
            return None
        turns = apart // common * pow(mine.step // common, -1, theirs.step // common)
        step = mine.step // common * theirs.step
        one = Grid(step, (mine.offset + mine.step * turns) % step, places)
    return one


@attrs.frozen
class Span:
    """From `low` to `high`, both included; None is no bound."""

    low: Fraction | None = None
    high: Fraction | None = None

    @classmethod
    def of(cls, low: Decimal, high: Decimal) -> Span:
        """Return the span between two numbers, which may be infinite."""
        return cls(
            None if low == NO_BOUND else Fraction(low), None if high == ENDLESS else Fraction(high)
        )

    def within(self, other: Span) -> Span:
        """Return what both have in common."""
        lows = [bound for bound in (self.low, other.low) if bound is not None]
        highs = [bound for bound in (self.high, other.high) if bound is not None]
        return Span(max(lows, default=None), min(highs, default=None))


def nearest(
    asked: Fraction, lattice: Lattice | None, span: Span, *, ties: Ties = "down"
) -> Fraction | None:
    """Return the positive value of a lattice within a span that is nearest to `asked`.

    Of two equally near, the smaller (or with ties="up" the larger). None if there is none.
    """
    low = _SMALLEST if span.low is None else max(span.low, _SMALLEST)
    high = span.high
    if lattice is None or (high is not None and high < low):
        return None
    aim = max(asked, low) if high is None else min(max(asked, low), high)
    below, above = lattice.at_most(aim), lattice.at_least(aim)
    if below is not None and below < low:
        below = None
    if above is not None and high is not None and above > high:
        above = None
    if below is None or above is None:
        return above if below is None else below
    down, up = abs(asked - below), abs(above - asked)
    return below if down < up or (down == up and ties == "down") else above


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # numbers of rules are finite
    return max(0, -exponent)


def _units(number: Decimal, places: int) -> int:
    return int(Fraction(number) * 10**places)
