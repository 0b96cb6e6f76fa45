"""Dates at the edge: what people type into milliseconds, and back."""

from __future__ import annotations

import calendar
import datetime as dt
import re

from velas.errors import ConfigError

__all__ = ["iso", "months_before", "parse_when"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS = dt.timedelta(milliseconds=1)
_FIRST_MS = 1_230_768_000_000  # 2009-01-01: nothing was traded before the first block
_LAST_MS = 4_102_444_800_000  # 2100-01-01
_EPOCH_MS = re.compile(r"[0-9]{1,18}")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?",
    re.IGNORECASE,
)
_RULE = "give 2025-01-31, 2025-01, 2025-01-31T12:00Z, 2025-01-31T12:00+02:00 or epoch milliseconds"


def parse_when(text: str, *, now_ms: int, future: bool = False) -> int:
    """Return the milliseconds since the epoch that a date means.

    ``2025-01-31`` and ``2025-01`` are the first moment of the day or month; a time without
    ``Z`` or offset is UTC; a whole number is epoch milliseconds.

    Raises:
        ConfigError: nonsense, before 2009, or after `now_ms` (with `future`, after 2099).

    >>> parse_when("2025-01-31T02:00+02:00", now_ms=1_800_000_000_000)
    1738281600000
    """
    value = text.strip()
    moment_ms = int(value) if _EPOCH_MS.fullmatch(value) else _iso_ms(value, text)
    if moment_ms < _FIRST_MS:
        hint = " (a number is milliseconds, not seconds)" if value.isdecimal() else ""
        raise ConfigError(f"date {text!r} is before 2009-01-01{hint}; {_RULE}")
    if moment_ms >= _LAST_MS:
        hint = " (a number is milliseconds)" if value.isdecimal() else ""
        raise ConfigError(f"date {text!r} is after the year 2099{hint}; {_RULE}")
    if moment_ms > now_ms and not future:
        raise ConfigError(f"date {text!r} is in the future; it is now {iso(now_ms)}")
    return moment_ms


def months_before(ms: int, months: int) -> int:
    """Return the same day and time `months` calendar months earlier, UTC.

    Where that month is shorter its last day is meant: 31 March less one month is
    28 or 29 February.

    Raises:
        ConfigError: that is before the year 1, or `ms` is no date at all.
    """
    moment = _moment(ms)
    if moment is None:
        raise ConfigError(f"{ms} ms is not within the years 1 to 9999")
    year, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    if not dt.MINYEAR <= year <= dt.MAXYEAR:
        raise ConfigError(f"{months} months before {iso(ms)} is not within the years 1 to 9999")
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return _to_ms(moment.replace(year=year, month=month + 1, day=day))


def iso(ms: int) -> str:
    """Return a time for people, UTC, such as ``2025-01-31T12:00:00Z``; ms where not zero."""
    moment = _moment(ms)
    if moment is None:
        return f"{ms} ms"
    precision = "milliseconds" if ms % 1000 else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def _iso_ms(value: str, text: str) -> int:
    day = f"{value}-01" if _MONTH.fullmatch(value) else value
    try:
        if not _ISO.fullmatch(day):
            raise ValueError("not an ISO date")
        moment = dt.datetime.fromisoformat(day.upper())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        return _to_ms(moment)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"cannot read the date {text!r} ({error}); {_RULE}") from None


def _moment(ms: int) -> dt.datetime | None:
    try:
        return _EPOCH + ms * _MS
    except OverflowError:
        return None


def _to_ms(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // _MS
