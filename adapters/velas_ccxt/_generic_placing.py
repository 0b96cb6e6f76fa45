"""Which of ccxt's methods places an order, and with what arguments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import attrs

from velas.decimals import plain
from velas.errors import BadRequest, Unsupported
from velas.models import Market
from velas.order_models import OrderRequest
from velas_ccxt import _generic_wire as wire

__all__ = ["Placing", "placing"]

Params = dict[str, Any]
_POST_ONLY = ("GTX", "PO")


@attrs.frozen
class Placing:
    """A call of ccxt's that places an order; `numbers` must be in what it sends."""

    method: Callable[..., Awaitable[Any]]
    args: tuple[Any, ...]
    numbers: tuple[Decimal, ...]


def placing(exchange: Any, request: OrderRequest, market: Market, params: Params) -> Placing:
    """Return the call that places an order, numbers as text, `params` besides.

    Raises:
        Unsupported: ccxt cannot place such an order at this venue.
        BadRequest: the type needs a field the order lacks.
    """
    kind, stop_name = _type(exchange, request)
    params = {
        **params,
        **_stop(exchange, request, market, stop_name),
        **_in_force(exchange, request, market),
        **_reducing(exchange, request, market),
    }
    if request.quote_quantity is not None:
        return _by_cost(exchange, request, market, kind, params)
    numbers = (request.quantity, request.price, request.stop_price)
    quantity, price = wire.number_text(request.quantity), wire.number_text(request.price)
    return Placing(
        exchange.create_order,
        (market.symbol, kind, request.side, quantity, price, params),
        tuple(one for one in numbers if one is not None),
    )


def _by_cost(
    exchange: Any, request: OrderRequest, market: Market, kind: str, params: Params
) -> Placing:
    cost = request.quote_quantity
    name = f"createMarket{request.side.capitalize()}OrderWithCost"
    if cost is None or kind != "market" or exchange.has.get(name) is not True:
        raise _cannot(exchange, f"place a {request.side} {request.type} order by quote_quantity")
    method = getattr(exchange, f"create_market_{request.side}_order_with_cost")
    # ccxt makes it one of the params, of which it drops what is of a type derived from str,
    # and would take the amount for one of the base currency
    return Placing(method, (market.symbol, plain(cost), params), (cost,))


def _type(exchange: Any, request: OrderRequest) -> tuple[str, str]:
    known = wire.TYPES.get(request.type)
    if known is None:
        raise Unsupported(
            f"{exchange.id}: order type {request.type!r} is none of {', '.join(wire.TYPES)}"
        )
    lacking = wire.unsent_fields(request)
    if lacking:
        raise _cannot(exchange, f"send {', '.join(lacking)}")
    return known


def _stop(exchange: Any, request: OrderRequest, market: Market, name: str) -> Params:
    if request.stop_price is None:
        if name != "triggerPrice":
            raise BadRequest(f"{request.symbol}: a {request.type} order needs a stop_price")
        return {}
    if exchange.feature_value(market.symbol, "createOrder", name) is not True:
        raise _cannot(exchange, f"place {request.type} orders with a stop_price ({name})")
    # of no other type than str: ccxt looks at params that closely
    return {name: plain(request.stop_price)}


def _in_force(exchange: Any, request: OrderRequest, market: Market) -> Params:
    known = exchange.feature_value(market.symbol, "createOrder", "timeInForce") or {}
    word = request.time_in_force
    if request.type == "limit_maker" or word in _POST_ONLY:
        if known.get("PO") is not True:
            raise _cannot(exchange, "place post-only orders")
        return {"postOnly": True}
    if word in (None, "GTC"):  # what every venue does unasked
        return {}
    if known.get(word) is not True:
        raise _cannot(exchange, f"place orders with time_in_force {word}")
    return {"timeInForce": word}


def _reducing(exchange: Any, request: OrderRequest, market: Market) -> Params:
    if not request.reduce_only:
        return {}
    if market.type == "spot" or exchange.has.get("createReduceOnlyOrder") is False:
        raise _cannot(exchange, f"place reduce_only orders on a {market.type} market")
    return {"reduceOnly": True}


def _cannot(exchange: Any, what: str) -> Unsupported:
    return Unsupported(f"{exchange.id}: ccxt's class for it cannot {what}")
