"""Binance's raw filter rows as rules: what Spot and Futures have in common."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from velas.models import Market
from velas.validation.grid import Grid
from velas.validation.numbers import ENDLESS, NO_BOUND, Fields, number_or_none, remainder
from velas.validation.rules import Case, Rule
from velas.validation.standing_rules import Count, Unknown
from velas.validation.value_rules import GridRule
from velas.validation.verdict import shown

__all__ = [
    "COUNTED",
    "Reader",
    "count_rule",
    "filter_rules",
    "grid_rule",
    "precision_rules",
    "switched",
]

_log = logging.getLogger(__name__)

Reader = Callable[[Mapping[str, Any]], Rule | None]

# filter: Spot's name of its field (Futures': limit), the count of MarketState, whom it counts
COUNTED: Mapping[str, tuple[str, str, Callable[[Case], bool]]] = {
    "MAX_NUM_ORDERS": (
        "maxNumOrders", "open_orders", lambda case: case.kind.rests,
    ),
    "MAX_NUM_ALGO_ORDERS": (
        "maxNumAlgoOrders", "open_algo_orders", lambda case: case.kind.conditional,
    ),
    "MAX_NUM_ICEBERG_ORDERS": (
        "maxNumIcebergOrders", "open_iceberg_orders",
        lambda case: (case.order.iceberg_quantity or 0) > 0,
    ),
    "EXCHANGE_MAX_NUM_ORDERS": (
        "maxNumOrders", "exchange_orders", lambda case: case.kind.rests,
    ),
    "EXCHANGE_MAX_NUM_ALGO_ORDERS": (
        "maxNumAlgoOrders", "exchange_algo_orders",
        lambda case: case.kind.conditional,
    ),
    "EXCHANGE_MAX_NUM_ICEBERG_ORDERS": (
        "maxNumIcebergOrders", "exchange_iceberg_orders",
        lambda case: (case.order.iceberg_quantity or 0) > 0,
    ),
}  # fmt: skip
# of lists and amendments, which an order request never is
_OTHERS = ("MAX_NUM_ORDER_LISTS", "EXCHANGE_MAX_NUM_ORDER_LISTS", "MAX_NUM_ORDER_AMENDS")


def filter_rules(market: Market, readers: Mapping[str, Reader]) -> Iterator[Rule]:
    """Yield a rule for each row of a market's own and its venue's filters."""
    for row in (*market.filters, *market.exchange_filters):
        name = str(row.get("filterType"))
        if name in readers:
            rule = readers[name](row)
            if rule is not None:
                yield rule
        elif name in COUNTED:
            yield count_rule(name, row, on_spot=market.type == "spot")
        elif name not in _OTHERS:
            _log_once(name, market.symbol)
            yield Unknown(name)


_told: set[str] = set()


def _log_once(name: str, symbol: str) -> None:
    if name not in _told:
        _told.add(name)
        _log.warning("%s has the filter %s, which velas does not know", symbol, name)


def count_rule(name: str, row: Mapping[str, Any], *, on_spot: bool) -> Rule:
    """Return the rule of a filter that counts orders."""
    own, known, counts = COUNTED[name]
    fields = Fields(row)
    most = fields.number(own, "limit") if on_spot else fields.number("limit", own)
    return Count(name, most, known, counts, missing=tuple(fields.missing))


def switched(bound: Decimal | None, otherwise: Decimal) -> Decimal:
    """Return a bound, or `otherwise` if the venue switched it off with 0."""
    return bound if bound else otherwise


def grid_rule(
    row: Mapping[str, Any],
    names: tuple[str, str, str],
    fields: tuple[str, ...],
    *,
    from_least: bool = False,
    market_only: bool = False,
) -> GridRule:
    """Return the rule of a filter with a minimum, a maximum and a step.

    Steps are counted from 0, or `from_least` from the minimum.
    """
    read = Fields(row)
    least, most, step = read.number(names[0]), read.number(names[1]), read.step(names[2])
    offset = Decimal(0)
    if from_least and step and least:
        offset = remainder(least, step)
    text = f"must be a multiple of {shown(step)}"
    if offset:
        text = f"must be {shown(least)} plus a multiple of {shown(step)}"
    return GridRule(
        str(row["filterType"]),
        fields,
        low=switched(least, NO_BOUND),
        high=switched(most, ENDLESS),
        grid=Grid.of(step, offset) if step else None,
        step=step or None,
        offset=offset,
        step_text=text,
        market_only=market_only,
        missing=tuple(read.missing),
    )


def precision_rules(
    market: Market, rules: list[Rule], fields: Mapping[tuple[str, ...], str]
) -> Iterator[GridRule]:
    """Yield rules on the number of decimals where no grid implies them already (-1111)."""
    for names, source in fields.items():
        places = number_or_none(market.info.get(source))
        if places is None or places != int(places) or not 0 <= places <= 40:
            continue
        step = Decimal((0, (1,), -int(places)))
        grid = Grid.of(step)
        free = tuple(name for name in names if not _implied(grid, name, rules))
        if free:
            text = f"must have at most {int(places)} decimals ({source})"
            yield GridRule("PRECISION", free, grid=grid, step=step, step_text=text)


def _implied(grid: Grid, field: str, rules: list[Rule]) -> bool:
    return any(
        grid.holds(rule.grid)
        for rule in rules
        if isinstance(rule, GridRule)
        and field in rule.fields
        and not rule.market_only
        and isinstance(rule.grid, Grid)
    )
