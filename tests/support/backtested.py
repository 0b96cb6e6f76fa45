"""A result of a backtest, to save, load and compare."""

from __future__ import annotations

from typing import Any

from velas.backtests import BacktestResult, ClosedTrade, DataUsed

__all__ = ["CREATED_MS", "a_result", "a_trade"]

CREATED_MS = 1_764_170_000_000  # 2025-11-26 15:13:20 UTC


def a_trade(number: int = 0, **changes: Any) -> ClosedTrade:
    values: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": "long",
        "quantity": 0.5,
        "opened_ms": number * 7_200_000,
        "closed_ms": number * 7_200_000 + 3_600_000,
        "entry_price": 100.0,
        "exit_price": 104.0 - 3 * number,
        "pnl": 2.0 - 1.5 * number,
        "commission": 0.1,
    }
    return ClosedTrade(**{**values, **changes})


def a_result(**changes: Any) -> BacktestResult:
    values: dict[str, Any] = {
        "strategy": "Cross",
        "symbol": "BTC/USDT",
        "interval": "1h",
        "exchange": "binance_spot",
        "created_ms": CREATED_MS,
        "cash": 1_000.0,
        "value": 1_002.3,
        "data": (DataUsed("BTCUSDT", "1h", 0, 36_000_000, 11, "ab" * 32, "binance_spot"),),
        "trades": (a_trade(0), a_trade(1)),
        "equity": ((0, 1_000.0), (3_600_000, 1_010.0), (7_200_000, 909.0), (9_000_000, 1_002.3)),
        "parameters": {"fast": 5, "slow": 20},
        "analyzers": {"sharpe": {"sharperatio": None}},
        "versions": {"velas": "0.1.0"},
    }
    return BacktestResult(**{**values, **changes})
