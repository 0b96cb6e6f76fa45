"""The stop after a 429 or 418: how long, what it means for those who wait, how to resume."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime

from velas.errors import Banned, RateLimited
from velas.limit_models import RequestType
from velas.windows import Ticket

__all__ = ["Breaker"]

_PROBE_S = 30.0  # a first request after a stop that takes longer no longer holds the others back
_BAN_S = 120.0  # the venue's shortest ban; doubles while it names no end
_LONGEST_STOP_S = 3 * 86_400.0  # the venue's longest ban; a later end is a misread figure
_LONGEST_GUESS_S = 60.0


class Breaker:
    """Open while a venue refuses us; then one request goes alone before the others.

    Times are monotonic seconds, so that a step of the wall clock does not end a stop.
    Not thread-safe.
    """

    def __init__(self, *, venue: str, margin_s: float, rng: random.Random) -> None:
        self._venue = venue
        self._margin_s = margin_s
        self._random = rng
        self._until_s = -math.inf
        self._cause: RateLimited | Banned | None = None
        self._refused_s = -math.inf
        self._refusals = 0
        self._probing = False
        self._probe: Ticket | None = None

    def left_s(self, now_s: float) -> float:
        """Return for how many seconds nothing may be sent, 0 when the way is free."""
        return max(0.0, self._until_s - now_s)

    def delay_s(self, ticket: Ticket, now_s: float) -> float:
        """Return the seconds until this request may go, as far as refusals matter."""
        delay_s = self.left_s(now_s)
        # Orders do not wait for the answer to the first request after a stop.
        if self._probe is not None and ticket.lane is not RequestType.ORDER:
            delay_s = max(delay_s, self._probe.sent_s + _PROBE_S - now_s)
        return delay_s

    def refuse(
        self,
        ticket: Ticket,
        error: RateLimited | Banned,
        *,
        now_s: float,
        venue_ms: float,
        boundaries_s: Sequence[float],
    ) -> bool:
        """Stop as a 429 or 418 demands; say whether this made the stop longer.

        `boundaries_s` are the seconds to the end of each weight window, shortest first.
        """
        # Requests sent before the stop are refused too; they are no new offence.
        if ticket.sent_s >= self._refused_s:
            self._refusals += 1
            self._refused_s = now_s
        wait_s = _named_wait_s(error, venue_ms)
        if wait_s is None:
            wait_s = self._guess_s(error, boundaries_s)
        return self.stop(wait_s, error, now_s=now_s)

    def stop(self, seconds: float, cause: RateLimited | Banned, *, now_s: float) -> bool:
        """Stop for so long, plus the margin; a shorter stop never replaces a longer one."""
        until_s = now_s + min(seconds, _LONGEST_STOP_S) + self._margin_s
        if until_s <= self._until_s:
            return False
        self._until_s, self._cause = until_s, cause
        self._probing, self._probe = True, None
        return True

    def sent(self, ticket: Ticket) -> None:
        """Note that a request goes; the first after a stop goes alone."""
        if self._probing:
            self._probe = ticket

    def unsent(self, ticket: Ticket) -> None:
        """Note that a request that was let through is not sent after all."""
        if ticket is self._probe:
            self._probe = None

    def ended(self, ticket: Ticket, error: BaseException | None) -> bool:
        """Note how a request ended; say whether others waited for that."""
        if error is None and ticket.sent_s >= self._refused_s:
            self._refusals = 0
        if ticket is not self._probe:
            return False
        self._probe = None
        self._probing = isinstance(error, (RateLimited, Banned))
        return True

    def error(self, *, max_wait_s: float, now_s: float, venue_ms: float) -> RateLimited | Banned:
        """Return what a caller is told who will not wait for the end of the stop."""
        left_s = self.left_s(now_s)
        until_ms = math.ceil(venue_ms + left_s * 1000)
        until = datetime.fromtimestamp(until_ms / 1000, UTC).isoformat(timespec="seconds")
        text = (
            f"{self._venue}: nothing may be sent until {until} ({self._cause}); that is longer "
            f"than max_wait_s={max_wait_s:g} allows"
        )
        if isinstance(self._cause, Banned):
            return Banned(text, until_ms=until_ms, retry_after_s=left_s)
        return RateLimited(text, retry_after_s=left_s)

    def _guess_s(self, error: RateLimited | Banned, boundaries_s: Sequence[float]) -> float:
        doubled = 2.0 ** (min(max(self._refusals, 1), 20) - 1)
        if isinstance(error, Banned):
            return _BAN_S * doubled
        jitter_s = self._random.uniform(0, 1)
        if not boundaries_s:
            return min(doubled, _LONGEST_GUESS_S) + jitter_s
        # Nobody says which window is full: the shortest first, a longer one after every refusal.
        return boundaries_s[min(max(self._refusals, 1), len(boundaries_s)) - 1] + jitter_s


def _named_wait_s(error: RateLimited | Banned, venue_ms: float) -> float | None:
    named = [error.retry_after_s]
    if isinstance(error, Banned) and error.until_ms is not None:
        named.append((error.until_ms - venue_ms) / 1000)
    sane = [wait for wait in named if wait is not None and 0 <= wait < math.inf]
    return max(sane, default=None)
