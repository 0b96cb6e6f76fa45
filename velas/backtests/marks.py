"""Where the trades of a backtest lie in a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velas.backtests.result import BacktestResult
from velas.interval import Interval
from velas.symbols import series_key

if TYPE_CHECKING:
    from velas.charts import Mark

__all__ = ["marks"]


def marks(result: BacktestResult, symbol: str | None = None) -> list[Mark]:
    """Return the fills of a result's trades of a symbol for `velas.charts.save_chart`.

    By default of the symbol it is named after. Each lies on the candle in which it was
    filled, one that was filled in a longer candle where that begins.
    """
    grid = Interval(result.interval)
    key = series_key(symbol or result.symbol)
    found: list[Mark] = []
    for trade in result.trades:
        if trade.symbol != key:
            continue
        theirs = Interval(trade.interval or result.interval)  # times are the ends of candles
        opened_ms = grid.floor(theirs.floor(trade.opened_ms - 1))
        closed_ms = grid.floor(theirs.floor(trade.closed_ms - 1))
        is_long = trade.side == "long"
        found.append((opened_ms, trade.entry_price, "buy" if is_long else "sell"))
        found.append((closed_ms, trade.exit_price, "sell" if is_long else "buy"))
    return sorted(found)
