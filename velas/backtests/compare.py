"""Two results beside each other: what was different, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import attrs

from velas.backtests.result import BacktestResult, ClosedTrade

__all__ = ["Comparison", "compare", "figures"]


@attrs.frozen
class Comparison:
    """`inputs` and `figures` are those that differ: name, of the first, of the second.

    `first_trade` is the number (from 0) of the first trade that is not the same, with
    both (None: there is none any more); None if all trades are.
    """

    inputs: tuple[tuple[str, Any, Any], ...]
    figures: tuple[tuple[str, Any, Any], ...]
    first_trade: tuple[int, ClosedTrade | None, ClosedTrade | None] | None

    @property
    def same(self) -> bool:
        """Whether both came to the same, trade for trade."""
        return not self.figures and self.first_trade is None


def compare(one: BacktestResult, other: BacktestResult) -> Comparison:
    """Compare two results: inputs, figures, trades."""
    return Comparison(
        tuple(_differences(_inputs(one), _inputs(other))),
        tuple(_differences(_outcome(one), _outcome(other))),
        _first_trade(one, other),
    )


def figures(result: BacktestResult) -> dict[str, Any]:
    """Return the figures by which a result is judged."""
    return {
        "trades": len(result.trades),
        "won": result.won,
        "net": result.net,
        "return_pct": result.return_pct,
        "drawdown_pct": result.drawdown_pct,
        "commission": sum(one.commission for one in result.trades)
        + sum(one.commission for one in result.open_trades),
        "value": result.value,
    }


def _outcome(result: BacktestResult) -> dict[str, Any]:
    held = {f"held.{one.symbol}": one.quantity for one in result.open_trades}
    return figures(result) | _spread("orders", result.orders) | held


def _inputs(result: BacktestResult) -> dict[str, Any]:
    found: dict[str, Any] = {
        "strategy": result.strategy,
        "symbol": result.symbol,
        "interval": result.interval,
        "exchange": result.exchange,
        "cash": result.cash,
        "code": result.code,
    }
    found |= _spread("parameters", result.parameters)
    found |= _spread("setup", result.setup)
    for number, data in enumerate(result.data):
        found |= _spread(f"data.{number}", attrs.asdict(data))
    return found | _spread("versions", result.versions)


def _spread(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}.{key}": value for key, value in values.items()}


def _differences(
    mine: Mapping[str, Any], theirs: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys((*mine, *theirs)):
        one, other = mine.get(name), theirs.get(name)
        if one != other:
            yield name, one, other


def _first_trade(
    one: BacktestResult, other: BacktestResult
) -> tuple[int, ClosedTrade | None, ClosedTrade | None] | None:
    for number, (mine, theirs) in enumerate(zip_longest(one.trades, other.trades)):
        if mine != theirs:
            return number, mine, theirs
    return None
