"""Pure functions between orders and ccxt's unified arguments and structures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, cast

from velas.decimals import exact, plain
from velas.errors import BadResponse, ConfigError
from velas.models import BookTicker, Market
from velas.order_models import Order, OrderRequest, OrderStatus, Position, Side
from velas.validation import MarketState

__all__ = [
    "TYPES",
    "balances",
    "book_ticker",
    "market_state",
    "number_text",
    "order",
    "placed_order",
    "position",
    "unsent_fields",
]

_LOG = logging.getLogger(__name__)
_UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError, ConfigError)
Names = Callable[[object], str | None]  # from the venue's client id to ours

# velas' type -> ccxt's type, and its unified name of the stop price
TYPES: Mapping[str, tuple[str, str]] = {
    "market": ("market", "triggerPrice"),
    "limit": ("limit", "triggerPrice"),
    "limit_maker": ("limit", "triggerPrice"),
    "stop_loss": ("market", "stopLossPrice"),
    "stop_loss_limit": ("limit", "stopLossPrice"),
    "take_profit": ("market", "takeProfitPrice"),
    "take_profit_limit": ("limit", "takeProfitPrice"),
}
_STATUS: Mapping[str, OrderStatus] = {
    "open": "open",
    "closed": "filled",
    "canceled": "canceled",
    "canceling": "open",
    "expired": "expired",
    "rejected": "rejected",
}


def unsent_fields(request: OrderRequest) -> list[str]:
    """Return the fields of a request for which ccxt has no unified parameter."""
    names = ("iceberg_quantity", "trailing_delta", "callback_rate", "close_position")
    found = [name for name in names if getattr(request, name) not in (None, False)]
    return found + ["position_side"] * (request.position_side in ("long", "short"))


def order(raw: object, market: Market | None, client_id_of: Names) -> Order:
    """Return ccxt's order structure as an order.

    Raises:
        BadResponse: a field is missing or cannot be read.
    """
    try:
        row = cast("Mapping[str, Any]", raw)
        filled = _number(row.get("filled")) or Decimal(0)
        quantity = _number(row.get("amount"))
        return Order(
            symbol=market.symbol if market is not None else _text(row["symbol"]),
            id=_text(row["id"]),
            client_id=client_id_of(row.get("clientOrderId")),
            side=_side(row["side"]),
            type=str(row.get("type") or "limit").lower(),
            status=_status(row.get("status"), quantity, filled),
            # an order for an amount of the quote currency has none
            quantity=filled if quantity is None else quantity,
            filled=filled,
            price=_price(row.get("price")),
            timestamp=_moment(row.get("timestamp")),
            average=_price(row.get("average")),
            cost=_number(row.get("cost")),
            stop_price=_stop_price(row),
            time_in_force=row.get("timeInForce") or None,
            reduce_only=row.get("reduceOnly") is True,
        )
    except _UNREADABLE as error:
        raise BadResponse(f"not an order: {error!r}") from error


def placed_order(raw: object, request: OrderRequest, client_id: str) -> Order:
    """Return the order of a reply to placing; many venues tell no more than its id.

    Raises:
        BadResponse: there is no id, or a number cannot be read.
    """
    try:
        row = cast("Mapping[str, Any]", raw)
        filled = _number(row.get("filled")) or Decimal(0)
        quantity = request.quantity
        if quantity is None:
            quantity = _number(row.get("amount")) or filled
        return Order(
            symbol=request.symbol,
            id=_text(row["id"]),
            client_id=client_id,
            side=request.side,
            type=request.type,
            status=_status(row.get("status"), request.quantity, filled),
            quantity=quantity,
            filled=filled,
            price=request.price,
            timestamp=_moment(row.get("timestamp")),
            average=_price(row.get("average")),
            cost=_number(row.get("cost")),
            stop_price=request.stop_price,
            time_in_force=request.time_in_force or row.get("timeInForce") or None,
            reduce_only=request.reduce_only,
        )
    except _UNREADABLE as error:
        raise BadResponse(f"not an order: {error!r}") from error


def balances(raw: object) -> dict[str, Decimal]:
    """Return what is free by asset, of ccxt's balance structure.

    Raises:
        BadResponse: it is none.
    """
    try:
        free = cast("Mapping[str, Any]", raw)["free"]
        found = {str(asset): _number(value) for asset, value in free.items()}
    except _UNREADABLE as error:
        raise BadResponse(f"not a list of balances: {error!r}") from error
    return {asset: value for asset, value in found.items() if value}


def position(raw: object) -> Position | None:
    """Return ccxt's position structure as a position, None for an empty one.

    Raises:
        BadResponse: it is none.
    """
    try:
        row = cast("Mapping[str, Any]", raw)
        contracts = _number(row.get("contracts"))
        if not contracts:
            return None
        side = str(row["side"])
        if side not in ("long", "short"):
            raise ValueError(f"side {side!r}")
        return Position(
            symbol=_text(row["symbol"]),
            quantity=abs(contracts) if side == "long" else -abs(contracts),
            entry_price=_price(row.get("entryPrice")),
            mark_price=_price(row.get("markPrice")),
            unrealized_pnl=_number(row.get("unrealizedPnl")),
            position_side=cast("Any", side) if row.get("hedged") is True else "both",
        )
    except _UNREADABLE as error:
        raise BadResponse(f"not a position: {error!r}") from error


def market_state(raw: object) -> MarketState:
    """Return the prices of ccxt's ticker structure.

    Raises:
        BadResponse: it is none.
    """
    try:
        row = cast("Mapping[str, Any]", raw)
        return MarketState(
            reference_price=_price(row.get("last")),
            mark_price=_price(row.get("markPrice")),
            best_bid=_price(row.get("bid")),
            best_ask=_price(row.get("ask")),
        )
    except _UNREADABLE as error:
        raise BadResponse(f"not a ticker: {error!r}") from error


def book_ticker(raw: object, symbol: str) -> BookTicker:
    """Return the best bid and ask of ccxt's order book structure.

    Raises:
        BadResponse: it is none, or a side is empty.
    """
    try:
        row = cast("Mapping[str, Any]", raw)
        bid, ask = row["bids"][0], row["asks"][0]
        return BookTicker(
            symbol=symbol,
            bid=_needed(bid[0]),
            bid_quantity=_needed(bid[1]),
            ask=_needed(ask[0]),
            ask_quantity=_needed(ask[1]),
            timestamp=_moment(row.get("timestamp")),
            update_id=_moment(row.get("nonce")),
        )
    except _UNREADABLE as error:
        raise BadResponse(f"not an order book with both sides: {error!r}") from error


# -- values -------------------------------------------------------------------------------


def _number(value: object) -> Decimal | None:
    if value is None or value == "":
        return None
    # a float's shortest spelling is the decimal it was read from
    return exact(repr(value) if isinstance(value, float) else value) or Decimal(0)


def _needed(value: object) -> Decimal:
    found = _number(value)
    if found is None:
        raise ValueError("a number is missing")
    return found


def _price(value: object) -> Decimal | None:
    return _number(value) or None


def _stop_price(row: Mapping[str, Any]) -> Decimal | None:
    names = ("triggerPrice", "stopLossPrice", "takeProfitPrice")
    return next((found for found in map(_price, map(row.get, names)) if found), None)


def _text(value: object) -> str:
    if value is None or value == "":
        raise ValueError("an id or symbol is missing")
    return str(value)


def _side(word: object) -> Side:
    if word == "buy":
        return "buy"
    if word == "sell":
        return "sell"
    raise ValueError(f"side {word!r}")


def _status(word: object, quantity: Decimal | None, filled: Decimal) -> OrderStatus:
    if word is None:  # replies to placing seldom say
        return "filled" if quantity and filled >= quantity else "open"
    known = _STATUS.get(str(word))
    if known is None:
        # it exists, whatever the venue's word for it means
        _LOG.warning("an order's status %r is not known to velas, taken as open", word)
        return "open"
    return known


def _moment(value: object) -> int | None:
    return None if value is None else int(cast("int", value))


class NumberText(str):
    """A number as ccxt is to be given it: text, of which it makes no float.

    Some ccxt classes compare an amount with a number before they write it.
    """

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        return Decimal(self) < _comparable(other)

    def __le__(self, other: object) -> bool:
        return Decimal(self) <= _comparable(other)

    def __gt__(self, other: object) -> bool:
        return Decimal(self) > _comparable(other)

    def __ge__(self, other: object) -> bool:
        return Decimal(self) >= _comparable(other)


def number_text(number: Decimal | None) -> NumberText | None:
    """Return an amount or a price as ccxt's methods are to be given it."""
    return None if number is None else NumberText(plain(number))


def _comparable(other: object) -> Decimal:
    return Decimal(str(other))
