"""The nearest legal order: fields one after the other, each at the ones before it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import attrs

from velas.errors import OrderInvalid
from velas.models import OrderRequest
from velas.validation.families import Families
from velas.validation.grid import ANY, Span, Ties
from velas.validation.numbers import add, multiply, subtract
from velas.validation.parameters import ADJUSTABLE
from velas.validation.policy import Policy
from velas.validation.rules import Case, Rule, RuleResult
from velas.validation.verdict import Value, Violation, shown

__all__ = ["normalized", "refuse_unmendable"]

_ONE = Decimal(1)


def refuse_unmendable(
    families: Families, case: Case, broken: Iterable[tuple[RuleResult, Rule]]
) -> None:
    """Refuse an order if it breaks rules that no number can mend.

    Raises:
        OrderInvalid: it does.
    """
    hopeless = [one for one in broken if not _mendable(*one)]
    if hopeless:
        told = families.violations(case, hopeless)
        raise OrderInvalid("; ".join(map(str, told)), violations=told)


def normalized(families: Families, case: Case, policy: Policy) -> OrderRequest:
    """Return the legal order nearest to one whose numbers alone break rules.

    Raises:
        OrderInvalid: there is none.
    """
    search = _Search(families, case, policy)
    search.move("stop_price")  # first, as a limit may hang on its trigger
    search.move("price", search.price_span(), ties="down" if search.buys else "up")
    search.move("quantity", search.quantity_span("quantity"))
    search.move("quote_quantity", search.quantity_span("quote_quantity"))
    search.move("iceberg_quantity", search.iceberg_span(), ties="up")
    search.move("trailing_delta")
    search.move("callback_rate")
    return search.case.order


def _mendable(row: RuleResult, rule: Rule) -> bool:
    return rule.curable(row) and (row.filter != "PARAMETERS" or row.field == ADJUSTABLE)


class _Search:
    def __init__(self, families: Families, case: Case, policy: Policy) -> None:
        self.case = case
        self.buys = case.order.side == "buy"
        self._asked = case
        self._families = families
        self._policy = policy

    def price_span(self) -> Span:
        """Return which prices the policy allows: no worse than a share of the asked one."""
        asked, share = self.case.order.price, self._policy.worse_price
        if asked is None:
            return ANY
        if self.buys:
            return Span(high=multiply(asked, add(_ONE, share)))
        return Span(low=multiply(asked, subtract(_ONE, share)))

    def quantity_span(self, field: str) -> Span:
        """Return which quantities the policy allows."""
        asked = getattr(self.case.order, field)
        if asked is None:
            return ANY
        return Span(high=multiply(asked, add(_ONE, self._policy.larger_quantity)))

    def iceberg_span(self) -> Span:
        """Return which visible parts there are: none is larger than the whole."""
        whole = self.case.order.quantity
        return ANY if whole is None else Span(high=whole)

    def move(self, field: str, allowed: Span = ANY, *, ties: Ties = "down") -> None:
        """Move one field to the nearest legal value, if it has one and is not there yet."""
        asked = getattr(self.case.order, field)
        if asked is None:
            return
        # a legal value is the nearest to itself
        found = self._families.nearest(field, self.case, within=allowed, ties=ties)
        if found is None:
            broken = self._families.broken(self._asked)
            violations = self._families.violations(self._asked, broken)
            raise OrderInvalid(self._why(field, asked, violations), violations=violations)
        if found != asked:
            changes: dict[str, Any] = {field: found}
            order = attrs.evolve(self.case.order, **changes)
            self.case = Case(order, self.case.kind, self.case.state)

    def _why(self, field: str, asked: Value, violations: tuple[Violation, ...]) -> str:
        """Say which value is the nearest without the policy, and what forbids it."""
        where = self._where(field)
        free = self._families.nearest(field, self.case, within=None)
        if free is None or isinstance(free, str) or field == "iceberg_quantity":
            return f"{where}no legal {field} near {shown(asked)}: {_reasons(field, violations)}"
        assert isinstance(asked, Decimal)
        share = self._policy.worse_price if field == "price" else self._policy.larger_quantity
        if field == "price":
            extreme, word = "nearest", "worse"
        else:
            extreme, word = "smallest", "larger"
        percent = shown(multiply(share, Decimal(100)))
        return (
            f"{where}the {extreme} legal {field} is {shown(free)}, {word} than the "
            f"{shown(asked)} asked (policy: at most {percent} % {word})"
        )

    def _where(self, field: str) -> str:
        price = self.case.order.price
        return f"at price {shown(price)} " if field == "quantity" and price is not None else ""


def _reasons(field: str, violations: tuple[Violation, ...]) -> str:
    found = (str(one) for one in violations if one.field == field)
    return "; ".join(found) or "rules exclude one another"
