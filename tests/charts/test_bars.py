from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fakes import HOUR, candles

from velas.charts.bars import bars_of, coarser
from velas.errors import FrameError
from velas.interval import Interval

DAY = 24 * HOUR
H1, D1 = Interval("1h"), Interval("1d")


@pytest.mark.parametrize(
    ("name", "span_ms", "drawn"),
    [
        ("1h", 400 * HOUR, "1h"),
        ("1h", 401 * HOUR, "2h"),
        ("1m", 365 * DAY, "1d"),
        ("8h", 201 * DAY, "1d"),  # eight hours do not add up to twelve
        ("3d", 401 * 3 * DAY, "1M"),  # nor three days to a week
        ("1h", 3000 * DAY, "1M"),
        ("1M", 90_000 * DAY, "1M"),  # nothing is coarser
    ],
)
def test_coarser_is_the_first_that_fits_and_adds_up(name: str, span_ms: int, drawn: str) -> None:
    most = 400 if drawn != "1M" or name == "1M" else 200
    assert coarser(Interval(name), span_ms, most).name == drawn


def test_bars_of_the_same_interval_are_the_candles_where_they_are() -> None:
    frame = candles([0, HOUR, 2 * HOUR + 14_800])
    bars = bars_of(frame, H1, H1)
    assert bars.start_ms.tolist() == [0, HOUR, 2 * HOUR + 14_800]
    assert bars.end_ms.tolist() == [HOUR, 2 * HOUR, 3 * HOUR + 14_800]
    assert bars.close.tolist() == frame["close"].tolist()


def test_bars_of_a_longer_interval_are_what_pandas_makes_of_the_candles() -> None:
    random = np.random.default_rng(1)
    frame = candles([n * HOUR for n in range(100) if n not in (3, 30, 31)])
    for name in ("open", "high", "low", "close", "volume"):
        frame[name] = random.random(len(frame))
    bars = bars_of(frame, H1, D1)
    days = frame.groupby(frame["timestamp"] // DAY)
    assert bars.start_ms.tolist() == [0, DAY, 2 * DAY, 3 * DAY, 4 * DAY]
    assert bars.open.tolist() == days["open"].first().tolist()
    assert bars.high.tolist() == days["high"].max().tolist()
    assert bars.low.tolist() == days["low"].min().tolist()
    assert bars.close.tolist() == days["close"].last().tolist()
    assert np.allclose(bars.volume, days["volume"].sum())


def test_bars_of_months_are_as_long_as_each_month() -> None:
    opens = [0, 31 * DAY, 59 * DAY]  # 1970
    month = Interval("1M")
    assert bars_of(candles(opens, "1M"), month, month).end_ms.tolist() == [*opens[1:], 90 * DAY]


def test_bars_without_finite_prices_are_left_out() -> None:
    frame = candles([0, HOUR, 2 * HOUR])
    frame.loc[1, "high"] = np.inf
    assert bars_of(frame, H1, H1).start_ms.tolist() == [0, 2 * HOUR]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (candles([]), "no candle to draw"),
        (candles([HOUR, 0]), "must ascend"),
        (candles([0, 0]), "must ascend"),
        (candles([0]).drop(columns="volume"), "missing: \\['volume'\\]"),
    ],
)
def test_bars_of_what_is_no_series_are_refused(frame: pd.DataFrame, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        bars_of(frame, H1, H1)
