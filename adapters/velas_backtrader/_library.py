"""What velas uses of backtrader, which has no types."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = [
    "SMA",
    "UNBOUNDED",
    "AbstractDataBase",
    "Analyzer",
    "BackBroker",
    "BrokerObserver",
    "Cerebro",
    "CrossOver",
    "Order",
    "PercentSizer",
    "Replayer",
    "Resampler",
    "Strategy",
    "TimeFrame",
    "date2num",
    "num2date",
]

_BACKTRADER: Any = importlib.import_module("backtrader")
_FILTERS: Any = importlib.import_module("backtrader.resamplerfilter")

AbstractDataBase: Any = _BACKTRADER.feed.AbstractDataBase
Analyzer: Any = _BACKTRADER.Analyzer
BrokerObserver: Any = _BACKTRADER.observers.Broker
Cerebro: Any = _BACKTRADER.Cerebro
CrossOver: Any = _BACKTRADER.ind.CrossOver
Order: Any = _BACKTRADER.Order
PercentSizer: Any = _BACKTRADER.sizers.PercentSizer
SMA: Any = _BACKTRADER.ind.SMA
Strategy: Any = _BACKTRADER.Strategy
BackBroker: Any = _BACKTRADER.brokers.BackBroker
Replayer: Any = _FILTERS.Replayer
Resampler: Any = _FILTERS.Resampler
TimeFrame: Any = _BACKTRADER.TimeFrame
UNBOUNDED: int = _BACKTRADER.linebuffer.LineBuffer.UnBounded
date2num: Any = _BACKTRADER.date2num
num2date: Any = _BACKTRADER.num2date
