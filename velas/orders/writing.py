"""The journal as coroutines: a file's fsync must not hold up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import attrs

from velas.clock import Clock
from velas.errors import StoreError
from velas.order_models import Order, OrderRequest
from velas.orders.journal import Intent, Journal
from velas.orders.venue import Fence

__all__ = ["Writer"]

P = ParamSpec("P")
T = TypeVar("T")


class Writer:
    """The journal's methods, each awaited until it is durable; times are the clock's."""

    def __init__(self, journal: Journal, *, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def claim(self, request: OrderRequest, client_id: str, *, alone: bool) -> Intent:
        """See `Journal.claim`."""
        now_ms = self._clock.now_ms()
        return await self._do(self._journal.claim, request, client_id, now_ms=now_ms, alone=alone)

    async def find(self, key: str) -> Intent | None:
        """See `Journal.get`."""
        return await self._do(self._journal.get, key)

    async def get(self, key: str) -> Intent:
        """Return a claimed intent as it stands now."""
        found = await self.find(key)
        if found is None:
            raise StoreError(f"intent {key!r} has vanished from the journal")
        return found

    async def named(self, order: Order) -> Order:
        """Return an order with the key of its intent, if it is one of this journal's.

        That it is over is noted: the venue may forget it.
        """
        if order.client_id is None:
            return order
        key = await self._do(self._journal.key_of, order.client_id)
        if key is None:
            return order
        named = attrs.evolve(order, intent=key)
        intent = await self.get(key)
        is_noted = intent.order is not None and intent.order.id == order.id
        if is_noted and not order.is_open and intent.order != named:
            await self.placed(intent, named)
        return named

    async def unsettled(self) -> list[Intent]:
        """See `Journal.unsettled`."""
        return await self._do(self._journal.unsettled)

    async def sending(self, intent: Intent, fence: Fence | None) -> Intent | None:
        """See `Journal.sending`."""
        return await self._do(self._journal.sending, intent, fence, now_ms=self._clock.now_ms())

    async def placed(self, intent: Intent, order: Order) -> Intent:
        """See `Journal.placed`."""
        return await self._do(self._journal.placed, intent, order, now_ms=self._clock.now_ms())

    async def refused(self, intent: Intent, reason: str) -> bool:
        """See `Journal.refused`."""
        return await self._do(self._journal.refused, intent, reason, now_ms=self._clock.now_ms())

    async def absent(self, intent: Intent, reason: str) -> bool:
        """See `Journal.absent`."""
        return await self._do(self._journal.absent, intent, reason, now_ms=self._clock.now_ms())

    async def _do(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._journal.is_on_disk:
            return await asyncio.to_thread(call, *args, **kwargs)
        return call(*args, **kwargs)
