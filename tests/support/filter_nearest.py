"""The nearest legal order, found by trying: every candidate is judged by the slow reading."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from math import floor, gcd, lcm
from typing import Any

import attrs
from filter_marks import MARKET_TYPES, Row, Symbol, Unreadable, fraction, number
from filter_reading import read, read_filters
from filter_shape import LOTS, POSITIVE, TICKS, implied, precision

from velas.models import OrderRequest
from velas.validation import MarketState

__all__ = [
    "FAMILIES",
    "TooManyCandidates",
    "decimal_of",
    "fits",
    "grids",
    "is_legal",
    "nearest_order",
    "nearest_value",
]

MOST_STEPS = 3_000
FAMILIES = {
    "stop_price": ("PRICE_FILTER",),  # before the price, which may hang on it
    "price": ("PRICE_FILTER", "PERCENT_PRICE", "PERCENT_PRICE_BY_SIDE"),
    "quantity": ("LOT_SIZE", "MARKET_LOT_SIZE", "MIN_NOTIONAL", "NOTIONAL", "MAX_POSITION"),
    "iceberg_quantity": ("LOT_SIZE", "ICEBERG_PARTS"),
    "quote_quantity": ("MIN_NOTIONAL", "NOTIONAL"),
    "trailing_delta": ("TRAILING_DELTA",),
    "callback_rate": (),
}
Grid = tuple[Fraction, Fraction]  # origin and step


class TooManyCandidates(Exception):
    """The grids of a field meet too seldom to try them all."""


def decimal_of(x: Fraction) -> Decimal | None:
    """Return a number as a Decimal, None when its digits have no end (or are too many)."""
    rest, twos, fives = x.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest != 1 or places > 40:
        return None
    return Decimal(f"{x.numerator * 10**places // x.denominator}E-{places}")


def is_legal(symbol: Symbol, order: OrderRequest, state: MarketState) -> bool:
    """Return whether nothing that can be judged is violated."""
    return all(mark.kind != "violated" for mark in read(symbol, order, state))


# -- candidates ---------------------------------------------------------------------------


def rows_of(symbol: Symbol, field: str) -> list[Row]:
    return [row for row in symbol.filters if row["filterType"] in FAMILIES[field]]


def numbers_of(row: Row) -> Iterator[Fraction]:
    for name in row:
        try:
            yield number(row, name)
        except Unreadable:
            continue


def grids(symbol: Symbol, order: OrderRequest, field: str) -> list[Grid]:
    """Return every grid that a field must be on."""
    names = {
        "price": [TICKS],
        "stop_price": [TICKS],
        "quantity": [LOTS],
        "iceberg_quantity": [LOTS],
    }
    wanted = list(names.get(field, []))
    if field == "quantity" and order.type in MARKET_TYPES[symbol.kind]:
        wanted.append(("MARKET_LOT_SIZE", "minQty", "stepSize"))
    found = []
    for name, low, step in wanted:
        row = symbol.find(name)
        if row is not None and number(row, step) != 0:
            origin = Fraction(0) if symbol.kind == "spot" else number(row, low)
            found.append((origin, number(row, step)))
    spot, of_price = symbol.kind == "spot", field in ("price", "stop_price", "quote_quantity")
    base = "baseAssetPrecision" if spot else "quantityPrecision"
    quote = "quotePrecision" if spot else "pricePrecision"
    places = symbol.row.get(quote if of_price else base)
    if field in ("trailing_delta", "callback_rate"):
        return []
    if places is not None and not implied(symbol, (names.get(field) or [None])[0], int(places)):
        found.append((Fraction(0), Fraction(1, 10 ** int(places))))
    return found


def centers(symbol: Symbol, order: OrderRequest, state: MarketState, field: str) -> set[Fraction]:
    """Return all values where something begins or ends to be legal."""
    around = {Fraction(0), fraction(getattr(order, field)), Fraction(1, 10), Fraction(10)}
    bounds = {x for row in rows_of(symbol, field) for x in numbers_of(row)}
    around |= bounds
    known = (order.price, order.stop_price, state.reference_price, state.mark_price)
    prices = [fraction(x) for x in known if x is not None and x > 0]
    if field == "price":
        around |= {price * bound for price in prices for bound in bounds}
    elif field in ("quantity", "quote_quantity"):
        around |= {bound / price for price in prices for bound in bounds}
        if state.position is not None:
            left = {bound - fraction(state.position) for bound in bounds}
            around |= left | {x * price for price in prices for x in left}
    elif field == "iceberg_quantity" and order.quantity is not None:
        whole = fraction(order.quantity)
        around |= {whole, *(whole / bound for bound in bounds if bound > 0)}
    return around


def around(center: Fraction, grid: list[Grid]) -> Iterator[Fraction]:
    """Return the points about a value, as many steps as two grids may need to meet."""
    if not grid:
        yield from rounded(center)
        return
    origin, step = max(grid, key=lambda one: one[1])
    steps = [one[1] for one in grid]
    meet = Fraction(lcm(*(s.numerator for s in steps)), gcd(*(s.denominator for s in steps)))
    reach = int(meet / step) + 1
    if reach > MOST_STEPS:
        raise TooManyCandidates(f"{reach} steps")
    at = floor((center - origin) / step)
    for k in range(at - reach, at + reach + 2):
        yield origin + k * step


def rounded(x: Fraction) -> Iterator[Fraction]:
    if decimal_of(x) is not None:
        yield x
        return
    fine = Fraction(1, 10**24)  # digits without an end: the nearest that can be written
    yield floor(x / fine) * fine
    yield (floor(x / fine) + 1) * fine


# -- the nearest value, the nearest order -------------------------------------------------


def nearest_value(
    symbol: Symbol,
    order: OrderRequest,
    state: MarketState,
    field: str,
    *,
    ties_up: bool = False,
    at_least: Fraction | None = None,
    at_most: Fraction | None = None,
) -> Decimal | None:
    """Return the legal value of one field nearest to what the order has there."""
    asked = fraction(getattr(order, field))
    limits = [x for x in (at_least, at_most) if x is not None]
    grid = grids(symbol, order, field)
    spots = centers(symbol, order, state, field).union(limits)
    tried = {asked}.union(*(around(center, grid) for center in spots))
    for x in sorted(tried, key=lambda x: (abs(x - asked), -x if ties_up else x)):
        within = (at_least is None or x >= at_least) and (at_most is None or x <= at_most)
        if x > 0 and within and fits(symbol, order, state, field, x):
            return decimal_of(x)
    return None


def fits(symbol: Symbol, order: OrderRequest, state: MarketState, field: str, x: Fraction) -> bool:
    """Return whether the rules of one field allow a value for it."""
    value = decimal_of(x)
    if value is None or (field == "trailing_delta" and x.denominator != 1):
        return False
    changed = attrs.evolve(order, **{field: int(value) if field == "trailing_delta" else value})
    narrow = attrs.evolve(symbol, row={"filters": rows_of(symbol, field)})
    marks = [*read_filters(narrow, changed, state), *precision(symbol, changed)]
    broken = any(mark.kind == "violated" and mark.field == field for mark in marks)
    return not broken and (field != "callback_rate" or Fraction(1, 10) <= x <= 10)


def nearest_order(
    symbol: Symbol,
    order: OrderRequest,
    state: MarketState,
    larger: Fraction = Fraction(0),
    worse: Fraction = Fraction(0),
) -> OrderRequest | None:
    """Return the nearest legal order by the stated policy, None when there is none."""
    if is_legal(symbol, order, state):
        return order
    for field in FAMILIES:
        if getattr(order, field) is None:
            continue
        if field in POSITIVE and getattr(order, field) <= 0:
            return None  # no number at all, and not for velas to invent
        value = nearest_value(symbol, order, state, field, **policy(order, field, larger, worse))
        if value is None:
            return None
        order = attrs.evolve(order, **{field: int(value) if field == "trailing_delta" else value})
    return order if is_legal(symbol, order, state) else None


def policy(order: OrderRequest, field: str, larger: Fraction, worse: Fraction) -> dict[str, Any]:
    """Return how far a field may go, and which way when two values are as near."""
    asked = fraction(getattr(order, field))
    if field == "price":
        if order.side == "buy":
            return {"at_most": asked * (1 + worse)}
        return {"at_least": asked * (1 - worse), "ties_up": True}
    if field in ("quantity", "quote_quantity"):
        return {"at_most": asked * (1 + larger)}
    if field == "iceberg_quantity" and order.quantity is not None:
        return {"at_most": fraction(order.quantity), "ties_up": True}
    return {}
