"""What the tests of the request limiter share: a scripted call, and limiters for it."""

from __future__ import annotations

import asyncio
import random

from velas.ledger import Ledger
from velas.limits import (
    RateLimitConfig,
    RateLimiter,
    WeightLimit,
)
from velas.testing.clocks import ManualClock

__all__ = ["MINUTE_MS", "Script", "limiter", "minute"]

MINUTE_MS = 1_700_000_040_000  # a UTC minute begins here


class Script:
    """A call that raises what it is told, then returns; remembers when it was sent."""

    def __init__(self, clock: ManualClock, *errors: BaseException) -> None:
        self.clock = clock
        self.errors = list(errors)
        self.sent_s: list[float] = []

    async def __call__(self) -> str:
        self.sent_s.append(self.clock.monotonic_s())
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def limiter(
    clock: ManualClock, config: RateLimitConfig | None = None, ledger: Ledger | None = None
) -> RateLimiter:
    """Return a limiter whose pauses are the same in every run."""
    return RateLimiter(config, venue="venue", clock=clock, ledger=ledger, random=random.Random(1))


def minute(limit: int = 100) -> RateLimitConfig:
    """Return settings with one window of a minute."""
    return RateLimitConfig(weight_limits=[WeightLimit(60, limit)])
