"""The one task that sends what became due, of all streams, to all connections."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Protocol

from velas.clock import Clock
from velas.testing.clocks import ScaledClock
from velas.testing.venue.frames_out import Frame
from velas.testing.venue.sources import NEVER_MS, Source
from velas.testing.venue.waiting import sleep_unless

__all__ = ["Listener", "Pump", "tick_s"]

_TICK_S = 0.025  # of real time: what falls due within it goes out together


class Listener(Protocol):
    """A connection as the pump sees it."""

    def offer(self, frame: Frame, now_ms: int) -> None:
        """Take a frame of a stream it subscribed to."""
        ...

    def work(self, now_ms: int) -> int:
        """Do what is due by itself; return when to be asked again, ms."""
        ...


def tick_s(clock: Clock) -> float:
    """Return the shortest time between two rounds, in seconds of `clock`."""
    return _TICK_S * clock.factor if isinstance(clock, ScaledClock) else _TICK_S


class Pump:
    """Keeps one source for each stream that somebody reads, and a round of all that is due.

    It sleeps on the clock until the next event is due, only while there are connections.
    """

    def __init__(
        self, clock: Clock, now_ms: Callable[[], int], make: Callable[[str], Source | None]
    ) -> None:
        self._clock = clock
        self._now_ms = now_ms
        self._make = make
        self._tick_s = tick_s(clock)
        self._sources: dict[str, Source] = {}
        self._readers: dict[str, dict[Listener, None]] = {}
        self._listeners: dict[Listener, int] = {}
        self._heap: list[tuple[int, int, str, Source]] = []
        self._numbers = itertools.count()
        self._woken = asyncio.Event()

    def join(self, listener: Listener) -> None:
        """Let a connection take part."""
        self._listeners[listener] = 0
        self.wake()

    def leave(self, listener: Listener) -> None:
        """Forget a connection and its subscriptions."""
        self._listeners.pop(listener, None)
        for stream in [one for one, readers in self._readers.items() if listener in readers]:
            self.unsubscribe(listener, stream)

    def subscribe(self, listener: Listener, stream: str) -> None:
        """Send a stream to a connection from now on; a silent one costs nothing."""
        if stream not in self._sources:
            source = self._make(stream)
            if source is None:
                return
            self._sources[stream] = source
            self._schedule(stream, source)
        self._readers.setdefault(stream, {})[listener] = None
        self.wake()

    def unsubscribe(self, listener: Listener, stream: str) -> None:
        """Send a stream to a connection no more; without readers its source is dropped."""
        readers = self._readers.get(stream, {})
        readers.pop(listener, None)
        if not readers:
            self._readers.pop(stream, None)
            self._sources.pop(stream, None)

    def wake(self) -> None:
        """Look again at what is due, at once."""
        self._woken.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self._woken.clear()
            if not self._listeners:
                await self._woken.wait()
                continue
            due_ms = self.round(self._now_ms())
            late_ms = due_ms - self._now_ms()
            if late_ms <= 0:
                await asyncio.sleep(0)  # more than one round's worth: catch up
            else:
                await sleep_unless(self._woken, self._clock, max(self._tick_s, late_ms / 1000))

    def round(self, now_ms: int) -> int:
        """Send what is due at `now_ms`, in order of time; return when more is due."""
        frames: list[Frame] = []
        again: list[tuple[str, Source]] = []
        while self._heap and self._heap[0][0] <= now_ms:
            _, _, stream, source = heapq.heappop(self._heap)
            if self._sources.get(stream) is source:
                frames += source.take(now_ms)
                again.append((stream, source))
        for stream, source in again:
            self._schedule(stream, source)
        frames.sort(key=_due)
        for frame in frames:
            for listener in tuple(self._readers.get(frame.stream, ())):
                listener.offer(frame, now_ms)
        for listener, due_ms in tuple(self._listeners.items()):
            if due_ms <= now_ms and listener in self._listeners:
                self._listeners[listener] = listener.work(now_ms)
        return min(
            self._heap[0][0] if self._heap else NEVER_MS, *self._listeners.values(), NEVER_MS
        )

    def recheck(self, listener: Listener) -> None:
        """Ask a connection at the next round what it has to do."""
        if listener in self._listeners:
            self._listeners[listener] = 0
            self.wake()

    def _schedule(self, stream: str, source: Source) -> None:
        heapq.heappush(self._heap, (source.due_ms, next(self._numbers), stream, source))


def _due(frame: Frame) -> int:
    return frame.due_ms
