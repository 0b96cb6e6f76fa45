"""Who may send now: lanes, weight windows, pace and the stop after a 429 or 418."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator

import attrs

from velas.breaker import Breaker
from velas.clock import Clock
from velas.errors import (
    Banned,
    ConfigError,
    ExchangeError,
    OrderUnknown,
    RateLimited,
    RequestTimeout,
    Unavailable,
)
from velas.limit_models import (
    LimiterSnapshot,
    RateLimitConfig,
    RequestType,
    WeightLimit,
    WindowUse,
)
from velas.windows import Pace, Ticket, Window

__all__ = ["Budget"]

_LOG = logging.getLogger(__name__)
_LINGER_MS = 5_000  # a request we gave up on may still reach the venue, but not later than this
_SHORTEST_SLEEP_S = 0.001  # timers may fire a little early; do not spin on the rest


@attrs.define(eq=False)
class _Waiter:
    ticket: Ticket
    max_wait_s: float
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]
    parked: bool = False
    done: bool = False
    error: Exception | None = None


@attrs.define(eq=False)
class _Timer:
    due_s: float
    task: asyncio.Task[None] | None = None


class Budget:
    """One venue's budget, shared by all tasks, threads and event loops of the process.

    Requests queue per lane, first come first served; the head of the first lane that
    has any goes as soon as windows, pace and stop allow, and nobody overtakes it. Each
    event loop with waiting requests has one timer for the moment the head may go, and
    whoever notices that moment lets all go that may, in whatever loop they wait.
    """

    def __init__(
        self, config: RateLimitConfig, *, venue: str, clock: Clock, rng: random.Random
    ) -> None:
        self.config = config
        self.venue = venue
        self.clock = clock
        # Reentrant: a waiting coroutine may be destroyed by the garbage collector at any line.
        self._lock = threading.RLock()
        self._offset_ms = 0.0
        self._windows: list[Window] = []
        rate = config.requests_per_second
        self._pace = None if rate is None else Pace(rate, config.burst_size)
        self._breaker = Breaker(venue=venue, margin_s=config.refusal_margin_s, rng=rng)
        self._queues: dict[RequestType, deque[_Waiter]] = {lane: deque() for lane in RequestType}
        self._parked: Counter[asyncio.AbstractEventLoop] = Counter()
        self._timers: dict[asyncio.AbstractEventLoop, _Timer] = {}
        self.set_weight_limits(config.weight_limits)

    async def acquire(self, lane: RequestType, weight: int, *, max_wait_s: float) -> Ticket:
        """Wait for the turn of a request; it counts as sent on return.

        Raises:
            ConfigError: heavier than the whole limit.
            RateLimited, Banned: everything is stopped for longer than `max_wait_s`.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(Ticket(lane, weight), max_wait_s, loop, loop.create_future())
        with self._lock:
            error = self._hopeless(waiter)
            if error is not None:
                raise error
            self._queues[lane].append(waiter)
            self._parked[loop] += 1
            self._grant()
            waiter.parked = not waiter.done
            if waiter.done:
                self._leave(loop)
        if waiter.parked:
            await self._wait(waiter)
        return waiter.ticket

    def settle(self, ticket: Ticket, error: BaseException | None) -> None:
        """Note that a request ended, and how."""
        answered = error is None or (
            isinstance(error, ExchangeError)
            and not isinstance(error, (Unavailable, RequestTimeout, OrderUnknown))
        )
        with self._lock:
            ticket.settled_ms = self._roll() + (0 if answered else _LINGER_MS)
            if answered:
                for window in self._windows:
                    window.settle(ticket)
            if self._breaker.ended(ticket, error):
                self._grant()

    def refuse(self, ticket: Ticket, error: RateLimited | Banned) -> float:
        """Stop everything as a 429 or 418 demands; return for how many seconds."""
        with self._lock:
            venue_ms, now_s = self._roll(), self.clock.monotonic_s()
            known_s = self._breaker.left_s(now_s)
            longer = self._breaker.refuse(
                ticket,
                error,
                now_s=now_s,
                venue_ms=venue_ms,
                boundaries_s=[window.left_s(venue_ms) for window in self._windows],
            )
            left_s = self._breaker.left_s(now_s)
            if longer:
                self._drop_hopeless()
            if left_s > known_s + 1.0:  # not once more for every request that was on its way
                _LOG.warning("%s: nothing is sent for %.1f s: %s", self.venue, left_s, error)
            return left_s

    def ban(self, until_ms: float, reason: str) -> None:
        """Stop everything until a moment of the venue's clock: an earlier process was banned."""
        with self._lock:
            left_s = (until_ms - self._venue_ms()) / 1000
            if left_s > 0:
                self._breaker.stop(left_s, Banned(reason), now_s=self.clock.monotonic_s())
                self._drop_hopeless()

    def stopped_s(self) -> float:
        """Return for how many seconds everything is stopped, 0 if it is not."""
        with self._lock:
            return self._breaker.left_s(self.clock.monotonic_s())

    def observe(self, ticket: Ticket, used: int, window_s: float) -> None:
        """Learn from a response's used-weight figure for the window of `window_s`."""
        with self._lock:
            self._roll()
            for window in self._windows:
                if window.limit.window_s == window_s:
                    window.observe(ticket, used)

    def venue_ms(self) -> float:
        """Return the venue's clock as we know it, in ms."""
        with self._lock:
            return self._venue_ms()

    def set_clock_offset_ms(self, offset_ms: float) -> None:
        """Take a new measure of venue clock minus local clock."""
        with self._lock:
            self._roll()
            jump_ms = abs(offset_ms - self._offset_ms)
            self._offset_ms = offset_ms
            if jump_ms > 2000 * self.config.clock_guard_s:
                for window in self._windows:
                    window.realign(self._venue_ms(), self.clock.monotonic_s())
            self._grant()

    def set_weight_limits(self, limits: Iterable[WeightLimit]) -> None:
        """Replace the windows; what was spent stays spent."""
        tightest: dict[float, WeightLimit] = {}
        for limit in limits:
            known = tightest.get(limit.window_s, limit)
            tightest[limit.window_s] = min(limit, known, key=lambda entry: entry.limit)
        with self._lock:
            self._roll()
            old = {window.limit.window_s: window for window in self._windows}
            spent = max((window.used for window in self._windows), default=0)
            self._windows = [
                self._resized(old.get(length), limit, spent)
                for length, limit in sorted(tightest.items())
            ]
            self._drop_hopeless()
            self._grant()

    def snapshot(self) -> LimiterSnapshot:
        """Return how full, how long stopped and how many waiting, now."""
        with self._lock:
            self._roll()
            uses = tuple(WindowUse(w.limit.window_s, w.used, w.limit.limit) for w in self._windows)
            fullest = max(uses, key=lambda use: use.used / use.limit, default=None)
            left_ms = math.ceil(self.stopped_s() * 1000)
            return LimiterSnapshot(
                venue=self.venue,
                used=fullest.used if fullest else 0,
                limit=fullest.limit if fullest else None,
                blocked_until_ms=self.clock.now_ms() + left_ms if left_ms else None,
                waiting={lane: len(queue) for lane, queue in self._queues.items()},
                windows=uses,
            )

    # Below, what is no coroutine is called with the lock held, except _start.

    async def _wait(self, waiter: _Waiter) -> None:
        ticket = waiter.ticket
        _LOG.debug(
            "%s: %s request of weight %d waits", self.venue, ticket.lane.value, ticket.weight
        )
        try:
            await waiter.future
        except BaseException:
            with self._lock:
                self._withdraw(waiter)
            raise
        finally:
            with self._lock:
                self._leave(waiter.loop)
        if waiter.error is not None:
            raise waiter.error

    def _grant(self) -> None:
        self._roll()
        while (waiter := next(self._waiters(), None)) is not None:
            delay_s = self._delay_s(waiter.ticket)
            if delay_s > 0:
                self._plan(delay_s)
                return
            self._queues[waiter.ticket.lane].popleft()
            self._charge(waiter.ticket)
            self._wake(waiter)

    def _waiters(self) -> Iterator[_Waiter]:
        return (waiter for queue in self._queues.values() for waiter in queue)

    def _delay_s(self, ticket: Ticket) -> float:
        venue_ms, now_s = self._venue_ms(), self.clock.monotonic_s()
        share = self.config.share(ticket.lane)
        delay_s = self._breaker.delay_s(ticket, now_s)
        for window in self._windows:
            if not window.fits(ticket.weight, share):
                delay_s = max(delay_s, window.left_s(venue_ms), _SHORTEST_SLEEP_S)
        if self._pace is not None:
            delay_s = max(delay_s, self._pace.delay_s(now_s))
        return delay_s

    def _charge(self, ticket: Ticket) -> None:
        ticket.sent_s = self.clock.monotonic_s()
        for window in self._windows:
            window.charge(ticket)
        if self._pace is not None:
            self._pace.take()
        self._breaker.sent(ticket)

    def _refund(self, ticket: Ticket) -> None:
        for window in self._windows:
            window.refund(ticket)
        if self._pace is not None:
            self._pace.give_back()
        self._breaker.unsent(ticket)

    def _wake(self, waiter: _Waiter) -> None:
        waiter.done = True
        if not waiter.parked:
            return
        try:
            waiter.loop.call_soon_threadsafe(_resolve, waiter.future)
        except RuntimeError:  # its loop was closed under it: nobody is there to send the request
            self._forget(waiter.loop)
            if waiter.error is None:
                self._refund(waiter.ticket)

    def _withdraw(self, waiter: _Waiter) -> None:
        if not waiter.done:
            self._queues[waiter.ticket.lane].remove(waiter)
        elif waiter.error is None:
            self._refund(waiter.ticket)
        self._grant()

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parked[loop] -= 1
        if self._parked[loop] <= 0:
            self._forget(loop)

    def _forget(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parked.pop(loop, None)
        timer = self._timers.pop(loop, None)
        if timer is not None and timer.task is not None and not loop.is_closed():
            timer.task.cancel()

    def _plan(self, delay_s: float) -> None:
        due_s = self.clock.monotonic_s() + max(delay_s, _SHORTEST_SLEEP_S)
        # Every loop has its own timer, so that one that is stuck does not hold up the others.
        for loop in tuple(self._parked):
            old = self._timers.get(loop)
            if old is not None and old.due_s <= due_s:
                continue
            timer = self._timers[loop] = _Timer(due_s)
            try:
                loop.call_soon_threadsafe(self._start, loop, timer, old)
            except RuntimeError:  # closed; its requests are dropped when their turn comes
                self._forget(loop)

    def _start(self, loop: asyncio.AbstractEventLoop, timer: _Timer, old: _Timer | None) -> None:
        with self._lock:
            if old is not None and old.task is not None:
                old.task.cancel()
            if self._timers.get(loop) is timer:
                timer.task = loop.create_task(self._fire(loop, timer))

    async def _fire(self, loop: asyncio.AbstractEventLoop, timer: _Timer) -> None:
        try:
            await self.clock.sleep(max(0.0, timer.due_s - self.clock.monotonic_s()))
        except Exception as error:  # a broken clock must reach the callers, not a lost task
            with self._lock:
                self._timers.pop(loop, None)
                self._drop((w for w in self._waiters() if w.loop is loop), error)
            return
        with self._lock:
            if self._timers.get(loop) is timer:
                del self._timers[loop]
                self._grant()

    def _hopeless(self, waiter: _Waiter) -> Exception | None:
        weight = waiter.ticket.weight
        for window in self._windows:
            if weight > window.limit.limit:
                return ConfigError(
                    f"{self.venue}: a request of weight {weight} can never be sent; the limit is "
                    f"{window.limit.limit} in {window.limit.window_s:g} s"
                )
        now_s = self.clock.monotonic_s()
        if self._breaker.left_s(now_s) <= waiter.max_wait_s:
            return None
        return self._breaker.error(
            max_wait_s=waiter.max_wait_s, now_s=now_s, venue_ms=self._venue_ms()
        )

    def _drop_hopeless(self) -> None:
        for waiter in tuple(self._waiters()):
            error = self._hopeless(waiter)
            if error is not None:
                self._drop([waiter], error)

    def _drop(self, waiters: Iterable[_Waiter], error: Exception) -> None:
        for waiter in tuple(waiters):
            self._queues[waiter.ticket.lane].remove(waiter)
            waiter.error = error
            self._wake(waiter)

    def _roll(self) -> float:
        venue_ms, now_s = self._venue_ms(), self.clock.monotonic_s()
        for window in self._windows:
            window.roll(venue_ms, now_s)
        return venue_ms

    def _venue_ms(self) -> float:
        return self.clock.now_ms() + self._offset_ms

    def _resized(self, old: Window | None, limit: WeightLimit, spent: int) -> Window:
        if old is not None:
            old.limit = limit
            return old
        return Window(
            limit,
            guard_s=self.config.clock_guard_s,
            venue_ms=self._venue_ms(),
            monotonic_s=self.clock.monotonic_s(),
            used=spent,
        )


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
