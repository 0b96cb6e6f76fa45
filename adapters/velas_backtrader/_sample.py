"""A strategy to begin with, and its backtest: what `velas demo` ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from velas_backtrader._backtest import backtest
from velas_backtrader._feed import CandleData
from velas_backtrader._library import SMA, CrossOver, PercentSizer, Strategy

if TYPE_CHECKING:
    from velas.backtests import BacktestResult
    from velas.interval import Interval
    from velas.settings import Settings

__all__ = ["CrossingAverages", "sample"]


class CrossingAverages(Strategy):  # type: ignore[misc]
    """Hold while the average of the last `fast` closes is above that of the last `slow`."""

    params: Any = (("fast", 10), ("slow", 30))

    def __init__(self) -> None:
        fast, slow = SMA(period=self.p.fast), SMA(period=self.p.slow)
        self._crossed = CrossOver(fast, slow)

    def next(self) -> None:
        """Buy when the fast average comes above the slow one, sell when it falls below."""
        if self._crossed[0] > 0:
            self.buy()
        elif self._crossed[0] < 0:
            self.close()


def sample(settings: Settings, symbol: str, interval: str | Interval) -> BacktestResult:
    """Return the backtest of `CrossingAverages` over everything stored of a series.

    Half of the money is put into each trade. Raises what `CandleData.from_settings` does.
    """
    data = CandleData.from_settings(settings, symbol, interval)
    return backtest(CrossingAverages, data, prepare=_put_in_half)


def _put_in_half(cerebro: Any) -> None:
    cerebro.addsizer(PercentSizer, percents=50)
