"""The one source of time, injectable: wall clock in ms, monotonic clock in s, sleep."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """What velas asks the time of; tests inject one that they move by hand."""

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never run backwards, from an arbitrary zero."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Return seconds that never run backwards, from an arbitrary zero."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock."""
        await asyncio.sleep(seconds)


SYSTEM_CLOCK: Clock = SystemClock()
