"""The candle in progress at each of many times, computed together where a series can."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from velas.testing.venue.series import Int64, Row, Series

__all__ = ["FormsAhead", "forming_rows"]


@runtime_checkable
class FormsAhead(Protocol):
    """A series that computes many states of its candles in progress at once."""

    def forming(self, times_ms: Int64) -> list[Row | None]:
        """Return what `rows` says of the candle in progress at each time; None for none."""
        ...


def forming_rows(series: Series, times_ms: Int64) -> list[Row | None]:
    """Return the candle in progress at each time (ascending), None where there is none."""
    if isinstance(series, FormsAhead):
        return series.forming(times_ms)
    return [_forming(series, int(time)) for time in times_ms]


def _forming(series: Series, now_ms: int) -> Row | None:
    number = series.before(now_ms + 1) - 1
    if number < series.closed(now_ms):
        return None
    return series.rows(number, number + 1, now_ms)[0]
