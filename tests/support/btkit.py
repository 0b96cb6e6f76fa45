"""Candles to run backtrader on, and strategies that write down what they see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from velas import frames
from velas.interval import Interval
from velas_backtrader import CandleData

__all__ = ["DAY", "START", "Witness", "candles", "longer", "played", "seen"]

START = 1_704_067_200_000  # 2024-01-01, a Monday
DAY = 86_400_000
_SUMS = ("volume", "quote_volume", "trades", "taker_buy_base", "taker_buy_quote")


def candles(
    count: int, interval: str = "1m", *, start_ms: int = START, seed: int = 1
) -> pd.DataFrame:
    """Return a random walk that closes away from where it opened, as candles."""
    grid = Interval(interval)
    rng = np.random.default_rng(seed)
    opens = grid.open_of(grid.slot(start_ms) + np.arange(count))
    close = np.round(100 + np.cumsum(rng.normal(0, 0.3, count)).clip(-60, 500), 2)
    first = np.concatenate([[100.0], close[:-1]])
    volume = np.round(rng.exponential(30, count), 5)
    return frames.coerce(
        pd.DataFrame(
            {
                "timestamp": opens,
                "open": first,
                "high": np.round(np.maximum(first, close) + rng.exponential(0.2, count), 2),
                "low": np.round(np.minimum(first, close) - rng.exponential(0.2, count), 2),
                "close": close,
                "volume": volume,
                "close_time": grid.open_of(grid.slot(opens) + 1) - 1,
                "quote_volume": np.round(volume * close, 7),
                "trades": rng.integers(1, 3_000, count),
                "taker_buy_base": np.round(volume * 0.4, 5),
                "taker_buy_quote": np.round(volume * close * 0.4, 5),
            }
        )
    )


def longer(frame: pd.DataFrame, interval: str) -> pd.DataFrame:
    """Return the candles of a longer interval that are made of these, only whole ones."""
    grid = Interval(interval)
    slots = grid.slot(frame["timestamp"].to_numpy())
    how = dict.fromkeys(_SUMS, "sum") | {
        "timestamp": "first",
        "open": "first",
        "high": "max",
        "low": "min",
        "close": "last",
        "close_time": "last",
    }
    made = frame.groupby(slots).agg(how).reset_index(drop=True)
    opens = grid.open_of(np.unique(slots))
    ends = grid.open_of(np.unique(slots) + 1)
    made["timestamp"] = opens
    over = (ends - 1 <= frame["close_time"].iloc[-1]) & (opens >= frame["timestamp"].iloc[0])
    return frames.coerce(made[over][list(frames.COLUMNS)].reset_index(drop=True))


class Witness(bt.Strategy):  # type: ignore[misc]
    """Writes down, at each call, the newest bar of every data."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []

    def next(self) -> None:
        self.log.append(tuple(map(_newest, self.datas)))

    prenext = next


def _newest(data: Any) -> tuple[Any, ...]:
    return (len(data), data.datetime[0], data.close[0], data.trades[0]) if len(data) else (0,)


def played(datas: Sequence[Any], strategy: type[Any] = Witness, **modes: Any) -> Any:
    """Run a strategy over data feeds and return it."""
    cerebro = bt.Cerebro(stdstats=False, **modes)
    for data in datas:
        cerebro.adddata(data)
    cerebro.addstrategy(strategy)
    return cerebro.run()[0]


def seen(data: CandleData, *names: str) -> list[list[float]]:
    """Return what the lines of a feed hold after a run in which nothing was let go."""
    return [list(getattr(data.lines, name).array) for name in names]
