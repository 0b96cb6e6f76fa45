"""Show what the rules of a market say of an order: a table, or a document for programs."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from typing import Literal

import attrs

from velas.cli.output import Justify, many, show_table, write
from velas.order_models import OrderRequest
from velas.validation import MarketState, RuleResult, Verdict
from velas.validation.verdict import Value, shown

__all__ = ["Judgement", "Source", "judgement_document", "show_judgement"]

Source = Literal["option", "venue"] | None

_WORDS: Mapping[bool | None, str] = {True: "pass", False: "FAIL", None: "not judged"}
_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("", "left"),
    ("rule", "left"),
    ("field", "left"),
    ("value", "left"),
    ("nearest legal", "left"),
    ("what the rule says", "left"),
)
_LEAST_TEXT = 40  # characters of the last column; with less room it gets lines of its own
_INDENT = " " * 11
_PRICES = ("reference_price", "mark_price", "best_bid", "best_ask")
_UNSAID = ("intent", "symbol", "side", "type")


@attrs.frozen
class Judgement:
    """What was found of an order; `source` is where the prices came from, if there are any.

    `nearest` is of no worse price and no larger quantity than the order; where there is
    none, `why_none` says why and `beyond` is the nearest one that may cost more.
    """

    exchange: str
    order: OrderRequest
    state: MarketState
    source: Source
    rules: tuple[RuleResult, ...]
    verdict: Verdict
    nearest: OrderRequest | None
    beyond: OrderRequest | None
    why_none: str | None


def judgement_document(found: Judgement) -> dict[str, object]:
    """Return it as plain data for JSON; numbers as text, exactly."""
    prices = {name: _plain(getattr(found.state, name)) for name in _PRICES}
    return {
        "ok": found.verdict.ok,
        "exchange": found.exchange,
        "symbol": found.order.symbol,
        "order": _order_document(found.order),
        "reference": {"source": found.source, **prices},
        "rules": [_rule_document(row) for row in found.rules],
        "violations": [
            {
                "filter": one.filter,
                "field": one.field,
                "value": _plain(one.value),
                "rule": one.rule,
                "nearest": _plain(one.nearest),
            }
            for one in found.verdict
        ],
        "not_judged": [
            {"filter": one.filter, "needs": one.needs} for one in found.verdict.not_judged
        ],
        "nearest": None if found.nearest is None else _order_document(found.nearest),
        "why_none": found.why_none,
        "nearest_beyond_policy": None if found.beyond is None else _order_document(found.beyond),
    }


def show_judgement(found: Judgement) -> None:
    """Write it for people; nothing is cut off, however narrow the terminal."""
    width = _width()
    _wrapped(f"{_order_text(found.order)}, on {found.exchange}", width)
    _wrapped(_prices_text(found), width)
    write()
    _show_rules(found.rules, width)
    write()
    if found.verdict.ok:
        left = len(found.verdict.not_judged)
        open_ones = f"; {many(left, 'rule')} not judged" if left else ""
        _wrapped(f"accepted by the rules{open_ones}", width)
        return
    if found.nearest is None:
        _wrapped(f"no legal order near it: {found.why_none}", width)
        if found.beyond is not None:
            text = _order_text(found.beyond)
            _wrapped(f"nearest legal order of a larger quantity or a worse price: {text}", width)
    else:
        _wrapped(f"nearest legal order: {_order_text(found.nearest)}", width)
    _wrapped(f"refused: {many(len(found.verdict), 'rule')} broken", width)


def _show_rules(rules: tuple[RuleResult, ...], width: int) -> None:
    rows = [_row(one) for one in rules]
    heads = [name for name, _ in _COLUMNS]
    taken = sum(max(len(row[at]) for row in (heads, *rows)) + 1 for at in range(len(heads) - 1))
    if width - taken >= _LEAST_TEXT:
        show_table(_COLUMNS, rows)
        return
    for word, name, field, value, nearest, text in rows:
        _wrapped(f"{word:<{len(_INDENT)}}{name} {field} {value}".rstrip(), width, _INDENT)
        for line in (text, nearest and f"nearest legal: {nearest}"):
            if line:
                _wrapped(_INDENT + line, width, _INDENT)


def _row(one: RuleResult) -> list[str]:
    text = one.rule if one.ok is not None else "; ".join(filter(None, (one.rule, one.needs)))
    nearest = "" if one.nearest is None else shown(one.nearest)
    value = "" if one.value is None else shown(one.value)
    return [_WORDS[one.ok], one.filter, one.field, value, nearest, text]


def _order_text(order: OrderRequest) -> str:
    given = [
        f"{name} {shown(value)}" if value is not True else name
        for name, value in attrs.asdict(order).items()
        if name not in _UNSAID and value is not None and value is not False
    ]
    return f"{order.side} {order.type} {order.symbol}: {', '.join(given)}"


def _prices_text(found: Judgement) -> str:
    if found.source == "option":
        return f"reference and mark price {shown(found.state.reference_price)}, as given"
    known = [
        f"{name.replace('_', ' ')} {shown(value)}"
        for name in _PRICES
        if (value := getattr(found.state, name)) is not None
    ]
    return f"{', '.join(known)}, of the venue" if known else "no prices of the venue are known"


def _order_document(order: OrderRequest) -> dict[str, object]:
    return {name: _plain(value) for name, value in attrs.asdict(order).items() if name != "intent"}


def _rule_document(row: RuleResult) -> dict[str, object]:
    return {
        "filter": row.filter,
        "field": row.field,
        "value": _plain(row.value),
        "rule": row.rule,
        "ok": row.ok,
        "needs": row.needs or None,
        "nearest": _plain(row.nearest),
    }


def _plain(value: Value) -> str | bool | None:
    """Return a number as text; a flag is a number to Python, but not to anybody else."""
    return value if value is None or isinstance(value, bool) else shown(value)


def _wrapped(text: str, width: int, indent: str = "") -> None:
    for line in textwrap.wrap(text, max(20, width), subsequent_indent=indent):
        write(line)


def _width() -> int:
    from rich.console import Console

    return Console(file=sys.stdout).width
