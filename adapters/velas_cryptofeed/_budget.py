"""New connections per venue host, counted for the whole process."""

from __future__ import annotations

import threading
import weakref
from collections import deque

from velas.clock import Clock

__all__ = ["MOST", "WINDOW_S", "Budget", "budget_of"]

# Spot allows 300 attempts per 5 minutes and address ("WebSocket Streams for Binance");
# the rest is left to whatever else runs on this machine.
MOST = 240
WINDOW_S = 300.0
_BUDGETS: weakref.WeakKeyDictionary[Clock, dict[str, Budget]] = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


class Budget:
    """Hands out moments to connect: at most `most` in any `window_s`; any thread may ask."""

    def __init__(self, *, most: int = MOST, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._taken: deque[float] = deque(maxlen=most)

    def reserve(self, now_s: float) -> float:
        """Take the next free moment; return how many seconds it is away."""
        with _LOCK:
            at = now_s
            if len(self._taken) == self._taken.maxlen:
                at = max(now_s, self._taken[0] + self._window_s)
            self._taken.append(at)
        return at - now_s


def budget_of(host: str, clock: Clock) -> Budget:
    """Return the budget all feeds of this process share for `host`, on `clock`."""
    with _LOCK:
        by_host = _BUDGETS.setdefault(clock, {})
        return by_host.setdefault(host, Budget())
