from __future__ import annotations

import datetime as dt

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from btkit import START, candles
from hypothesis import given, settings

from velas import frames
from velas.errors import FrameError
from velas.interval import Interval
from velas_backtrader._columns import SPELLINGS, to_candles

MINUTE = Interval("1m")
FRAME = candles(5)
SHORT = FRAME[["timestamp", "open", "high", "low", "close", "volume"]]
PLAIN = frames.coerce(SHORT, MINUTE)


def same(frame: pd.DataFrame, expected: pd.DataFrame = PLAIN) -> None:
    pd.testing.assert_frame_equal(to_candles(frame, MINUTE), expected)


def times(values: object) -> pd.DataFrame:
    return SHORT.assign(timestamp=values)


def test_own_frame_is_taken_as_it_is() -> None:
    assert to_candles(FRAME, MINUTE) is FRAME


def test_own_frame_with_another_index_is_numbered_anew() -> None:
    indexed = FRAME.set_index(pd.to_datetime(FRAME["timestamp"], unit="ms"))
    same(indexed, FRAME)


@pytest.mark.parametrize("unit", [10**3, 10**6])
def test_own_frame_in_another_unit_is_told_by_its_magnitude(unit: int) -> None:
    finer = FRAME.assign(
        timestamp=FRAME["timestamp"] * unit, close_time=FRAME["close_time"] * unit + unit - 1
    )
    same(finer, FRAME)
    same(finer.assign(timestamp=FRAME["timestamp"]), FRAME)


@pytest.mark.parametrize("column", ["timestamp", "close_time"])
@pytest.mark.parametrize(("factor", "unit"), [(10**3, "us"), (10**-3, "s")])
def test_own_frame_of_two_units_is_refused(column: str, factor: float, unit: str) -> None:
    mixed = FRAME.copy()
    mixed.loc[3:, column] = (mixed.loc[3:, column] * factor).astype("int64")
    with pytest.raises(FrameError, match=rf"{column}.* {unit}.*one unit for all rows"):
        to_candles(mixed, MINUTE)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_known_spelling_in_any_case_is_found(data: st.DataObject) -> None:
    names = {}
    for name, spellings in SPELLINGS.items():
        spelled = data.draw(st.sampled_from(spellings))
        change = data.draw(
            st.sampled_from([str, str.upper, str.title, lambda s: s.replace("_", " ")])
        )
        names[name] = change(spelled)
    shuffled = data.draw(st.permutations(list(names)))
    frame = FRAME[shuffled].rename(columns=names).assign(signal=1.0)
    before = frame.copy()
    same(frame, FRAME)
    pd.testing.assert_frame_equal(frame, before)


@given(
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
    seconds=st.lists(
        st.integers(1_230_768_000, 4_102_444_799), min_size=1, max_size=20, unique=True
    ),
    kind=st.sampled_from(["int64", "Int64", "object"]),
)
@settings(max_examples=80, deadline=None)
def test_epoch_of_any_unit_is_told_by_its_magnitude(
    unit: str, seconds: list[int], kind: str
) -> None:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    opens = pd.Series([one * per_second for one in sorted(seconds)], dtype=kind)
    frame = pd.DataFrame({"ts": opens, "o": 1.0, "h": 1.0, "l": 1.0, "c": 1.0, "v": 1.0})
    found = to_candles(frame, MINUTE)["timestamp"]
    assert found.tolist() == [one * 1_000 for one in sorted(seconds)]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns", "s"])
def test_datetimes_with_a_zone_become_utc(zone: str, unit: str) -> None:
    stamps = pd.to_datetime(SHORT["timestamp"], unit="ms", utc=True).dt.tz_convert(zone)
    same(times(stamps.astype(f"datetime64[{unit}, {zone}]")))
    same(times(stamps.astype(object)))
    same(times(stamps.map(lambda one: one.isoformat())))


def test_index_of_times_is_taken_where_no_column_is() -> None:
    stamps = pd.DatetimeIndex(pd.to_datetime(SHORT["timestamp"], unit="ms", utc=True))
    bare = SHORT.drop(columns="timestamp")
    same(bare.set_index(stamps))
    same(bare.set_index(stamps).rename_axis("Date").reset_index())
    same(bare.set_index(stamps).rename_axis(None).reset_index())
    same(bare.set_index(pd.Index(SHORT["timestamp"].to_numpy())))


def test_clocks_set_back_make_no_second_zone() -> None:
    night = pd.date_range("2024-10-27T00:30Z", periods=5, freq="30min").tz_convert("Europe/Berlin")
    found = to_candles(times(night.astype(object)), Interval("30m"))
    assert np.diff(found["timestamp"]).tolist() == [1_800_000] * 4


def test_close_time_in_microseconds_is_cut_to_milliseconds() -> None:
    wire = FRAME.assign(
        timestamp=FRAME["timestamp"] * 1000, close_time=FRAME["close_time"] * 1000 + 999
    ).rename(columns={"timestamp": "Open time", "close_time": "Close time"})
    same(wire, FRAME)


NAIVE = dt.datetime(2024, 1, 1)
ZONED = NAIVE.replace(tzinfo=dt.UTC)
EAST = ZONED.astimezone(dt.timezone(dt.timedelta(hours=2)))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pd.date_range("2024-01-01", periods=5, freq="min"), ["'2024-01-01 00:00:00'", "utc=True"]),
        ([NAIVE] * 5, ["no time zone"]),
        (["2024-01-01 00:00"] * 5, ["'2024-01-01 00:00' has no time zone"]),
        ([ZONED, EAST] * 2 + [ZONED], ["UTC", "UTC+02:00", "one time zone"]),
        (["2024-01-01T00:00Z"] * 4 + ["2024-01-01T02:00+02:00"], ["one time zone"]),
        ([START, START // 1000, START, START, START], ["is s since", "is ms", "one unit"]),
        ([1, 2, 3, 4, 5], ["1 is no moment from 2009 to 2100"]),
        ([START + 0.5] * 5, ["no whole number"]),
        ([START * 1000 + 1] * 5, ["between two milliseconds"]),
        ([None, *[ZONED] * 4], ["row 0 has no time"]),
        (["soon"] * 5, ["'soon' is no time"]),
        ([True] * 5, ["is no time"]),
        ([10**30] * 5, ["seconds, ms, us or ns"]),
    ],
)
def test_times_that_could_mean_two_things_are_refused(values: object, words: list[str]) -> None:
    with pytest.raises(FrameError) as caught:
        to_candles(times(values), MINUTE)
    for word in ["'timestamp'", "expected", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (SHORT.assign(open_time=SHORT["timestamp"]), ["'timestamp'", "'open_time'", "one of them"]),
        (SHORT.assign(Close=1.0), ["'close'", "'Close'", "one of them"]),
        (SHORT.assign(C=1.0), ["'close'", "'C'"]),
        (SHORT.drop(columns="high"), ["no column for high", "h, high_price"]),
        (SHORT.drop(columns="timestamp"), ["no open times", "open_time"]),
        (pd.concat({"BTC": SHORT}, axis=1), ["2 levels of column names"]),
        (SHORT.assign(open=["1.0"] * 5), ["'open'", "not numbers"]),
    ],
)
def test_columns_that_are_ambiguous_or_missing_are_refused(
    frame: pd.DataFrame, words: list[str]
) -> None:
    with pytest.raises(FrameError) as caught:
        to_candles(frame, MINUTE)
    for word in words:
        assert word in str(caught.value)
