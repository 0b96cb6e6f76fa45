"""Any other venue's rules, of what ccxt knows: limits, and precision in three modes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import attrs

from velas.models import Market
from velas.validation.grid import Digits, Grid
from velas.validation.numbers import ENDLESS, NO_BOUND
from velas.validation.parameters import Parameters
from velas.validation.rules import Case, Price, Rule, RuleResult
from velas.validation.standing_rules import ClientId, OrderType, Status
from velas.validation.value_rules import ONE, GridRule, Notional
from velas.validation.verdict import MarketState, shown

__all__ = ["generic_rules"]

_CLIENT_ID = re.compile(r"[A-Za-z0-9-_]{1,36}")
_PRICES = ("price", "stop_price")
_QUANTITIES = ("quantity", "iceberg_quantity")


def generic_rules(market: Market) -> tuple[Rule, ...]:
    """Return the rules of a market by ccxt's limits and precision; a bound of 0 is none.

    Rules are named as ccxt names them: ``limits.amount``, ``precision.price`` ...
    """
    rules: list[Rule] = [Status("STATUS", market, None)]
    if market.order_types:
        rules.append(OrderType("ORDER_TYPE", market.order_types))
    rules.append(Parameters("PARAMETERS"))
    rules.append(ClientId("CLIENT_ORDER_ID", _CLIENT_ID))
    rules.extend(_limits(market))
    rules.extend(_precision(market, "price", _PRICES))
    rules.extend(_precision(market, "amount", _QUANTITIES))
    return tuple(rules)


def _limits(market: Market) -> Iterator[Rule]:
    for name, fields in (("price", _PRICES), ("amount", _QUANTITIES), ("market", ("quantity",))):
        low, high = _bounds(market, name)
        if (low, high) != (NO_BOUND, ENDLESS):
            yield GridRule(f"limits.{name}", fields, low, high, market_only=name == "market")
    low, high = _bounds(market, "cost")
    if (low, high) == (NO_BOUND, ENDLESS):
        return
    if market.type != "spot" and market.linear is not True:
        yield _Uncounted("limits.cost")
        return
    size = ONE if market.type == "spot" else market.contract_size or ONE
    yield Notional("limits.cost", _PRICE, low=low, high=high, size=size)


def _bounds(market: Market, name: str) -> tuple[Decimal, Decimal]:
    low, high = market.limits.get(name) or (None, None)
    return low or NO_BOUND, high or ENDLESS


def _reference(state: MarketState) -> Decimal | None:
    return state.mark_price if state.reference_price is None else state.reference_price


_PRICE = Price("reference price", _reference)


def _precision(market: Market, name: str, fields: tuple[str, ...]) -> Iterator[Rule]:
    value = market.precision.get(name)
    if value is None:
        return
    mode, filter_name = market.precision_mode, f"precision.{name}"
    if mode == "significant_digits":
        if value >= 1:
            text = f"must have at most {shown(value)} significant digits"
            yield GridRule(filter_name, fields, grid=Digits(int(value)), step_text=text)
        return
    if mode == "decimal_places":
        step, text = Decimal((0, (1,), -int(value))), f"must have at most {shown(value)} decimals"
    else:
        step, text = value, f"must be a multiple of {shown(value)}"
    if step > 0:
        yield GridRule(filter_name, fields, grid=Grid.of(step), step=step, step_text=text)


@attrs.frozen
class _Uncounted(Rule):
    """The cost of contracts that are not linear, which velas does not work out."""

    standing = True

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        needs = "velas does not know the cost of a contract that is not linear"
        yield self.unjudged("quantity", case.order.quantity, "", needs)
