"""The one way to a venue that several tasks share: waits failures out, says each once."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from velas.clock import Clock
from velas.errors import (
    AuthError,
    Banned,
    ExchangeError,
    Forbidden,
    RateLimited,
    RestrictedLocation,
    Transient,
)
from velas.status import Banned as BannedStatus
from velas.status import Connected, Disconnected, Status

__all__ = ["Line"]

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_FIRST_REFUSAL_S, _LONGEST_REFUSAL_S = 30.0, 600.0
_REFUSALS = (AuthError, Forbidden, RestrictedLocation)  # of everything, whatever is asked
T = TypeVar("T")


class Line:
    """Asks a venue until it answers; reports when it stops answering and when it is back.

    However many callers fail at the same time, it is one outage: `Disconnected` with the
    first failure, `Connected` once nobody waits for an answer in vain any more. When the
    last that waits is given up without an answer, what comes next is told anew. When the
    venue refuses everything (a firewall, a country, a key), all wait, and one at a time
    asks again, ever more slowly. Bans are waited out by the monotonic clock.
    """

    def __init__(
        self,
        name: str,
        connection: str,
        *,
        clock: Clock,
        report: Callable[[Status], None],
        streams: Callable[[], int],
        rng: random.Random,
    ) -> None:
        self._name = name
        self._connection = connection
        self._clock = clock
        self._report = report
        self._streams = streams
        self._random = rng
        self._failing: set[Hashable] = set()
        self._up: bool | None = None  # None: not known, as nothing was asked yet
        self._banned_until_s = float("-inf")
        self._refusals = 0
        self._refused_until_s = 0.0

    async def ask(
        self,
        caller: Hashable,
        request: Callable[[], Awaitable[T]],
        *,
        proves: Callable[[], bool] = lambda: True,
    ) -> T:
        """Return what `request` returns in the end; `Transient` failures are waited out.

        So are refusals that concern the whole venue. `proves` tells, of a request that
        returned, whether it was the venue that answered. A caller that is cancelled while
        it waits is to be forgotten, or succeeded.

        Raises:
            Exception: whatever else `request` raises.
        """
        failures = 0
        try:
            while True:
                await self._while_refused()
                try:
                    answer = await request()
                except _REFUSALS as error:
                    self._note_refusal(caller, error)
                    continue
                except Transient as error:
                    failures += 1
                    pause_s = self._pause_s(error, failures)
                    self._note(caller, error, pause_s)
                else:
                    if proves():
                        self._answered(caller)
                    return answer
                await self._clock.sleep(pause_s)
        except Exception:
            self.forget(caller)
            raise

    def forget(self, caller: Hashable) -> None:
        """Count a caller no longer among those that wait for an answer."""
        self._failing.discard(caller)
        if not self._failing:
            self._refusals = 0
            self._up = self._up or None

    def succeed(self, caller: Hashable, heir: Hashable) -> bool:
        """Let `heir` wait in a caller's place if no other does; say whether it is to ask."""
        if self._failing != {caller}:
            return False
        self._failing = {heir}
        return True

    async def _while_refused(self) -> None:
        while (left_s := self._refused_until_s - self._clock.monotonic_s()) > 0:
            # one comes first, and if it is refused, the others wait on
            await self._clock.sleep(left_s + self._random.uniform(0, left_s / 10))

    def _note_refusal(self, caller: Hashable, error: ExchangeError) -> None:
        now_s = self._clock.monotonic_s()
        if now_s >= self._refused_until_s:  # else it was asked before the refusal was known
            self._refusals += 1
            longest_s = _FIRST_REFUSAL_S * 2.0 ** min(self._refusals - 1, 10)
            self._refused_until_s = now_s + min(_LONGEST_REFUSAL_S, longest_s)
            if self._refusals == 1:
                _LOG.warning("%s: refused, to be asked again slowly: %s", self._name, error)
        self._down(caller, error)

    def _answered(self, caller: Hashable) -> None:
        self.forget(caller)
        if self._up or self._failing:
            return
        _LOG.info("%s: the venue answers", self._name)
        self._up = True
        self._report(
            Connected(
                at_ms=self._clock.now_ms(), connection=self._connection, streams=self._streams()
            )
        )

    def _note(self, caller: Hashable, error: Transient, pause_s: float) -> None:
        if isinstance(error, Banned):
            self._note_ban(error, pause_s)
            return
        _LOG.debug("%s: again in %.1f s: %s", self._name, pause_s, error)
        self._down(caller, error)

    def _down(self, caller: Hashable, error: Exception) -> None:
        self._failing.add(caller)
        if self._up is False:
            return
        self._up = False
        _LOG.info("%s: the venue does not answer: %s", self._name, error)
        self._report(
            Disconnected(at_ms=self._clock.now_ms(), connection=self._connection, reason=str(error))
        )

    def _note_ban(self, error: Banned, pause_s: float) -> None:
        now_s, now_ms = self._clock.monotonic_s(), self._clock.now_ms()
        if now_s < self._banned_until_s:
            return
        self._banned_until_s = now_s + pause_s
        _LOG.warning("%s: banned for %.0f s: %s", self._name, pause_s, error)
        self._report(BannedStatus(at_ms=now_ms, until_ms=error.until_ms, reason=str(error)))

    def _pause_s(self, error: Transient, failures: int) -> float:
        longest_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10))
        pause_s = self._random.uniform(longest_s / 2, longest_s)
        named_s = error.retry_after_s if isinstance(error, (Banned, RateLimited)) else None
        if named_s is None and isinstance(error, Banned) and error.until_ms is not None:
            # the venue's clock against ours: for want of anything better
            named_s = (error.until_ms - self._clock.now_ms()) / 1000
        # spread over a little, so that not everybody comes in the first millisecond
        return pause_s if named_s is None or named_s <= 0 else named_s + min(pause_s, 1.0)
