"""What trading needs of a venue's adapter, and what placing for sure needs of that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Protocol

import attrs

from velas.models import Market
from velas.order_models import Order, OrderRequest, Position
from velas.validation import MarketState

__all__ = ["Fence", "OrderVenue", "Sending", "TradingVenue"]


@attrs.frozen
class Fence:
    """When a request can be executed no more: once the venue's clock is past `expires_ms`.

    It was signed `window_ms` before.
    """

    expires_ms: int
    window_ms: int


Sending = Callable[[Fence | None], Awaitable[None]]


class OrderVenue(Protocol):
    """The three requests that `OrderDesk` makes."""

    @property
    def remembers_s(self) -> float:
        """How long an order that was never filled can be found after its end, in s."""
        ...

    @property
    def asks_first(self) -> bool:
        """Whether `find_order` is cheap and sure enough to ask before an intent's first request.

        It finds what another journal, key or address of the account has placed.
        """
        ...

    async def send_order(self, request: OrderRequest, client_id: str, sending: Sending) -> Order:
        """Send the order under `client_id`, once, and return it.

        Awaits `sending(fence)` right before the bytes leave; the venue refuses what was
        signed too long ago. The fence is None where it knows no such limit. What `sending`
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


class TradingVenue(OrderVenue, Protocol):
    """The signed requests of a venue; an adapter that trades implements them.

    Symbols in requests are unified. Methods raise what `Exchange` raises, `AuthError`
    without a key, and `OrderNotFound` for an order the venue does not know.
    """

    @property
    def account(self) -> str:
        """A name of the account at this address, the same always, that tells no secret."""
        ...

    async def test_order(self, request: OrderRequest, client_id: str) -> None:
        """Let the venue judge the order without making it.

        Raises:
            Unsupported: the venue cannot.
            OrderRejected: it would refuse it.
        """
        ...

    async def fetch_order(
        self, market: Market, order_id: str | None, client_id: str | None
    ) -> Order:
        """Return an order by the venue's id or the client's."""
        ...

    async def cancel_order(
        self, market: Market, order_id: str | None, client_id: str | None
    ) -> Order:
        """Cancel an open order; return it as it is then."""
        ...

    async def open_orders(self, market: Market | None) -> list[Order]:
        """Return the resting orders, oldest first."""
        ...

    async def balances(self) -> Mapping[str, Decimal]:
        """Return what is free to use, by asset, without empty ones."""
        ...

    async def positions(self, market: Market | None) -> list[Position]:
        """Return the open positions; Unsupported where there are none."""
        ...

    async def market_state(self, market: Market) -> MarketState:
        """Return the prices that the market's rules refer to; public."""
        ...
