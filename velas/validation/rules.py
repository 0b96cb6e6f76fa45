"""What a rule is: it judges a case, and says which values of a field it allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import attrs

from velas.models import OrderRequest
from velas.validation.grid import Lattice, Span
from velas.validation.numbers import ENDLESS, NO_BOUND
from velas.validation.verdict import MarketState, Value

__all__ = ["FIELDS", "NUMBERS", "UNLIMITED", "Case", "Kind", "Price", "Rule", "RuleResult"]

# what an order may hold beside symbol, side, type and its ids, in the order of telling
FIELDS = (
    "quantity",
    "quote_quantity",
    "price",
    "stop_price",
    "trailing_delta",
    "callback_rate",
    "iceberg_quantity",
    "time_in_force",
    "reduce_only",
    "close_position",
    "position_side",
)
NUMBERS = frozenset(FIELDS[:7])
UNLIMITED = (NO_BOUND, ENDLESS)


@attrs.frozen
class RuleResult:
    """What one rule says of one field of an order.

    `ok` is None where it could not be judged; `needs` says for want of what. `nearest` is
    the nearest legal value where the rule is broken and there is one.
    """

    filter: str
    field: str
    value: Value
    rule: str
    ok: bool | None = True
    needs: str = ""
    nearest: Value = None


@attrs.frozen
class Kind:
    """What a venue's order type takes, and how its filters count it.

    `needs` are fields it must have, `either` groups of which it must have one (exactly
    one if `exclusive`), `may` what else it can have; None: velas does not know. `market`
    is for what executes at the market's price, `conditional` for stops and the like,
    `rests` for what can wait in the book.
    """

    name: str
    needs: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    exclusive: bool = False
    may: frozenset[str] | None = None
    market: bool = False
    conditional: bool = False
    rests: bool = True


@attrs.frozen
class Case:
    """One order to judge, what its type means, and what is known of the market."""

    order: OrderRequest
    kind: Kind
    state: MarketState


@attrs.frozen
class Price:
    """Which price of `MarketState` stands in where an order has none."""

    name: str
    of: Callable[[MarketState], Decimal | None]


@attrs.frozen
class Rule:
    """One filter of a venue.

    A `standing` rule looks at side, type and state only, and at which fields there are,
    never at the values of an order. What a `fixed` rule allows of a field hangs on no
    more than whether the order executes at the market's price; so does any lattice.
    """

    filter: str
    missing: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    standing = False
    fixed = False

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case: one row for each thing the rule asks; none if it does not apply."""
        raise NotImplementedError

    def is_fine(self, case: Case) -> bool:
        """Return True only if all rows of a case are fine: a short way past `rows`."""
        return False

    def speaks_of(self, field: str) -> bool:
        """Return whether it may allow less of a field than all."""
        return True

    def bounds(self, field: str, case: Case) -> tuple[Decimal, Decimal]:
        """Return what it allows of a field whatever the other fields of the order hold."""
        return UNLIMITED

    def span(self, field: str, case: Case) -> Span:
        """Return what it allows of a field, given the other fields of the order."""
        return Span(*self.bounds(field, case))

    def lattice(self, field: str, kind: Kind) -> Lattice | None:
        """Return the grid it holds a field to, if it does."""
        return None

    def curable(self, row: RuleResult) -> bool:
        """Return whether a broken row may have a nearest legal value."""
        return row.field in NUMBERS

    def unread(self, field: str, value: Value) -> Iterator[RuleResult]:
        """Yield a row for each part of the venue's row that could not be read."""
        for name in self.missing:
            needs = f"its field {name} is missing or no number"
            yield self.unjudged(field, value, "as the venue states", needs)

    def unjudged(self, field: str, value: Value, rule: str, needs: str) -> RuleResult:
        """Return the row of what could not be judged."""
        return RuleResult(self.filter, field, value, rule, None, needs)

    def judged(self, field: str, value: Value, rule: str, ok: bool) -> RuleResult:
        """Return the row of what was judged."""
        return RuleResult(self.filter, field, value, rule, ok)
