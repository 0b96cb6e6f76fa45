"""The order methods every Exchange adapter has: they ask its trader, or refuse."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from velas.errors import Unsupported
from velas.order_models import Order, OrderRequest, Position
from velas.orders.journal import Intent
from velas.orders.trader import Trader
from velas.validation import MarketState, OrderValidator

__all__ = ["OrderMethods"]


class OrderMethods:
    """Mixed into `ExchangeAdapter`; an adapter that trades sets `_trader`.

    Orders raise `TradingOff` unless `trading.mode` lets them leave, `AuthError` without a
    key, and whatever `velas.protocols.Exchange` says.
    """

    name: str
    _trader: Trader | None = None

    async def create_order(self, request: OrderRequest) -> Order:
        """Place an order, at most once for `request.intent`.

        See `velas.protocols.Exchange.create_order`, also for what it raises.
        """
        return await self._orders("create_order").create(request)

    async def cancel_order(
        self, symbol: str, order_id: str | None = None, *, client_id: str | None = None
    ) -> Order:
        """Cancel an open order by the venue's id or the client's; return it.

        Raises:
            OrderNotFound: there is no such open order; it may be filled meanwhile.
        """
        return await self._orders("cancel_order").cancel(symbol, order_id, client_id)

    async def fetch_order(
        self, symbol: str, order_id: str | None = None, *, client_id: str | None = None
    ) -> Order:
        """Return one order by the venue's id or the client's.

        Raises:
            OrderNotFound: the venue knows none, or not yet.
        """
        return await self._orders("fetch_order").fetch(symbol, order_id, client_id)

    async def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the resting orders, of one symbol or of all."""
        return await self._orders("open_orders").open_orders(symbol)

    async def balances(self) -> Mapping[str, Decimal]:
        """Return what is free to use, by asset."""
        return await self._orders("balances").balances()

    async def positions(self, symbol: str | None = None) -> list[Position]:
        """Return the open positions of a derivatives venue, of one symbol or of all."""
        return await self._orders("positions").positions(symbol)

    async def recover_orders(self) -> list[Intent]:
        """Settle every intent whose fate was open when the last process ended.

        Each comes back ``placed`` or ``absent``; ``sent`` if the venue gave no answer.
        """
        return await self._orders("recover_orders").recover()

    async def fetch_intent(self, intent: str) -> Intent | None:
        """Return where an intent stands, None if there never was one of that key.

        See `velas.protocols.Exchange.fetch_intent`.
        """
        return await self._orders("fetch_intent").look_up(intent)

    async def declare_absent(self, intent: str) -> Intent:
        """Say that an intent whose fate is open has no order, after looking oneself.

        See `velas.protocols.Exchange.declare_absent`.
        """
        return await self._orders("declare_absent").declare_absent(intent)

    async def market_state(self, symbol: str) -> MarketState:
        """Return the prices that the market's order rules refer to."""
        return await self._orders("market_state").state(symbol)

    async def order_validator(self, symbol: str) -> OrderValidator:
        """Return the order rules of a market, as the venue lists it."""
        return await self._orders("order_validator").validator(symbol)

    def _orders(self, method: str) -> Trader:
        if self._trader is None:
            raise Unsupported(
                f"{self.name}: {method} is not available, this adapter does not trade"
            )
        self._check_open()
        return self._trader

    def _check_open(self) -> None:
        """Refuse to go on with what is closed, or another event loop's."""
        raise NotImplementedError
