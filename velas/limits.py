"""The request limiter: one budget per venue and process, retries, idempotency keys."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

import orjson

from velas.budget import Budget
from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import Banned, ConfigError, RateLimited, StoreError
from velas.idempotency import Codec, KeyedCall, KeyedCalls
from velas.ledger import Ledger
from velas.limit_models import (
    LimiterSnapshot,
    RateLimitConfig,
    RequestType,
    WeightLimit,
    WindowUse,
)
from velas.models import Usage
from velas.retry import Attempts
from velas.windows import Ticket

__all__ = [
    "LimiterSnapshot",
    "RateLimitConfig",
    "RateLimiter",
    "RequestType",
    "WeightLimit",
    "WindowUse",
    "reset_shared_limiters",
    "shared_limiter",
]

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
_TICKET: ContextVar[tuple[RateLimiter, Ticket] | None] = ContextVar("velas_ticket", default=None)


class RateLimiter:
    """Sends requests to one venue as fast as it allows, and never faster.

    Safe for several tasks, threads and event loops at once. `venue` is the host whose
    budget this is; it names the ban and the keys in the ledger. `db_path` opens a ledger
    of its own, which `close` closes. Time comes from `clock`, jitter from `random`.

    Raises:
        StoreError: the ledger at `db_path` cannot be used.
    """

    def __init__(
        self,
        config: RateLimitConfig | None = None,
        *,
        venue: str = "",
        clock: Clock = SYSTEM_CLOCK,
        ledger: Ledger | None = None,
        db_path: str | Path | None = None,
        random: random.Random | None = None,
    ) -> None:
        if ledger is not None and db_path is not None:
            raise ConfigError("give a ledger or a db_path, not both")
        self.config = config if config is not None else RateLimitConfig()
        self.venue = venue
        self._clock = clock
        self._random = random if random is not None else _new_random()
        self._budget = Budget(self.config, venue=venue, clock=clock, rng=self._random)
        self._keyed = KeyedCalls(venue=venue, ttl_s=self.config.idempotency_ttl_s, clock=clock)
        self._lock = threading.Lock()
        self._usage = Usage()
        self._ledgers: list[Ledger] = []
        self._own_ledger = None if db_path is None else Ledger(db_path)
        for known in (ledger, self._own_ledger):
            if known is not None:
                self.use_ledger(known)

    @property
    def usage(self) -> Usage:
        """What was spent so far; a repeat counts as request and as retry."""
        return self._usage

    async def execute_with_retry(
        self,
        call: Callable[[], Awaitable[_T]],
        request_type: RequestType,
        idempotency_key: str | None = None,
        *,
        weight: int = 1,
        safe_to_repeat: bool | None = None,
        max_wait_s: float | None = None,
        encode: Callable[[_T], bytes] | None = None,
        decode: Callable[[bytes], _T] | None = None,
    ) -> _T:
        """Await `call()` when its turn comes, again after failures that allow it.

        Args:
            call: makes one request; called anew for every attempt.
            request_type: the lane.
            idempotency_key: of several calls under one key only one is made, all get
                its result, also after a restart when there is a ledger.
            weight: what one attempt costs at the venue.
            safe_to_repeat: a second sending does no harm; default: all but orders.
            max_wait_s: longest 429 or 418 to wait out; default: the config's.
            encode: turns the result into bytes for the ledger; default: JSON.
            decode: the reverse, for a result from before a restart.

        Raises:
            ConfigError: a weight that can never be sent, an empty key.
            RateLimited, Banned: the venue refuses for longer than `max_wait_s`.
            OrderUnknown: the order under this key may or may not exist.
            Exception: whatever the last attempt raised, with a note.
        """
        if not isinstance(weight, int) or weight < 0:
            raise ConfigError(f"weight must be a whole number of at least 0, not {weight!r}")
        is_order = request_type is RequestType.ORDER
        repeat = not is_order if safe_to_repeat is None else safe_to_repeat
        wait_s = self.config.max_wait_s if max_wait_s is None else max_wait_s

        async def perform(keyed: KeyedCall | None = None) -> _T:
            attempts = self._attempts(repeat, wait_s, keyed)

            async def attempt() -> _T:
                return await self._send(call, request_type, weight, wait_s, attempts, keyed)

            return await attempts.run(attempt)

        if idempotency_key is None:
            return await perform()
        codec = Codec(encode or orjson.dumps, decode or cast("Callable[[bytes], _T]", orjson.loads))
        return await self._keyed.run(
            idempotency_key, perform, is_order=is_order, codec=codec, ledger=self._ledger()
        )

    def observe(self, used_weight: int, window_s: float = 60) -> None:
        """Take the used weight a response's header tells; called inside the call.

        Others on this address spend the same budget: a figure above our own count
        raises it. Outside of a call, or when the window has changed since the request
        was sent, the figure is not used.
        """
        current = _TICKET.get()
        if current is not None and current[0] is self:
            self._budget.observe(current[1], used_weight, window_s)

    def set_weight_limits(self, limits: Iterable[WeightLimit]) -> None:
        """Replace the weight windows by what the venue says; what is spent stays spent."""
        self._budget.set_weight_limits(limits)

    def set_clock_offset_ms(self, offset_ms: float) -> None:
        """Take the venue's clock minus the local clock; measure it again now and then."""
        self._budget.set_clock_offset_ms(offset_ms)

    def snapshot(self) -> LimiterSnapshot:
        """Return how full, how long stopped and how many waiting, now."""
        return self._budget.snapshot()

    def forget(self, idempotency_key: str) -> None:
        """Release a key whose call is over, so that the next one is made.

        For an order of unknown fate that the venue was found not to know.

        Raises:
            ConfigError: its call is still under way.
        """
        self._keyed.forget(idempotency_key, self._ledger())

    def use_ledger(self, ledger: Ledger) -> None:
        """Keep bans and keys in `ledger` from now on; obey the ban it remembers.

        When it is closed, the one used before it serves again.
        """
        with self._lock:
            self._ledgers = [known for known in self._ledgers if not known.closed]
            if ledger in self._ledgers:
                self._ledgers.remove(ledger)
            self._ledgers.append(ledger)
        self._budget.ban(ledger.ban_until_ms(self.venue), "banned before, as the ledger remembers")

    def close(self) -> None:
        """Close the ledger opened for `db_path`; may be called again."""
        if self._own_ledger is not None:
            self._own_ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _attempts(self, repeat: bool, wait_s: float, keyed: KeyedCall | None) -> Attempts:
        return Attempts(
            self.config,
            clock=self._clock,
            rng=self._random,
            safe_to_repeat=repeat,
            max_wait_s=wait_s,
            stopped_s=self._budget.stopped_s,
            wanted=_always if keyed is None else keyed.wanted,
        )

    async def _send(
        self,
        call: Callable[[], Awaitable[_T]],
        lane: RequestType,
        weight: int,
        wait_s: float,
        attempts: Attempts,
        keyed: KeyedCall | None,
    ) -> _T:
        ticket = await attempts.admitted(self._budget.acquire(lane, weight, max_wait_s=wait_s))
        self._count(ticket, is_repeat=attempts.sent > 1)
        outer = _TICKET.get()
        _TICKET.set((self, ticket))
        try:
            with nullcontext() if keyed is None else keyed.sending():
                result = await call()
        except BaseException as error:
            self._failed(ticket, error)
            raise
        finally:
            # Not by token: the garbage collector may end this coroutine in another context.
            _TICKET.set(outer)
        self._budget.settle(ticket, None)
        return result

    def _count(self, ticket: Ticket, *, is_repeat: bool) -> None:
        with self._lock:
            spent = self._usage
            self._usage = Usage(
                spent.requests + 1, spent.weight + ticket.weight, spent.retries + is_repeat
            )

    def _failed(self, ticket: Ticket, error: BaseException) -> None:
        if isinstance(error, (RateLimited, Banned)):
            left_s = self._budget.refuse(ticket, error)
            if isinstance(error, Banned):
                self._remember_ban(left_s, error)
        self._budget.settle(ticket, error)

    def _remember_ban(self, left_s: float, error: Banned) -> None:
        ledger = self._ledger()
        if ledger is None:
            return
        try:
            ledger.set_ban(self.venue, round(self._budget.venue_ms() + left_s * 1000), str(error))
        except StoreError as problem:  # the ban itself matters more
            _LOG.warning("%s: the ban could not be remembered: %s", self.venue, problem)

    def _ledger(self) -> Ledger | None:
        with self._lock:
            return next((known for known in reversed(self._ledgers) if not known.closed), None)


_SHARED: dict[str, RateLimiter] = {}
_SHARED_LOCK = threading.Lock()


def shared_limiter(
    venue: str,
    config: RateLimitConfig | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
    ledger: Ledger | None = None,
) -> RateLimiter:
    """Return the one limiter of this process for a venue, named by its host.

    The first call makes it with `config` and `clock`; later ones get it as it is. Each
    `ledger` given is used from then on, until it is closed.
    """
    with _SHARED_LOCK:
        limiter = _SHARED.get(venue)
        if limiter is None:
            limiter = _SHARED[venue] = RateLimiter(config, venue=venue, clock=clock)
        elif config is not None and config != limiter.config:
            _LOG.warning("%s: its shared limiter exists already; other settings ignored", venue)
    if ledger is not None:
        limiter.use_ledger(ledger)
    return limiter


def reset_shared_limiters() -> None:
    """Forget all shared limiters, so that a test starts with full budgets."""
    with _SHARED_LOCK:
        _SHARED.clear()


def _always() -> bool:
    return True


def _new_random() -> random.Random:
    return random.Random()
