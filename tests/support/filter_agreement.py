"""Where `OrderValidator` and the slow reading of the filters differ, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction

import attrs
from filter_marks import Mark, Symbol, fraction
from filter_nearest import FAMILIES, grids, is_legal, nearest_order, nearest_value
from filter_reading import read

from velas.decimals import plain
from velas.errors import OrderInvalid
from velas.models import OrderRequest
from velas.validation import MarketState, OrderValidator, Policy, Verdict

__all__ = [
    "check_difference",
    "explain_difference",
    "nearest_difference",
    "normalize_difference",
    "told",
]

FIELDS = {field.name for kind in (OrderRequest, MarketState) for field in attrs.fields(kind)} | {
    "status"
}
Reading = Callable[[Symbol, OrderRequest, MarketState], list[Mark]]


def told(symbol: Symbol, order: OrderRequest, state: MarketState, *words: object) -> str:
    """Return one case with all that it needs to be tried again."""
    rows = [dict(row) for row in (*symbol.filters, *symbol.exchange_filters)]
    others = {key: value for key, value in symbol.row.items() if key != "filters"}
    others.pop("permissionSets", None)
    return "\n  ".join(
        [*map(str, words), f"{order}", f"{state}", f"{symbol.kind} {others}", *map(str, rows)]
    )


# -- verdicts -----------------------------------------------------------------------------


def check_difference(
    validator: OrderValidator,
    symbol: Symbol,
    order: OrderRequest,
    state: MarketState,
    reading: Reading = read,
) -> str:
    """Return how the two verdicts on an order differ, empty if they do not."""
    verdict = validator.check(order, reference=state)
    marks = reading(symbol, order, state)
    problems = [
        *_violations(verdict, [mark for mark in marks if mark.kind == "violated"]),
        *_parameters(verdict, [m for m in marks if m.kind == "violated"]),
        *_not_judged(verdict, [mark for mark in marks if mark.kind == "not judged"]),
    ]
    return told(symbol, order, state, *problems) if problems else ""


def _violations(verdict: Verdict, marks: Iterable[Mark]) -> list[str]:
    fieldless = {mark.filter for mark in marks if not mark.field}
    theirs = Counter(
        (one.filter, "" if one.filter in fieldless else one.field)
        for one in verdict
        if one.filter != "PARAMETERS"
    )
    ours = Counter((one.filter, one.field) for one in marks if one.filter != "PARAMETERS")
    problems = [f"velas alone: {one}" for one in sorted((theirs - ours).elements())]
    problems += [f"reading alone: {one}" for one in sorted((ours - theirs).elements())]
    problems += [f"no such field: {one}" for one in verdict if one.field not in FIELDS]
    return problems


def _parameters(verdict: Verdict, marks: Iterable[Mark]) -> list[str]:
    # who is to blame for two fields that exclude one another is not written anywhere
    theirs = {one.field for one in verdict if one.filter == "PARAMETERS"}
    ours = [set(one.field.split("|")) for one in marks if one.filter == "PARAMETERS"]
    problems = [f"velas alone: PARAMETERS {one}" for one in sorted(theirs - set().union(*ours))]
    return problems + [f"reading alone: PARAMETERS {one}" for one in ours if not theirs & one]


def _not_judged(verdict: Verdict, marks: Iterable[Mark]) -> list[str]:
    theirs = {one.filter for one in verdict.not_judged}
    ours = {one.filter for one in marks}
    problems = [f"not judged by velas alone: {one}" for one in sorted(theirs - ours)]
    return problems + [f"not judged by the reading alone: {one}" for one in sorted(ours - theirs)]


def explain_difference(
    validator: OrderValidator, symbol: Symbol, order: OrderRequest, state: MarketState
) -> str:
    """Return how an explanation differs from the verdict or from what the reading judged."""
    verdict = validator.check(order, reference=state)
    rows = validator.explain(order, reference=state)
    marks = read(symbol, order, state)
    names = {mark.filter for mark in marks if mark.filter not in ("PARAMETERS", "PRECISION")}
    problems = []
    if Counter((v.filter, v.field) for v in verdict) != Counter(
        (row.filter, row.field) for row in rows if row.ok is False
    ):
        problems.append("the rows that are not ok are not the violations")
    if {one.filter for one in verdict.not_judged} != {r.filter for r in rows if r.ok is None}:
        problems.append("the rows without a verdict are not those not judged")
    if lacking := names - {row.filter for row in rows}:
        problems.append(f"rules that apply are not explained: {lacking}")
    fine = names - {mark.filter for mark in marks if mark.kind != "fine"}
    if wrong := fine - {row.filter for row in rows if row.ok is True}:
        problems.append(f"rules that are kept are not said to be: {wrong}")
    return told(symbol, order, state, *problems, *rows) if problems else ""


def nearest_difference(
    validator: OrderValidator, symbol: Symbol, order: OrderRequest, state: MarketState
) -> str:
    """Return which `nearest` of a violation is not the nearest, empty if all are."""
    problems = []
    if order.quantity is not None and order.quote_quantity is not None:
        return ""  # which of the two would have to go is not for a filter to say
    for one in validator.check(order, reference=state):
        field = one.field
        no_price = order.price is not None and order.price <= 0
        if no_price or one.filter not in FAMILIES.get(field, ()):
            continue
        wanted = nearest_value(symbol, order, state, field)
        if one.nearest == wanted:
            continue
        free = not grids(symbol, order, field) and wanted is not None
        if free and isinstance(one.nearest, Decimal) and _close(one.nearest, wanted):
            continue
        problems.append(f"{one}: nearest {one.nearest}, but it is {wanted}")
    return told(symbol, order, state, *problems) if problems else ""


def _needs_any_digits(symbol: Symbol, order: OrderRequest, wanted: OrderRequest) -> bool:
    # on no grid only a number of many digits may be legal, which velas need not find
    return any(
        getattr(order, field) != getattr(wanted, field) and not grids(symbol, order, field)
        for field in ("price", "stop_price", "quantity", "iceberg_quantity")
    )


def _close(a: Decimal, b: Decimal) -> bool:
    # on no grid velas may go by eight decimals of its own
    return abs(fraction(a) - fraction(b)) <= max(abs(fraction(b)), Fraction(20)) / 10**9


# -- the nearest legal order --------------------------------------------------------------


def normalize_difference(
    validator: OrderValidator,
    symbol: Symbol,
    order: OrderRequest,
    state: MarketState,
    policy: tuple[Decimal, Decimal],
) -> str:
    """Return what is wrong with how velas normalizes an order, empty if nothing is."""
    larger, worse = policy
    wanted = nearest_order(symbol, order, state, fraction(larger), fraction(worse))
    chosen = Policy(larger_quantity=larger, worse_price=worse)
    try:
        found = validator.normalize(order, reference=state, policy=chosen)
    except OrderInvalid as error:
        if wanted is None or _needs_any_digits(symbol, order, wanted):
            return ""
        return told(symbol, order, state, policy, f"refused: {error}", f"but: {wanted}")
    problems = _result(validator, symbol, order, state, found)
    if wanted is None:
        problems.append(f"the reading finds none, velas: {found}")
    else:
        problems += _distances(symbol, order, found, wanted)
    if validator.normalize(found, reference=state, policy=chosen) is not found:
        problems.append("normalizing twice changes it again")
    return told(symbol, order, state, policy, *problems) if problems else ""


def _result(
    validator: OrderValidator,
    symbol: Symbol,
    order: OrderRequest,
    state: MarketState,
    found: OrderRequest,
) -> list[str]:
    problems = []
    if not is_legal(symbol, found, state):
        problems.append(f"not legal: {found}")
    if is_legal(symbol, order, state) and found is not order:
        problems.append("a legal order was changed")
    if validator.check(found, reference=state):
        problems.append("velas itself calls it illegal")
    for field in attrs.fields(OrderRequest):
        value = getattr(found, field.name)
        if isinstance(value, Decimal):
            text = plain(value)
            if "e" in text.lower() or Fraction(text) != fraction(value):
                problems.append(f"{field.name}: {value} is written {text}")
    return problems


def _distances(
    symbol: Symbol, order: OrderRequest, found: OrderRequest, wanted: OrderRequest
) -> list[str]:
    problems = []
    for field in attrs.fields(OrderRequest):
        theirs, ours = getattr(found, field.name), getattr(wanted, field.name)
        if theirs == ours:
            continue
        # a bound that is a fraction without an end, on no grid: any digits near it will do
        free = isinstance(theirs, Decimal) and not grids(symbol, order, field.name)
        if not free or not _close(theirs, ours):
            problems.append(f"{field.name}: {theirs}, nearest is {ours}")
    return problems
