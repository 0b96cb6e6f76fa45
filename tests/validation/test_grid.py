"""Grids, their intersection and the nearest value, against plain enumeration."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velas.validation.grid import Digits, Grid, Span, intersection, nearest

small = st.integers(1, 60).map(lambda units: Decimal(units).scaleb(-2))
values = st.integers(-3000, 3000).map(lambda units: Decimal(units).scaleb(-3))


def members(grid: Grid, low: int, high: int) -> set[Fraction]:
    scale = Fraction(1, 10**grid.places)
    turns = int(Fraction(high - low) / (grid.step * scale)) + 2
    found = ((n * grid.step + grid.offset) * scale for n in range(-turns, turns))
    return {one for one in found if low <= one <= high}


@given(small, small, small, small)
def test_intersection_is_what_both_have(a: Decimal, b: Decimal, c: Decimal, d: Decimal) -> None:
    one, other = Grid.of(a, c), Grid.of(b, d)
    both = members(one, -5, 5) & members(other, -5, 5)
    common = intersection([one, other])
    assert both == (set() if common is None else members(common, -5, 5))


@given(small, small, values)
def test_grid_neighbours_are_the_nearest_members(
    step: Decimal, start: Decimal, at: Decimal
) -> None:
    grid = Grid.of(step, start)
    below, above = Fraction(grid.at_most(at)), Fraction(grid.at_least(at))
    found = members(grid, -5, 5)
    assert below == max(one for one in found if one <= Fraction(at))
    assert above == min(one for one in found if one >= Fraction(at))


@given(st.integers(1, 99_999), st.integers(1, 4), st.integers(-4, 3))
def test_digits_neighbours_are_nearest_members(units: int, count: int, shift: int) -> None:
    value = Fraction(units) * Fraction(10) ** shift
    lattice = Digits(count)
    written = Decimal(f"{units}E{shift}")
    below, above = lattice.at_most(written), lattice.at_least(written)
    assert below is not None
    assert above is not None
    for one in (below, above):
        assert len("".join(map(str, one.as_tuple().digits)).strip("0")) <= count
    if below != above:
        # nothing between them: they are one unit of the last allowed digit apart
        assert Fraction(below) < value < Fraction(above)
        assert Fraction(above) - Fraction(below) == Fraction(10) ** (written.adjusted() - count + 1)
    else:
        assert Fraction(below) == value


@pytest.mark.parametrize(
    ("asked", "span", "down", "up"),
    [
        ("0.25", Span(), "0.2", "0.3"), ("0.26", Span(), "0.3", "0.3"),
        ("-4", Span(), "0.1", "0.1"), ("9", Span(high=Decimal("0.55")), "0.5", "0.5"),
        ("0", Span(low=Decimal("0.41")), "0.5", "0.5"),
        ("0.2", Span(Decimal("0.21"), Decimal("0.29")), None, None),
        ("0.2", Span(Decimal("3"), Decimal("2")), None, None),
    ],
)  # fmt: skip
def test_nearest_within_a_span(asked: str, span: Span, down: str | None, up: str | None) -> None:
    grid = Grid.of(Decimal("0.1"))
    expected = [None if one is None else Decimal(one) for one in (down, up)]
    assert [nearest(Decimal(asked), grid, span, ties=t) for t in ("down", "up")] == expected


def test_nearest_has_neither_exponent_nor_empty_decimals() -> None:
    assert str(nearest(Decimal("1000.4"), Grid.of(Decimal("1.00")), Span())) == "1000"


def test_intersection_of_grids_that_never_meet_is_none() -> None:
    even, odd = Grid.of(Decimal(2)), Grid.of(Decimal(2), Decimal(1))
    assert intersection([even, odd]) is None
    assert nearest(Decimal(1), None, Span()) is None


def test_grid_holds_another_only_if_it_has_all_of_it() -> None:
    cents, dimes = Grid.of(Decimal("0.01")), Grid.of(Decimal("0.1"))
    assert cents.holds(dimes)
    assert not dimes.holds(cents)
    assert not dimes.holds(Grid.of(Decimal("0.1"), Decimal("0.05")))
