"""Orders in the venue's JSON: field names of each endpoint, numbers as decimal text."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from velas.testing.venue.exact import decimals_of, text
from velas.testing.venue.instruments import Instrument
from velas.testing.venue.order_ledger import Order
from velas.testing.venue.order_rules import Row, filter_of

__all__ = [
    "algo_order",
    "futures_acknowledged",
    "futures_order",
    "spot_canceled",
    "spot_order",
    "spot_placed",
]

Document = dict[str, Any]  # JSON of the venue's own shape

_SPOT_DECIMALS = 8
_AVERAGE_DECIMALS = 5
_NOT_WORKING = -1


def spot_placed(order: Order, instrument: Instrument) -> Document:
    """Return the answer to a new Spot order, as long as it asked for."""
    answer: Document = {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "transactTime": order.updated_ms,
    }
    if order.response == "ACK":
        return answer
    answer |= {**_spot_amounts(order), **_spot_conditions(order)}
    answer |= {"workingTime": order.working_ms, "selfTradePreventionMode": "EXPIRE_MAKER"}
    if order.response == "FULL":
        answer["fills"] = [
            {
                "price": _eight(fill.price),
                "qty": _eight(fill.quantity),
                "commission": _eight(Fraction(0)),
                "commissionAsset": instrument.base if order.is_buy else instrument.quote,
                "tradeId": fill.id,
            }
            for fill in order.fills
        ]
    return answer


def spot_order(order: Order) -> Document:
    """Return a Spot order as queries have it."""
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        **_spot_amounts(order),
        "stopPrice": _eight(order.stop_price),
        "icebergQty": _eight(order.iceberg),
        **({"trailingDelta": order.trailing} if order.trailing else {}),
        "time": order.time_ms,
        "updateTime": order.updated_ms,
        "isWorking": order.working_ms != _NOT_WORKING,
        "workingTime": order.working_ms,
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }


def spot_canceled(order: Order, client_id: str) -> Document:
    """Return a Spot order as the answer to its cancellation, which has an id of its own."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_id,
        "orderId": order.id,
        "orderListId": -1,
        "clientOrderId": client_id,
        "transactTime": order.updated_ms,
        **_spot_amounts(order),
        **_spot_conditions(order),
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }


def futures_order(order: Order, row: Row) -> Document:
    """Return a USDT-M order as queries and cancellations have it."""
    price, quantity = _decimals(row)
    kind = order.type
    return {
        "orderId": order.id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_id,
        "price": text(order.price, price),
        "avgPrice": text(order.average, max(price, _AVERAGE_DECIMALS)),
        "origQty": text(order.quantity, quantity),
        "executedQty": text(order.filled, quantity),
        "cumQty": text(order.filled, quantity),
        "cumQuote": text(order.spent, price + quantity),
        "timeInForce": order.time_in_force,
        "type": kind,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side,
        "positionSide": "BOTH",
        "stopPrice": text(order.stop_price, price),
        "workingType": order.working_type,
        "priceProtect": False,
        "origType": kind,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "goodTillDate": order.good_till_ms,
        "time": order.time_ms,
        "updateTime": order.updated_ms,
    }


def futures_acknowledged(order: Order, row: Row) -> Document:
    """Return the default answer to a new USDT-M order: taken, whatever became of it."""
    price, quantity = _decimals(row)
    nothing = Fraction(0)
    answer = futures_order(order, row) | {
        "status": "NEW",
        "avgPrice": text(nothing, 2),
        "executedQty": text(nothing, quantity),
        "cumQty": text(nothing, quantity),
        "cumQuote": text(nothing, price + quantity),
    }
    del answer["time"]
    return answer


def algo_order(order: Order, row: Row) -> Document:
    """Return a conditional USDT-M order."""
    price, quantity = _decimals(row)
    child = order.child
    return {
        "algoId": order.id,
        "clientAlgoId": order.client_id,
        "algoType": "CONDITIONAL",
        "orderType": order.type,
        "symbol": order.symbol,
        "side": order.side,
        "positionSide": "BOTH",
        "timeInForce": order.time_in_force,
        "quantity": text(order.quantity, quantity),
        "algoStatus": order.status,
        "actualOrderId": str(child.id) if child is not None else "",
        "actualPrice": text(child.average, _AVERAGE_DECIMALS) if child is not None else "0.00000",
        "triggerPrice": text(order.stop_price, price),
        "price": text(order.price, price),
        "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": order.working_type,
        "priceMatch": "NONE",
        "closePosition": order.close_position,
        "priceProtect": False,
        "reduceOnly": order.reduce_only,
        "createTime": order.time_ms,
        "updateTime": order.updated_ms,
        "triggerTime": max(0, order.working_ms) if order.triggered else 0,
        "goodTillDate": order.good_till_ms,
    }


def _spot_amounts(order: Order) -> Document:
    return {
        "price": _eight(order.price),
        "origQty": _eight(order.quantity),
        "executedQty": _eight(order.filled),
        "origQuoteOrderQty": _eight(order.quote_quantity),
        "cummulativeQuoteQty": _eight(order.spent),
        "status": order.status,
        "timeInForce": order.time_in_force or "GTC",
        "type": order.type,
        "side": order.side,
    }


def _spot_conditions(order: Order) -> Document:
    present: Document = {}
    if order.stop_price:
        present["stopPrice"] = _eight(order.stop_price)
    if order.iceberg:
        present["icebergQty"] = _eight(order.iceberg)
    if order.trailing:
        present["trailingDelta"] = order.trailing
    return present


def _eight(value: Fraction) -> str:
    return text(value, _SPOT_DECIMALS)


def _decimals(row: Row) -> tuple[int, int]:
    tick = filter_of(row, "PRICE_FILTER").get("tickSize")
    step = filter_of(row, "LOT_SIZE").get("stepSize")
    return (
        decimals_of(str(tick)) if tick is not None else int(row["pricePrecision"]),
        decimals_of(str(step)) if step is not None else int(row["quantityPrecision"]),
    )
