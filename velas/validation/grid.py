"""Which values a field may have: grids, their intersection, the nearest value."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from math import gcd
from typing import Literal, Protocol

import attrs

from velas.validation.numbers import (
    ENDLESS,
    FINEST,
    LARGEST,
    NO_BOUND,
    PLACES,
    add,
    remainder,
    subtract,
    tidy,
)

__all__ = ["ANY", "Digits", "Grid", "Lattice", "Span", "Ties", "intersection", "nearest"]

Ties = Literal["down", "up"]


class Lattice(Protocol):
    """The legal values of a field, bounds apart."""

    def at_most(self, value: Decimal) -> Decimal | None:
        """Return the largest legal value that is not above `value`."""

    def at_least(self, value: Decimal) -> Decimal | None:
        """Return the smallest legal value that is not below `value`."""


@attrs.frozen
class Grid:
    """``offset + n * step`` for all whole n, in units of ``10 ** -places``."""

    step: int
    offset: int
    places: int
    spacing: Decimal = attrs.field(init=False, eq=False, repr=False)
    start: Decimal = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "spacing", _number(self.step, self.places))
        object.__setattr__(self, "start", _number(self.offset, self.places))

    @classmethod
    def of(cls, step: Decimal, offset: Decimal = Decimal(0)) -> Grid:
        """Return the grid of decimal numbers, on a scale that holds both exactly."""
        places = max(_places(step), _places(offset))
        size = _units(step, places)
        return cls(size, _units(offset, places) % size, places)

    def at(self, places: int) -> Grid:
        """Return the same grid in finer units."""
        more = 10 ** (places - self.places)
        return Grid(self.step * more, self.offset * more, places)

    def holds(self, other: Grid) -> bool:
        """Return whether every value of `other` is one of this grid."""
        places = max(self.places, other.places)
        mine, theirs = self.at(places), other.at(places)
        return theirs.step % mine.step == 0 and (theirs.offset - mine.offset) % mine.step == 0

    def at_most(self, value: Decimal) -> Decimal:
        """Return the largest value of the grid that is not above `value`."""
        over = remainder(subtract(value, self.start), self.spacing)
        below = subtract(value, over)
        return below if over >= 0 else subtract(below, self.spacing)

    def at_least(self, value: Decimal) -> Decimal:
        """Return the smallest value of the grid that is not below `value`."""
        over = remainder(subtract(value, self.start), self.spacing)
        below = subtract(value, over)
        return below if over <= 0 else add(below, self.spacing)


@attrs.frozen
class Digits:
    """Positive numbers of at most `count` significant digits."""

    count: int

    def at_most(self, value: Decimal) -> Decimal | None:
        """Return the largest such number that is not above `value`; none is below 0."""
        return self._grid(value).at_most(value) if value > 0 else None

    def at_least(self, value: Decimal) -> Decimal | None:
        """Return the smallest such number that is not below a positive `value`."""
        # where it reaches the next power of ten, that is one as well
        return self._grid(value).at_least(value) if value > 0 else None

    def _grid(self, value: Decimal) -> Grid:
        return Grid.of(Decimal((0, (1,), max(-PLACES, value.adjusted() - self.count + 1))))


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
    """From `low` to `high`, both included, either may be infinite."""

    low: Decimal = NO_BOUND
    high: Decimal = ENDLESS

    def within(self, other: Span) -> Span:
        """Return what both have in common."""
        low = self.low if self.low >= other.low else other.low
        return Span(low, self.high if self.high <= other.high else other.high)


ANY = Span()


def nearest(
    asked: Decimal, lattice: Lattice | None, span: Span, *, ties: Ties = "down"
) -> Decimal | None:
    """Return the positive value of a lattice within a span that is nearest to `asked`.

    Of two equally near, the smaller (or with ties="up" the larger). None if there is none.
    """
    low, high = max(span.low, FINEST), min(span.high, LARGEST)
    if lattice is None or high < low:
        return None
    aim = min(max(asked, low), high)
    below = lattice.at_most(aim)
    if below is not None and below == aim:
        return tidy(below)
    above = lattice.at_least(aim)
    if below is not None and below < low:
        below = None
    if above is not None and above > high:
        above = None
    if below is None or above is None:
        found = above if below is None else below
    else:
        down, up = subtract(asked, below).copy_abs(), subtract(above, asked).copy_abs()
        found = below if down < up or (down == up and ties == "down") else above
    return None if found is None else tidy(found)


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # numbers of rules are finite
    return max(0, -exponent)


def _units(number: Decimal, places: int) -> int:
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    size = int("".join(map(str, digits)) + "0" * (exponent + places))
    return -size if sign else size


def _number(units: int, places: int) -> Decimal:
    return tidy(Decimal((0, tuple(map(int, str(units))), -places)))
