"""Clocks for tests: moved by hand, faster than the machine's, or an event loop's own."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time

from velas.errors import ConfigError

__all__ = ["LoopClock", "ManualClock", "ScaledClock"]

_TICK_S = 1e-6  # the least that an event loop's time is moved by
_SETTLE_ROUNDS = 20  # loop passes given to woken code before the next sleeper is woken

_Sleeper = tuple[float, int, asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class ManualClock:
    """A `velas.clock.Clock` whose time stands still until a test moves it.

    `start_ms` is the first `now_ms()`. With `auto`, `sleep` moves the time to its own
    end at once and returns: sleeps that begin at the same moment overlap, they do not
    add up. May be read and moved from any thread.
    """

    def __init__(self, start_ms: int = 1_700_000_000_000, *, auto: bool = False) -> None:
        self.auto = auto
        self._start_ms = start_ms
        self._elapsed_s = 0.0
        self._sleepers: list[_Sleeper] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC."""
        return self._start_ms + round(self._elapsed_s * 1000)

    def monotonic_s(self) -> float:
        """Return the seconds this clock was moved by so far."""
        return self._elapsed_s

    @property
    def sleepers(self) -> int:
        """How many `sleep` calls are waiting."""
        return sum(not sleeper[3].done() for sleeper in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was moved by `seconds`; always yields to the loop."""
        deadline = self._elapsed_s + max(0.0, seconds)
        if self.auto or seconds <= 0:
            await asyncio.sleep(0)
            self._move_to(deadline)
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            heapq.heappush(self._sleepers, (deadline, next(self._numbers), loop, future))
        await future

    def advance(self, seconds: float) -> None:
        """Move the time and wake the sleepers that are due, the earliest first.

        They run at the loop's next passes and all see the new time; see `run_for`.
        """
        if seconds < 0:
            raise ConfigError(f"advance: seconds must not be negative, got {seconds!r}")
        self._move_to(self._elapsed_s + seconds)

    async def run_for(self, seconds: float) -> None:
        """Move the time from sleeper to sleeper, letting each run at its own moment.

        Code that waits for real I/O is not waited for.
        """
        end = self._elapsed_s + seconds
        await _settle()
        while (due := self._next_deadline()) is not None and due <= end:
            self._move_to(due)
            await _settle()
        self._move_to(end)
        await _settle()

    def _next_deadline(self) -> float | None:
        with self._lock:
            while self._sleepers and self._sleepers[0][3].done():
                heapq.heappop(self._sleepers)
            return self._sleepers[0][0] if self._sleepers else None

    def _move_to(self, elapsed_s: float) -> None:
        with self._lock:
            self._elapsed_s = max(self._elapsed_s, elapsed_s)
            while self._sleepers and self._sleepers[0][0] <= self._elapsed_s:
                _, _, loop, future = heapq.heappop(self._sleepers)
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_wake, future)


class ScaledClock:
    """A `velas.clock.Clock` on which `factor` seconds pass in each real second.

    `start_ms` is the first `now_ms()`; by default the machine's time.
    """

    def __init__(self, factor: float, *, start_ms: int | None = None) -> None:
        if not factor > 0:
            raise ConfigError(f"factor must be above 0, got {factor!r}")
        self.factor = factor
        self._start_ms = time.time_ns() // 1_000_000 if start_ms is None else start_ms
        self._zero_s = time.monotonic()

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC, as this clock counts them."""
        return self._start_ms + int(self.monotonic_s() * 1000)

    def monotonic_s(self) -> float:
        """Return this clock's seconds since it was made."""
        return (time.monotonic() - self._zero_s) * self.factor

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock."""
        await asyncio.sleep(seconds / self.factor)


class LoopClock:
    """A `velas.clock.Clock` that is the running event loop's; make it in there.

    With a loop of `looptime` (whose time jumps to what is due next when nothing else is
    left to do) hours of a venue take seconds, and a machine that stalls changes nothing.
    `start_ms` is the first `now_ms()`; by default the machine's time.
    """

    def __init__(self, *, start_ms: int | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._start_ms = time.time_ns() // 1_000_000 if start_ms is None else start_ms
        self._zero_s = self._loop.time()

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC, as the loop counts them."""
        return self._start_ms + int(self.monotonic_s() * 1000)

    def monotonic_s(self) -> float:
        """Return the loop's seconds since this clock was made."""
        return self._loop.time() - self._zero_s

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of the loop, which are a microsecond at least."""
        # a loop calls what is due within its resolution without moving its time: who waits
        # for the rest of a span again and again would never see it end
        await asyncio.sleep(max(seconds, _TICK_S) if seconds > 0 else 0)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _settle() -> None:
    for _ in range(_SETTLE_ROUNDS):
        await asyncio.sleep(0)
