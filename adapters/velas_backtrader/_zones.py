"""Time zones by name or of the standard library, as backtrader wants them."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

from velas.errors import ConfigError

__all__ = ["Zone", "zone_of"]

_TRIFLE = dt.timedelta(microseconds=10)


class Zone(dt.tzinfo):
    """A zone that backtrader can `localize` with, which else takes those of pytz only."""

    def __init__(self, zone: dt.tzinfo) -> None:
        self._zone = zone

    def __repr__(self) -> str:
        return f"Zone({self._zone!r})"

    def __reduce__(self) -> tuple[type[Zone], tuple[dt.tzinfo]]:
        return Zone, (self._zone,)

    def localize(self, moment: dt.datetime) -> dt.datetime:
        """Return a time of day as one of this zone; one with a zone of its own keeps it."""
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=self)

    def utcoffset(self, moment: dt.datetime | None) -> dt.timedelta | None:
        """Return how far ahead of UTC the zone is."""
        return self._zone.utcoffset(moment)

    def dst(self, moment: dt.datetime | None) -> dt.timedelta | None:
        """Return how far clocks are set forward."""
        return self._zone.dst(moment)

    def tzname(self, moment: dt.datetime | None) -> str | None:
        """Return what the zone calls itself at a time."""
        return self._zone.tzname(moment)

    def fromutc(self, moment: dt.datetime) -> dt.datetime:
        """Return a moment in UTC as the zone shows it."""
        # backtrader's times may be a trifle early, which it mends after it has asked here: at
        # the moment that clocks are set, that would be an hour
        there = self._zone.fromutc((moment + _TRIFLE).replace(tzinfo=self._zone))
        return (there - _TRIFLE).replace(tzinfo=self, fold=there.fold)


def zone_of(tz: Any) -> Any:
    """Return the zone that an argument means; None, and what can localize, as it is.

    Raises:
        ConfigError: there is no such zone.
    """
    if tz is None or hasattr(tz, "localize"):
        return tz
    if isinstance(tz, dt.tzinfo):
        return Zone(tz)
    try:
        if isinstance(tz, str):
            return Zone(zoneinfo.ZoneInfo(tz))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise ConfigError(
        f"tz {tz!r}: expected a zone's name as in 'Europe/Berlin', or a tzinfo "
        "(zoneinfo.ZoneInfo, one of pytz)"
    )
