"""Placing orders: at most one for an intent, whatever is lost, and across restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import attrs

from velas.clock import Clock
from velas.errors import (
    AuthError,
    BadRequest,
    Banned,
    ConfigError,
    DuplicateOrder,
    Forbidden,
    OrderNotFound,
    OrderNotPlaced,
    OrderRejected,
    OrderUnknown,
    RateLimited,
    RestrictedLocation,
    StoreError,
    TimestampRefused,
    UnknownSymbol,
    Unsupported,
)
from velas.order_models import Order, OrderRequest
from velas.orders.client_id import client_id_of
from velas.orders.journal import Intent, Journal
from velas.orders.settling import Patience, Settler, is_ours
from velas.orders.venue import Fence, OrderVenue
from velas.orders.writing import Writer

__all__ = ["OrderDesk"]

_LOG = logging.getLogger(__name__)
Judge = Callable[[], Awaitable[None]]

# what a venue raises only where no order was made; all else leaves it open
_NOT_MADE: Final = (
    OrderRejected,
    OrderNotPlaced,
    AuthError,
    BadRequest,
    UnknownSymbol,
    Forbidden,
    RestrictedLocation,
    RateLimited,
    Banned,
    Unsupported,
    ConfigError,
)
# of these, what another attempt may change
_PASSING: Final = (OrderNotPlaced, TimestampRefused, RateLimited, Banned)
_MOST_SENT = 5  # requests for one call of `place`
_FIRST_PAUSE_S = 0.2


class _OvertakenError(Exception):
    """Somebody else has moved the intent on; nothing was sent."""


class _PassingError(Exception):
    """The request left and made no order, but the next one may."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@attrs.define
class _Call:
    """One call of `place`: what it has done so far."""

    key: str
    judge: Judge | None
    has_left: bool
    is_judged: bool
    asks_first: bool
    sent: int = 0
    waited: bool = False
    last: Exception | None = None

    def check(self, intent: Intent, *, over: bool) -> None:
        """Give up after too many requests, or when the order was wanted too long ago."""
        if self.sent < _MOST_SENT and not (self.waited and over):
            return
        why = intent.reason if self.last is None else self.last
        raise OrderNotPlaced(
            f"intent {intent.key!r}: not placed, no order exists after {self.sent} attempt(s) "
            f"({why}); the same intent may be placed again"
        ) from self.last


class OrderDesk:
    """Places orders of one account at one venue so that no intent gets two.

    An intent is written to the journal before its request leaves. If the answer is lost
    (time-out, 5xx, a crash), the venue is asked for the order by its client id, and it is
    sent again only when it is known not to exist: not found, and asked so late that the
    lost request can no longer be executed, because the venue refuses what was signed too
    long ago. That fence, and not the client id, is what makes a second sending safe (an
    id may be used again once its order is filled).

    Safe for several tasks and, with a ledger on disk, for several processes.
    """

    def __init__(
        self,
        venue: OrderVenue,
        journal: Journal,
        *,
        clock: Clock,
        patience: Patience | None = None,
        resend_s: float = 60.0,
    ) -> None:
        self._venue = venue
        self._clock = clock
        self._journal = Writer(journal, clock=clock)
        self._settler = Settler(venue, self._journal, clock=clock, patience=patience or Patience())
        self._resend_s = resend_s
        self._settle_ms = round((patience or Patience()).settle_s * 1000)
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    async def place(
        self, request: OrderRequest, *, judge: Judge | None = None, first_of_all: bool = False
    ) -> Order:
        """Place the order of an intent, or return it if it was placed before.

        Called again with the same intent, now or after a restart, it returns the one
        order as it is now. An order that the venue refused, or that is known not to
        exist, is sent (again); once `resend_s` have passed since the call began, no more.
        `judge` is awaited before each request leaves; what it raises is raised. With
        `first_of_all` the key is known never to have been used anywhere.

        Raises:
            ConfigError: the intent has been used for another order.
            OrderRejected: refused; no order exists.
            OrderNotPlaced: it was not placed, and no order exists.
            OrderNotFound: it was placed before, and the venue has forgotten it since.
            OrderUnknown: it may exist, and the venue or the journal cannot be asked now.
            StoreError: the journal cannot be used; nothing was sent.
        """
        if request.intent is None:
            raise ConfigError("an order needs an intent key: OrderRequest(..., intent='...')")
        is_new = await self._journal.find(request.intent) is None
        if is_new and judge is not None:
            await judge()  # before it is written down: an illegal one leaves no trace
        client_id = request.client_id or client_id_of(request.intent)
        async with self._alone(request.intent):
            intent = await self._journal.claim(request, client_id, alone=not self._venue.asks_first)
            call = _Call(
                intent.key,
                judge=judge,
                has_left=intent.state == "sent",
                is_judged=is_new,
                asks_first=self._venue.asks_first and not first_of_all,
            )
            try:
                return await self._place(call)
            except StoreError as error:
                if not call.has_left:
                    raise
                raise OrderUnknown(
                    f"intent {intent.key!r}: its order may exist, but the journal cannot be used "
                    f"({error}); ask again with the same intent"
                ) from error

    async def look_up(self, key: str) -> Intent | None:
        """Return an intent with its order as it is now, settled first if need be.

        Raises:
            OrderUnknown: its order may exist, and the venue cannot be asked now.
        """
        if await self._journal.find(key) is None:
            return None
        async with self._alone(key):
            intent = await self._journal.get(key)
            if intent.state == "sent":
                return await self._settler.settle(intent)
            if intent.state == "placed":
                return attrs.evolve(intent, order=await self._as_it_is(intent))
            return intent

    async def declare_absent(self, key: str) -> Intent:
        """Take its owner's word that an intent whose fate is open has no order.

        Raises:
            ConfigError: there is no such intent, or its fate is known.
        """
        if await self._journal.find(key) is None:
            raise ConfigError(f"intent {key!r}: there is none of that key")
        async with self._alone(key):
            intent = await self._journal.get(key)
            if intent.state != "sent":
                raise ConfigError(
                    f"intent {key!r} is {intent.state}: only one that is 'sent', of which it is "
                    "not known whether its order exists, can be declared absent"
                )
            await self._journal.absent(intent, "declared absent by its owner")
            return await self._journal.get(key)

    async def named(self, order: Order) -> Order:
        """Return an order with the key of its intent, if it was placed here."""
        return await self._journal.named(order)

    async def recover(self) -> list[Intent]:
        """Settle every intent whose fate is open, after a restart say; return them all.

        Each is then ``placed`` or ``absent``; one that the venue gives no answer about
        stays ``sent``. Nothing is sent again.
        """
        opened = await self._journal.unsettled()
        return list(await asyncio.gather(*(self._recover(intent.key) for intent in opened)))

    async def _recover(self, key: str) -> Intent:
        async with self._alone(key):
            intent = await self._journal.get(key)
            if intent.state == "ready":
                await self._journal.absent(intent, "stopped before anything was sent")
            elif intent.state == "sent":
                try:
                    return await self._settler.settle(intent)
                except OrderUnknown as error:
                    _LOG.warning("%s", error)
            return await self._journal.get(key)

    async def _place(self, call: _Call) -> Order:
        ends_s = self._clock.monotonic_s() + self._resend_s
        while True:
            intent = await self._journal.get(call.key)
            if intent.state == "sent":
                call.waited = True
                intent = await self._settler.settle(intent)
                if intent.state == "placed" and intent.order is not None:
                    return intent.order
            if intent.state == "placed":
                return await self._as_it_is(intent)
            if intent.may_be_sent:
                call.check(intent, over=self._clock.monotonic_s() >= ends_s)
                order = await self._try(call, intent)
                if order is not None:
                    return order

    async def _try(self, call: _Call, intent: Intent) -> Order | None:
        """Send once if nothing speaks against it; None if that is to be looked at again."""
        if intent.attempt == 0 and call.asks_first:
            found = await self._venue.find_order(intent.request, intent.client_id)
            if found is not None and is_ours(found, intent):
                # of another journal, or by another address or key of the account
                _LOG.warning("intent %r: the venue has its order already", intent.key)
                return await self._keep(intent, attrs.evolve(found, intent=intent.key))
        if call.judge is not None and not call.is_judged:
            await call.judge()
        call.is_judged, call.waited = False, True
        try:
            order = await self._send(call, intent)
        except _PassingError as error:
            call.last = error.cause
            if not isinstance(call.last, (RateLimited, Banned)):
                call.sent += 1
                await self._clock.sleep(_FIRST_PAUSE_S * 2 ** (call.sent - 1))
            # a refusal for a time is waited out by the limiter, before the next request
            return None
        call.sent += 1
        return order

    async def _send(self, call: _Call, intent: Intent) -> Order | None:
        """Send once; None if it is to be found out what became of it."""
        left: Intent | None = None

        async def sending(fence: Fence | None) -> None:
            nonlocal left
            left = await self._journal.sending(intent, fence)
            if left is None:
                raise _OvertakenError
            call.has_left = True
            self._settler.note_left(left)

        try:
            order = await self._venue.send_order(intent.request, intent.client_id, sending)
        except _OvertakenError:
            return None
        except Exception as error:
            if left is None:
                raise
            await self._note(left, error)
            return None
        if left is None:
            raise AssertionError("the venue sent without saying so")
        if order.client_id not in (None, left.client_id) or not is_ours(order, left):
            _LOG.warning("intent %r: the answer is about order %s", intent.key, order.id)
            return None
        return await self._keep(left, attrs.evolve(order, intent=intent.key))

    async def _note(self, intent: Intent, error: Exception) -> None:
        """Write down what a failure means; raise it if that is known for sure."""
        if isinstance(error, DuplicateOrder) or not isinstance(error, _NOT_MADE):
            _LOG.warning("intent %r: asking whether its order exists: %s", intent.key, error)
            return
        passing = isinstance(error, _PASSING)
        write = self._journal.absent if passing else self._journal.refused
        try:
            if not await write(intent, str(error)):
                return  # somebody else has moved it on
        except StoreError as problem:
            _LOG.error("intent %r: %s could not be noted: %s", intent.key, error, problem)
        if passing:
            raise _PassingError(error) from error
        if isinstance(error, BadRequest):  # it was the order that the venue would not have
            raise OrderRejected(str(error)) from error
        raise error

    async def _keep(self, intent: Intent, order: Order) -> Order:
        try:
            await self._journal.placed(intent, order)
        except StoreError as error:
            # the order exists, and saying it failed would be worse; it is found again later
            _LOG.error("intent %r: order %s could not be noted: %s", intent.key, order.id, error)
        return order

    async def _as_it_is(self, intent: Intent) -> Order:
        known = intent.order
        found = await self._venue.find_order(intent.request, intent.client_id)
        if found is not None and (known is None or found.id == known.id):
            return attrs.evolve(found, intent=intent.key)
        # one that is over may be forgotten, and one that is young not to be seen yet
        young = self._clock.now_ms() - intent.changed_ms < self._settle_ms
        if known is not None and (young or not known.is_open):
            return known
        number = "?" if known is None else known.id
        raise OrderNotFound(
            f"intent {intent.key!r}: it was placed as order {number}, which the venue does not "
            "know any more: it has ended, without a fill as far as is known"
        )

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)
