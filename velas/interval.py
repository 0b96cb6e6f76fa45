"""The grid of candle open times: length, floor, next open, slot numbers."""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias, overload

import attrs

from velas.errors import ConfigError

if TYPE_CHECKING:  # settings and the command line use intervals without paying for numpy
    import numpy as np
    import numpy.typing as npt

    Int64: TypeAlias = npt.NDArray[np.int64]

__all__ = ["INTERVALS", "Interval"]

_SECOND = 1_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_MONDAY = 4 * _DAY  # 1970-01-05; the epoch itself was a Thursday

_LENGTH_MS = {
    "1s": _SECOND,
    "1m": _MINUTE,
    "3m": 3 * _MINUTE,
    "5m": 5 * _MINUTE,
    "15m": 15 * _MINUTE,
    "30m": 30 * _MINUTE,
    "1h": _HOUR,
    "2h": 2 * _HOUR,
    "4h": 4 * _HOUR,
    "6h": 6 * _HOUR,
    "8h": 8 * _HOUR,
    "12h": 12 * _HOUR,
    "1d": _DAY,
    "3d": 3 * _DAY,
    "1w": 7 * _DAY,
    "1M": 30 * _DAY,
}
INTERVALS = tuple(_LENGTH_MS)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def _known(_instance: object, _attribute: object, value: str) -> None:
    if not isinstance(value, str) or value not in _LENGTH_MS:
        raise ConfigError(
            f"unknown interval {value!r}; choose one of {', '.join(INTERVALS)} (case matters)"
        )


@attrs.frozen(order=False)
class Interval:
    """A candle interval by its venue spelling, such as ``1h``.

    Slots are the grid's cells, numbered from the epoch: slot `i` is
    ``[open_of(i), open_of(i + 1))``. ``1w`` opens on Mondays, ``1M`` on the first of
    the month, all others on multiples of their length (3d assumed, binance-facts 1.4).

    Raises:
        ConfigError: the spelling is not one of `INTERVALS`; for ``1M`` also a time
            outside the years 1 to 9999.

    >>> Interval("1h").floor(1_700_000_000_123)
    1699999200000
    """

    name: str = attrs.field(validator=_known)

    @classmethod
    def of(cls, value: str | Interval) -> Interval:
        """Return `value` itself, or the interval it spells."""
        return value if isinstance(value, Interval) else cls(value)

    def __str__(self) -> str:
        return self.name

    @cached_property
    def length_ms(self) -> int:
        """Length in milliseconds; for ``1M`` a nominal 30 days."""
        return _LENGTH_MS[self.name]

    @property
    def is_calendar(self) -> bool:
        """Whether slots differ in length (``1M``)."""
        return self.name == "1M"

    @cached_property
    def _offset_ms(self) -> int:
        return _MONDAY if self.name == "1w" else 0

    @overload
    def slot(self, ts_ms: int) -> int: ...
    @overload
    def slot(self, ts_ms: Int64) -> Int64: ...
    def slot(self, ts_ms: int | Int64) -> int | Int64:
        """Return the number of the slot that holds each time."""
        if not self.is_calendar:
            return (ts_ms - self._offset_ms) // self.length_ms
        if not isinstance(ts_ms, int):
            return ts_ms.astype("datetime64[ms]").astype("datetime64[M]").astype("int64")
        try:
            moment = _EPOCH + dt.timedelta(milliseconds=ts_ms)
        except OverflowError:
            raise ConfigError(f"{ts_ms} ms is not within the years 1 to 9999") from None
        return (moment.year - 1970) * 12 + moment.month - 1

    @overload
    def open_of(self, slot: int) -> int: ...
    @overload
    def open_of(self, slot: Int64) -> Int64: ...
    def open_of(self, slot: int | Int64) -> int | Int64:
        """Return the open time of each slot, in ms."""
        if not self.is_calendar:
            return slot * self.length_ms + self._offset_ms
        if not isinstance(slot, int):
            return slot.astype("datetime64[M]").astype("datetime64[ms]").astype("int64")
        year, month = divmod(slot, 12)
        try:
            first = dt.datetime(1970 + year, month + 1, 1, tzinfo=dt.UTC)
        except (ValueError, OverflowError):
            raise ConfigError(f"slot {slot} of 1M is not within the years 1 to 9999") from None
        return (first - _EPOCH) // dt.timedelta(milliseconds=1)

    def floor(self, ts_ms: int) -> int:
        """Return the open time of the slot that holds `ts_ms`."""
        return self.open_of(self.slot(ts_ms))

    def ceil(self, ts_ms: int) -> int:
        """Return the first open time at or after `ts_ms`."""
        floor = self.floor(ts_ms)
        return floor if floor == ts_ms else self.next_open(ts_ms)

    def next_open(self, ts_ms: int) -> int:
        """Return the first open time after `ts_ms`."""
        return self.open_of(self.slot(ts_ms) + 1)

    def end_of(self, open_ms: int) -> int:
        """Return when a candle that opened at `open_ms` is over, also off the grid."""
        if self.is_calendar:
            return self.next_open(open_ms)
        return open_ms + self.length_ms

    def count(self, start_ms: int, end_ms: int) -> int:
        """Return how many slots open within ``[start_ms, end_ms)``."""
        return max(0, self.slot(self.ceil(end_ms)) - self.slot(self.ceil(start_ms)))
