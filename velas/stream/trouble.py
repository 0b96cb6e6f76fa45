"""What requests that fail have to tell the bot: bans, once each, and a low budget."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from velas.adapter import ExchangeAdapter
from velas.clock import Clock
from velas.errors import Banned as BannedError
from velas.errors import Transient
from velas.status import Banned, BudgetLow, Status

if TYPE_CHECKING:
    from velas.protocols import Exchange

__all__ = ["Trouble"]

_LOG = logging.getLogger(__name__)
_LOW, _FINE = 0.9, 0.7
_SAME_BAN_MS = 1_000
_UNNAMED_BAN_MS = 60_000


class Trouble:
    """Watches the exchange's budget and reads the errors of requests."""

    def __init__(self, exchange: Exchange, clock: Clock, say: Callable[[Status], None]) -> None:
        self._exchange = exchange
        self._clock = clock
        self._say = say
        self._low = False
        self._banned_until_ms: int | None = None
        self._named: set[str] = set()

    def note(self, error: Exception, doing: str) -> None:
        """Tell of a request that failed for good; it is tried again later all the same."""
        if isinstance(error, BannedError):
            self._ban(error.until_ms, str(error))
        level = logging.DEBUG
        if not isinstance(error, Transient) and doing not in self._named:
            self._named.add(doing)
            level = logging.WARNING
        _LOG.log(level, "%s: %s: %s", doing, type(error).__name__, error)

    def look(self) -> None:
        """Look at the exchange's limiter, if it has one that can be looked at."""
        if not isinstance(self._exchange, ExchangeAdapter):
            return
        now = self._exchange.limiter.snapshot()
        blocked_ms = now.blocked_until_ms
        if blocked_ms is not None and blocked_ms > self._clock.now_ms():
            self._ban(blocked_ms, "requests are stopped until then, by 429 or 418")
        if not now.limit:
            return
        share = now.used / now.limit
        if share >= _LOW and not self._low:
            self._say(BudgetLow(at_ms=self._clock.now_ms(), used=now.used, limit=now.limit))
        self._low = share >= (_FINE if self._low else _LOW)

    def _ban(self, until_ms: int | None, reason: str) -> None:
        now_ms = self._clock.now_ms()
        known = self._banned_until_ms
        if known is not None and now_ms < known and (until_ms or 0) <= known + _SAME_BAN_MS:
            return  # told of already
        self._banned_until_ms = until_ms or now_ms + _UNNAMED_BAN_MS
        self._say(Banned(at_ms=self._clock.now_ms(), until_ms=until_ms, reason=reason))
