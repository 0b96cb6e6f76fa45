import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velas.history.windows import cover, explain, missing_slots, runs, subtract
from velas.interval import INTERVALS, Interval
from velas.models import Gap

HOUR = Interval("1h")
slot_sets = st.sets(st.integers(1_000, 1_300), max_size=200).map(
    lambda found: np.array(sorted(found), dtype=np.int64)
)


def hours(first: int, end: int, reason: str = "not downloaded") -> Gap:
    return Gap(HOUR.open_of(first), HOUR.open_of(end), end - first, reason)


@given(present=slot_sets, start=st.integers(990, 1_310), length=st.integers(0, 300))
def test_missing_slots_any_input_complements_present(present, start, length):
    found = missing_slots(present, start, start + length)
    assert found.tolist() == [s for s in range(start, start + length) if s not in set(present)]


@given(slots=slot_sets)
def test_runs_any_slots_rebuild_them(slots):
    pairs = runs(slots)
    assert [s for first, end in pairs for s in range(first, end)] == slots.tolist()
    assert all(a[1] < b[0] for a, b in itertools.pairwise(pairs))


@given(slots=slot_sets, page_rows=st.integers(1, 50), name=st.sampled_from(INTERVALS))
def test_cover_any_slots_every_slot_in_one_window_of_a_page(slots, page_rows, name):
    interval = Interval(name)
    windows = cover(slots, interval, page_rows)
    opens = interval.open_of(slots).tolist()
    assert all(window.slots <= max(1, page_rows - 1) for window in windows)
    assert all(a.end_ms <= b.start_ms for a, b in itertools.pairwise(windows))
    for open_ms in opens:
        assert sum(w.start_ms <= open_ms < w.end_ms for w in windows) == 1
    assert all(w.start_ms in opens for w in windows)


@given(slots=slot_sets, ranges=st.lists(st.tuples(st.integers(990, 1_310), st.integers(0, 40))))
def test_subtract_known_absences_leaves_only_the_rest(slots, ranges):
    absent = [hours(first, first + length) for first, length in ranges]
    gone = {s for first, length in ranges for s in range(first, first + length)}
    assert subtract(slots, absent, HOUR).tolist() == [s for s in slots.tolist() if s not in gone]


def test_explain_partly_known_gap_is_split_by_reason():
    gaps = [hours(10, 20), hours(30, 31)]
    absent = [hours(12, 15, "venue"), hours(18, 25, "venue")]
    assert explain(gaps, absent, HOUR) == [
        hours(10, 12),
        hours(12, 15, "venue"),
        hours(15, 18),
        hours(18, 20, "venue"),
        hours(30, 31),
    ]


@pytest.mark.parametrize("absent", [[], [hours(1, 5, "venue")], [hours(90, 99, "venue")]])
def test_explain_unrelated_absences_changes_nothing(absent):
    assert explain([hours(10, 20)], absent, HOUR) == [hours(10, 20)]


def test_explain_many_holes_and_long_ones_is_one_pass():
    gaps = [hours(10 * n, 10 * n + 9) for n in range(20_000)]
    absent = [hours(10 * n, 10 * n + 4, "venue") for n in range(20_000)]
    found = explain([*gaps, hours(10**6, 10**9)], absent, HOUR)
    assert len(found) == 40_001
    assert sum(gap.missing for gap in found) == 9 * 20_000 + 10**9 - 10**6


@given(
    ranges=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20), st.sampled_from("ab"))),
    gap=st.tuples(st.integers(0, 60), st.integers(1, 20)),
)
def test_explain_any_overlap_names_every_slot_once(ranges, gap):
    absent = [hours(first, first + length, reason) for first, length, reason in ranges]
    found = explain([hours(gap[0], gap[0] + gap[1])], absent, HOUR)
    slots = [s for one in found for s in range(one.start_ms // 3_600_000, one.end_ms // 3_600_000)]
    assert slots == list(range(gap[0], gap[0] + gap[1]))
    known = {s for first, length, _ in ranges for s in range(first, first + length)}
    for one in found:
        for slot in range(one.start_ms // 3_600_000, one.end_ms // 3_600_000):
            assert (slot in known) == (one.reason != "not downloaded")
