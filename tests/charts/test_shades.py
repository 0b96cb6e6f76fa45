from __future__ import annotations

from velas.charts.shades import shade_gaps
from velas.models import Gap


def test_shades_tell_the_venues_own_gaps_from_the_others() -> None:
    gaps = [Gap(0, 10, 1, "venue"), Gap(20, 40, 2), Gap(60, 70, 1, "stored once, lost since")]
    own, other = shade_gaps(gaps, least_ms=1)
    assert (own.kind, own.label) == ("venue", "the venue has none: 1 gap, 1 candle")
    assert other.label == "missing (not downloaded; stored once, lost since): 2 gaps, 3 candles"
    assert (other.start_ms.tolist(), other.end_ms.tolist()) == ([20, 60], [40, 70])


def test_shades_are_wide_enough_to_be_seen_and_join_where_they_touch() -> None:
    gaps = [Gap(100, 110, 1), Gap(115, 125, 1), Gap(900, 910, 1)]
    (shade,) = shade_gaps(gaps, least_ms=50)
    assert (shade.start_ms.tolist(), shade.end_ms.tolist()) == ([80, 880], [145, 930])


def test_shades_of_no_gaps_are_none() -> None:
    assert shade_gaps([], least_ms=1) == []
