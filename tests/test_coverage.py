from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velas.coverage import DAY_MS, Level, count_days, whole_share
from velas.interval import INTERVALS, Interval
from velas.models import Gap

HOUR = 3_600_000
FIRST = 19_000  # a day; 2022-01-08
START = FIRST * DAY_MS


def hours(*holes: range, start: int = 0, end: int = 72) -> np.ndarray:
    lacking = {hour for hole in holes for hour in hole}
    return np.array([START + n * HOUR for n in range(start, end) if n not in lacking])


def rows(days) -> list[tuple[int, int, int, int]]:
    parts = (days.expected, days.present, days.absent, days.missing)
    return [tuple(row) for row in np.stack(parts, axis=1).tolist()]


def test_count_days_counts_what_each_day_has_and_lacks() -> None:
    absent = [Gap(START + 30 * HOUR, START + 32 * HOUR, 2, "venue")]
    days = count_days(hours(range(5, 6), range(30, 33)), "1h", absent=absent)
    assert days.first_day == FIRST
    assert rows(days) == [(24, 23, 0, 1), (24, 21, 2, 1), (24, 24, 0, 0)]


def test_count_days_expects_nothing_before_the_first_and_after_the_last_candle() -> None:
    assert rows(count_days(hours(start=20, end=30), "1h")) == [(4, 4, 0, 0), (6, 6, 0, 0)]


def test_count_days_misses_what_the_series_had_once() -> None:
    extent = (START, START + 49 * HOUR)
    days = count_days(hours(start=24, end=48), "1h", extent=extent)
    assert rows(days) == [(24, 0, 0, 24), (24, 24, 0, 0), (2, 0, 0, 2)]
    assert rows(count_days(hours(end=0), "1h", extent=extent))[0] == (24, 0, 0, 24)


def test_count_days_counts_a_known_absence_only_where_there_is_no_candle() -> None:
    absent = [Gap(START - DAY_MS, START + DAY_MS, 48, "venue")]
    assert rows(count_days(hours(range(3, 4), end=24), "1h", absent=absent)) == [(24, 23, 1, 0)]


def test_count_days_counts_no_absence_with_another_reason() -> None:
    absent = [Gap(START, START + DAY_MS, 24, "not published by the venue yet")]
    assert rows(count_days(hours(range(3, 4), end=24), "1h", absent=absent)) == [(24, 23, 0, 1)]


def test_count_days_off_the_grid_a_candle_fills_the_slot_it_opened_in() -> None:
    times = hours(end=24)
    times[4:9] += 14_800
    assert rows(count_days(times, "1h")) == [(24, 24, 0, 0)]


def test_count_days_of_nothing_has_no_day() -> None:
    days = count_days(np.empty(0, dtype=np.int64), "1h")
    assert (len(days), days.levels().tolist()) == (0, [])


@pytest.mark.parametrize(
    ("name", "opens"), [("1w", [2, 9]), ("3d", [2, 5]), ("1M", [24, 52]), ("1d", [0, 1])]
)
def test_count_days_of_long_candles_reach_to_the_end_of_the_last(
    name: str, opens: list[int]
) -> None:
    times = np.array([START + day * DAY_MS for day in opens])
    days = count_days(times, name)
    assert days.first_day == FIRST + opens[0]
    assert (np.flatnonzero(days.expected) + opens[0]).tolist() == opens
    end_ms = Interval(name).end_of(int(times[-1]))
    assert (days.first_day + len(days)) * DAY_MS == end_ms
    assert set(days.levels().tolist()) == {Level.FULL}


@settings(deadline=None)
@given(
    st.sampled_from(INTERVALS[4:]),
    st.lists(st.integers(0, 300), min_size=1, max_size=60, unique=True).map(sorted),
    st.integers(0, 2000),
)
def test_count_days_agrees_with_counting_one_by_one(
    name: str, slots: list[int], later: int
) -> None:
    grid = Interval(name)
    base = grid.slot(START) + later
    times = [grid.open_of(base + slot) for slot in slots]
    every = [grid.open_of(base + slot) for slot in range(slots[0], slots[-1] + 1)]
    days = count_days(np.array(times), name)
    expected, present = (Counter(ms // DAY_MS for ms in some) for some in (every, times))
    numbers = range(days.first_day, days.first_day + len(days))
    assert days.expected.tolist() == [expected[day] for day in numbers]
    assert days.present.tolist() == [present[day] for day in numbers]
    assert days.present.sum() == len(times)


@pytest.mark.parametrize(
    ("missing", "absent", "level"),
    [
        (0, 0, Level.FULL),
        (1, 0, Level.MOST),
        (2, 0, Level.MOST),
        (3, 0, Level.HALF),
        (12, 0, Level.HALF),
        (13, 0, Level.FEW),
        (24, 0, Level.NONE),
        (0, 1, Level.VENUE),
        (0, 24, Level.VENUE),
        (1, 10, Level.MOST),
        (4, 20, Level.NONE),
    ],
)
def test_level_of_a_day(missing: int, absent: int, level: Level) -> None:
    lacking = range(24, 24 + missing + absent)
    known = Gap(START + DAY_MS, START + DAY_MS + absent * HOUR, absent, "venue")
    days = count_days(hours(lacking), "1h", absent=[known] if absent else [])
    assert days.levels().tolist() == [Level.FULL, level, Level.FULL]


def test_levels_of_longer_parts_add_the_days_up() -> None:
    days = count_days(hours(range(24, 48)), "1h")
    edges = np.array([FIRST - 4, FIRST - 2, FIRST, FIRST + 2, FIRST + 4, FIRST + 6])
    outside = Level.OUTSIDE
    assert days.levels(edges).tolist() == [outside, outside, Level.HALF, Level.FULL, outside]


def test_levels_within_a_long_candle_are_its_own_and_end_with_it() -> None:
    times = np.array([START + day * DAY_MS for day in (2, 16)])
    edges = np.arange(FIRST, FIRST + 30)
    found = count_days(times, "1w").levels(edges).tolist()
    assert found == [0] * 2 + [Level.FULL] * 7 + [Level.NONE] * 7 + [Level.FULL] * 7 + [0] * 6


def test_whole_share_is_never_rounded_up_to_all() -> None:
    assert whole_share(10**9, 1) == "99.9%"
    assert whole_share(0, 0) == "100%"
    assert whole_share(0, 5) == "0.0%"
