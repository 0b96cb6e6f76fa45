"""What is said of a hole, by what becomes of it."""

from __future__ import annotations

from collections import Counter

from velas.interval import Interval
from velas.models import Subscription
from velas.status import GapEvent, Status
from velas.stream.candle_track import CandleTrack
from velas.stream.gaps import Gaps
from velas.stream.series import Series
from velas.testing import ManualClock

MINUTE = 60_000


def at_work() -> tuple[Gaps, Series[CandleTrack], list[Status]]:
    said: list[Status] = []
    track = CandleTrack("BTC/USDT", Interval("1m"), 0, memory=5, counters=Counter())
    series = Series(Subscription("candles", "BTC/USDT", "1m"), track, 0.0)
    return Gaps(ManualClock(), said.append), series, said


def told(said: list[Status]) -> list[tuple[str, int, int, int]]:
    return [
        (one.status, one.start_ms // MINUTE, one.end_ms // MINUTE, one.missing)
        for one in said
        if isinstance(one, GapEvent)
    ]


def test_gap_of_which_a_part_is_absent_counts_only_the_rest_as_filled() -> None:
    gaps, series, said = at_work()
    gaps.detect(series, 3 * MINUTE, "late")
    gaps.give_up(series, 2 * MINUTE, "venue")
    series.track.skip(2 * MINUTE)
    gaps.settle(series)
    series.track.skip(3 * MINUTE)
    gaps.settle(series)
    assert told(said) == [
        ("GapDetected", 0, 3, 3),
        ("GapAbsent", 0, 2, 2),
        ("GapFilled", 0, 3, 1),
    ]


def test_gap_that_is_absent_altogether_is_not_filled() -> None:
    gaps, series, said = at_work()
    gaps.give_up(series, 2 * MINUTE, "venue")
    series.track.skip(2 * MINUTE)
    gaps.settle(series)
    assert told(said) == [("GapDetected", 0, 2, 2), ("GapAbsent", 0, 2, 2)]
    assert series.gap is None


def test_gap_that_grows_is_told_once_and_filled_as_a_whole() -> None:
    gaps, series, said = at_work()
    gaps.detect(series, 1 * MINUTE, "late")
    gaps.detect(series, 4 * MINUTE, "late")
    gaps.detect(series, 2 * MINUTE, "late")
    series.track.skip(3 * MINUTE)
    gaps.settle(series)
    assert told(said) == [("GapDetected", 0, 1, 1)]
    series.track.skip(4 * MINUTE)
    gaps.settle(series)
    assert told(said)[1:] == [("GapFilled", 0, 4, 4)]


def test_gap_of_nothing_is_none() -> None:
    gaps, series, said = at_work()
    gaps.detect(series, 0, "late")
    assert said == []
    assert series.gap is None
