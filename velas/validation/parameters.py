"""Which fields an order type must, may and cannot have; all numbers are above zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

import attrs

from velas.models import OrderRequest
from velas.validation.rules import FIELDS, UNLIMITED, Case, Kind, Rule, RuleResult

__all__ = ["ADJUSTABLE", "FUTURES", "GENERIC", "SPOT", "Parameters", "given"]

ADJUSTABLE = "callback_rate"  # the one field of PARAMETERS that has a nearest legal value
_POSITIVE = (
    "quantity", "quote_quantity", "price", "stop_price", "iceberg_quantity", "trailing_delta",
)  # fmt: skip
_ABOVE_ZERO = "must be above 0"
_CALLBACK_TEXT = "must be from 0.1 to 10 percent"
_CALLBACK = (Decimal("0.1"), Decimal(10))  # percent, of Futures' trailing stops


def _kinds(*kinds: Kind) -> Mapping[str, Kind]:
    return {kind.name: kind for kind in kinds}


_TIF = "time_in_force"
_TRIGGER = ("stop_price", "trailing_delta")
_ICEBERG = frozenset({_TIF, "iceberg_quantity"})
_ON_FUTURES = frozenset({"reduce_only", "position_side", _TIF})
_PRICED = ("quantity", "price")
_EITHER_QUANTITY = ("quantity", "quote_quantity")

SPOT = _kinds(
    Kind("limit", needs=_PRICED, may=_ICEBERG),
    Kind("limit_maker", needs=_PRICED, may=frozenset({"iceberg_quantity"})),
    Kind(
        "market", either=_EITHER_QUANTITY, exclusive=True, may=frozenset(), market=True, rests=False
    ),
    *(
        Kind(
            name,
            needs=("quantity",),
            either=_TRIGGER,
            may=frozenset(),
            market=True,
            conditional=True,
        )
        for name in ("stop_loss", "take_profit")
    ),
    *(
        Kind(name, needs=_PRICED, either=_TRIGGER, may=_ICEBERG, conditional=True)
        for name in ("stop_loss_limit", "take_profit_limit")
    ),
)
FUTURES = _kinds(
    Kind("limit", needs=_PRICED, may=_ON_FUTURES),
    # the venue refuses a time in force of a market order (-1106)
    Kind("market", needs=("quantity",), may=_ON_FUTURES - {_TIF}, market=True, rests=False),
    *(
        Kind(name, needs=(*_PRICED, "stop_price"), may=_ON_FUTURES, conditional=True)
        for name in ("stop", "take_profit")
    ),
    *(
        Kind(
            name,
            needs=("stop_price",),
            either=("quantity", "close_position"),
            exclusive=True,
            may=_ON_FUTURES,
            market=True,
            conditional=True,
        )
        for name in ("stop_market", "take_profit_market")
    ),
    Kind(
        "trailing_stop_market",
        needs=("quantity", "callback_rate"),
        may=_ON_FUTURES,
        market=True,
        conditional=True,
    ),
)
_ANYTHING = frozenset(FIELDS)
GENERIC = _kinds(
    Kind("limit", needs=_PRICED, may=_ANYTHING - {"quote_quantity"}),
    Kind(
        "market",
        either=_EITHER_QUANTITY,
        exclusive=True,
        may=_ANYTHING - {"price"},
        market=True,
        rests=False,
    ),
)


def given(order: OrderRequest) -> list[str]:
    """Return the names of the fields that an order has."""
    values = ((name, getattr(order, name)) for name in FIELDS)
    # 0 is a value, if a wrong one
    return [name for name, value in values if value is not None and value is not False]


@attrs.frozen
class Parameters(Rule):
    """The fields an order has are those its type takes.

    `times` are the times in force the market knows (empty: not said), `denied` fields it
    does not take, each with the reason.
    """

    times: tuple[str, ...] = ()
    denied: tuple[tuple[str, str], ...] = ()

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        if case.kind.may is None:
            needs = f"velas does not know the fields of type {case.order.type}"
            yield self.unjudged("type", case.order.type, "the fields of its type", needs)
        fine = True
        for row in self._broken(case):
            fine = False
            yield row
        if fine and case.kind.may is not None:
            text = f"has the fields of type {case.order.type}"
            yield self.judged("type", case.order.type, text, True)

    def curable(self, row: RuleResult) -> bool:
        """Return whether a number can mend it: one out of its range."""
        return row.rule in (_ABOVE_ZERO, _CALLBACK_TEXT)

    def speaks_of(self, field: str) -> bool:
        """Return whether it is the callback rate."""
        return field == ADJUSTABLE

    def bounds(self, field: str, case: Case) -> tuple[Decimal, Decimal]:
        """Return what it allows of a field, whatever the others hold."""
        return _CALLBACK if field == "callback_rate" else UNLIMITED

    def _broken(self, case: Case) -> Iterator[RuleResult]:
        order, kind = case.order, case.kind
        has = given(order)
        if kind.may is not None:
            yield from self._shape(kind, order, has)
        for field in _POSITIVE:
            value = getattr(order, field)
            if value is not None and value <= 0:
                yield self._bad(order, field, _ABOVE_ZERO)
        yield from self._values(order, has)

    def _shape(self, kind: Kind, order: OrderRequest, has: list[str]) -> Iterator[RuleResult]:
        for field in kind.needs:
            if field not in has:
                yield self._bad(order, field, f"a {kind.name} order needs it")
        chosen = [field for field in kind.either if field in has]
        if kind.either and not chosen:
            text = f"a {kind.name} order needs {' or '.join(kind.either)}"
            yield self._bad(order, kind.either[0], text)
        if kind.exclusive and len(chosen) > 1:
            text = f"a {kind.name} order has {' or '.join(kind.either)}, not both"
            yield self._bad(order, chosen[-1], text)
        may = {*kind.needs, *kind.either, *(kind.may or ())}
        for field in has:
            if field not in may:
                yield self._bad(order, field, f"a {kind.name} order cannot have it")

    def _values(self, order: OrderRequest, has: list[str]) -> Iterator[RuleResult]:
        for field, reason in self.denied:
            if field in has:
                yield self._bad(order, field, reason)
        if order.time_in_force is not None and self.times and order.time_in_force not in self.times:
            yield self._bad(order, _TIF, f"must be one of {', '.join(self.times)}")
        if order.iceberg_quantity is not None and order.time_in_force not in (None, "GTC"):
            yield self._bad(order, _TIF, "must be GTC with iceberg_quantity")
        if order.close_position and order.reduce_only:
            yield self._bad(order, "reduce_only", "cannot go with close_position")
        rate = order.callback_rate
        if rate is not None and not _CALLBACK[0] <= rate <= _CALLBACK[1]:
            yield self._bad(order, "callback_rate", _CALLBACK_TEXT)

    def _bad(self, order: OrderRequest, field: str, text: str) -> RuleResult:
        return self.judged(field, getattr(order, field), text, False)
