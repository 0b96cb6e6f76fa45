"""What requests that fail have to tell the bot: bans, once each, and a low budget."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from velas.adapter import ExchangeAdapter
from velas.clock import Clock
from velas.errors import Banned as BannedError
from velas.errors import Transient
from velas.limit_models import LimiterSnapshot
from velas.status import Banned, BudgetLow, Status

if TYPE_CHECKING:
    from velas.protocols import Exchange

__all__ = ["Trouble"]

_LOG = logging.getLogger(__name__)
_LOW, _FINE = 0.9, 0.7
_SAME_BAN_S = 2.0  # roundings, and the limiter's margin
_UNNAMED_BAN_S = 60.0


class Trouble:
    """Watches the exchange's budget, reads the errors of requests, passes statuses on.

    However many notice a ban, it is told once. How long it lasts is counted by the
    monotonic clock, as the venue's and the local one may be hours apart.
    """

    def __init__(self, exchange: Exchange, clock: Clock, say: Callable[[Status], None]) -> None:
        self._exchange = exchange
        self._clock = clock
        self._say = say
        self._low = False
        self._banned_until_s = float("-inf")
        self._exact = False  # whether that is what was named, and not a guess
        self._named: set[str] = set()

    def note(self, error: Exception, doing: str) -> None:
        """Tell of a request that failed for good; it is tried again later all the same."""
        if isinstance(error, BannedError):
            self._ban(error.until_ms, str(error), error.retry_after_s)
        level = logging.DEBUG
        if not isinstance(error, Transient) and doing not in self._named:
            self._named.add(doing)
            level = logging.WARNING
        _LOG.log(level, "%s: %s: %s", doing, type(error).__name__, error)

    def hear(self, status: Status) -> None:
        """Pass on what a feed tells, but for a ban that is known already."""
        if isinstance(status, Banned):
            self._ban(status.until_ms, status.reason)
        else:
            self._say(status)

    def look(self) -> None:
        """Look at the exchange's limiter, if it has one that can be looked at."""
        if not isinstance(self._exchange, ExchangeAdapter):
            return
        now = self._exchange.limiter.snapshot()
        if self._blocked_s(now) > 0:
            self._ban(now.blocked_until_ms, "requests are stopped until then, by 429 or 418")
        if not now.limit:
            return
        share = now.used / now.limit
        if share >= _LOW and not self._low:
            self._say(BudgetLow(at_ms=self._clock.now_ms(), used=now.used, limit=now.limit))
        self._low = share >= (_FINE if self._low else _LOW)

    def _ban(self, until_ms: int | None, reason: str, named_s: float | None = None) -> None:
        now_s, now_ms = self._clock.monotonic_s(), self._clock.now_ms()
        left_s = self._left_s(named_s)
        exact = left_s is not None
        until_s = now_s + (_guess_s(until_ms, now_ms) if left_s is None else left_s)
        known_s, known = self._banned_until_s, now_s < self._banned_until_s
        longer = exact and self._exact and until_s > known_s + _SAME_BAN_S
        if not known or longer or (exact and not self._exact):
            self._banned_until_s, self._exact = until_s, exact
        if not known or longer:
            self._say(Banned(at_ms=now_ms, until_ms=until_ms, reason=reason))

    def _left_s(self, named_s: float | None) -> float | None:
        if isinstance(self._exchange, ExchangeAdapter):
            blocked_s = self._blocked_s(self._exchange.limiter.snapshot())
            if blocked_s > 0:
                return blocked_s
        return named_s

    def _blocked_s(self, limiter: LimiterSnapshot) -> float:
        until_ms = limiter.blocked_until_ms  # by the local clock
        return 0.0 if until_ms is None else max(0.0, (until_ms - self._clock.now_ms()) / 1000)


def _guess_s(until_ms: int | None, now_ms: int) -> float:
    # `until_ms` is by the venue's clock: it says how long only where ours agrees
    left_s = 0.0 if until_ms is None else (until_ms - now_ms) / 1000
    return left_s if left_s > 0 else _UNNAMED_BAN_S
