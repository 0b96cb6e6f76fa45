"""Time that stands still and a budget without limit: nothing in a replay waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from velas.limits import RateLimitConfig, RateLimiter, WeightLimit

__all__ = ["FreeLimiter", "StoppedClock"]


class StoppedClock:
    """A `velas.clock.Clock` that shows the moment of the recording for ever.

    So the venue's clock, an offset to this one, stands where the recording says, and
    the newest closed candle is the one it was then.
    """

    def __init__(self, recorded_ms: Callable[[], int]) -> None:
        self._recorded_ms = recorded_ms

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC, of the recording."""
        return self._recorded_ms()

    def monotonic_s(self) -> float:
        """Return zero."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Return at once, but let others run."""
        await asyncio.sleep(0)


class FreeLimiter(RateLimiter):
    """A `RateLimiter` that counts and never holds a request back, nor repeats one.

    It is never the one that requests to the real venue share.
    """

    def __init__(self) -> None:
        super().__init__(RateLimitConfig(retry_attempts=1), venue="replay")

    def set_weight_limits(self, limits: Iterable[WeightLimit]) -> None:
        """Ignore the venue's limits."""

    def observe(self, used_weight: int, window_s: float = 60) -> None:
        """Ignore the weight that was used when the recording was made."""
