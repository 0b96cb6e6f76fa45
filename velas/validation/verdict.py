"""What judging an order gives: its violations, and what could not be judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import overload

import attrs

from velas.decimals import exact_or_none, plain

__all__ = ["MarketState", "NotJudged", "Value", "Verdict", "Violation"]

Value = Decimal | int | str | None


@attrs.frozen
class MarketState:
    """What rules ask about the market and the account beyond the order itself.

    `reference_price` is Spot's: the symbol's reference price, else the average of the
    last minutes. `mark_price` is Futures'. `position` is MAX_POSITION's sum: free and
    locked base asset and the open buy orders' quantity. Numbers of orders are of those
    open now, without the one that is judged; `algo` are stops and take-profits;
    `exchange_...` count all symbols. `amends` is how often this order was amended.
    None: not known, and rules that need it say so.
    """

    reference_price: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    mark_price: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    best_bid: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    best_ask: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    position: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    open_orders: int | None = None
    open_algo_orders: int | None = None
    open_iceberg_orders: int | None = None
    open_order_lists: int | None = None
    exchange_orders: int | None = None
    exchange_algo_orders: int | None = None
    exchange_iceberg_orders: int | None = None
    exchange_order_lists: int | None = None
    amends: int | None = None


@attrs.frozen
class Violation:
    """One rule that the order breaks.

    `filter` is the venue's name of the rule, `field` the field of `OrderRequest` it is
    about, `value` what the order (or the account) has there, `rule` the rule in words
    and numbers, `nearest` the nearest legal value, None where there is none.
    """

    filter: str
    field: str
    value: Value
    rule: str
    nearest: Value = None

    def __str__(self) -> str:
        nearest = "" if self.nearest is None else f"; nearest legal: {shown(self.nearest)}"
        has = f"no {self.field}" if self.value is None else f"{self.field} {shown(self.value)}"
        return f"{self.filter}: {has}, but {self.rule}{nearest}"


@attrs.frozen
class NotJudged:
    """A rule that was not judged: `needs` says what it would have to know."""

    filter: str
    needs: str

    def __str__(self) -> str:
        return f"{self.filter}: not judged, {self.needs}"


class Verdict(Sequence[Violation]):
    """All violations of one order, as a sequence: empty when it is legal.

    `not_judged` are rules whose state was not given, and filters velas does not know;
    they make the order neither legal nor illegal. Whether there are violations is known
    at once; with `explain`, their words and nearest values are made when first looked at.
    """

    __slots__ = ("_explain", "_violations", "not_judged")

    def __init__(
        self,
        violations: tuple[Violation, ...] = (),
        not_judged: tuple[NotJudged, ...] = (),
        *,
        explain: Callable[[], tuple[Violation, ...]] | None = None,
    ) -> None:
        self.not_judged = not_judged
        self._violations = violations
        self._explain = explain

    @property
    def ok(self) -> bool:
        """Whether nothing that was judged is violated."""
        return self._explain is None and not self._violations

    @property
    def violations(self) -> tuple[Violation, ...]:
        """All of them, at least one if not `ok`."""
        explain = self._explain  # which another thread may finish with meanwhile
        if explain is not None:
            self._violations = explain()
            self._explain = None
        return self._violations

    def __reduce__(self) -> tuple[type[Verdict], tuple[object, object]]:
        return Verdict, (self.violations, self.not_judged)

    def __repr__(self) -> str:
        return f"Verdict(violations={self.violations!r}, not_judged={self.not_judged!r})"

    @overload
    def __getitem__(self, index: int) -> Violation: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Violation, ...]: ...
    def __getitem__(self, index: int | slice) -> Violation | tuple[Violation, ...]:
        return self.violations[index]

    def __len__(self) -> int:
        return len(self.violations)

    def __iter__(self) -> Iterator[Violation]:
        return iter(self.violations)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Verdict):
            return (self.violations, self.not_judged) == (other.violations, other.not_judged)
        if isinstance(other, (list, tuple)):
            return self.violations == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.violations, self.not_judged))


def shown(value: Value) -> str:
    """Return a value as a message spells it."""
    return plain(value) if isinstance(value, Decimal) else str(value)
