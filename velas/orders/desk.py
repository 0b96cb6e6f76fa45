"""Placing orders: at most one for an intent, whatever is lost, and across restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
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
    ExchangeError,
    Forbidden,
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
from velas.orders.journal import Intent, IntentState, Journal
from velas.orders.settling import Patience, Settler
from velas.orders.venue import OrderVenue
from velas.orders.writing import Writer

__all__ = ["OrderDesk"]

_LOG = logging.getLogger(__name__)

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
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    async def place(self, request: OrderRequest) -> Order:
        """Place the order of an intent, or return it if it was placed before.

        Called again with the same intent, now or after a restart, it returns the one
        order as it is now. An order that the venue refused, or that is known not to
        exist, is sent (again); once `resend_s` have passed since the call began, no more.

        Raises:
            ConfigError: the intent has been used for another order.
            OrderRejected: refused; no order exists.
            OrderNotPlaced: it was not placed, and no order exists.
            OrderUnknown: it may exist, and the venue cannot be asked now.
            StoreError: the journal cannot be written; nothing was sent.
        """
        if request.intent is None:
            raise ConfigError("an order needs an intent key: OrderRequest(..., intent='...')")
        client_id = request.client_id or client_id_of(request.intent)
        intent = await self._journal.claim(request, client_id)
        async with self._alone(intent.key):
            return await self._place(intent.key)

    async def state_of(self, key: str) -> IntentState | None:
        """Return where an intent stands, None if it was never placed."""
        found = await self._journal.find(key)
        return None if found is None else found.state

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

    async def _place(self, key: str) -> Order:
        ends_s = self._clock.monotonic_s() + self._resend_s
        sent, waited = 0, False
        last: Exception | None = None
        while True:
            intent = await self._journal.get(key)
            if intent.state == "sent":
                waited = True
                intent = await self._settler.settle(intent)
                if intent.state == "placed" and intent.order is not None:
                    return intent.order
            if intent.state == "placed":
                return await self._as_it_is(intent)
            if not intent.may_be_sent:
                continue
            over = waited and self._clock.monotonic_s() >= ends_s
            if sent >= _MOST_SENT or over:
                raise _given_up(intent, sent, last) from last
            sent, waited = sent + 1, True
            try:
                order = await self._send(intent)
            except _PassingError as error:
                last = error.cause
                await self._pause(last, sent)
            else:
                if order is not None:
                    return order

    async def _pause(self, error: Exception, sent: int) -> None:
        # a refusal for a time is waited out by the limiter, before the next request
        if not isinstance(error, (RateLimited, Banned)):
            await self._clock.sleep(_FIRST_PAUSE_S * 2 ** (sent - 1))

    async def _send(self, intent: Intent) -> Order | None:
        """Send once; None if it is to be found out what became of it."""
        left: Intent | None = None

        async def sending(expires_ms: int | None) -> None:
            nonlocal left
            left = await self._journal.sending(intent, expires_ms)
            if left is None:
                raise _OvertakenError

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
        return await self._keep(left, attrs.evolve(order, intent=intent.key))

    async def _note(self, intent: Intent, error: Exception) -> None:
        """Write down what a failure means; raise it if that is known for sure."""
        if isinstance(error, DuplicateOrder) or not isinstance(error, _NOT_MADE):
            _LOG.warning("intent %r: asking whether its order exists: %s", intent.key, error)
        elif isinstance(error, _PASSING):
            if await self._journal.absent(intent, str(error)):
                raise _PassingError(error) from error
        elif await self._journal.refused(intent, str(error)):
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
        try:
            found = await self._venue.find_order(intent.request, intent.client_id)
        except ExchangeError as error:
            if known is None:
                raise
            _LOG.warning("intent %r: its order as it was noted: %s", intent.key, error)
            return known
        order = known if found is None else found
        if order is None:
            raise StoreError(f"intent {intent.key!r} is placed, but its order is not noted")
        return attrs.evolve(order, intent=intent.key)

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


def _given_up(intent: Intent, sent: int, last: Exception | None) -> OrderNotPlaced:
    why = intent.reason if last is None else last
    return OrderNotPlaced(
        f"intent {intent.key!r}: not placed, no order exists after {sent} attempt(s) ({why}); "
        "the same intent may be placed again"
    )
