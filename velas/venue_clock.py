"""What time it is at the venue, measured now and then, never ahead of the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import attrs

from velas.clock import Clock

__all__ = ["VenueClock"]

_TTL_S = 600.0
_STEP_MS = 1_000  # the wall clock moved this far against the monotonic: measure again
_TRIES, _PROMPT_S = 3, 0.5  # a slow answer says little about the time: asked once more


@attrs.frozen
class _Measured:
    server_ms: int
    local_ms: int
    monotonic_s: float

    def at_ms(self, monotonic_s: float) -> int:
        return self.server_ms + int((monotonic_s - self.monotonic_s) * 1000)


class VenueClock:
    """The venue's clock by way of `ask`, which returns its time and the round trip in s.

    `ask` returns None for a venue that does not tell the time; then it is the local
    clock. `tell_offset` gets the best guess of the venue's clock minus the local one, in
    ms, with every measurement. `clock` is asked each time: an exchange's may be replaced,
    as that of a tape is by its feed's.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[tuple[int, float] | None]],
        *,
        clock: Callable[[], Clock],
        tell_offset: Callable[[float], None],
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._tell_offset = tell_offset
        self._measured: _Measured | None = None
        self._doubted = False
        self._lock = asyncio.Lock()

    async def now_ms(self) -> int:
        """Return the venue's time in ms, never ahead of it; measured every ten minutes.

        It may be behind by as long as the fastest of the answers took on its way.
        """
        if not self._is_fresh():
            async with self._lock:
                if not self._is_fresh():
                    await self._measure()
        return self.estimate_ms()

    def estimate_ms(self) -> int:
        """Return the venue's time by the last measurement; without one the local time."""
        if self._measured is None:
            return self._clock().now_ms()
        return self._measured.at_ms(self._clock().monotonic_s())

    def doubt(self) -> None:
        """Measure anew when the time is asked for next."""
        self._doubted = True

    def _is_fresh(self) -> bool:
        if self._measured is None or self._doubted:
            return False
        elapsed_s = self._clock().monotonic_s() - self._measured.monotonic_s
        local_ms = self._clock().now_ms() - self._measured.local_ms
        return elapsed_s < _TTL_S and abs(local_ms - elapsed_s * 1000) < _STEP_MS

    async def _measure(self) -> None:
        best: _Measured | None = None
        for _ in range(_TRIES):
            answer = await self._ask()
            now_s, now_ms = self._clock().monotonic_s(), self._clock().now_ms()
            if answer is None:  # no such endpoint: the local clock has to do
                best = _Measured(now_ms, now_ms, now_s)
                break
            server_ms, round_trip_s = answer
            # by now it is at least what it was when the answer left; how much of the round
            # trip came after that is not known, and a candle is not closed on a guess
            found = _Measured(server_ms, now_ms, now_s)
            if best is None or found.at_ms(now_s) > best.at_ms(now_s):
                best = found
                self._tell_offset(server_ms + round_trip_s * 500 - now_ms)
            if round_trip_s <= _PROMPT_S:
                break
        self._measured, self._doubted = best, False
