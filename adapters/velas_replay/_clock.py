"""The time of a tape: as fast as its listeners can follow, or at a pace.

Both clocks show the tape's own time. `run_to` brings it to the next frame, and every
sleeper on the way wakes at its own moment, the earliest first.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol
from weakref import WeakKeyDictionary

from velas.clock import Clock

__all__ = ["FastClock", "PacedClock", "TapeClock", "answering", "hold_up_frames"]

_SECOND = 1_000_000_000  # ns
_MS = 1_000_000
_LONGEST_S = 1e9
_ROUNDS = 10  # loop passes given to what a frame or a sleeper set going
_MOST_ROUNDS = 100_000  # with an answer of a recording under way
_NEVER = 1 << 62

# whether this task's sleep may keep the next frame waiting
_holds_up: ContextVar[bool] = ContextVar("velas_replay_holds_up", default=False)
_answering: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()


class TapeClock(Clock, Protocol):
    """A `velas.clock.Clock` that shows a tape's time and is moved by its frames."""

    async def run_to(self, at_ns: int) -> None:
        """Return when the clock has come to a moment of the tape, Unix time in ns."""
        ...

    def frame_taken(self, taken: bool) -> None:
        """Note whether a frame is being delivered at the moment."""
        ...

    def finish(self) -> None:
        """Note that the tape is through: time goes on as on the clock underneath."""
        ...


def hold_up_frames() -> None:
    """Let the next frame wait for sleeps of this task, and of tasks it starts."""
    _holds_up.set(True)


@contextmanager
def answering() -> Iterator[None]:
    """Keep the clocks of tapes from moving while a recording answers in this loop."""
    loop = asyncio.get_running_loop()
    _answering[loop] = _answering.get(loop, 0) + 1
    try:
        yield
    finally:
        _answering[loop] -= 1


class FastClock:
    """Jumps from frame to frame; stops at each sleeper's moment until that one has run.

    "Has run" is ten passes of the loop, and as many as it takes while a recording answers;
    threads and real sockets are not waited for. A callback that sleeps on this clock makes
    it run ahead of the next frame. When the tape is through, `pace` takes over.
    """

    def __init__(self, started_ns: Callable[[], int], pace: Clock) -> None:
        self._started_ns = started_ns
        self._pace = pace
        self._now_ns = 0
        self._handed_over_s: float | None = None
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._holding_up = 0
        self._taken = False
        self._driver: asyncio.Task[None] | None = None

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC, of the tape."""
        return self._time_ns() // _MS

    def monotonic_s(self) -> float:
        """Return the seconds of the tape since it began."""
        return (self._time_ns() - self._started_ns()) / _SECOND

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of the tape."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        deadline = self._time_ns() + math.ceil(min(seconds, _LONGEST_S) * _SECOND)
        if self._handed_over_s is None:
            await self._wait(deadline, asyncio.get_running_loop().create_future())
        while (left := deadline - self._time_ns()) > 0 and self._handed_over_s is not None:
            await self._pace.sleep(left / _SECOND)

    async def run_to(self, at_ns: int) -> None:
        """Return when the clock has come to a moment of the tape, Unix time in ns."""
        await _settle()
        while (due := self._next_deadline()) <= at_ns:
            self._wake(due)
            await _settle()
        self._now_ns = max(self._time_ns(), at_ns)

    def frame_taken(self, taken: bool) -> None:
        """Note whether a frame is being delivered at the moment."""
        self._taken = taken
        self._look_ahead()

    def finish(self) -> None:
        """Note that the tape is through: time goes on as on the clock underneath."""
        if self._handed_over_s is None:
            self._now_ns = self._time_ns()
            self._handed_over_s = self._pace.monotonic_s()
            for _, _, future in self._sleepers:
                _release(future)
            self._sleepers.clear()
            if self._driver is not None:
                self._driver.cancel()

    def _time_ns(self) -> int:
        now_ns = self._now_ns or self._started_ns()
        if self._handed_over_s is None:
            return now_ns
        return now_ns + int((self._pace.monotonic_s() - self._handed_over_s) * _SECOND)

    async def _wait(self, deadline: int, future: asyncio.Future[None]) -> None:
        heapq.heappush(self._sleepers, (deadline, next(self._numbers), future))
        holds_up = _holds_up.get()
        self._holding_up += holds_up
        self._look_ahead()
        try:
            await future
        finally:
            self._holding_up -= holds_up

    def _look_ahead(self) -> None:
        if self._taken and self._holding_up and self._driver is None:
            self._driver = asyncio.ensure_future(self._run_ahead())

    async def _run_ahead(self) -> None:
        try:
            while True:
                await _settle()
                if not (self._taken and self._holding_up and self._sleepers):
                    return
                self._wake(self._next_deadline())
        finally:
            self._driver = None

    def _next_deadline(self) -> int:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else _NEVER

    def _wake(self, deadline: int) -> None:
        if deadline == _NEVER:
            return
        self._now_ns = max(self._time_ns(), deadline)
        while self._sleepers and self._sleepers[0][0] <= deadline:
            _release(heapq.heappop(self._sleepers)[2])


class PacedClock:
    """Runs `speed` times as fast as the clock `pace` from the moment the first frame is asked."""

    def __init__(self, started_ns: Callable[[], int], pace: Clock, speed: float) -> None:
        self._started_ns = started_ns
        self._pace = pace
        self._speed = speed
        self._zero_s: float | None = None
        self._least_ns = 0
        self._running = asyncio.Event()

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC, of the tape."""
        return self._time_ns() // _MS

    def monotonic_s(self) -> float:
        """Return the seconds of the tape since it began."""
        return (self._time_ns() - self._started_ns()) / _SECOND

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of the tape."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self._running.wait()
        await self._pace.sleep(seconds / self._speed)

    async def run_to(self, at_ns: int) -> None:
        """Return when the clock has come to a moment of the tape, Unix time in ns."""
        if self._zero_s is None:
            self._zero_s = self._pace.monotonic_s()
            self._running.set()
        left = at_ns - self._time_ns()
        await self._pace.sleep(max(0.0, left / _SECOND / self._speed))
        self._least_ns = max(self._least_ns, at_ns)  # by a rounding the sleep may be too short

    def frame_taken(self, taken: bool) -> None:
        """Ignore it: nothing here waits for frames."""

    def finish(self) -> None:
        """Go on at the same pace."""
        if self._zero_s is None:
            self._zero_s = self._pace.monotonic_s()
            self._running.set()

    def _time_ns(self) -> int:
        if self._zero_s is None:
            return self._started_ns()
        passed_s = (self._pace.monotonic_s() - self._zero_s) * self._speed
        return max(self._least_ns, self._started_ns() + int(passed_s * _SECOND))


async def _settle() -> None:
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    for _ in range(_MOST_ROUNDS):
        if not _answering.get(loop):
            return
        await asyncio.sleep(0)
        if not _answering.get(loop):
            for _ in range(_ROUNDS):
                await asyncio.sleep(0)


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
