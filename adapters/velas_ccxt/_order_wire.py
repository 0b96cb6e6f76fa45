"""Pure functions between orders and Binance's parameters and replies, both markets."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any, Literal, cast

from velas.decimals import exact, plain
from velas.errors import BadResponse, ConfigError
from velas.order_models import Order, OrderRequest, OrderStatus, Position, PositionSide, Side

__all__ = [
    "CONDITIONAL",
    "algo_child",
    "algo_id",
    "algo_order",
    "algo_params",
    "balances",
    "is_algo_id",
    "order",
    "order_params",
    "positions",
    "price_of",
]

_LOG = logging.getLogger(__name__)
_AVERAGE = Context(prec=28)
_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, ConfigError)
_ALGO = "algo-"  # before the venue's number of a conditional order, which has its own ids

# USDT-M types that have had an endpoint of their own since 2025-12-09
CONDITIONAL = frozenset(
    {"stop", "stop_market", "take_profit", "take_profit_market", "trailing_stop_market"}
)
# types that rest at a limit price and need to say how long
_RESTING = frozenset({"limit", "stop_loss_limit", "take_profit_limit", "stop", "take_profit"})
_STATUS: Mapping[str, OrderStatus] = {
    "NEW": "open",
    "PENDING_NEW": "open",
    "PARTIALLY_FILLED": "open",
    "PENDING_CANCEL": "open",
    "TRIGGERING": "open",
    "TRIGGERED": "open",
    "FILLED": "filled",
    "FINISHED": "filled",
    "CANCELED": "canceled",
    "REJECTED": "rejected",
    "EXPIRED": "expired",
    "EXPIRED_IN_MATCH": "expired",
}


def order_params(
    request: OrderRequest, market_id: str, client_id: str, *, spot: bool
) -> dict[str, str]:
    """Return the parameters of ``POST order``; numbers in plain notation."""
    params = _common(request, market_id, spot=spot)
    params["newClientOrderId"] = client_id
    params["newOrderRespType"] = "RESULT"
    _put(params, "stopPrice", request.stop_price)
    if request.close_position:
        params["closePosition"] = "true"
    return params


def algo_params(request: OrderRequest, market_id: str, client_id: str) -> dict[str, str]:
    """Return the parameters of ``POST algoOrder``, for USDT-M's conditional orders."""
    params = _common(request, market_id, spot=False)
    params["algoType"] = "CONDITIONAL"
    params["clientAlgoId"] = client_id
    _put(params, "triggerPrice", request.stop_price)
    if request.close_position:
        params["closePosition"] = "true"
    return params


def _common(request: OrderRequest, market_id: str, *, spot: bool) -> dict[str, str]:
    params = {
        "symbol": market_id,
        "side": request.side.upper(),
        "type": request.type.upper(),
    }
    in_force = request.time_in_force
    if in_force is None and request.type in _RESTING and not (spot and request.type in CONDITIONAL):
        in_force = "GTC"
    if in_force is not None:
        params["timeInForce"] = in_force
    _put(params, "quantity", request.quantity)
    _put(params, "price", request.price)
    _put(params, "quoteOrderQty", request.quote_quantity)
    _put(params, "icebergQty", request.iceberg_quantity)
    _put(params, "callbackRate", request.callback_rate)
    if request.trailing_delta is not None:
        params["trailingDelta"] = str(request.trailing_delta)
    if request.reduce_only:
        params["reduceOnly"] = "true"
    if request.position_side is not None:
        params["positionSide"] = request.position_side.upper()
    return params


def _put(params: dict[str, str], name: str, value: Decimal | None) -> None:
    if value is not None:
        params[name] = plain(value)


def order(document: object, symbol: str, *, client_id: str | None = None) -> Order:
    """Return the order of a reply to placing, asking or canceling.

    A canceled one has its old client id as `origClientOrderId` and a new one besides.

    Raises:
        BadResponse: a field is missing or cannot be read.
    """
    try:
        row = cast("Mapping[str, Any]", document)
        filled = _amount(row["executedQty"])
        cost = _amount(row.get("cummulativeQuoteQty", row.get("cumQuote", "0")))
        return Order(
            symbol=symbol,
            id=str(row["orderId"]),
            client_id=row.get("origClientOrderId") or row.get("clientOrderId") or client_id,
            side=_side(row["side"]),
            type=str(row.get("origType") or row["type"]).lower(),
            status=_status(row["status"]),
            quantity=exact(row["origQty"]),
            filled=filled,
            price=price_of(row.get("price")),
            timestamp=_moment(row, "time", "transactTime", "updateTime"),
            average=price_of(row.get("avgPrice")) or _average(cost, filled),
            cost=cost,
            stop_price=price_of(row.get("stopPrice")),
            time_in_force=row.get("timeInForce"),
            reduce_only=bool(row.get("reduceOnly", False)),
        )
    except _UNREADABLE as error:
        raise BadResponse(f"not an order: {error!r}") from error


def algo_order(document: object, symbol: str) -> Order:
    """Return the order of a reply about a conditional order of USDT-M.

    Raises:
        BadResponse: a field is missing or cannot be read.
    """
    try:
        row = cast("Mapping[str, Any]", document)
        quantity = exact(row.get("quantity") or "0")
        status = _status(row["algoStatus"])
        return Order(
            symbol=symbol,
            id=algo_id(row["algoId"]),
            client_id=row.get("clientAlgoId"),
            side=_side(row["side"]),
            type=str(row.get("orderType") or row.get("type")).lower(),
            status=status,
            quantity=quantity,
            filled=Decimal(0),  # what was executed is its ordinary order's, see algo_child
            price=price_of(row.get("price")),
            timestamp=_moment(row, "createTime", "updateTime"),
            stop_price=price_of(row.get("triggerPrice")),
            time_in_force=row.get("timeInForce"),
            reduce_only=bool(row.get("reduceOnly", False)),
        )
    except _UNREADABLE as error:
        raise BadResponse(f"not a conditional order: {error!r}") from error


def algo_child(document: object) -> str | None:
    """Return the id of the ordinary order that a triggered conditional one has become."""
    found = document.get("actualOrderId") if isinstance(document, Mapping) else None
    return str(found) if found and str(found) != "0" else None


def algo_id(number: object) -> str:
    """Return the id velas gives to a conditional order: ``algo-`` and the venue's number."""
    return f"{_ALGO}{number}"


def is_algo_id(order_id: str) -> str | None:
    """Return the venue's number of a conditional order, None for any other id."""
    return order_id.removeprefix(_ALGO) if order_id.startswith(_ALGO) else None


def balances(document: object) -> dict[str, Decimal]:
    """Return what is free by asset, of Spot's account or USDT-M's balance reply.

    Raises:
        BadResponse: it is neither.
    """
    try:
        rows = document.get("balances") if isinstance(document, Mapping) else document
        found = {
            str(row["asset"]): exact(row["free"] if "free" in row else row["availableBalance"])
            for row in cast("list[Mapping[str, Any]]", rows)
        }
    except _UNREADABLE as error:
        raise BadResponse(f"not a list of balances: {error!r}") from error
    return {asset: free for asset, free in found.items() if free}


def positions(document: object, symbols: Mapping[str, str]) -> list[Position]:
    """Return the positions that are not empty; `symbols` maps the venue's ids.

    Raises:
        BadResponse: it is no list of positions.
    """
    try:
        return [
            Position(
                symbol=symbols.get(str(row["symbol"]), str(row["symbol"])),
                quantity=exact(row["positionAmt"]),
                entry_price=price_of(row.get("entryPrice")),
                mark_price=price_of(row.get("markPrice")),
                unrealized_pnl=exact(row.get("unRealizedProfit") or "0"),
                position_side=_position_side(row.get("positionSide", "BOTH")),
            )
            for row in cast("list[Mapping[str, Any]]", document)
            if exact(row["positionAmt"])
        ]
    except _UNREADABLE as error:
        raise BadResponse(f"not a list of positions: {error!r}") from error


def price_of(value: object) -> Decimal | None:
    """Return a price, None where the venue writes zero or nothing for "none"."""
    if value is None or value == "":
        return None
    return exact(value) or None


def _amount(value: object) -> Decimal:
    return exact(value) or Decimal(0)  # not 0E-8


def _average(cost: Decimal, filled: Decimal) -> Decimal | None:
    return _AVERAGE.divide(cost, filled) if cost > 0 and filled > 0 else None


def _status(word: object) -> OrderStatus:
    known = _STATUS.get(str(word))
    if known is None:
        # it exists, whatever the venue's new word for it means
        _LOG.warning("an order's status %r is not known to velas, taken as open", word)
        return "open"
    return known


def _side(word: object) -> Side:
    side = str(word).lower()
    if side not in ("buy", "sell"):
        raise ValueError(f"side {word!r}")
    return cast("Literal['buy', 'sell']", side)


def _position_side(word: object) -> PositionSide:
    return cast("PositionSide", str(word).lower())


def _moment(row: Mapping[str, Any], *names: str) -> int | None:
    return next((int(row[name]) for name in names if row.get(name)), None)
