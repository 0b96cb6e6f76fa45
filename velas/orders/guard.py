"""The last guards before an order leaves: is trading on, and is it not too much?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Context, Decimal

from velas.decimals import plain
from velas.errors import TradingOff
from velas.models import BookTicker, Market
from velas.order_models import OrderRequest
from velas.settings import TradingMode

__all__ = ["check_mode", "check_worth"]

_EXACT = Context(prec=200)
_ON: tuple[TradingMode, ...] = ("test", "live")


def check_mode(mode: TradingMode, what: str, *, allowed: tuple[TradingMode, ...] = _ON) -> None:
    """Refuse what changes something at the venue unless `trading.mode` allows it.

    Raises:
        TradingOff: names the mode and the choices.
    """
    if mode not in allowed:
        raise TradingOff(
            f"{what}: trading.mode is {mode!r}, it must be {' or '.join(map(repr, allowed))} "
            "(off: no order leaves, test: the venue's test endpoint, live: real orders)"
        )


async def check_worth(
    request: OrderRequest,
    market: Market,
    most: Decimal | None,
    quote: Callable[[], Awaitable[BookTicker]],
) -> None:
    """Refuse an order that may be worth more than `most` of the quote currency.

    What it is worth is its quantity at its limit or stop price, and at the best price in
    the book (`quote`) for market orders and for sells, which may get more than their
    limit. Orders that can only reduce a position are let through: it would be worse if
    they were not.

    Raises:
        TradingOff: it is worth more, or that cannot be told.
    """
    if most is None or request.reduce_only or request.close_position:
        return
    worth = request.quote_quantity
    if worth is None:
        worth = await _worth(request, market, quote)
    if worth > most:
        raise TradingOff(
            f"{request.symbol}: the order is worth up to {plain(worth)} {market.quote}, more than "
            f"trading.max_notional ({plain(most)})"
        )


async def _worth(
    request: OrderRequest, market: Market, quote: Callable[[], Awaitable[BookTicker]]
) -> Decimal:
    quantity = request.quantity
    if quantity is None:
        raise TradingOff(f"{request.symbol}: without a quantity its worth cannot be told")
    size = market.contract_size or Decimal(1)
    if market.linear is False:  # inverse: a contract is worth so much of the quote currency
        return _EXACT.multiply(quantity, size)
    if market.type != "spot" and market.linear is None:
        raise TradingOff(f"{request.symbol}: what its contracts are worth cannot be told")
    prices = [one for one in (request.price, request.stop_price) if one is not None]
    if request.side == "sell" or not prices:
        book = await quote()
        prices.append(book.ask if request.side == "buy" else book.bid)
    return _EXACT.multiply(_EXACT.multiply(quantity, max(prices)), size)
