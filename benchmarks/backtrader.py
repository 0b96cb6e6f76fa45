"""Candles in backtrader against its own feed for pandas: ratios within one run.

python -m benchmarks.backtrader [--rows 525600] [--rounds 1]
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.store import minute_candles
from benchmarks.tables import show
from velas_backtrader import CandleData
from velas_parquet import ParquetStore

__all__ = ["main"]

_YEAR_ROWS = 525_600
_MINUTE_MS = 60_000
bt: Any = importlib.import_module("backtrader")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=_YEAR_ROWS)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args(argv)
    frame = minute_candles(options.rows)
    print(f"{options.rows:,} candles of 1m, median of {options.rounds}\n")
    with tempfile.TemporaryDirectory() as folder:
        store = ParquetStore(Path(folder))
        store.save(frame, "BTCUSDT", "1m")
        show(("case", "s", "of PandasData"), _measure(frame, store, options.rounds))
    return 0


def _measure(frame: pd.DataFrame, store: ParquetStore, rounds: int) -> list[list[str]]:
    ends = pd.DatetimeIndex(pd.to_datetime(frame["timestamp"] + _MINUTE_MS, unit="ms"))
    indexed = frame.set_index(ends)
    feeds: dict[str, Callable[[], Any]] = {
        "PandasData": lambda: bt.feeds.PandasData(dataname=indexed, timeframe=bt.TimeFrame.Minutes),
        "CandleData of the frame": lambda: CandleData(frame, "BTCUSDT", "1m"),
        "CandleData of a store": lambda: CandleData(store, "BTCUSDT", "1m"),
    }
    rows = []
    for what, act in (("load, checks included", _load), ("empty strategy, whole run", _run)):
        seconds: dict[str, list[float]] = {name: [] for name in feeds}
        for _ in range(rounds):
            for name, feed in feeds.items():
                seconds[name].append(act(feed))
        theirs = statistics.median(seconds["PandasData"])
        for name, taken in seconds.items():
            ours = statistics.median(taken)
            rows.append([f"{what}: {name}", f"{ours:.3f}", f"1/{theirs / ours:.1f}"])
    return rows


def _load(feed: Callable[[], Any]) -> float:
    cerebro = bt.Cerebro()
    started = time.perf_counter()
    data = feed()
    cerebro.adddata(data)
    data.reset()
    data._start()
    data.preload()
    return time.perf_counter() - started


def _run(feed: Callable[[], Any]) -> float:
    cerebro = bt.Cerebro(stdstats=False)
    started = time.perf_counter()
    cerebro.adddata(feed())
    cerebro.addstrategy(bt.Strategy)
    cerebro.run()
    return time.perf_counter() - started


if __name__ == "__main__":
    raise SystemExit(main())
