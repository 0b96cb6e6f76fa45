"""Whether a request that failed is sent again, and after what pause."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState

from velas.clock import Clock
from velas.errors import Banned, RateLimited, Transient
from velas.limit_models import RateLimitConfig

__all__ = ["Attempts"]

_T = TypeVar("_T")


class Attempts:
    """The attempts at one request: sends it until it succeeds or its failure is final.

    Repeated are only `Transient` failures of a request that is safe to repeat:
    ordinary ones up to `retry_attempts` sendings with an exponential, fully jittered
    pause, refusals (429, 418) up to `max_refusals` as long as the stop ends within
    `max_wait_s` of the first. The last error is raised as it came, with a note.
    """

    def __init__(
        self,
        config: RateLimitConfig,
        *,
        clock: Clock,
        rng: random.Random,
        safe_to_repeat: bool,
        max_wait_s: float,
        stopped_s: Callable[[], float],
        wanted: Callable[[], bool],
    ) -> None:
        self.sent = 0
        self._final = False
        self._config = config
        self._clock = clock
        self._random = rng
        self._safe_to_repeat = safe_to_repeat
        self._max_wait_s = max_wait_s
        self._stopped_s = stopped_s
        self._wanted = wanted
        self._failures = 0
        self._refusals = 0
        self._refused_s: float | None = None

    async def run(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Return what `attempt` returns in the end, or raise its last error."""
        retrying = AsyncRetrying(
            sleep=self._clock.sleep, retry=self._again, wait=self._pause, reraise=True
        )
        return await retrying(attempt)

    async def admitted(self, ticket: Awaitable[_T]) -> _T:
        """Count the attempt once its turn has come; a turn that never comes is final."""
        try:
            admitted = await ticket
        except Exception:
            self._final = True
            raise
        self.sent += 1
        return admitted

    def _again(self, state: RetryCallState) -> bool:
        assert state.outcome is not None
        error = state.outcome.exception()
        if not isinstance(error, Transient) or not self._safe_to_repeat or self._final:
            return False
        refused = isinstance(error, (RateLimited, Banned))
        again = self._may_follow_refusal() if refused else self._may_follow_failure()
        if not again:
            error.add_note(f"velas gave up after {self.sent} attempt(s)")
        return again and self._wanted()

    def _may_follow_failure(self) -> bool:
        self._failures += 1
        return self._failures < self._config.retry_attempts

    def _may_follow_refusal(self) -> bool:
        now_s = self._clock.monotonic_s()
        if self._refused_s is None:
            self._refused_s = now_s
        self._refusals += 1
        waited_s = now_s - self._refused_s + self._stopped_s()
        return self._refusals < self._config.max_refusals and waited_s <= self._max_wait_s

    def _pause(self, state: RetryCallState) -> float:
        assert state.outcome is not None
        # After a refusal the request waits for the end of the stop like all others.
        if isinstance(state.outcome.exception(), (RateLimited, Banned)):
            return 0.0
        doubled = self._config.backoff_base_s * 2.0 ** min(self._failures - 1, 30)
        return self._random.uniform(0, min(self._config.backoff_cap_s, doubled))
