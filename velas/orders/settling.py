"""Finding out what became of an order whose answer was lost."""

from __future__ import annotations

import logging

import attrs

from velas.clock import Clock
from velas.decimals import plain
from velas.errors import ExchangeError, OrderUnknown, Transient
from velas.order_models import Order, OrderRequest
from velas.orders.journal import Intent
from velas.orders.venue import OrderVenue
from velas.orders.writing import Writer

__all__ = ["Patience", "Settler"]

_LOG = logging.getLogger(__name__)


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

    async def settle(self, intent: Intent) -> Intent:
        """Return the intent once it is known whether its order exists.

        Raises:
            OrderUnknown: the venue could not be asked, or never could prove it absent.
        """
        ends_s = self._clock.monotonic_s() + await self._longest_s(intent)
        pause_s, missed, trouble = self._patience.pause_s, 0, None
        while True:
            try:
                late = await self._is_late(intent)
                order = await self._venue.find_order(intent.request, intent.client_id)
            except ExchangeError as error:
                if not isinstance(error, Transient):
                    raise _unknown(intent, error) from error
                trouble = error
            else:
                trouble = None
                if order is not None and is_of(order, intent.request):
                    mine = attrs.evolve(order, intent=intent.key)
                    return await self._journal.placed(intent, mine)
                missed += late
                if missed >= self._patience.proofs:
                    await self._journal.absent(intent, "asked, and the venue has no such order")
            now = await self._journal.get(intent.key)
            if (now.state, now.attempt) != ("sent", intent.attempt):
                return now
            if self._clock.monotonic_s() >= ends_s:
                raise _unknown(intent, trouble) from trouble
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, self._patience.longest_pause_s)

    async def _is_late(self, intent: Intent) -> bool:
        """Say whether an order that is not found from now on does not exist.

        Not so if it may have ended unfilled and be forgotten.
        """
        if intent.expires_ms is None:
            return False
        due_ms = intent.expires_ms + round(self._patience.settle_s * 1000)
        if await self._venue.venue_time_ms() <= due_ms:
            return False
        now_ms = await self._venue.venue_time_ms(fresh=True)
        return due_ms < now_ms < intent.expires_ms + self._venue.remembers_s * 1000

    async def _longest_s(self, intent: Intent) -> float:
        patience = self._patience
        if intent.expires_ms is None:
            return patience.give_up_s
        try:
            left_ms = intent.expires_ms - await self._venue.venue_time_ms()
        except ExchangeError:
            left_ms = 0
        return max(0.0, left_ms / 1000) + patience.settle_s + patience.give_up_s


def is_of(order: Order, request: OrderRequest) -> bool:
    """Say whether an order the venue has may be the one that was asked for.

    A client id can be another order's that is filled or canceled since.
    """
    same = (order.symbol, order.side) == (request.symbol, request.side)
    for ours, theirs in ((request.quantity, order.quantity), (request.price, order.price)):
        if ours is not None and theirs:
            same = same and ours == theirs
    if not same:
        _LOG.warning(
            "order %s has the client id %s, but is another one: %s %s %s",
            *(order.id, order.client_id, order.side, plain(order.quantity), order.symbol),
        )
    return same


def _unknown(intent: Intent, trouble: Exception | None) -> OrderUnknown:
    why = f" ({trouble})" if trouble is not None else ", and cannot prove that it has not"
    return OrderUnknown(
        f"intent {intent.key!r}: the venue does not say whether it has order "
        f"{intent.client_id}{why}; it is not sent again. Ask again with the same intent, or "
        "with recover_orders()"
    )
