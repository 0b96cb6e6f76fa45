"""What placing an order for sure needs of a venue: send, find, and the venue's clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from velas.order_models import Order, OrderRequest

__all__ = ["OrderVenue", "Sending"]

Sending = Callable[[int | None], Awaitable[None]]


class OrderVenue(Protocol):
    """The three requests that `OrderDesk` makes; an adapter has them."""

    async def send_order(self, request: OrderRequest, client_id: str, sending: Sending) -> Order:
        """Send the order under `client_id`, once, and return it.

        Awaits `sending(expires_ms)` right before the bytes leave: when the venue's clock
        has passed `expires_ms`, this request can no longer be executed (the venue refuses
        what was signed too long ago); None where it knows no such limit. What `sending`
        raises is raised, and nothing is sent.

        Raises:
            OrderRejected, AuthError, BadRequest, UnknownSymbol, Forbidden,
                RestrictedLocation, RateLimited, Banned, OrderNotPlaced: no order was made.
            DuplicateOrder: the venue has an order of this client id.
            Exception: anything else means that an order may exist.
        """
        ...

    async def find_order(self, request: OrderRequest, client_id: str) -> Order | None:
        """Ask for the order by its client id; None if the venue does not know one (yet)."""
        ...

    async def venue_time_ms(self, *, fresh: bool = False) -> int:
        """Return the venue's clock in ms, never ahead of it; measured anew if `fresh`."""
        ...
