"""Candles of velas in backtrader: a data feed for backtests, and live."""

from velas_backtrader._backtest import backtest
from velas_backtrader._checks import IntegrityWarning
from velas_backtrader._feed import CandleData
from velas_backtrader._live import LiveCandles
from velas_backtrader._recorder import Recorder
from velas_backtrader._sample import CrossingAverages, sample

__all__ = [
    "CandleData",
    "CrossingAverages",
    "IntegrityWarning",
    "LiveCandles",
    "Recorder",
    "backtest",
    "sample",
]
