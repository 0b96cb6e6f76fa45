"""Volatility regimes: annualised, without look-ahead, honest about gaps."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velas.config import VolatilityRegimes
from velas.errors import ConfigError, FrameError
from velas.interval import INTERVALS, Interval
from velas.regimes import REGIMES, bars_per_year, classify, realised_volatility

HOUR = 3_600_000
HOURS_PER_YEAR = 365 * 24


def make(closes: list[float], slots: list[int] | None = None, interval: str = "1h") -> pd.DataFrame:
    grid = Interval(interval)
    at = range(len(closes)) if slots is None else slots
    return pd.DataFrame({"timestamp": [grid.open_of(slot) for slot in at], "close": closes})


def swinging(swing: float, rows: int) -> list[float]:
    return [100.0 * math.exp(swing * (row % 2)) for row in range(rows)]


@st.composite
def series(draw: st.DrawFn) -> tuple[list[int], list[float]]:
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 1, 2, 7]), min_size=0, max_size=60))
    prices = st.one_of(st.floats(0.01, 1e5), st.sampled_from([0.0, -1.0, math.nan, math.inf]))
    usual = st.floats(90, 110)
    slots = [int(slot) for slot in np.cumsum([100, *steps])]
    closes = [draw(st.one_of(usual, usual, usual, prices)) for _ in slots]
    return slots, closes


def plainly(slots: list[int], closes: list[float], window: int) -> list[float]:
    result = []
    for row, slot in enumerate(slots):
        squares = []
        for k in range(1, row + 1):
            a, b = closes[k - 1], closes[k]
            usable = a > 0 and b > 0 and math.isfinite(a) and math.isfinite(b)
            if slots[k] > slot - window and slots[k] - slots[k - 1] == 1 and usable:
                squares.append(math.log(b / a) ** 2)
        enough = len(squares) >= window / 2
        mean = sum(squares) / len(squares) if enough else math.nan
        result.append(math.sqrt(mean * HOURS_PER_YEAR))
    return result


@given(series(), st.integers(2, 12))
def test_realised_volatility_is_what_the_definition_says(
    made: tuple[list[int], list[float]], window: int
) -> None:
    slots, closes = made
    found = realised_volatility(make(closes, slots), "1h", window=window)
    # sums by difference lose digits where a jump of many orders of magnitude has been
    np.testing.assert_allclose(found, plainly(slots, closes, window), rtol=1e-6, atol=1e-4)


@given(series(), st.data())
def test_classify_never_looks_ahead(
    made: tuple[list[int], list[float]], data: st.DataObject
) -> None:
    frame = make(made[1], made[0])
    cut = data.draw(st.integers(0, len(frame)))
    lines = VolatilityRegimes(window=4)
    whole = classify(frame, "1h", lines)
    assert classify(frame.iloc[:cut], "1h", lines).tolist() == whole.tolist()[:cut]


@given(series(), st.floats(0.001, 1000))
@settings(max_examples=50)
def test_realised_volatility_does_not_depend_on_the_price_level(
    made: tuple[list[int], list[float]], factor: float
) -> None:
    slots, closes = made
    before = realised_volatility(make(closes, slots), "1h", window=4)
    after = realised_volatility(make([c * factor for c in closes], slots), "1h", window=4)
    np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-4)


def test_realised_volatility_known_swing_is_annualised() -> None:
    found = realised_volatility(make(swinging(0.01, 50)), "1h", window=24)
    assert found.iloc[-1] == pytest.approx(0.01 * math.sqrt(HOURS_PER_YEAR))


@pytest.mark.parametrize("name", INTERVALS)
def test_realised_volatility_is_annualised_for_every_interval(name: str) -> None:
    frame = make(swinging(0.01, 20), interval=name)
    found = realised_volatility(frame, name, window=4)
    assert found.iloc[-1] == pytest.approx(0.01 * math.sqrt(bars_per_year(name)))


@pytest.mark.parametrize(
    ("name", "bars"), [("1h", 8760), ("1d", 365), ("1m", 525_600), ("1M", 12), ("1w", 365 / 7)]
)
def test_bars_per_year_counts_a_market_that_never_closes(name: str, bars: float) -> None:
    assert bars_per_year(name) == pytest.approx(bars)


def test_realised_volatility_return_across_a_gap_does_not_count() -> None:
    closes = [100.0] * 10 + [200.0] * 10
    through = realised_volatility(make(closes), "1h", window=8)
    across = realised_volatility(make(closes, [*range(10), *range(11, 21)]), "1h", window=8)
    assert through.max() > 10
    assert across.max() == 0


def test_classify_too_little_after_a_long_gap_is_unknown() -> None:
    frame = make([100.0] * 40, [*range(20), *range(1000, 1020)])
    regimes = classify(frame, "1h", VolatilityRegimes(window=8)).tolist()
    start = ["unknown"] * 4 + ["low"] * 16
    assert regimes == start + start


@pytest.mark.parametrize(
    ("volatility", "regime"),
    [
        (0.0, "low"),
        (0.29, "low"),
        (0.31, "normal"),
        (0.79, "normal"),
        (0.81, "high"),
        (1.49, "high"),
        (1.51, "extreme"),
        (50.0, "extreme"),
    ],
)
def test_classify_default_thresholds_name_the_regime(volatility: float, regime: str) -> None:
    swing = volatility / math.sqrt(HOURS_PER_YEAR)
    assert classify(make(swinging(swing, 100)), "1h").iloc[-1] == regime


def test_classify_threshold_itself_belongs_to_the_upper_regime() -> None:
    frame = make(swinging(0.01, 60))
    exact = float(realised_volatility(frame, "1h", window=24).iloc[-1])
    lines = VolatilityRegimes(window=24, low=exact, high=2 * exact, extreme=3 * exact)
    assert classify(frame, "1h", lines).iloc[-1] == "normal"


def test_classify_result_is_ordered_and_keeps_the_index() -> None:
    frame = make(swinging(0.01, 60)).set_index(pd.RangeIndex(500, 560))
    regimes = classify(frame, Interval("1h"))
    assert regimes.index.equals(frame.index)
    assert regimes.name == "regime"
    assert tuple(regimes.cat.categories) == REGIMES
    assert (regimes >= "normal").any()


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_classify_few_rows_are_unknown(rows: int) -> None:
    assert classify(make([100.0] * rows), "1h").tolist() == ["unknown"] * rows


@pytest.mark.parametrize("slots", [[0, 0], [1, 0]])
def test_classify_open_times_that_do_not_rise_are_refused(slots: list[int]) -> None:
    with pytest.raises(FrameError, match="open times must rise"):
        classify(make([1.0, 2.0], slots), "1h")


def test_classify_without_close_is_refused() -> None:
    with pytest.raises(FrameError, match=r"missing columns \['close'\]"):
        classify(make([1.0]).drop(columns="close"), "1h")


def test_realised_volatility_window_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2 candles, not 1"):
        realised_volatility(make([1.0]), "1h", window=1)
