"""How a series that cannot be had is asked for again: slowly, and said once."""

from __future__ import annotations

import logging
import random

from velas.clock import Clock
from velas.errors import VelasError
from velas.models import Subscription

__all__ = ["Patience"]

_LOG = logging.getLogger(__name__)
_FIRST_S, _LONGEST_S = 5.0, 600.0


class Patience:
    """The failures of one series that waiting alone does not mend.

    They are one row, with one warning, until the series has been well for ten minutes.
    """

    def __init__(self, name: str, series: Subscription, clock: Clock, rng: random.Random) -> None:
        self._name = name
        self._series = series
        self._clock = clock
        self._random = rng
        self._failures = 0
        self._again_s = 0.0  # when it was asked for again

    def pause_s(self, error: Exception) -> float:
        """Note a failure; return after how many seconds to ask again."""
        now_s = self._clock.monotonic_s()
        if now_s - self._again_s >= _LONGEST_S:
            self._failures = 0
        self._failures += 1
        longest_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(self._failures - 1, 10))
        pause_s = self._random.uniform(longest_s / 2, longest_s)
        self._again_s = now_s + pause_s
        self._say(error, pause_s)
        return pause_s

    def _say(self, error: Exception, pause_s: float) -> None:
        one = self._series
        what = " ".join(part for part in (one.symbol, one.interval, one.channel) if part)
        reason = f"{type(error).__name__}: {error}"
        if self._failures == 1:
            text = "%s: %s cannot be had, to be asked for again slowly: %s"
            bug = None if isinstance(error, VelasError) else error
            _LOG.warning(text, self._name, what, reason, exc_info=bug)
        else:
            _LOG.debug("%s: %s again in %.0f s: %s", self._name, what, pause_s, reason)
