"""The grid of open times: scalars, arrays, calendar months and weeks, times before 1970."""

from __future__ import annotations

import datetime as dt
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velas.errors import ConfigError
from velas.interval import INTERVALS, Interval

HOUR = 3_600_000
DAY = 24 * HOUR
ALL = [Interval(name) for name in INTERVALS]
intervals = st.sampled_from(ALL)
times = st.integers(-(10**13), 10**13)


def utc(text: str) -> int:
    return int(dt.datetime.fromisoformat(text + "+00:00").timestamp()) * 1000


def test_intervals_are_the_sixteen_of_the_contract() -> None:
    assert " ".join(INTERVALS) == "1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M"


@pytest.mark.parametrize("name", ["", "1H", "60m", "1 h", "1mo", "1D", None, 60, ["1h"]])
def test_interval_unknown_names_the_choices(name: object) -> None:
    with pytest.raises(ConfigError, match=r"choose one of 1s, 1m, .*1w, 1M \(case matters\)"):
        Interval(name)  # type: ignore[arg-type]


def test_interval_of_accepts_both_and_keeps_the_object() -> None:
    hour = Interval("1h")
    assert Interval.of(hour) is hour
    assert Interval.of("1h") == hour


def test_interval_is_a_value() -> None:
    hour = Interval("1h")
    assert str(hour) == "1h"
    assert {hour: 1}[Interval("1h")] == 1
    assert pickle.loads(pickle.dumps(hour)) == hour
    assert Interval("1m") != Interval("1M")


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("1s", 1), ("1m", 60), ("3m", 180), ("12h", 43_200), ("3d", 259_200), ("1w", 604_800)],
)
def test_interval_length_is_in_milliseconds(name: str, seconds: int) -> None:
    assert Interval(name).length_ms == seconds * 1000


@pytest.mark.parametrize(
    ("name", "at", "floor"),
    [
        ("1h", "2025-01-31T12:34:56", "2025-01-31T12:00:00"),
        ("12h", "2025-01-31T11:59:59", "2025-01-31T00:00:00"),
        ("1d", "2025-01-31T23:59:59", "2025-01-31T00:00:00"),
        ("1w", "2025-01-31T00:00:00", "2025-01-27T00:00:00"),
        ("1w", "2025-01-27T00:00:00", "2025-01-27T00:00:00"),
        ("1w", "2025-01-26T23:59:59", "2025-01-20T00:00:00"),
        ("1w", "1969-12-31T00:00:00", "1969-12-29T00:00:00"),
        ("1M", "2024-02-29T23:59:59", "2024-02-01T00:00:00"),
        ("1M", "1969-12-31T23:59:59", "1969-12-01T00:00:00"),
        ("1h", "1969-12-31T23:30:00", "1969-12-31T23:00:00"),
    ],
)
def test_interval_floor_is_the_open_time(name: str, at: str, floor: str) -> None:
    assert Interval(name).floor(utc(at)) == utc(floor)


def test_interval_month_one_ms_before_it_begins_is_the_month_before() -> None:
    month = Interval("1M")
    start = utc("2025-03-01T00:00:00")
    assert month.floor(start - 1) == utc("2025-02-01T00:00:00")
    assert month.floor(start) == start
    assert month.next_open(start - 1) == start


@given(intervals, times)
def test_interval_floor_and_next_open_enclose_the_time(interval: Interval, ms: int) -> None:
    floor, following = interval.floor(ms), interval.next_open(ms)
    assert floor <= ms < following
    assert interval.slot(following) == interval.slot(floor) + 1
    assert interval.floor(floor) == interval.ceil(floor) == floor
    assert interval.ceil(ms) == (floor if ms == floor else following)
    if not interval.is_calendar:
        assert following - floor == interval.length_ms


@given(intervals, st.lists(times, max_size=20))
def test_interval_arrays_and_numbers_agree(interval: Interval, values: list[int]) -> None:
    array = np.array(values, dtype=np.int64)
    slots = interval.slot(array)
    assert slots.dtype == np.int64
    assert slots.tolist() == [interval.slot(ms) for ms in values]
    assert interval.open_of(slots).tolist() == [interval.floor(ms) for ms in values]


@given(intervals, times)
def test_interval_numpy_scalar_is_as_good_as_a_number(interval: Interval, ms: int) -> None:
    assert interval.floor(np.int64(ms)) == interval.floor(ms)  # type: ignore[arg-type]


@given(intervals, st.integers(-1000, 10_000))
def test_interval_open_of_and_slot_are_inverse(interval: Interval, slot: int) -> None:
    assert interval.slot(interval.open_of(slot)) == slot


@given(intervals, times, st.integers(0, 300), st.integers(-5, 5))
def test_interval_count_is_the_number_of_opens(
    interval: Interval, start: int, steps: int, shift: int
) -> None:
    end = interval.open_of(interval.slot(start) + steps) + shift
    expected, at = 0, interval.ceil(start)
    while at < end:
        expected, at = expected + 1, interval.next_open(at)
    assert interval.count(start, end) == expected


def test_interval_count_inverted_range_is_zero() -> None:
    assert Interval("1h").count(10 * HOUR, 0) == 0


def test_interval_end_of_follows_a_bar_off_the_grid() -> None:
    assert Interval("1h").end_of(HOUR + 676) == 2 * HOUR + 676
    assert Interval("1M").end_of(utc("2025-02-01T00:00:14")) == utc("2025-03-01T00:00:00")


@pytest.mark.parametrize("ms", [10**17, -(10**17), 10**30])
def test_interval_month_beyond_the_calendar_is_refused(ms: int) -> None:
    with pytest.raises(ConfigError, match="within the years 1 to 9999"):
        Interval("1M").slot(ms)


@pytest.mark.parametrize("slot", [12 * 8030, -12 * 1970, 10**30])
def test_interval_month_slot_beyond_the_calendar_is_refused(slot: int) -> None:
    with pytest.raises(ConfigError, match="within the years 1 to 9999"):
        Interval("1M").open_of(slot)


def test_interval_needs_no_numpy() -> None:
    code = (
        "import sys, velas.interval as i; i.Interval('1M').floor(0); print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
