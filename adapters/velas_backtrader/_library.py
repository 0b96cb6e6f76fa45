"""What velas uses of backtrader, which has no types."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = [
    "UNBOUNDED",
    "AbstractDataBase",
    "BackBroker",
    "Replayer",
    "Resampler",
    "TimeFrame",
    "date2num",
    "num2date",
]

_BACKTRADER: Any = importlib.import_module("backtrader")
_FILTERS: Any = importlib.import_module("backtrader.resamplerfilter")

AbstractDataBase: Any = _BACKTRADER.feed.AbstractDataBase
BackBroker: Any = _BACKTRADER.brokers.BackBroker
Replayer: Any = _FILTERS.Replayer
Resampler: Any = _FILTERS.Resampler
TimeFrame: Any = _BACKTRADER.TimeFrame
UNBOUNDED: int = _BACKTRADER.linebuffer.LineBuffer.UnBounded
date2num: Any = _BACKTRADER.date2num
num2date: Any = _BACKTRADER.num2date
