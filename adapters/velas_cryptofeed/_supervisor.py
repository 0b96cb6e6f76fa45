"""Keeps one socket's streams delivering: reconnects, back-off, rotation without a hole."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable

from velas.clock import Clock
from velas.feed import FeedAdapter, Frame
from velas.status import BadFrame, Connected, Disconnected, Reconnecting, Rotated
from velas_cryptofeed._budget import budget_of
from velas_cryptofeed._session import Plan
from velas_cryptofeed._socket import OPEN_WITHIN_S, Socket, describe

__all__ = ["Wire"]

_BASE_S = 1.0
_CAP_S = 60.0
_MOST_DOUBLINGS = 10  # enough for the cap; an outage of hours has thousands of failures
_STEADY_S = 60.0  # a connection that lived this long and delivered ends a row of failures
_BETWEEN_ROTATIONS_S = 30.0
_FIRST_EVENT_WITHIN_S = 10.0
_OVERLAP_S = 5.0  # of series that are subscribed one after the other, the last may come late
_OPEN_REAL_S = 1.0  # added in real time: a test's clock may run faster than this machine
_REAL_S = 0.25
_PLANNED = "planned, ahead of the venue's own cut"
_SPREAD = 0.05  # of the planned rotation, so that sockets opened together do not rotate so
_LOG = logging.getLogger(__name__)


class Wire:
    """The supervisor of one planned socket. `run` it as a task; cancel it to close.

    At most two sockets exist at a time, the second only while one replaces the other.
    """

    def __init__(
        self,
        plan: Plan,
        feed: FeedAdapter,
        *,
        rotate_after_s: float,
        rng: random.Random | None = None,
    ) -> None:
        self.plan = plan
        self.clock: Clock = feed.clock
        self._feed = feed
        self._rotate_after_s = rotate_after_s
        self._random = rng or random.Random()
        self._budget = budget_of(plan.host, feed.clock)
        self._wake = asyncio.Event()
        self._failures = 0
        self._asked: str | None = None  # why to rotate
        self._rotate_not_before_s = float("-inf")
        self._refused_until_s = float("-inf")  # by the venue's Retry-After
        self._sockets: list[Socket] = []
        self._current: Socket | None = None  # the one that is reported as connected

    async def run(self) -> None:
        """Connect, deliver, reconnect until cancelled, whatever else goes wrong."""
        try:
            while True:
                try:
                    socket = await self._next()
                    if socket is not None:
                        await self._stay(socket)
                except Exception as error:
                    await self._restart(error)
        finally:
            await self._drop_all("closed by the feed")

    def rotate(self, reason: str) -> None:
        """Ask for a new socket; ignored while one is on its way, or just after."""
        busy = len(self._sockets) != 1 or not self._sockets[0].opened
        if not busy and self.clock.monotonic_s() >= self._rotate_not_before_s:
            self._ask(reason)

    # -- what a socket tells ---------------------------------------------------------

    def opened(self, socket: Socket) -> None:
        """Tell about it, unless it is to replace one that still delivers."""
        if self._current is not None and self._current.done:
            self._gone(self._current)
        if self._current is None:
            self._current = socket
            self._connected()
        self._wake.set()

    def changed(self) -> None:
        """Look again."""
        self._wake.set()

    def shutdown(self, socket: Socket, reason: str) -> None:
        """Move to a new socket at once, or when the last move is long enough ago."""
        if socket is self._sockets[-1]:  # the other one is being replaced already
            self._ask(reason)

    def bad(self, reason: str) -> None:
        """Report a frame that was skipped."""
        _LOG.debug("%s %s: skipped a frame: %s", self._feed.name, self.plan.name, reason)
        status = BadFrame(
            at_ms=self.clock.now_ms(),
            connection=self.plan.name,
            carries=self.plan.carries,
            reason=reason,
        )
        self._feed.report(status)

    async def end(self, tasks: Iterable[asyncio.Future[None]]) -> None:
        """Cancel tasks and wait for them, but for one that is closing the feed."""
        await self._feed.end(tasks)

    def record(self) -> Callable[[Frame], None] | None:
        """Return what takes the raw frames, if anything."""
        return self._feed.on_frame

    # -- one socket after the other --------------------------------------------------

    async def _next(self) -> Socket | None:
        if self._failures:
            doublings = min(self._failures - 1, _MOST_DOUBLINGS)
            delay = self._random.uniform(0.0, min(_CAP_S, _BASE_S * 2.0**doublings))
            await self._pause(max(delay, self._refused_until_s - self.clock.monotonic_s()))
        delay = self._budget.reserve(self.clock.monotonic_s())
        if delay > 0.0:
            await self._pause(delay)
        socket = self._start()
        await self._until(lambda: socket.opened or socket.done, OPEN_WITHIN_S, _OPEN_REAL_S)
        if socket.opened:
            return socket
        await self._drop(socket, f"not open within {OPEN_WITHIN_S:g} s")
        self._gone(socket)
        return None

    async def _stay(self, socket: Socket) -> None:
        planned_s = self._planned_s(socket)
        while not socket.done:
            wait_s = self._rotation_s(planned_s) - self.clock.monotonic_s()
            if wait_s > 0.0:
                await self._nap(wait_s)
                continue
            reason, self._asked = self._asked or _PLANNED, None
            fresh = await self._replace(socket, reason)
            if fresh is None:
                planned_s = self.clock.monotonic_s() + self._random.uniform(1.0, _CAP_S)
                planned_s = max(planned_s, self._refused_until_s)
            else:
                socket, planned_s = fresh, self._planned_s(fresh)
        self._asked = None
        await self._drop(socket, "")
        self._gone(self._current or socket)

    async def _replace(self, old: Socket, reason: str) -> Socket | None:
        self._rotate_not_before_s = self.clock.monotonic_s() + _BETWEEN_ROTATIONS_S
        delay = self._budget.reserve(self.clock.monotonic_s())
        if delay > 0.0 and await self._until(lambda: old.done, delay):
            return None
        _LOG.info("%s %s: rotating: %s", self._feed.name, self.plan.name, reason)
        fresh = self._start()
        await self._until(lambda: fresh.opened or fresh.done, OPEN_WITHIN_S, _OPEN_REAL_S)
        if fresh.opened:
            await self._overlap(old, fresh)
        if fresh.done or not fresh.opened:
            await self._drop(fresh, f"not open within {OPEN_WITHIN_S:g} s")
            self._obey(fresh)
            name, reason = self.plan.name, fresh.reason
            _LOG.warning(
                "%s %s: cannot rotate: %s", self._feed.name, name, reason, exc_info=fresh.surprise
            )
            return None
        await self._take_over(old, fresh, reason)
        return fresh

    async def _overlap(self, old: Socket, fresh: Socket) -> None:
        # what the old one still delivers may repeat what the new one does; no hole
        def one_is_gone() -> bool:
            return fresh.done or old.done

        await self._until(lambda: fresh.delivers or one_is_gone(), _FIRST_EVENT_WITHIN_S, _REAL_S)
        if fresh.delivers and fresh.asks:
            await self._until(one_is_gone, _OVERLAP_S, _REAL_S)

    async def _take_over(self, old: Socket, fresh: Socket, reason: str) -> None:
        lost = old.done
        await old.retire(f"rotated: {reason}")
        await self._drop(old, "")
        if self._current is fresh:  # the old one was gone before, and that is told
            return
        if lost:
            self._gone(old)
            self._current = fresh
            self._connected()
            return
        self._current = fresh
        status = Rotated(
            at_ms=self.clock.now_ms(),
            connection=self.plan.name,
            carries=self.plan.carries,
            reason=reason,
        )
        self._feed.report(status)

    def _start(self) -> Socket:
        socket = Socket(self.plan, self)
        self._sockets.append(socket)
        return socket

    async def _drop(self, socket: Socket, reason: str) -> None:
        await socket.drop(reason)
        if socket in self._sockets:
            self._sockets.remove(socket)

    async def _drop_all(self, reason: str) -> None:
        for socket in list(self._sockets):
            await self._drop(socket, reason)

    async def _restart(self, error: Exception) -> None:
        reason = describe(error)
        _LOG.error(
            "%s %s: starts again: %s", self._feed.name, self.plan.name, reason, exc_info=error
        )
        await self._drop_all(reason)
        self._current = self._asked = None
        self._failures += 1
        self._disconnected(reason)
        await asyncio.sleep(_REAL_S)  # what is broken may be the back-off itself

    def _obey(self, socket: Socket) -> None:
        until_s = self.clock.monotonic_s() + socket.retry_after_s
        if socket.retry_after_s > 0.0:
            self._refused_until_s = max(self._refused_until_s, until_s)
            self._rotate_not_before_s = max(self._rotate_not_before_s, until_s)

    # -- telling ---------------------------------------------------------------------

    def _connected(self) -> None:
        plan = self.plan
        _LOG.info("%s %s: connected, %d streams", self._feed.name, plan.name, plan.streams)
        status = Connected(
            at_ms=self.clock.now_ms(),
            connection=plan.name,
            carries=plan.carries,
            streams=plan.streams,
        )
        self._feed.report(status)

    def _gone(self, socket: Socket) -> None:
        lived_s = self.clock.monotonic_s() - socket.opened_s
        steady = socket.opened and socket.frames > 0 and lived_s >= _STEADY_S
        self._failures = 1 if steady else self._failures + 1
        self._obey(socket)
        if self._current is socket:
            self._current = None
        name, reason = self.plan.name, socket.reason or "unknown"
        _LOG.warning(
            "%s %s: disconnected: %s", self._feed.name, name, reason, exc_info=socket.surprise
        )
        self._disconnected(reason)

    def _disconnected(self, reason: str) -> None:
        status = Disconnected(
            at_ms=self.clock.now_ms(),
            connection=self.plan.name,
            carries=self.plan.carries,
            reason=reason,
        )
        self._feed.report(status)

    async def _pause(self, delay_s: float) -> None:
        status = Reconnecting(
            at_ms=self.clock.now_ms(),
            connection=self.plan.name,
            carries=self.plan.carries,
            attempt=self._failures,
            delay_s=delay_s,
        )
        self._feed.report(status)
        await self.clock.sleep(delay_s)

    # -- waiting ---------------------------------------------------------------------

    def _ask(self, reason: str) -> None:
        self._asked = reason
        self._wake.set()

    def _planned_s(self, socket: Socket) -> float:
        spread = 1.0 - _SPREAD * self._random.random()
        return socket.opened_s + self._rotate_after_s * spread

    def _rotation_s(self, planned_s: float) -> float:
        if self._asked is None:
            return planned_s
        return min(planned_s, self._rotate_not_before_s)

    async def _until(
        self, reached: Callable[[], bool], seconds: float, real_s: float = 0.0
    ) -> bool:
        timer = asyncio.ensure_future(_timer(self.clock, seconds, real_s))
        timer.add_done_callback(lambda _: self._wake.set())
        try:
            while not reached() and not timer.done():
                self._wake.clear()
                await self._wake.wait()
        finally:
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)
        return reached()

    async def _nap(self, seconds: float) -> None:
        self._wake.clear()
        await self._until(self._wake.is_set, seconds)


async def _timer(clock: Clock, seconds: float, real_s: float) -> None:
    await clock.sleep(seconds)
    if real_s > 0.0:
        await asyncio.sleep(real_s)
