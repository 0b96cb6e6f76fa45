"""A part of the venue's request budget that one purpose may spend, whatever happens."""

from __future__ import annotations

from velas.clock import Clock
from velas.models import Capabilities, Subscription

__all__ = ["Share"]

_TRADES_WEIGHT = 20  # the dearest there is (USDS-M Futures, aggTrades)
_UNKNOWN_PER_SECOND = 1.0  # requests, at a venue that says nothing about its limits


class Share:
    """Hands out requests: a minute's worth of the share at once, then as time refills it.

    By weight where the venue counts weight, else by requests.
    """

    def __init__(self, capabilities: Capabilities, clock: Clock, share: float) -> None:
        self._by_weight = capabilities.weight_per_minute is not None
        self._page_weight = capabilities.page_weight
        per_second = capabilities.requests_per_second or _UNKNOWN_PER_SECOND
        per_minute = capabilities.weight_per_minute or per_second * 60
        self._most = max(share * per_minute, 1.0)
        self._per_second = self._most / 60
        self._clock = clock
        self._left = self._most
        self._at_s = clock.monotonic_s()

    def take(self, subscription: Subscription) -> bool:
        """Spend one request about a series; False, and nothing spent, if none is left."""
        now_s = self._clock.monotonic_s()
        self._left = min(self._most, self._left + (now_s - self._at_s) * self._per_second)
        self._at_s = now_s
        if self._left <= 0:  # what is dearer than all of it must go, too, now and then
            return False
        self._left -= self._cost(subscription)
        return True

    def _cost(self, subscription: Subscription) -> float:
        if not self._by_weight:
            return 1.0
        return _TRADES_WEIGHT if subscription.channel == "trades" else self._page_weight
