"""Rules on prices and quantities: bounds and grids, shares of a price, the notional."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import attrs

from velas.validation.grid import ANY, Digits, Grid, Lattice, Span
from velas.validation.numbers import ENDLESS, NO_BOUND, divide, multiply, remainder, subtract
from velas.validation.rules import UNLIMITED, Case, Kind, Price, Rule, RuleResult
from velas.validation.verdict import MarketState, shown

__all__ = ["GridRule", "IcebergParts", "Notional", "PercentPrice", "PositionLimit", "bounds_text"]

ONE = Decimal(1)


@attrs.frozen
class GridRule(Rule):
    """Least, most and step of some fields; for orders that execute at once, or for all."""

    fields: tuple[str, ...]
    low: Decimal = NO_BOUND
    high: Decimal = ENDLESS
    grid: Grid | Digits | None = None
    step: Decimal | None = None
    offset: Decimal = Decimal(0)
    step_text: str = ""
    market_only: bool = False
    fixed = True
    bounds_text: str = attrs.field(
        init=False,
        repr=False,
        default=attrs.Factory(
            lambda self: f"must be {bounds_text(self.low, self.high)}", takes_self=True
        ),
    )

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        if self.market_only and not case.kind.market:
            return
        for field in self.fields:
            value = getattr(case.order, field)
            if value is None:
                continue
            if (self.low, self.high) != UNLIMITED:
                ok = self.low <= value <= self.high
                yield self.judged(field, value, self.bounds_text, ok)
            if self.grid is not None:
                yield self.judged(field, value, self.step_text, self._on_grid(value))
            yield from self.unread(field, value)

    def is_fine(self, case: Case) -> bool:
        """Return True only if all rows of a case are fine."""
        if self.market_only and not case.kind.market:
            return True
        for field in self.fields:
            value = getattr(case.order, field)
            if value is not None and (
                self.missing
                or not self.low <= value <= self.high
                or (self.grid is not None and not self._on_grid(value))
            ):
                return False
        return True

    def speaks_of(self, field: str) -> bool:
        """Return whether it is one of its fields."""
        return field in self.fields

    def _on_grid(self, value: Decimal) -> bool:
        if self.step is not None:
            return not remainder(subtract(value, self.offset), self.step)
        assert isinstance(self.grid, Digits)
        digits = "".join(map(str, value.as_tuple().digits)).strip("0")
        return len(digits) <= self.grid.count

    def bounds(self, field: str, case: Case) -> tuple[Decimal, Decimal]:
        """Return what it allows of a field, whatever the others hold."""
        return (self.low, self.high) if self._holds(field, case.kind) else UNLIMITED

    def lattice(self, field: str, kind: Kind) -> Lattice | None:
        """Return the grid it holds a field to."""
        return self.grid if self._holds(field, kind) else None

    def _holds(self, field: str, kind: Kind) -> bool:
        return field in self.fields and (kind.market or not self.market_only)


@attrs.frozen
class PercentPrice(Rule):
    """Prices no further from the market's than shares of it; a pair for each side.

    With `by_trigger` a stop's limit is held to its own trigger price instead, as USDT-M
    does (error codes -4183 and -4184).
    """

    price: Price
    buy: tuple[Decimal, Decimal]
    sell: tuple[Decimal, Decimal]
    note: str = ""
    sided_missing: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    by_trigger: bool = False

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        asked = case.order.price
        if asked is None:
            return
        low, high = self._shares(case)
        name = "stop_price" if self.hangs_on_trigger(case.kind) else self.price.name
        text = f"must be {bounds_text(low, high)} times the {name}{self.note}"
        base = self._base(case)
        if (low, high) != UNLIMITED:
            if base is None:
                yield self.unjudged("price", asked, text, f"the {name} is not given")
            else:
                low, high = scaled((low, high), base)
                text = f"{text}, that is {bounds_text(low, high)}"
                yield self.judged("price", asked, text, low <= asked <= high)
        for name in self.sided_missing[case.order.side == "sell"]:
            yield self.unjudged("price", asked, text, f"its field {name} is missing or no number")

    def is_fine(self, case: Case) -> bool:
        """Return True only if all rows of a case are fine."""
        asked, base = case.order.price, self._base(case)
        if asked is None:
            return True
        if base is None or self.sided_missing[case.order.side == "sell"]:
            return False
        low, high = scaled(self._shares(case), base)
        return low <= asked <= high

    def speaks_of(self, field: str) -> bool:
        """Return whether it is the price."""
        return field == "price"

    def bounds(self, field: str, case: Case) -> tuple[Decimal, Decimal]:
        """Return what it allows of a field, whatever the others hold."""
        base = self.price.of(case.state)
        if field != "price" or base is None or self.hangs_on_trigger(case.kind):
            return UNLIMITED
        return scaled(self._shares(case), base)

    def span(self, field: str, case: Case) -> Span:
        """Return what it allows of a field, given the others."""
        base = self._base(case)
        if field != "price" or base is None:
            return ANY
        return Span(*scaled(self._shares(case), base))

    def hangs_on_trigger(self, kind: Kind) -> bool:
        """Return whether an order type's price is held to its trigger."""
        return self.by_trigger and kind.conditional

    def _base(self, case: Case) -> Decimal | None:
        if self.hangs_on_trigger(case.kind):
            return case.order.stop_price
        return self.price.of(case.state)

    def _shares(self, case: Case) -> tuple[Decimal, Decimal]:
        return self.buy if case.order.side == "buy" else self.sell


def scaled(shares: tuple[Decimal, Decimal], base: Decimal) -> tuple[Decimal, Decimal]:
    """Return shares of a price as prices; an open end stays open, whatever the price."""
    low, high = shares
    return (
        low if low == NO_BOUND else multiply(low, base),
        high if high == ENDLESS else multiply(high, base),
    )


@attrs.frozen
class Notional(Rule):
    """Price times quantity between two bounds, each of which may spare market orders.

    `on_market` tells of each bound whether it holds for what executes at the market's
    price; None where the venue's row does not say. `size` is what one contract is of the
    base asset. Orders that only reduce a position are spared if `spares_reducing`.
    """

    price: Price
    low: Decimal = NO_BOUND
    high: Decimal = ENDLESS
    on_market: tuple[bool | None, bool | None] = (True, True)
    flags: tuple[str, str] = ("", "")
    size: Decimal = ONE
    spares_reducing: bool = False
    note: str = ""
    takes_quote: bool = True  # whether orders may be sized by quote_quantity here

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        order, market = case.order, case.kind.market
        if self._spared(case):
            return
        quoted = market and self.takes_quote and order.quote_quantity is not None
        field = "quote_quantity" if quoted else "quantity"
        value = getattr(order, field)
        if value is None or not (market or order.price is not None):
            return
        for at, bound in enumerate((self.low, self.high)):
            if bound.is_finite() and not (market and self.on_market[at] is False):
                yield self._row(case, field, value, at)
        yield from self.unread(field, value)

    def is_fine(self, case: Case) -> bool:
        """Return True only if all rows of a case are fine."""
        order = case.order
        price, quantity = order.price, order.quantity
        if case.kind.market or price is None or quantity is None or self.missing:
            return False
        found = multiply(multiply(price, quantity), self.size)
        return self.low <= found <= self.high or self._spared(case)

    def speaks_of(self, field: str) -> bool:
        """Return whether it is one of the quantities."""
        return field in ("quantity", "quote_quantity")

    def _row(self, case: Case, field: str, value: Decimal, at: int) -> RuleResult:
        bound = (self.low, self.high)[at]
        limit = f"must be {('at least', 'at most')[at]} {shown(bound)}"
        if case.kind.market:
            limit += self.note
        if case.kind.market and self.on_market[at] is None:
            needs = f"its field {self.flags[at]} is missing or no truth value"
            return self.unjudged(field, value, f"its notional {limit}", needs)
        if field == "quote_quantity":
            return self.judged(field, value, limit, value >= bound if at == 0 else value <= bound)
        name, price = self._price(case)
        if price is None:
            text = f"{name} * quantity {limit}"
            return self.unjudged(field, value, text, f"the {name} is not given")
        found = multiply(multiply(price, value), self.size)
        text = f"{name} {shown(price)} * quantity {limit}; it is {shown(found)}"
        return self.judged(field, value, text, found >= bound if at == 0 else found <= bound)

    def _price(self, case: Case) -> tuple[str, Decimal | None]:
        if case.kind.market:
            return self.price.name, self.price.of(case.state)
        return "price", case.order.price

    def _spared(self, case: Case) -> bool:
        return self.spares_reducing and (case.order.reduce_only or case.order.close_position)

    def limits(self, kind: Kind) -> tuple[Decimal, Decimal]:
        """Return the bounds that hold for an order type."""
        low = self.low if not kind.market or self.on_market[0] else NO_BOUND
        return low, self.high if not kind.market or self.on_market[1] else ENDLESS

    def span(self, field: str, case: Case) -> Span:
        """Return what it allows of a field, given the others."""
        if self._spared(case):
            return ANY
        low, high = self.limits(case.kind)
        if field == "quote_quantity" and case.kind.market:
            return Span(low, high)
        _, price = self._price(case)
        if field != "quantity" or price is None or price <= 0:
            return ANY
        each = multiply(price, self.size)
        return Span(divide(low, each, up=True), divide(high, each, up=False))


@attrs.frozen
class PositionLimit(Rule):
    """The most of the base asset an account may have: what it has, and this buy."""

    most: Decimal | None

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        order, position = case.order, case.state.position
        if order.side != "buy" or (order.quantity is None and order.quote_quantity is None):
            return
        field = "quantity" if order.quantity is not None else "quote_quantity"
        value = getattr(order, field)
        if self.most is None:
            yield from self.unread(field, value)
            return
        text = f"the position and this buy must be at most {shown(self.most)}"
        if position is None:
            yield self.unjudged(field, value, text, "the position is not given")
        elif field == "quote_quantity":
            yield self.unjudged(field, value, text, "the quantity that it buys is not known")
        else:
            text = f"{text}; the position is {shown(position)}"
            yield self.judged(field, value, text, value <= subtract(self.most, position))

    def speaks_of(self, field: str) -> bool:
        """Return whether it is the quantity."""
        return field == "quantity"

    def bounds(self, field: str, case: Case) -> tuple[Decimal, Decimal]:
        """Return what it allows of a field, whatever the others hold."""
        position = case.state.position
        if field != "quantity" or case.order.side != "buy" or None in (position, self.most):
            return UNLIMITED
        assert self.most is not None
        assert position is not None
        return NO_BOUND, subtract(self.most, position)


@attrs.frozen
class IcebergParts(Rule):
    """The most parts an iceberg may be cut into."""

    most: Decimal | None

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        part, whole = case.order.iceberg_quantity, case.order.quantity
        if part is None or whole is None or part <= 0:
            return
        if self.most is None:
            yield from self.unread("iceberg_quantity", part)
            return
        # the number of parts, rounded up, is within a whole limit exactly if the quotient is
        text = f"must be a part of quantity {shown(whole)}, one of at most {shown(self.most)}"
        ok = part <= whole <= multiply(self.most, part)
        yield self.judged("iceberg_quantity", part, text, ok)

    def is_fine(self, case: Case) -> bool:
        """Return True only if all rows of a case are fine."""
        return case.order.iceberg_quantity is None

    def speaks_of(self, field: str) -> bool:
        """Return whether it is the visible part."""
        return field == "iceberg_quantity"

    def span(self, field: str, case: Case) -> Span:
        """Return what it allows of a field, given the others."""
        whole = case.order.quantity
        if field != "iceberg_quantity" or whole is None or self.most is None:
            return ANY
        if self.most <= 0:
            return Span(ENDLESS, NO_BOUND)  # none at all
        return Span(divide(whole, self.most, up=True), whole)


def bounds_text(low: Decimal, high: Decimal) -> str:
    """Return bounds in words."""
    if high == ENDLESS:
        return f"at least {shown(low)}"
    if low == NO_BOUND:
        return f"at most {shown(high)}"
    return f"from {shown(low)} to {shown(high)}"


def state_price(name: str, field: str) -> Price:
    """Return the price of a market's state under its name in messages."""

    def of(state: MarketState) -> Decimal | None:
        found: Any = getattr(state, field)
        return found  # type: ignore[no-any-return]

    return Price(name, of)
