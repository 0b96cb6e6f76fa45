"""Calls made under a key: at most one at a time, one result for all who ask."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar, cast

import attrs

from velas.clock import Clock
from velas.errors import ConfigError, OrderUnknown, StoreError
from velas.ledger import Ledger

__all__ = ["Codec", "KeyedCall", "KeyedCalls"]

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
_NEVER_MS = 1 << 62
_SWEEPS_PER_TTL = 8


class _AbandonedError(Exception):
    """The call ended before it was made; whoever still wants it makes it anew."""


@attrs.frozen
class Codec(Generic[_T]):
    """How a result becomes bytes in the ledger, and a result again after a restart."""

    encode: Callable[[_T], bytes]
    decode: Callable[[bytes], _T]


@attrs.define(eq=False)
class KeyedCall:
    """A call under way or done: `sent` once a request left, `in_flight` while one is out."""

    key: str
    is_order: bool
    expires_ms: int
    loop: asyncio.AbstractEventLoop
    outcome: concurrent.futures.Future[object] = attrs.field(factory=concurrent.futures.Future)
    callers: int = 0
    sent: bool = False
    in_flight: bool = False
    task: asyncio.Task[None] | None = None

    def wanted(self) -> bool:
        """Say whether anybody still waits for the outcome."""
        return self.callers > 0

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Mark the time in which a request is out."""
        self.sent = self.in_flight = True
        try:
            yield
        finally:
            self.in_flight = False


class KeyedCalls:
    """The calls of one venue by key, over all threads and event loops of the process.

    A call runs as a task of its own in the event loop of its first caller, so that a
    cancelled caller takes nothing from the others. When nobody waits any more it is
    stopped, but never while a request is out: that one may finish and its result is
    kept. A call that fails releases its key, except one whose fate is unknown
    (`OrderUnknown`): its key repeats that error, however late, until `forget`.

    With a ledger, results outlive the process. A key left in flight by a process that
    died is `OrderUnknown` for an order; anything else is simply called again.
    """

    def __init__(self, *, venue: str, ttl_s: float, clock: Clock) -> None:
        self._venue = venue
        self._ttl_ms = round(ttl_s * 1000)
        self._clock = clock
        self._lock = threading.RLock()
        self._calls: dict[str, KeyedCall] = {}
        self._sweep_ms = 0

    async def run(
        self,
        key: str,
        call: Callable[[KeyedCall], Awaitable[_T]],
        *,
        is_order: bool,
        codec: Codec[_T],
        ledger: Ledger | None,
    ) -> _T:
        """Return the result of the call that holds `key`, making it if there is none."""
        if not key:
            raise ConfigError("an idempotency key must not be empty")
        while True:
            keyed, is_new = self._join(key, is_order=is_order)
            if is_new:
                work = self._perform(keyed, call, codec, ledger)
                keyed.task = keyed.loop.create_task(work)
            try:
                result = await asyncio.shield(asyncio.wrap_future(keyed.outcome))
                return cast(_T, result)
            except _AbandonedError:
                continue
            finally:
                self._part(keyed)

    def forget(self, key: str, ledger: Ledger | None) -> None:
        """Release a key whose call is over, so that the next one is made."""
        with self._lock:
            keyed = self._calls.get(key)
            if keyed is not None and not keyed.outcome.done():
                raise ConfigError(f"the call under key {key!r} is still under way")
            self._calls.pop(key, None)
        if ledger is not None:
            ledger.drop_call(self._name(key))

    def _join(self, key: str, *, is_order: bool) -> tuple[KeyedCall, bool]:
        now_ms = self._clock.now_ms()
        with self._lock:
            self._sweep(now_ms)
            keyed = self._calls.get(key)
            if keyed is not None and keyed.loop.is_closed() and not keyed.outcome.done():
                self._end(keyed)  # its loop was closed under it
                keyed = self._calls.get(key)
            is_new = keyed is None or (keyed.outcome.done() and keyed.expires_ms <= now_ms)
            if keyed is None or is_new:
                loop = asyncio.get_running_loop()
                keyed = KeyedCall(key, is_order, now_ms + self._ttl_ms, loop)
                self._calls[key] = keyed
            keyed.callers += 1
            return keyed, is_new

    def _part(self, keyed: KeyedCall) -> None:
        with self._lock:
            keyed.callers -= 1
            if keyed.callers or keyed.outcome.done() or keyed.loop.is_closed():
                return
            keyed.loop.call_soon_threadsafe(self._stop_unwanted, keyed)

    def _stop_unwanted(self, keyed: KeyedCall) -> None:
        with self._lock:
            if not keyed.wanted() and not keyed.in_flight and keyed.task is not None:
                keyed.task.cancel()

    async def _perform(
        self,
        keyed: KeyedCall,
        call: Callable[[KeyedCall], Awaitable[_T]],
        codec: Codec[_T],
        ledger: Ledger | None,
    ) -> None:
        try:
            stored = self._claim(keyed, ledger)
            if stored is not None:
                self._give_back(keyed, stored, codec)
                return
            result = await call(keyed)
            self._keep(keyed, result, codec, ledger)
        except OrderUnknown as error:
            keyed.expires_ms = _NEVER_MS
            keyed.outcome.set_exception(error)
        except Exception as error:
            self._release(keyed, ledger)
            keyed.outcome.set_exception(error)
        except BaseException:  # stopped: nobody waits any more, or its event loop ends
            self._end(keyed, ledger)
            raise
        else:
            keyed.outcome.set_result(result)

    def _claim(self, keyed: KeyedCall, ledger: Ledger | None) -> bytes | None:
        if ledger is None:
            return None
        found = ledger.begin_call(
            self._name(keyed.key),
            now_ms=self._clock.now_ms(),
            # an order whose end nobody saw must never be sent again, however late
            expires_ms=_NEVER_MS if keyed.is_order else keyed.expires_ms,
        )
        if found is None:
            return None
        keyed.expires_ms = found.expires_ms
        if found.result is None and keyed.is_order:
            raise OrderUnknown(
                f"{self._venue}: an earlier process began the order under key {keyed.key!r} and "
                "did not see its end; ask the venue whether it exists"
            )
        return found.result

    def _give_back(self, keyed: KeyedCall, stored: bytes, codec: Codec[_T]) -> None:
        try:
            keyed.outcome.set_result(codec.decode(stored))
        except Exception as error:  # whatever decode raises: the stored result must stay
            self._release(keyed, None)
            refusal = ConfigError(
                f"{self._venue}: decode= cannot read the stored result of key {keyed.key!r}: "
                f"{error!r}"
            )
            refusal.__cause__ = error
            keyed.outcome.set_exception(refusal)

    def _keep(self, keyed: KeyedCall, result: _T, codec: Codec[_T], ledger: Ledger | None) -> None:
        if ledger is None:
            return
        # The call has been made and its result is good: losing it would be worse than a key that
        # stays "in flight" and is not given back after a restart.
        try:
            encoded = codec.encode(result)
            ledger.finish_call(self._name(keyed.key), encoded, expires_ms=keyed.expires_ms)
        except (TypeError, ValueError, StoreError) as error:
            _LOG.warning(
                "%s: the result under key %r will not survive a restart: %s; pass encode= and "
                "decode= for a result that is not JSON", self._venue, keyed.key, error,
            )  # fmt: skip

    def _end(self, keyed: KeyedCall, ledger: Ledger | None = None) -> None:
        if keyed.outcome.done():
            return
        if keyed.is_order and keyed.sent:
            keyed.expires_ms = _NEVER_MS
            keyed.outcome.set_exception(
                OrderUnknown(
                    f"{self._venue}: stopped while the order under key {keyed.key!r} was on its "
                    "way; ask the venue whether it exists"
                )
            )
            return
        self._release(keyed, ledger)
        keyed.outcome.set_exception(_AbandonedError())

    def _release(self, keyed: KeyedCall, ledger: Ledger | None) -> None:
        with self._lock:
            if self._calls.get(keyed.key) is keyed:
                del self._calls[keyed.key]
        if ledger is None:
            return
        try:
            ledger.drop_call(self._name(keyed.key))
        except StoreError as error:  # the call's own error matters more
            _LOG.warning("%s: key %r could not be released: %s", self._venue, keyed.key, error)

    def _sweep(self, now_ms: int) -> None:
        if now_ms < self._sweep_ms:
            return
        self._sweep_ms = now_ms + self._ttl_ms // _SWEEPS_PER_TTL
        for key, keyed in tuple(self._calls.items()):
            if keyed.outcome.done() and keyed.expires_ms <= now_ms:
                del self._calls[key]

    def _name(self, key: str) -> str:
        return f"{self._venue}:{key}"
