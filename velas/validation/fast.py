"""The short way to "all fine": a type's rules merged into a few exact comparisons.

What it cannot tell to be fine goes the long way, which explains. It says no itself only
of an order's numbers, and leaves the words to the long way.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from velas.decimals import exact
from velas.errors import ConfigError
from velas.models import OrderRequest
from velas.validation.families import Families
from velas.validation.grid import Grid
from velas.validation.numbers import ENDLESS, FINEST, multiply, remainder
from velas.validation.parameters import Parameters
from velas.validation.rules import UNLIMITED, Case, Kind, Rule
from velas.validation.standing_rules import ClientId
from velas.validation.value_rules import GridRule, Notional, PercentPrice, PositionLimit, scaled
from velas.validation.verdict import MarketState, Verdict

__all__ = ["Path", "Plan", "state_of"]

_STEPPED = ("price", "quantity", "stop_price")
_NUMERIC = (GridRule, PercentPrice, Notional, PositionLimit)
_ONE = Decimal(1)
_NOTHING = object()


def state_of(reference: object) -> MarketState:
    """Return what is known of the market; one price stands for reference and mark.

    Raises:
        ConfigError: it is neither a state nor an exact number.
    """
    if isinstance(reference, MarketState):
        return reference
    if reference is None:
        return MarketState()
    price = price_of(reference)
    return MarketState(reference_price=price, mark_price=price)


def price_of(reference: object) -> Decimal:
    """Return a reference price given by itself.

    Raises:
        ConfigError: it is no exact number above zero.
    """
    price = exact(reference)
    if price <= 0:
        raise ConfigError(f"reference {price}: expected a price above 0")
    return price


class Path:
    """A plan with what is known of the market: bounds, and the verdict on a clean order.

    Without a verdict no order is known to be clean.
    """

    __slots__ = (
        "_state",
        "price",
        "price_high",
        "price_low",
        "quantity_high",
        "reference",
        "verdict",
    )

    def __init__(
        self,
        reference: object,
        verdict: Verdict | None,
        price: Decimal | None = None,
        price_bounds: tuple[Decimal, Decimal] = UNLIMITED,
        quantity_high: Decimal = ENDLESS,
    ) -> None:
        self.reference = reference
        self._state: MarketState | None = None
        self.verdict = verdict
        self.price = price
        self.price_low, self.price_high = price_bounds
        self.quantity_high = quantity_high

    @property
    def state(self) -> MarketState:
        """What is known of the market, made when first asked for."""
        if self._state is None:
            self._state = state_of(self.reference)
        return self._state


class Plan:
    """The rules for one side and order type, for orders without unusual fields."""

    def __init__(self, families: Families, order: OrderRequest, kind: Kind) -> None:
        self.kind = kind
        self.path = Path(_NOTHING, None)  # of the latest reference: orders come in rows
        self._families = families
        self._priced = "price" in kind.needs
        self._stops = "stop_price" in (*kind.needs, *kind.either)
        self._probe = OrderRequest(
            order.symbol,
            order.side,
            order.type,
            quantity=_ONE,
            price=_ONE if self._priced else None,
            stop_price=_ONE if self._stops else None,
        )
        self._bare: Verdict | None = None
        case = Case(self._probe, kind, MarketState())
        grids = {name: families.lattice(name, case) for name in _STEPPED}
        plain = all(isinstance(grid, Grid) and not grid.offset for grid in grids.values())
        # trailing stops have a field more than the short way looks at
        bound = any(
            isinstance(rule, PercentPrice) and rule.hangs_on_trigger(kind)
            for rule in families.rules
        )
        self._possible = (
            plain and kind.may is not None and "callback_rate" not in kind.needs and not bound
        )
        if self._possible:
            self._merge_shape()
            self._merge_numbers(case)
            self._bare = self._clean(MarketState(reference_price=_ONE, mark_price=_ONE))

    def path_for(self, reference: object) -> Path:
        """Return this plan with what is known now, and remember it for the next order."""
        path = self._new_path(reference)
        self.path = path
        return path  # not self.path, which may be another thread's by now

    def _new_path(self, reference: object) -> Path:
        if not self._possible:
            return Path(reference, None)
        if reference is None or isinstance(reference, MarketState):
            return self._path_of(reference, state_of(reference))
        base = exact(reference)
        bounds = self._price_bounds
        for shares in self._shares:
            bounds = _common(bounds, scaled(shares, base))
        return Path(reference, self._bare, base, bounds, self._quantity_high)

    def passes(self, order: OrderRequest, path: Path) -> bool:
        """Return whether an order is clean; False is "look again the long way"."""
        quantity, price, stop = order.quantity, order.price, order.stop_price
        if quantity is None or (price is None) is self._priced or (stop is None) is self._stops:
            return False
        if price is None:
            base = path.price
        elif path.price_low <= price <= path.price_high and not remainder(price, self._price_step):
            base = price
        else:
            return False
        if self._has_notional and base is not None:
            notional = multiply(base, quantity)
            if self._sized:
                notional = multiply(notional, self._size)
            if not self._notional_low <= notional <= self._notional_high:
                return False
        return (
            self._quantity_low <= quantity <= path.quantity_high
            and not remainder(quantity, self._quantity_step)
            and (
                stop is None
                or (
                    self._stop_low <= stop <= self._stop_high
                    and not remainder(stop, self._stop_step)
                )
            )
            and self._is_usual(order)
        )

    def judge(self, order: OrderRequest, path: Path) -> Verdict:
        """Return the verdict on an order that does not pass."""
        if path.verdict is None or not self.breaks_numbers_only(order, path):
            return self._families.verdict(Case(order, self.kind, path.state))
        # which number it is may be told when asked
        return Verdict(
            not_judged=path.verdict.not_judged,
            explain=lambda: self._families.violations_of(
                Case(order, self.kind, path.state), self._numeric
            ),
        )

    def breaks_numbers_only(self, order: OrderRequest, path: Path) -> bool:
        """Return whether nothing but numbers is wrong of an order that does not pass.

        So it is if its fields are the usual ones, and the standing rules are kept, as they
        are where the path has a verdict.
        """
        quantity, price, stop = order.quantity, order.price, order.stop_price
        return (
            path.verdict is not None
            and quantity is not None
            and quantity > 0
            and (price is not None) is self._priced
            and (stop is not None) is self._stops
            and (price is None or price > 0)
            and (stop is None or stop > 0)
            and self._is_usual(order)
        )

    def _is_usual(self, order: OrderRequest) -> bool:
        return (
            order.quote_quantity is None
            and order.iceberg_quantity is None
            and order.trailing_delta is None
            and order.callback_rate is None
            and order.reduce_only is False
            and order.close_position is False
            and (order.position_side is None or self._sided)
            and order.time_in_force in self._times
            and (order.client_id is None or self._client_id(order.client_id) is not None)
        )

    def _merge_shape(self) -> None:
        self._numeric = [rule for rule in self._families.rules if isinstance(rule, _NUMERIC)]
        self._moving = [rule for rule in self._numeric if not rule.fixed]
        self._doubtful = [rule for rule in self._families.rules if rule.missing or not rule.fixed]
        rules, may = self._families.rules, self.kind.may or ()
        self._sided = "position_side" in may
        times = [rule.times for rule in rules if isinstance(rule, Parameters)]
        listed = times[0] if "time_in_force" in may else ()
        self._times = frozenset({None, *listed})
        ids = [rule.pattern for rule in rules if isinstance(rule, ClientId)]
        self._client_id = ids[0].fullmatch

    def _merge_numbers(self, case: Case) -> None:
        rules = self._families.rules
        self._price_step, self._quantity_step, self._stop_step = (
            self._step(name, case) for name in _STEPPED
        )
        self._price_bounds = self._bounds("price", case)
        self._quantity_low, self._quantity_high = self._bounds("quantity", case)
        self._stop_low, self._stop_high = self._bounds("stop_price", case)
        self._shares = [
            rule.buy if case.order.side == "buy" else rule.sell
            for rule in rules
            if isinstance(rule, PercentPrice)
        ]
        self._notionals = [rule for rule in rules if isinstance(rule, Notional)]
        limits = UNLIMITED
        for rule in self._notionals:
            limits = _common(limits, rule.limits(self.kind))
        self._notional_low, self._notional_high = limits
        self._has_notional = limits != UNLIMITED
        self._size = next((rule.size for rule in self._notionals), _ONE)
        self._sized = self._size != _ONE

    def _step(self, field: str, case: Case) -> Decimal:
        if not self._families.grids(field, self.kind):
            return FINEST
        grid = self._families.lattice(field, case)
        assert isinstance(grid, Grid)  # or this plan is not possible
        return grid.spacing

    def _bounds(self, field: str, case: Case) -> tuple[Decimal, Decimal]:
        return _narrowed((FINEST, ENDLESS), field, case, self._families.rules)  # above zero

    def _path_of(self, reference: object, state: MarketState) -> Path:
        case = Case(self._probe, self.kind, state)
        price = next((rule.price.of(state) for rule in self._notionals), None)
        prices = _narrowed(self._price_bounds, "price", case, self._moving)
        quantities = (self._quantity_low, self._quantity_high)
        high = _narrowed(quantities, "quantity", case, self._moving)[1]
        return Path(reference, self._clean(state), price, prices, high)

    def _clean(self, state: MarketState) -> Verdict | None:
        # what is not judged hangs on type, side and state alone, not on the numbers
        unjudged = []
        case = Case(self._probe, self.kind, state)
        for rule in self._doubtful:
            if rule.is_fine(case):
                continue
            for row in rule.rows(case):
                if row.ok is None:
                    unjudged.append(row)
                elif not row.ok and rule.standing:
                    return None
        return Verdict(not_judged=self._families.told(unjudged))


def _narrowed(
    bounds: tuple[Decimal, Decimal], field: str, case: Case, rules: Iterable[Rule]
) -> tuple[Decimal, Decimal]:
    for rule in rules:
        bounds = _common(bounds, rule.bounds(field, case))
    return bounds


def _common(
    one: tuple[Decimal, Decimal], other: tuple[Decimal, Decimal]
) -> tuple[Decimal, Decimal]:
    return max(one[0], other[0]), min(one[1], other[1])
