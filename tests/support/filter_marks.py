"""What the slow reading of Binance's order rules is written in: numbers, marks, types."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import attrs

__all__ = [
    "ALGO",
    "MARKET_TYPES",
    "PRICED",
    "TYPES",
    "Mark",
    "Row",
    "Symbol",
    "Unreadable",
    "fraction",
    "mark",
    "missing",
    "number",
]

Row = Mapping[str, Any]

TYPES = {
    "spot": (
        "limit",
        "limit_maker",
        "market",
        "stop_loss",
        "stop_loss_limit",
        "take_profit",
        "take_profit_limit",
    ),
    "futures": (
        "limit",
        "market",
        "stop",
        "stop_market",
        "take_profit",
        "take_profit_market",
        "trailing_stop_market",
    ),
}
MARKET_TYPES = {
    "spot": {"market", "stop_loss", "take_profit"},
    "futures": {"market", "stop_market", "take_profit_market", "trailing_stop_market"},
}
PRICED = {
    "spot": {"limit", "limit_maker", "stop_loss_limit", "take_profit_limit"},
    "futures": {"limit", "stop", "take_profit"},
}
ALGO = {
    "spot": {"stop_loss", "stop_loss_limit", "take_profit", "take_profit_limit"},
    "futures": {"stop", "stop_market", "take_profit", "take_profit_market", "trailing_stop_market"},
}


class Mark(NamedTuple):
    """One judgement: `kind` is ``violated``, ``fine`` or ``not judged``.

    `field` is the one the filter speaks of; several, split by a bar, where the documents
    leave open which of them is to blame.
    """

    filter: str
    field: str
    kind: str
    part: str = ""


@attrs.frozen(eq=False)
class Symbol:
    """One symbol's row of exchangeInfo, and the exchange's own filters beside it."""

    kind: str  # "spot" or "futures"
    row: Row
    exchange_filters: tuple[Row, ...] = ()

    @property
    def filters(self) -> list[Row]:
        """Return the symbol's filter rows."""
        return list(self.row.get("filters", ()))

    def find(self, name: str) -> Row | None:
        """Return the filter of one name."""
        return next((row for row in self.filters if row["filterType"] == name), None)


class Unreadable(Exception):
    """A filter row lacks a number."""


@lru_cache(maxsize=100_000)
def _of_text(text: str) -> Fraction:
    return Fraction(text)


def fraction(value: object) -> Fraction:
    """Return the number that a text, an int or a Decimal writes."""
    return _of_text(str(value).strip())


def number(row: Row, name: str) -> Fraction:
    """Return a number of a filter row."""
    value = row.get(name)
    if value is None or isinstance(value, bool):
        raise Unreadable(name)
    try:
        return fraction(value)
    except (ValueError, ZeroDivisionError):
        raise Unreadable(name) from None


def mark(name: str, field: str, broken: bool, part: str) -> Mark:
    """Return a judgement that was possible."""
    return Mark(name, field, "violated" if broken else "fine", part)


def missing(name: str) -> Mark:
    """Return the judgement that something was not known."""
    return Mark(name, "", "not judged", "state")
