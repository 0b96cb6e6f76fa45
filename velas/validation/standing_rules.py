"""Rules on what an order is, not on its numbers: status, type, counts, reduce-only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal

import attrs

from velas.models import Market
from velas.validation.numbers import ENDLESS, NO_BOUND
from velas.validation.rules import UNLIMITED, Case, Price, Rule, RuleResult
from velas.validation.value_rules import bounds_text, scaled
from velas.validation.verdict import shown

__all__ = [
    "ClientId",
    "Count",
    "MarketPercent",
    "OrderType",
    "PositionControl",
    "Status",
    "TrailingDelta",
    "Unknown",
]


@attrs.frozen
class Status(Rule):
    """Only a market that trades takes orders."""

    market: Market
    word: str | None  # the status that trades, None: the venue has no word for it
    standing = True

    def speaks_of(self, field: str) -> bool:
        """Return that it is no matter of numbers."""
        return False

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        status = self.market.status
        if self.word is not None and status:
            text = f"only a market that is {self.word} takes orders"
            yield self.judged("status", status, text, status == self.word)
        else:
            status = "active" if self.market.active else "not active"
            text = "only an active market takes orders"
            yield self.judged("status", status, text, self.market.active)

    def is_fine(self, case: Case) -> bool:
        """Return True only if all rows of a case are fine."""
        return self.market.status == self.word


@attrs.frozen
class OrderType(Rule):
    """The market lists its order types."""

    types: tuple[str, ...]
    listed: frozenset[str] = attrs.field(
        init=False,
        repr=False,
        default=attrs.Factory(lambda self: frozenset(map(str.lower, self.types)), takes_self=True),
    )
    standing = True

    def speaks_of(self, field: str) -> bool:
        """Return that it is no matter of numbers."""
        return False

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        text = f"must be one of {', '.join(self.types)}"
        yield self.judged("type", case.order.type, text, self.is_fine(case))

    def is_fine(self, case: Case) -> bool:
        """Return whether the type is listed."""
        return case.order.type in self.listed


@attrs.frozen
class ClientId(Rule):
    """How a client order id may be spelled."""

    pattern: re.Pattern[str]

    def is_fine(self, case: Case) -> bool:
        """Return True only if all rows of a case are fine."""
        return case.order.client_id is None

    def speaks_of(self, field: str) -> bool:
        """Return that it is no matter of numbers."""
        return False

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        given = case.order.client_id
        if given is not None:
            text = f"must match {self.pattern.pattern}"
            yield self.judged("client_id", given, text, self.pattern.fullmatch(given) is not None)


@attrs.frozen
class Count(Rule):
    """How many orders may be open, with this one."""

    most: Decimal | None
    known: str  # the field of MarketState
    counts: Callable[[Case], bool]
    standing = True

    def is_fine(self, case: Case) -> bool:
        """Return True only if all rows of a case are fine."""
        if not self.counts(case):
            return True
        found: int | None = getattr(case.state, self.known)
        return found is not None and self.most is not None and found + 1 <= self.most

    def speaks_of(self, field: str) -> bool:
        """Return that it is no matter of numbers."""
        return False

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        if not self.counts(case):
            return
        found: int | None = getattr(case.state, self.known)
        if self.most is None:
            yield from self.unread(self.known, found)
            return
        text = f"with this one at most {shown(self.most)} may be open"
        if found is None:
            yield self.unjudged(self.known, None, text, f"{self.known} is not given")
        else:
            yield self.judged(self.known, found, text, found + 1 <= self.most)


@attrs.frozen
class MarketPercent(Rule):
    """Futures' market orders: the best price they meet may be so far from the mark price."""

    price: Price
    down: Decimal = NO_BOUND
    up: Decimal = ENDLESS
    standing = True

    def speaks_of(self, field: str) -> bool:
        """Return that it is no matter of numbers."""
        return False

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        if case.order.type != "market":
            return
        buys = case.order.side == "buy"
        field = "best_ask" if buys else "best_bid"
        missing = {"multiplierUp" if buys else "multiplierDown"} & {*self.missing}
        shares = (NO_BOUND, self.up) if buys else (self.down, ENDLESS)
        best = case.state.best_ask if buys else case.state.best_bid
        base = self.price.of(case.state)
        text = f"must be {bounds_text(*shares)} times the {self.price.name}"
        if missing:
            yield self.unjudged(
                field, best, text, f"its field {missing.pop()} is missing or no number"
            )
        elif shares != UNLIMITED and (best is None or base is None):
            name = field.replace("_", " ") if best is None else self.price.name
            yield self.unjudged(field, best, text, f"the {name} is not given")
        elif best is not None and base is not None:
            low, high = scaled(shares, base)
            text = f"{text}, that is {bounds_text(low, high)}"
            yield self.judged(field, best, text, low <= best <= high)


@attrs.frozen
class PositionControl(Rule):
    """Binance's undocumented brake: some sides may only reduce a position."""

    side: str | None
    standing = True

    def speaks_of(self, field: str) -> bool:
        """Return that it is no matter of numbers."""
        return False

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        word = (self.side or "NONE").upper()
        order = case.order
        if word == "NONE":
            return
        reducing = order.reduce_only or order.close_position
        text = f"the venue lets only orders through that reduce a position ({word})"
        if word not in _CONTROLLED:
            yield self.unjudged("reduce_only", reducing, text, f"unknown side {word}")
        elif order.side in _CONTROLLED[word]:
            yield self.judged("reduce_only", reducing, text, reducing)


_CONTROLLED = {
    "BOTH": ("buy", "sell"),
    "ALL": ("buy", "sell"),
    "BUY": ("buy",),
    "LONG": ("buy",),
    "SELL": ("sell",),
    "SHORT": ("sell",),
}


@attrs.frozen
class TrailingDelta(Rule):
    """Spot's trailing stops: least and most distance, above and below the price."""

    above: tuple[Decimal, Decimal]
    below: tuple[Decimal, Decimal]
    above_missing: tuple[str, ...] = ()
    below_missing: tuple[str, ...] = ()

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        delta, which = case.order.trailing_delta, self._side(case)
        if delta is None or which is None:
            return
        low, high = self.bounds("trailing_delta", case)
        text = f"must be {bounds_text(low, high)} basis points"
        if (low, high) != UNLIMITED:
            yield self.judged("trailing_delta", delta, text, low <= delta <= high)
        for name in self.above_missing if which == "above" else self.below_missing:
            needs = f"its field {name} is missing or no number"
            yield self.unjudged("trailing_delta", delta, text, needs)

    def is_fine(self, case: Case) -> bool:
        """Return True only if all rows of a case are fine."""
        return case.order.trailing_delta is None

    def speaks_of(self, field: str) -> bool:
        """Return whether it is the trailing delta."""
        return field == "trailing_delta"

    def bounds(self, field: str, case: Case) -> tuple[Decimal, Decimal]:
        """Return what it allows of a field, whatever the others hold."""
        which = self._side(case)
        if field != "trailing_delta" or which is None:
            return UNLIMITED
        return self.above if which == "above" else self.below

    def _side(self, case: Case) -> str | None:
        order = case.order
        rising = {
            "stop_loss": "buy",
            "stop_loss_limit": "buy",
            "take_profit": "sell",
            "take_profit_limit": "sell",
        }.get(order.type)
        return None if rising is None else "above" if order.side == rising else "below"


@attrs.frozen
class Unknown(Rule):
    """A filter that velas does not know: said each time, never fatal."""

    standing = True

    def speaks_of(self, field: str) -> bool:
        """Return that it is no matter of numbers."""
        return False

    def rows(self, case: Case) -> Iterator[RuleResult]:
        """Judge a case."""
        yield self.unjudged("", None, "", "velas does not know this filter")
