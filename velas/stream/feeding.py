"""Runs the feed, again and again if need be."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from velas.clock import Clock
from velas.errors import AdapterError, ConfigError, UnknownSymbol
from velas.feed import being_cancelled
from velas.protocols import Feed
from velas.status import Disconnected, Reconnecting, Status

__all__ = ["FEED", "Feeding"]

FEED = "feed"  # the name of the connection that a feed as a whole is
_LOG = logging.getLogger(__name__)
_BASE_S, _CAP_S = 1.0, 60.0
_STEADY_S = 60.0  # a run this long ends a row of failures


class Feeding:
    """Keeps a feed running that may raise, as one without a supervisor of its own does.

    Meanwhile REST serves its series. What another run cannot mend is raised.
    """

    def __init__(self, feed: Feed, clock: Clock, say: Callable[[Status], None]) -> None:
        self._feed = feed
        self._clock = clock
        self._say = say
        self._random = random.Random()

    async def run(self) -> None:
        """Return when the feed is over, as a recording is at its end.

        Raises:
            AdapterError, ConfigError, UnknownSymbol: the feed cannot do what is asked.
        """
        failures = 0
        while True:
            began_s = self._clock.monotonic_s()
            try:
                await self._feed.run()
                return
            except (AdapterError, ConfigError, UnknownSymbol):
                raise
            except (Exception, asyncio.CancelledError) as error:  # somebody else's: anything
                if isinstance(error, asyncio.CancelledError) and being_cancelled():
                    raise
                steady = self._clock.monotonic_s() - began_s >= _STEADY_S
                failures = 1 if steady else failures + 1
                await self._pause(failures, error)

    async def _pause(self, failures: int, error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}"
        _LOG.warning("the feed has failed, REST goes on meanwhile: %s", reason, exc_info=error)
        now_ms = self._clock.now_ms()
        self._say(Disconnected(at_ms=now_ms, connection=FEED, reason=reason))
        longest_s = min(_CAP_S, _BASE_S * 2.0 ** min(failures - 1, 10))
        delay_s = self._random.uniform(longest_s / 2, longest_s)
        self._say(Reconnecting(at_ms=now_ms, connection=FEED, attempt=failures, delay_s=delay_s))
        await self._clock.sleep(delay_s)
