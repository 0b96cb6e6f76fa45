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
    filled: the times of trades are the ends of candles.
    """
    interval = Interval(result.interval)
    key = series_key(symbol or result.symbol)
    found: list[Mark] = []
    for trade in result.trades:
        if trade.symbol != key:
            continue
        first, last = ("buy", "sell") if trade.side == "long" else ("sell", "buy")
        found.append((interval.floor(trade.opened_ms - 1), trade.entry_price, first))
        found.append((interval.floor(trade.closed_ms - 1), trade.exit_price, last))
    return sorted(found)
