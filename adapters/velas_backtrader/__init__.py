"""Candles of velas in backtrader: a data feed for backtests, and live."""

from velas_backtrader._checks import IntegrityWarning
from velas_backtrader._feed import CandleData
from velas_backtrader._live import LiveCandles

__all__ = ["CandleData", "IntegrityWarning", "LiveCandles"]
