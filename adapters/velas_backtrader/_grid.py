"""The longer candles that backtrader's filters make: which bar belongs to which, by UTC."""

from __future__ import annotations

import datetime as dt

from velas.errors import ConfigError
from velas_backtrader._library import TimeFrame, date2num, num2date

__all__ = ["Grid"]

_EPOCH = dt.date(1970, 1, 1).toordinal()
_MONDAY = dt.date(1970, 1, 5).toordinal()
_DAY = dt.timedelta(days=1)
_PER_DAY = {TimeFrame.Seconds: 86_400, TimeFrame.Minutes: 1_440}
_KNOWN = (
    *_PER_DAY,
    TimeFrame.Days,
    TimeFrame.Weeks,
    TimeFrame.Months,
    TimeFrame.Years,
)


class Grid:
    """Slots of a timeframe and compression, as a venue counts them.

    Days and longer are counted from the epoch, weeks begin on Mondays; parts of a day
    begin anew at midnight. A time is backtrader's day number, and as bars are known by
    their end, it belongs to the slot that ends there or holds it.
    """

    def __init__(self, timeframe: int, compression: int) -> None:
        if timeframe not in _KNOWN:
            raise ConfigError(
                f"timeframe {TimeFrame.TName(timeframe)}: candles make longer ones of seconds, "
                "minutes, days, weeks, months or years"
            )
        self._timeframe = timeframe
        self._compression = compression

    def end_of(self, number: float) -> float:
        """Return the end of the slot of a bar that ends at a day number."""
        if self._timeframe in _PER_DAY:
            return self._within_day(number)
        # the day that a bar ending at midnight is of is the one before
        day = int(number) - (number == int(number))
        if self._timeframe == TimeFrame.Days:
            return float(_EPOCH + self._next(day - _EPOCH))
        if self._timeframe == TimeFrame.Weeks:
            return float(_MONDAY + 7 * self._next((day - _MONDAY) // 7))
        date = dt.date.fromordinal(day)
        months = 12 if self._timeframe == TimeFrame.Years else 1
        slot = self._next(((date.year - 1970) * 12 + date.month - 1) // months) * months
        return float(dt.date(1970 + slot // 12, slot % 12 + 1, 1).toordinal())

    def _next(self, slot: int) -> int:
        return (slot // self._compression + 1) * self._compression

    def _within_day(self, number: float) -> float:
        per_day = _PER_DAY[self._timeframe]
        day = int(number)
        moment = num2date(number)
        of_day = (moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)) / _DAY
        units = -(-round(of_day * per_day * 1_000) // 1_000)  # ms decide, not a rounding
        end = -(-units // self._compression) * self._compression
        if not end:  # midnight, and of the day before
            return number
        end = min(end, per_day)
        over = dt.datetime.fromordinal(day) + dt.timedelta(seconds=end * 86_400 // per_day)
        return float(date2num(over))
