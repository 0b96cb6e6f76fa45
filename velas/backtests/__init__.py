"""Results of backtests: what ran on which data and what came of it, to reproduce or refuse."""

from __future__ import annotations

from velas.backtests.check import DataCheck, check_data
from velas.backtests.compare import Comparison, compare
from velas.backtests.files import load_result, results, save_result
from velas.backtests.marks import marks
from velas.backtests.result import BacktestResult, ClosedTrade, DataUsed, OpenTrade

__all__ = [
    "BacktestResult",
    "ClosedTrade",
    "Comparison",
    "DataCheck",
    "DataUsed",
    "OpenTrade",
    "check_data",
    "compare",
    "load_result",
    "marks",
    "results",
    "save_result",
]
