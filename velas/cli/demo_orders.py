"""The order part of `velas demo`: an illegal order, the nearest legal one, and placing it once."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import attrs

from velas.cli.output import many
from velas.decimals import plain

if TYPE_CHECKING:
    from velas.order_models import Order, OrderRequest
    from velas.settings import Settings
    from velas.testing import StandInVenue
    from velas.validation import Verdict

__all__ = ["OrdersTold", "orders_document", "play_orders", "tell_orders"]

_INTENT = "the demo's one order"
_QUANTITY = Decimal("0.0123456")
_BELOW = Decimal("0.912345678")  # of the best bid: it rests, and no tick fits


@attrs.frozen
class OrdersTold:
    """What the order part has to tell: an order, and the same wish a second time."""

    verdict: Verdict
    legal: OrderRequest
    order: Order
    again: Order
    orders: int  # that the venue has

    @property
    def ok(self) -> bool:
        """Whether rules were broken, and one order came of two calls."""
        same = (self.order.id, self.order.intent) == (self.again.id, self.again.intent)
        return not self.verdict.ok and same and self.orders == 1


def play_orders(settings: Settings, venue: StandInVenue) -> OrdersTold:
    """Judge an order that breaks rules, and place the nearest legal one twice."""
    verdict, legal, order, again = asyncio.run(_play(_trading(settings)))
    return OrdersTold(verdict, legal, order, again, len(venue.orders()))


def orders_document(told: OrdersTold) -> dict[str, object]:
    """Return the order part as plain data for JSON."""
    return {
        "ok": told.ok,
        "violations": [str(one) for one in told.verdict],
        "order": told.order.id,
        "again": told.again.id,
        "intent": told.again.intent,
        "orders": told.orders,
    }


def tell_orders(told: OrdersTold, tell: Callable[[str], None]) -> None:
    """Say what came of it."""
    lines = [str(one) for one in told.verdict]
    assert told.legal.quantity is not None
    assert told.legal.price is not None
    near = f"{plain(told.legal.quantity)} at {plain(told.legal.price)}"
    lines.append(f"The nearest legal order: {near}.")
    lines.append(f"Placed: order {told.order.id}, {told.order.status}.")
    lines.append(f"Placed again for the same intent: order {told.again.id}, {told.again.status}.")
    for line in lines:
        tell(textwrap.fill(line, 79, initial_indent="   ", subsequent_indent="     "))
    tell(f"\nThe exchange has {many(told.orders, 'order')}: at most one comes of an intent.")


def _trading(settings: Settings) -> Settings:
    from velas.credentials import Credentials
    from velas.testing import STAND_IN_KEY, STAND_IN_SECRET

    return attrs.evolve(
        settings,
        trading=attrs.evolve(settings.trading, mode="live"),
        credentials=Credentials(api_key=STAND_IN_KEY, api_secret=STAND_IN_SECRET),
    )


async def _play(settings: Settings) -> tuple[Verdict, OrderRequest, Order, Order]:
    from velas.order_models import OrderRequest
    from velas.registry import open_exchange
    from velas.validation import OrderValidator

    async with open_exchange(settings) as exchange:
        market = await exchange.market("BTC/USDT")
        bid = (await exchange.fetch_book_ticker(market.symbol)).bid
        asked = OrderRequest(market.symbol, "buy", "limit", _QUANTITY, bid * _BELOW, intent=_INTENT)
        rules = OrderValidator.from_market(market)
        legal = rules.normalize(asked, reference=bid)
        order = await exchange.create_order(legal)
        again = await exchange.create_order(legal)
    return rules.check(asked, reference=bid), legal, order, again
