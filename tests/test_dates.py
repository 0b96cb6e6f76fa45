"""Dates at the edge."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velas.dates import iso, months_before, parse_when
from velas.errors import ConfigError

NOW = 1_763_632_800_000  # 2025-11-20T10:00:00Z
DAY = 86_400_000
JAN_31 = 1_738_281_600_000  # 2025-01-31


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2025-01-31", JAN_31),
        (" 2025-01-31\n", JAN_31),
        ("2025-01", JAN_31 - 30 * DAY),
        ("2025-01-31T00:00", JAN_31),
        ("2025-01-31 00:00:00", JAN_31),
        ("2025-01-31T02:00+02:00", JAN_31),
        ("2025-01-30t19:00:00-05:00", JAN_31),
        ("2025-01-31T00:00z", JAN_31),
        ("2025-01-31T00:00:01.5Z", JAN_31 + 1_500),
        ("2025-01-31T00:00:00.0019Z", JAN_31 + 1),
        ("1738281600000", JAN_31),
        ("2009-01-01", 1_230_768_000_000),
        ("2024-02-29", 1_709_164_800_000),
    ],
)
def test_parse_when_date_is_utc_milliseconds(text: str, ms: int) -> None:
    assert parse_when(text, now_ms=NOW) == ms


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot read the date ''"),
        ("yesterday", "not an ISO date"),
        ("2025-02-30", "day is out of range"),
        ("2025-13", "month must be in 1..12"),
        ("2025-01-31T25:00Z", "hour must be in"),
        ("20250131", "before 2009-01-01 (a number is milliseconds, not seconds)"),
        ("1738281600", "before 2009-01-01 (a number is milliseconds, not seconds)"),
        ("1738281600000000", "after the year 2099 (a number is milliseconds)"),
        ("9" * 400, "not an ISO date"),
        ("-1", "not an ISO date"),
        ("2008-12-31", "is before 2009-01-01;"),
        ("9999-12-31T23:00-12:00", "after the year 2099;"),
        ("0001-01-01T00:00+12:00", "before 2009-01-01"),
        ("2025-W01-1", "not an ISO date"),
        ("２０２５-01-31", "not an ISO date"),
        ("2025-01-31T12:00\x00", "not an ISO date"),
    ],
)
def test_parse_when_unusable_date_names_value_rule_and_examples(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_when(text, now_ms=NOW)
    assert said in str(caught.value)
    assert repr(text) in str(caught.value)
    assert "give 2025-01-31, 2025-01, " in str(caught.value)


def test_parse_when_future_is_refused_and_says_what_time_it_is() -> None:
    with pytest.raises(ConfigError, match="in the future; it is now 2025-11-20T10:00:00Z"):
        parse_when("2025-11-21", now_ms=NOW)


def test_parse_when_future_is_allowed_when_asked_for() -> None:
    assert parse_when("2025-11-21", now_ms=NOW, future=True) > NOW


def test_parse_when_now_is_not_the_future() -> None:
    assert parse_when(str(NOW), now_ms=NOW) == NOW


@given(st.integers(1_230_768_000_000, 4_102_444_799_999))
def test_parse_when_reads_what_iso_writes(ms: int) -> None:
    assert parse_when(iso(ms), now_ms=ms) == ms


@given(st.text(max_size=30))
def test_parse_when_any_text_is_a_time_or_a_config_error(text: str) -> None:
    try:
        ms = parse_when(text, now_ms=NOW)
    except ConfigError:
        return
    assert 0 < ms <= NOW


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (JAN_31 + 1_500, "2025-01-31T00:00:01.500Z"),
        (10**18, "1000000000000000000 ms"),
        (-(10**30), f"{-(10**30)} ms"),
    ],
)
def test_iso_any_number_has_a_spelling(ms: int, text: str) -> None:
    assert iso(ms) == text


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ("2025-03-31T12:30", 1, "2025-02-28T12:30"),
        ("2024-03-31", 1, "2024-02-29"),
        ("2024-02-29", 12, "2023-02-28"),
        ("2025-01-15", 1, "2024-12-15"),
        ("2025-11-20", 12, "2024-11-20"),
        ("2025-11-20", 0, "2025-11-20"),
        ("2025-12-31", 24, "2023-12-31"),
    ],
)
def test_months_before_follows_the_calendar(start: str, months: int, end: str) -> None:
    later = 2 * NOW
    ms = months_before(parse_when(start, now_ms=later), months)
    assert ms == parse_when(end, now_ms=later)


@given(st.integers(0, 4_102_444_799_999), st.integers(0, 500))
def test_months_before_keeps_the_time_and_counts_months(ms: int, months: int) -> None:
    before = months_before(ms, months)
    then, now = (dt.datetime.fromtimestamp(one / 1000, dt.UTC) for one in (before, ms))
    assert (now.year - then.year) * 12 + now.month - then.month == months
    assert before % DAY == ms % DAY
    assert then.day <= now.day


@pytest.mark.parametrize(("ms", "months"), [(0, 12 * 1970), (0, -12 * 8030), (10**18, 1)])
def test_months_before_beyond_the_calendar_is_refused(ms: int, months: int) -> None:
    with pytest.raises(ConfigError, match="within the years 1 to 9999"):
        months_before(ms, months)
