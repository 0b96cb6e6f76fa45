"""Nobody sees a candle before it is over, whichever way backtrader runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from btkit import Witness, candles, longer, played

from velas.interval import Interval
from velas_backtrader import CandleData

MODES: list[dict[str, Any]] = [
    {},
    {"runonce": False},
    {"preload": False},
    {"exactbars": 1},
    {"exactbars": -1},
    {"exactbars": -2},
]
BTC, ETH = candles(480), candles(480, seed=2)
CUT = [119, 120, 121, 299, 300, *range(310, 350)]
WHOLE = [
    (BTC, "BTCUSDT", "1m"),
    (ETH, "ETHUSDT", "1m"),
    (longer(BTC, "5m"), "BTCUSDT", "5m"),
    (longer(BTC, "1h"), "BTCUSDT", "1h"),
    (longer(ETH, "1h"), "ETHUSDT", "1h"),
    (longer(ETH, "4h"), "ETHUSDT", "4h"),
]
HOLED = [
    (BTC.drop(index=CUT).reset_index(drop=True), "BTCUSDT", "1m"),
    (ETH.drop(index=[200, 239, 240]).reset_index(drop=True), "ETHUSDT", "1m"),
    (longer(BTC, "5m").drop(index=[3, 11, 23]).reset_index(drop=True), "BTCUSDT", "5m"),
    (longer(BTC, "1h"), "BTCUSDT", "1h"),
]
Known = Sequence[tuple[pd.DataFrame, str, str]]


def truth(series: Known) -> list[tuple[tuple[float, ...], ...]]:
    """Return what may be known at each moment at which a candle is over."""
    ends = [
        pd.Series([Interval(interval).end_of(int(one)) for one in frame["timestamp"]])
        for frame, _, interval in series
    ]
    moments = sorted(set().union(*(one.tolist() for one in ends)))
    return [
        tuple(
            (count, float(frame["close"].iloc[count - 1])) if count else (0,)
            for (frame, _, _), end in zip(series, ends, strict=True)
            for count in [int((end <= moment).sum())]
        )
        for moment in moments
    ]


@pytest.mark.filterwarnings("ignore::velas_backtrader.IntegrityWarning")
@pytest.mark.parametrize("modes", MODES, ids=str)
@pytest.mark.parametrize("series", [WHOLE, HOLED], ids=["whole", "holed"])
@pytest.mark.parametrize("order", [1, -1])
def test_strategy_sees_what_is_over_and_all_of_it(
    series: Known, modes: dict[str, Any], order: int
) -> None:
    given = series[::order]
    datas = [CandleData(*one, integrity="warn") for one in given]
    log = played(datas, Witness, **modes).log
    got = [tuple((row[0], row[2]) if row[0] else row for row in rows) for rows in log]
    assert got == truth(given)


class Profiteer(bt.Strategy):  # type: ignore[misc]
    """Goes where the newest hour closed: right if that is the hour that runs, else wrong."""

    def next(self) -> None:
        for minute, hour in ((self.datas[0], self.datas[2]), (self.datas[1], self.datas[3])):
            ahead = hour.close[0] - minute.close[0]
            if ahead:
                self.order_target_size(minute, 1 if ahead > 0 else -1)


@pytest.mark.parametrize("modes", MODES, ids=str)
def test_strategy_that_lives_from_a_leak_loses(modes: dict[str, Any]) -> None:
    assert played(straight_hours(), Profiteer, **modes).broker.getvalue() < 10_000


@pytest.mark.parametrize("modes", MODES, ids=str)
def test_strategy_that_lives_from_a_leak_wins_where_there_is_one(modes: dict[str, Any]) -> None:
    strategy = played(straight_hours(early_ms=59 * 60_000), Profiteer, **modes)
    assert strategy.broker.getvalue() > 10_000


def straight_hours(early_ms: int = 0) -> list[CandleData]:
    """Return two symbols that go straight to where each hour ends."""
    minutes, hours = [], []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        turns = 200 + np.cumsum(rng.choice([-6.0, 6.0], 25))
        close = np.round(np.interp(np.arange(1, 24 * 60 + 1) / 60, np.arange(25), turns), 4)
        first = np.concatenate([turns[:1], close[:-1]])
        low, high = np.minimum(first, close), np.maximum(first, close)
        frame = candles(24 * 60).assign(open=first, high=high, low=low, close=close)
        hour = longer(frame, "1h")
        hour["timestamp"] -= early_ms
        minutes.append(CandleData(frame, f"M{seed}", "1m"))
        hours.append(CandleData(hour, f"H{seed}", "1h"))
    return [*minutes, *hours]
