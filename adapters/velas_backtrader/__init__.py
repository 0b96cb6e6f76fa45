"""Candles of velas in backtrader: a data feed for backtests, and live."""

from velas_backtrader._checks import IntegrityWarning
from velas_backtrader._feed import CandleData

__all__ = ["CandleData", "IntegrityWarning"]
