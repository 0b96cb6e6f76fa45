"""Finding out what became of an order whose answer was lost."""

from __future__ import annotations

import logging

import attrs

from velas.clock import Clock
from velas.decimals import plain
from velas.errors import ExchangeError, OrderUnknown, StoreError, Transient
from velas.order_models import Order
from velas.orders.client_id import client_id_of
from velas.orders.journal import Intent
from velas.orders.venue import OrderVenue
from velas.orders.writing import Writer

__all__ = ["Patience", "Settler"]

_LOG = logging.getLogger(__name__)
_OLDER_MS = 60_000  # further apart than a clock at a venue may be off


@attrs.frozen
class Patience:
    """How long, and how often, the venue is asked about an order of unknown fate.

    An order counts as absent when it was not found `proofs` times by questions asked
    later than `settle_s` after its request could last be executed: the engine may take
    ten seconds, and a young order can be invisible for some. Without that knowledge the
    asking ends after `give_up_s`, with `OrderUnknown`. Pauses double from `pause_s` to
    `longest_pause_s`.
    """

    settle_s: float = 15.0
    give_up_s: float = 60.0
    proofs: int = 2
    pause_s: float = 0.5
    longest_pause_s: float = 4.0


class Settler:
    """Settles intents in state ``sent``: they become ``placed`` or ``absent``."""

    def __init__(
        self, venue: OrderVenue, journal: Writer, *, clock: Clock, patience: Patience
    ) -> None:
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._patience = patience
        self._left: dict[str, tuple[int, float]] = {}  # attempt and monotonic time of sending

    def note_left(self, intent: Intent) -> None:
        """Remember when a request of this process left, by a clock that nobody sets."""
        self._left[intent.key] = (intent.attempt, self._clock.monotonic_s())

    async def settle(self, intent: Intent) -> Intent:
        """Return the intent once it is known whether its order exists.

        Raises:
            OrderUnknown: the venue could not be asked, or never could prove it absent.
        """
        ends_s = self._clock.monotonic_s() + await self._longest_s(intent)
        pause_s, missed = self._patience.pause_s, 0
        trouble: Exception | None = None
        while True:
            try:
                late = await self._is_late(intent)
                order = await self._venue.find_order(intent.request, intent.client_id)
                trouble = None
                if order is not None and is_ours(order, intent):
                    return await self._placed(intent, order)
                if order is None or is_older(order, intent):
                    missed += late
                else:
                    trouble = ExchangeError(_told(order))
                if missed >= self._patience.proofs:
                    await self._journal.absent(intent, "asked, and the venue has no such order")
            except ExchangeError as error:
                if not isinstance(error, Transient):
                    raise _unknown(intent, error) from error
                trouble = error
            now = await self._journal.get(intent.key)
            if (now.state, now.attempt) != ("sent", intent.attempt):
                self._left.pop(intent.key, None)
                return now
            if self._clock.monotonic_s() >= ends_s:
                raise _unknown(intent, trouble) from trouble
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, self._patience.longest_pause_s)

    async def _placed(self, intent: Intent, order: Order) -> Intent:
        mine = attrs.evolve(order, intent=intent.key)
        self._left.pop(intent.key, None)
        try:
            return await self._journal.placed(intent, mine)
        except StoreError as error:
            # the order exists, and saying it failed would be worse; it is found again later
            _LOG.error("intent %r: order %s could not be noted: %s", intent.key, order.id, error)
            return attrs.evolve(intent, state="placed", order=mine)

    async def _is_late(self, intent: Intent) -> bool:
        """Say whether an order that is not found from now on does not exist.

        By the venue's clock, which judges requests, and by ours: a venue's clock that
        jumps ahead for a moment must not prove anything. Not so if it may have ended
        unfilled and be forgotten.
        """
        if intent.expires_ms is None or intent.window_ms is None:
            return False
        settle_ms = round(self._patience.settle_s * 1000)
        if self._gone_ms(intent) <= intent.window_ms + settle_ms:
            return False
        due_ms = intent.expires_ms + settle_ms
        if await self._venue.venue_time_ms() <= due_ms:
            return False
        now_ms = await self._venue.venue_time_ms(fresh=True)
        return due_ms < now_ms < intent.expires_ms + self._venue.remembers_s * 1000

    def _gone_ms(self, intent: Intent) -> float:
        attempt, left_s = self._left.get(intent.key, (0, 0.0))
        if attempt == intent.attempt:
            return (self._clock.monotonic_s() - left_s) * 1000
        return self._clock.now_ms() - intent.changed_ms

    async def _longest_s(self, intent: Intent) -> float:
        patience, gone_s = self._patience, max(0.0, self._gone_ms(intent) / 1000)
        if intent.window_ms is None:
            # asked for long enough before: twice more will do
            return max(patience.pause_s, patience.give_up_s - gone_s)
        window_s = intent.window_ms / 1000
        return max(0.0, window_s - gone_s) + patience.settle_s + patience.give_up_s


def is_ours(order: Order, intent: Intent) -> bool:
    """Say whether an order that the venue has is the one of an intent.

    An id that velas made of the intent is nobody else's, though the order may have been
    changed by hand since; with any other id its numbers must be the ones asked for.
    """
    request = intent.request
    if (order.symbol, order.side) != (request.symbol, request.side):
        return False
    if intent.client_id == client_id_of(intent.key):
        return True
    numbers = ((request.quantity, order.quantity), (request.price, order.price))
    return all(ours is None or not theirs or ours == theirs for ours, theirs in numbers)


def is_older(order: Order, intent: Intent) -> bool:
    """Say whether an order was there before the intent's request: its id is used again."""
    if order.timestamp is None or intent.expires_ms is None or intent.window_ms is None:
        return False
    return order.timestamp < intent.expires_ms - intent.window_ms - _OLDER_MS


def _told(order: Order) -> str:
    return (
        f"it has order {order.id} of this client id, but another one: {order.side} "
        f"{plain(order.quantity)} {order.symbol}"
    )


def _unknown(intent: Intent, trouble: Exception | None) -> OrderUnknown:
    if trouble is not None:
        why, then = f" ({trouble})", "Ask again with the same intent, or with recover_orders()"
    else:
        why = ", and cannot prove that it has not"
        then = (
            "Look at its orders yourself; if there is none, declare_absent(intent) lets it be "
            "sent again"
        )
    return OrderUnknown(
        f"intent {intent.key!r}: the venue does not say whether it has order "
        f"{intent.client_id}{why}; it is not sent again. {then}"
    )
