"""Open times in any spelling as milliseconds, UTC; what could mean two things is refused."""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import pandas as pd

from velas.errors import FrameError

__all__ = ["FIRST_MS", "are_ms", "to_ms", "unit_of"]

# what an epoch number may be: from 2009, before which nothing was traded, to 2100
_FIRST_S, _LAST_S = 1_230_768_000, 4_102_444_800
FIRST_MS = _FIRST_S * 1000
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_ZONED = (
    "give times with a zone (pd.to_datetime(..., utc=True) if they are UTC, "
    "tz_localize('Europe/Berlin') if they are that), or epoch numbers"
)

Ints = npt.NDArray[np.int64]


def to_ms(values: pd.Series, *, floor: bool = False) -> Ints:
    """Return times as ms since the epoch.

    Taken are whole numbers (seconds, ms, us or ns, told by their magnitude), datetimes
    with a zone, and ISO texts with an offset. With `floor` a fraction of a ms is cut off.

    Raises:
        FrameError: naive datetimes, several zones or magnitudes in one column, missing
            values, fractions of a millisecond, anything else.
    """
    missing = np.flatnonzero(values.isna().to_numpy())
    if len(missing):
        raise _refused(values, f"row {missing[0]} has no time", "each candle has one")
    kind = values.dtype
    if isinstance(kind, pd.DatetimeTZDtype):
        naive = values.dt.tz_convert("UTC").dt.tz_localize(None)
        return _of_moments(values, naive.to_numpy(), floor=floor)
    if pd.api.types.is_datetime64_dtype(kind):
        raise _naive(values, values.iloc[0])
    if pd.api.types.is_bool_dtype(kind):
        raise _refused(values, f"{values.iloc[0]!r} is no time", _ZONED)
    if pd.api.types.is_any_real_numeric_dtype(kind) or _holds_integers(values):
        return _of_numbers(values, floor=floor)
    return _of_objects(values, floor=floor)


def unit_of(number: int) -> str | None:
    """Return the unit in which a number is a moment from 2009 to 2100, if there is one."""
    for unit, per_second in _PER_SECOND.items():
        if _FIRST_S * per_second <= number < _LAST_S * per_second:
            return unit
    return None


def are_ms(*columns: pd.Series) -> bool:
    """Return whether columns are what `to_ms` returns already."""
    return all(
        column.dtype == np.int64
        and (column >= _FIRST_S * 1000).all()
        and (column < _LAST_S * 1000).all()
        for column in columns
    )


def _holds_integers(values: pd.Series) -> bool:
    return values.dtype == np.object_ and pd.api.types.infer_dtype(values) == "integer"


def _of_numbers(values: pd.Series, *, floor: bool) -> Ints:
    if pd.api.types.is_float_dtype(values.dtype):
        fractional = np.flatnonzero(values.to_numpy(dtype=np.float64) % 1 != 0)
        if len(fractional):
            odd = values.iloc[fractional[0]]
            raise _refused(values, f"{odd!r} is no whole number", "seconds, ms, us or ns are")
    try:
        numbers = values.to_numpy(dtype=np.int64)
    except (OverflowError, ValueError, TypeError) as error:
        raise _refused(values, str(error), "seconds, ms, us or ns since the epoch") from None
    if not len(numbers):
        return numbers
    low, high = int(numbers.min()), int(numbers.max())
    unit, other = _unit(values, low), _unit(values, high)
    if unit != other:
        raise _refused(
            values,
            f"{low} is {unit} since the epoch and {high} is {other}",
            "one unit for all rows",
        )
    per_second = _PER_SECOND[unit]
    if per_second <= 1000:
        return numbers * (1000 // per_second)
    return _whole(values, numbers, per_second // 1000, floor=floor)


def _unit(values: pd.Series, number: int) -> str:
    unit = unit_of(number)
    if unit is None:
        raise _refused(
            values,
            f"{number} is no moment from 2009 to 2100",
            "seconds, ms, us or ns since the epoch",
        )
    return unit


def _of_moments(values: pd.Series, moments: npt.NDArray[np.datetime64], *, floor: bool) -> Ints:
    unit = np.datetime_data(moments.dtype)[0]
    numbers = moments.astype(np.int64)
    per_ms = _PER_SECOND[unit] // 1000
    return _whole(values, numbers, per_ms, floor=floor) if per_ms else numbers * 1000


def _of_objects(values: pd.Series, *, floor: bool) -> Ints:
    zones: dict[str, object] = {}
    micros = np.empty(len(values), dtype=np.int64)
    for at, value in enumerate(values):
        moment = _moment(values, value)
        if moment.tzinfo is None:
            raise _naive(values, value)
        zones.setdefault(str(moment.tzinfo), value)
        if len(zones) > 1:
            (zone, first), (another, second) = zones.items()
            raise _refused(
                values,
                f"{str(first)!r} is of {zone} and {str(second)!r} of {another}",
                "one time zone for all rows; pd.to_datetime(..., utc=True) makes them UTC",
            )
        micros[at] = (moment - _EPOCH) // _MICROSECOND
    return _whole(values, micros, 1000, floor=floor)


def _moment(values: pd.Series, value: object) -> dt.datetime:
    if isinstance(value, dt.datetime):  # of pandas, too
        return value.to_pydatetime(warn=False) if isinstance(value, pd.Timestamp) else value
    if isinstance(value, str):
        try:
            return dt.datetime.fromisoformat(value.strip().upper())
        except ValueError:
            pass
    raise _refused(values, f"{value!r} is no time", _ZONED)


def _whole(values: pd.Series, numbers: Ints, per_ms: int, *, floor: bool) -> Ints:
    ms, rest = np.divmod(numbers, per_ms)
    odd = np.flatnonzero(rest)
    if len(odd) and not floor:
        raise _refused(
            values, f"{values.iloc[odd[0]]!r} lies between two milliseconds", "whole milliseconds"
        )
    return np.asarray(ms, dtype=np.int64)


def _naive(values: pd.Series, value: object) -> FrameError:
    return _refused(values, f"{str(value)!r} has no time zone", _ZONED)


def _refused(values: pd.Series, what: str, rule: str) -> FrameError:
    return FrameError(f"candle frame: column {str(values.name)!r}: {what}; expected: {rule}")
