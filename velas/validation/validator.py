"""Judge orders by their market's own rules, and find the nearest legal one."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from velas.decimals import exact
from velas.errors import OrderInvalid
from velas.models import Market, OrderRequest
from velas.order_models import Side
from velas.validation.families import Families
from velas.validation.fast import Path, Plan
from velas.validation.futures import futures_rules
from velas.validation.generic import generic_rules
from velas.validation.grid import ANY, Span
from velas.validation.normalize import normalized, refuse_unmendable
from velas.validation.parameters import FUTURES, GENERIC, SPOT
from velas.validation.policy import Policy
from velas.validation.rules import Case, Kind, Rule, RuleResult
from velas.validation.spot import spot_rules
from velas.validation.standing_rules import Unknown
from velas.validation.value_rules import GridRule
from velas.validation.verdict import MarketState, Verdict, shown

__all__ = ["OrderValidator", "Reference"]

Reference = Decimal | int | str | MarketState | None

_RULES: dict[str, Callable[[Market], tuple[Rule, ...]]] = {
    "spot": spot_rules,
    "futures": futures_rules,
    "generic": generic_rules,
}
_KINDS = {"spot": SPOT, "futures": FUTURES, "generic": GENERIC}
_CONDITIONAL = ("stop", "take_profit", "trailing")
_DEFAULT_POLICY = Policy()


class OrderValidator:
    """The rules of one market.

    Binance's filters where the market has them (Spot's or Futures'), elsewhere ccxt's
    limits and precision. Arithmetic is exact and does not look at the caller's decimal
    context. `reference` is what is known beside the order: a price (Spot's reference
    price and Futures' mark price), or a `MarketState`; rules that would need more are
    listed in `Verdict.not_judged`.
    """

    def __init__(self, market: Market, rules: tuple[Rule, ...], dialect: str) -> None:
        self.market = market
        self._kinds = _KINDS[dialect]
        self._families = Families(rules)
        # prices and quantities by themselves: no order type, no state
        grids = [rule for rule in rules if isinstance(rule, GridRule) and not rule.market_only]
        self._alone = Families(grids)
        self._plans: dict[tuple[str, str], Plan] = {}

    def __reduce__(self) -> tuple[Callable[[Market], OrderValidator], tuple[Market]]:
        # copies and other processes make the rules anew: they hold functions and caches
        return type(self).from_market, (self.market,)

    @classmethod
    def from_market(cls, market: Market) -> OrderValidator:
        """Read the rules of a market; what cannot be read is told, never fatal."""
        dialect = "generic"
        if any("filterType" in row for row in market.filters):
            dialect = "spot" if market.type == "spot" else "futures"
        return cls(market, _RULES[dialect](market), dialect)

    @property
    def unknown_filters(self) -> tuple[str, ...]:
        """The filters of the market that velas does not know."""
        names = [rule.filter for rule in self._families.rules if isinstance(rule, Unknown)]
        return tuple(dict.fromkeys(names))

    def check(self, request: OrderRequest, *, reference: Reference = None) -> Verdict:
        """Return all violations of an order, and what could not be judged.

        Raises:
            ConfigError: the reference is a float or no number.
        """
        # as `_way`, without the price of a call
        plan = self._plans.get((request.side, request.type)) or self._plan(request)
        path = plan.path
        if path.reference is not reference:
            path = plan.path_for(reference)
        if path.verdict is not None and plan.passes(request, path):
            return path.verdict
        return plan.judge(request, path)

    def explain(
        self, request: OrderRequest, *, reference: Reference = None
    ) -> tuple[RuleResult, ...]:
        """Return what each rule that applies says, the fulfilled ones too.

        Raises:
            ConfigError: the reference is a float or no number.
        """
        plan, path = self._way(request, reference)
        return tuple(self._families.rows(Case(request, plan.kind, path.state)))

    def normalize(
        self,
        request: OrderRequest,
        *,
        reference: Reference = None,
        policy: Policy = _DEFAULT_POLICY,
    ) -> OrderRequest:
        """Return the nearest legal order: the order itself if it is legal.

        Price first (never for the notional's sake), then trigger, quantity at that price,
        visible part, distances; prices get no worse and quantities no larger than the
        policy allows.

        Raises:
            OrderInvalid: there is none, with the reason and the order's violations.
            ConfigError: the reference is a float or no number.
        """
        plan, path = self._way(request, reference)
        if path.verdict is not None and plan.passes(request, path):
            return request
        case = Case(request, plan.kind, path.state)
        if not plan.breaks_numbers_only(request, path):
            broken = self._families.broken(case)
            if not broken:
                return request
            refuse_unmendable(self._families, case, broken)
        return normalized(self._families, case, policy)

    def validate_order(
        self, symbol: str, price: Decimal | int | str, quantity: Decimal | int | str
    ) -> tuple[bool, str]:
        """Judge a limit order by the rules that do not ask for its side or the market.

        The message is empty, or holds all violations.

        Raises:
            ConfigError: a float, or no number.
        """
        if symbol not in (self.market.symbol, self.market.id, self.market.key):
            return False, f"symbol {symbol}: these are the rules of {self.market.symbol}"
        buy, sell = (
            self.check(OrderRequest(symbol, side, "limit", quantity, price))
            for side in ("buy", "sell")
        )
        common = [violation for violation in buy if violation in tuple(sell)]
        return not common, "; ".join(map(str, common))

    def normalize_price(self, price: Decimal | int | str, *, side: Side | None = None) -> Decimal:
        """Return the nearest legal price: for a buy none above, for a sell none below.

        Raises:
            OrderInvalid: there is none.
            ConfigError: a float, or no number.
        """
        asked = exact(price)
        span = {"buy": Span(high=asked), "sell": Span(low=asked)}
        return self._nearest("price", asked, span.get(side or "", ANY))

    def normalize_quantity(self, quantity: Decimal | int | str) -> Decimal:
        """Return the largest legal quantity that is not above the asked one.

        Raises:
            OrderInvalid: there is none.
            ConfigError: a float, or no number.
        """
        asked = exact(quantity)
        return self._nearest("quantity", asked, Span(high=asked))

    def _nearest(self, field: str, asked: Decimal, allowed: Span) -> Decimal:
        values: dict[str, Any] = {field: asked}
        order = OrderRequest(self.market.symbol, "buy", "limit", **values)
        case = Case(order, self._kind(order.type), MarketState())
        found = self._alone.nearest(field, case, within=allowed)
        if not isinstance(found, Decimal):
            raise OrderInvalid(
                f"no legal {field} near {shown(asked)}", violations=self._alone.verdict(case)
            )
        return found

    def _way(self, request: OrderRequest, reference: Reference) -> tuple[Plan, Path]:
        plan = self._plans.get((request.side, request.type)) or self._plan(request)
        path = plan.path
        return plan, path if path.reference is reference else plan.path_for(reference)

    def _kind(self, name: str) -> Kind:
        return self._kinds.get(name) or Kind(name, conditional=name.startswith(_CONDITIONAL))

    def _plan(self, request: OrderRequest) -> Plan:
        kind = self._kind(request.type)
        plan = Plan(self._families, request, kind)
        if kind.may is not None:  # types are few, other words are not
            self._plans[request.side, request.type] = plan
        return plan
