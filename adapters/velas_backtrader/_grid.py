"""The longer candles that backtrader's filters make: which bar belongs to which, by UTC."""

from __future__ import annotations

import datetime as dt

from velas.errors import ConfigError
from velas_backtrader._dates import ms_of
from velas_backtrader._library import TimeFrame, date2num

__all__ = ["Grid"]

_EPOCH = dt.date(1970, 1, 1).toordinal()
_EPOCH_TIME = dt.datetime(1970, 1, 1)
_MONDAY = dt.date(1970, 1, 5).toordinal()
_DAY_S = 86_400
# what a timeframe counts: seconds, days, weeks or months
_UNITS = {
    TimeFrame.Seconds: ("s", 1),
    TimeFrame.Minutes: ("s", 60),
    TimeFrame.Days: ("d", 1),
    TimeFrame.Weeks: ("w", 1),
    TimeFrame.Months: ("m", 1),
    TimeFrame.Years: ("m", 12),
}


class Grid:
    """Slots of a timeframe and compression, as a venue counts them.

    Days and longer are counted from the epoch, weeks begin on Mondays; parts of a day
    divide it. A time is backtrader's day number, and as bars are known by their end, it
    belongs to the slot that ends there or holds it.

    Raises:
        ConfigError: no venue could have such candles.
    """

    def __init__(self, timeframe: int, compression: int, name: str | None = None) -> None:
        if timeframe not in _UNITS:
            raise ConfigError(
                f"timeframe {TimeFrame.TName(timeframe)}: candles make longer ones of seconds, "
                "minutes, days, weeks, months or years"
            )
        said = f"timeframe={TimeFrame.TName(timeframe)}, compression={compression!r}"
        self._name = name or said
        if not isinstance(compression, int) or compression < 1:
            raise ConfigError(f"{self._name}: expected a compression of 1 or more")
        unit, factor = _UNITS[timeframe]
        self._unit, self._count = unit, compression * factor
        if unit == "s":
            self._check_within_day(factor, compression)
            if self._count == _DAY_S:
                self._unit, self._count = "d", 1

    def __str__(self) -> str:
        return self._name

    def is_like(self, other: Grid) -> bool:
        """Return whether slots are the same, however they are named."""
        return (self._unit, self._count) == (other._unit, other._count)

    def check_made_of(self, other: Grid) -> None:
        """Make sure that whole slots of the other fill each of these.

        Raises:
            ConfigError: they do not.
        """
        if not self._is_made_of(other):
            raise ConfigError(
                f"{self}: not made of whole candles of {other}; expected: {other._fills()}"
            )

    def end_of(self, number: float) -> float:
        """Return the end of the slot of a bar that ends at a day number."""
        if self._unit == "s":
            return self._within_day(number)
        # the day that a bar ending at midnight is of is the one before
        day = int(number) - (number == int(number))
        if self._unit == "d":
            return float(_EPOCH + self._next(day - _EPOCH))
        if self._unit == "w":
            return float(_MONDAY + 7 * self._next((day - _MONDAY) // 7))
        return float(_first_of(self._next(_month_of(day))))

    def open_of(self, end: float) -> int:
        """Return when the slot that ends at a day number begins, in ms since the epoch."""
        if self._unit == "s":
            return ms_of(end) - self._count * 1000
        if self._unit == "m":
            return ms_of(_first_of(_month_of(int(end)) - self._count))
        return ms_of(end - self._count * (7 if self._unit == "w" else 1))

    def _is_made_of(self, other: Grid) -> bool:
        if self._unit == other._unit:
            return self._count % other._count == 0
        if self._unit == "s":
            return False
        # weeks begin on Mondays and months on any day: of several days none has the edges
        return other._unit == "s" or (other._unit, other._count) == ("d", 1)

    def _fills(self) -> str:
        if self._unit == "s":
            name, size = ("Seconds", 1) if self._count % 60 else ("Minutes", 60)
            return (
                f"timeframe={name} with a multiple of {self._count // size} that divides "
                f"{_DAY_S // size}, or timeframe=Days, Weeks, Months or Years"
            )
        if self._unit == "d" and self._count == 1:
            return "timeframe=Days, Weeks, Months or Years"
        name = {"d": "Days", "w": "Weeks", "m": "Months"}[self._unit]
        return f"timeframe={name} with a multiple of {self._count}"

    def _check_within_day(self, factor: int, compression: int) -> None:
        if _DAY_S % self._count == 0:
            return
        per_day = _DAY_S // factor
        days, rest = divmod(self._count, _DAY_S)
        if not rest:
            choice = f"for {days} days timeframe=Days, compression={days}"
        elif days:
            choice = "for more than a day timeframe=Days, Weeks, Months or Years"
        else:
            near = [one for one in range(1, per_day + 1) if per_day % one == 0]
            below = max(one for one in near if one < compression)
            choice = f"{below} or {near[near.index(below) + 1]}"
        raise ConfigError(
            f"{self._name}: parts of a day are to divide it, so a compression that divides "
            f"{per_day}; expected: {choice}"
        )

    def _next(self, slot: int) -> int:
        return (slot // self._count + 1) * self._count

    def _within_day(self, number: float) -> float:
        ms, length_ms = ms_of(number), self._count * 1000
        end_ms = -(-ms // length_ms) * length_ms
        if end_ms == ms:
            return number
        return float(date2num(_EPOCH_TIME + dt.timedelta(milliseconds=end_ms)))


def _month_of(day: int) -> int:
    date = dt.date.fromordinal(day)
    return (date.year - 1970) * 12 + date.month - 1


def _first_of(month: int) -> int:
    return dt.date(1970 + month // 12, month % 12 + 1, 1).toordinal()
