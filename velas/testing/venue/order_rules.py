"""The filters of a symbol's row, applied to an order in exact numbers (binance-facts 6).

An implementation of its own, so that a client's checks meet a second opinion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import attrs

from velas.testing.venue import order_refusal
from velas.testing.venue.exact import decimals_of, shortest
from velas.testing.venue.order_ledger import Order
from velas.testing.venue.refusal import Refused

__all__ = ["FuturesReference", "Row", "SpotReference", "check_futures", "check_spot", "filter_of"]

Row = Mapping[str, Any]
_ALGO = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
_ABOVE = {("STOP_LOSS", True), ("TAKE_PROFIT", False)}  # of trailing orders: type, is a buy


@attrs.frozen
class SpotReference:
    """What Spot filters compare with: prices, open orders, and the base asset owned.

    `averages` are prices by `avgPriceMins`.
    """

    averages: Mapping[int, Fraction]
    open_orders: list[Order]
    owned: Fraction


@attrs.frozen
class FuturesReference:
    """What USDT-M filters compare with: mark price, the price to get, number of open orders.

    `opens` is whether the order would open or enlarge a position.
    """

    mark: Fraction
    best: Fraction
    open_orders: int
    opens: bool


def filter_of(row: Row, name: str) -> Row:
    """Return a filter of the row, empty when it has none of that name."""
    return next((one for one in row["filters"] if one.get("filterType") == name), {})


def check_spot(row: Row, order: Order, reference: SpotReference) -> None:
    """Refuse an order that breaks a Spot filter. Raises: Refused -1013, -2010, -1111."""
    _spot_precision(row, order)
    for price in (order.price, order.stop_price):
        if price:
            _range(row, "PRICE_FILTER", price, "minPrice", "maxPrice", "tickSize")
    for quantity in (order.quantity, order.iceberg):
        if quantity:
            _range(row, "LOT_SIZE", quantity, "minQty", "maxQty", "stepSize")
    if order.type == "MARKET" and order.quantity:
        _range(row, "MARKET_LOT_SIZE", order.quantity, "minQty", "maxQty", "stepSize")
    _spot_percent(row, order, reference)
    _spot_notional(row, order, reference)
    _trailing(row, order)
    _spot_counts(row, order, reference)


def check_futures(row: Row, order: Order, reference: FuturesReference) -> None:
    """Refuse an order that breaks a USDT-M filter. Raises: Refused with the filter's code."""
    _futures_precision(row, order)
    if order.price:
        _futures_price(row, order.price)
    if order.stop_price:
        _futures_price(row, order.stop_price, stop=True)
    if order.quantity:
        _futures_quantity(row, "LOT_SIZE", order.quantity)
    if order.quantity and order.type.endswith("MARKET"):
        _futures_quantity(row, "MARKET_LOT_SIZE", order.quantity)
    _futures_percent(row, order, reference)
    _futures_notional(row, order, reference)
    _position_control(row, order, reference)
    most = filter_of(row, "MAX_NUM_ORDERS").get("limit")
    if not order.stop_price and most is not None and reference.open_orders >= int(most):
        raise Refused(-2025, "Reach max open order limit.")


def _number(value: object) -> Fraction:
    return Fraction(str(value))


def _is_multiple(value: Fraction, step: Fraction) -> bool:
    return step == 0 or (value / step).denominator == 1


def _range(row: Row, name: str, value: Fraction, low: str, high: str, step: str) -> None:
    rule = filter_of(row, name)
    if not rule:
        return
    least, most = _number(rule[low]), _number(rule[high])
    within = (not least or value >= least) and (not most or value <= most)
    if not within or not _is_multiple(value, _number(rule[step])):
        raise order_refusal.filter_failure(name)


def _spot_precision(row: Row, order: Order) -> None:
    base, quote = int(row["baseAssetPrecision"]), int(row["quotePrecision"])
    for name, value, most in (
        ("price", order.price, quote),
        ("stopPrice", order.stop_price, quote),
        ("quantity", order.quantity, base),
        ("icebergQty", order.iceberg, base),
        ("quoteOrderQty", order.quote_quantity, quote),
    ):
        if decimals_of(shortest(value)) > most:
            raise order_refusal.too_precise(name, spot=True)


def _spot_percent(row: Row, order: Order, reference: SpotReference) -> None:
    if not order.price:
        return
    for name, up, down in (
        ("PERCENT_PRICE", "multiplierUp", "multiplierDown"),
        (
            "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp" if order.is_buy else "askMultiplierUp",
            "bidMultiplierDown" if order.is_buy else "askMultiplierDown",
        ),
    ):
        rule = filter_of(row, name)
        if rule:
            middle = reference.averages[int(rule["avgPriceMins"])]
            if not middle * _number(rule[down]) <= order.price <= middle * _number(rule[up]):
                raise order_refusal.filter_failure(name)


def _spot_notional(row: Row, order: Order, reference: SpotReference) -> None:
    priced = bool(order.price)
    for name, rule, market_min, market_max in (
        ("MIN_NOTIONAL", filter_of(row, "MIN_NOTIONAL"), "applyToMarket", ""),
        ("NOTIONAL", filter_of(row, "NOTIONAL"), "applyMinToMarket", "applyMaxToMarket"),
    ):
        if not rule:
            continue
        price = order.price or reference.averages[int(rule["avgPriceMins"])]
        notional = order.quote_quantity or price * order.quantity
        least, most = _number(rule["minNotional"]), rule.get("maxNotional")
        too_small = (priced or rule.get(market_min)) and notional < least
        too_large = (
            most is not None and (priced or rule.get(market_max)) and (notional > _number(most))
        )
        if too_small or too_large:
            raise order_refusal.filter_failure(name)


def _trailing(row: Row, order: Order) -> None:
    rule = filter_of(row, "TRAILING_DELTA")
    if not order.trailing or not rule:
        return
    kind = order.type.removesuffix("_LIMIT")
    word = "Above" if (kind, order.is_buy) in _ABOVE else "Below"
    least, most = rule[f"minTrailing{word}Delta"], rule[f"maxTrailing{word}Delta"]
    if not least <= order.trailing <= most:
        raise order_refusal.filter_failure("TRAILING_DELTA")


def _spot_counts(row: Row, order: Order, reference: SpotReference) -> None:
    others = reference.open_orders
    parts = filter_of(row, "ICEBERG_PARTS").get("limit")
    if order.iceberg and parts and math.ceil(order.quantity / order.iceberg) > parts:
        raise order_refusal.filter_failure("ICEBERG_PARTS")
    is_algo = order.type in _ALGO
    for name, field, applies, taken in (
        ("MAX_NUM_ORDERS", "maxNumOrders", order.type != "MARKET", len(others)),
        (
            "MAX_NUM_ALGO_ORDERS",
            "maxNumAlgoOrders",
            is_algo,
            sum(one.type in _ALGO for one in others),
        ),
        (
            "MAX_NUM_ICEBERG_ORDERS",
            "maxNumIcebergOrders",
            bool(order.iceberg),
            sum(bool(one.iceberg) for one in others),
        ),
    ):
        most = filter_of(row, name).get(field)
        if applies and most is not None and taken >= int(most):
            raise order_refusal.filter_failure(name)
    most = filter_of(row, "MAX_POSITION").get("maxPosition")
    bought = sum((one.quantity for one in others if one.is_buy), reference.owned + order.quantity)
    if order.is_buy and most is not None and bought > _number(most):
        raise order_refusal.filter_failure("MAX_POSITION", engine=True)


def _futures_precision(row: Row, order: Order) -> None:
    for value, field in (
        (order.price, "pricePrecision"),
        (order.stop_price, "pricePrecision"),
        (order.quantity, "quantityPrecision"),
    ):
        if decimals_of(shortest(value)) > int(row[field]):
            raise order_refusal.too_precise("", spot=False)


def _futures_price(row: Row, price: Fraction, *, stop: bool = False) -> None:
    rule = filter_of(row, "PRICE_FILTER")
    if not rule:
        return
    least, most = _number(rule["minPrice"]), _number(rule["maxPrice"])
    if least and price < least:
        raise (
            Refused(-4006, "Stop price less than zero.")
            if stop
            else Refused(-4013, f"Price less than min price. {shortest(least)}")
        )
    if most and price > most:
        if stop:
            raise Refused(-4007, "Stop price greater than max price.")
        raise Refused(-4002, "Price greater than max price.")
    if not _is_multiple(price - least, _number(rule["tickSize"])):
        raise Refused(-4014, "Price not increased by tick size.")


def _futures_quantity(row: Row, name: str, quantity: Fraction) -> None:
    rule = filter_of(row, name)
    if not rule:
        return
    least, most = _number(rule["minQty"]), _number(rule["maxQty"])
    if quantity < least:
        raise Refused(-4004, "Quantity less than min quantity.")
    if most and quantity > most:
        raise Refused(-4005, "Quantity greater than max quantity.")
    if not _is_multiple(quantity - least, _number(rule["stepSize"])):
        raise Refused(-4023, "Qty not increased by step size.")


def _futures_percent(row: Row, order: Order, reference: FuturesReference) -> None:
    rule = filter_of(row, "PERCENT_PRICE")
    if not rule:
        return
    # a conditional order is priced when it triggers, so its price is compared with that
    middle = order.stop_price or reference.mark
    highest = middle * _number(rule["multiplierUp"])
    lowest = middle * _number(rule["multiplierDown"])
    price = order.price or reference.best
    if order.is_buy and price > highest:
        word, limit, code = "higher", highest, -4183 if order.stop_price else -4016
    elif not order.is_buy and price < lowest:
        word, limit, code = "lower", lowest, -4184 if order.stop_price else -4024
    else:
        return
    if order.price:
        raise Refused(code, f"Limit price can't be {word} than {shortest(limit)}.")
    if not order.stop_price:
        text = "The counterparty's best price does not meet the PERCENT_PRICE filter limit."
        raise Refused(-4131, text)


def _futures_notional(row: Row, order: Order, reference: FuturesReference) -> None:
    least = filter_of(row, "MIN_NOTIONAL").get("notional")
    if least is None or order.reduce_only or order.close_position:
        return
    if order.quantity * (order.price or reference.mark) < _number(least):
        text = f"Order's notional must be no smaller than {shortest(_number(least))}"
        raise Refused(-4164, f"{text} (unless you choose reduce only).")


def _position_control(row: Row, order: Order, reference: FuturesReference) -> None:
    side = filter_of(row, "POSITION_RISK_CONTROL").get("positionControlSide", "NONE")
    if side == "NONE" or not reference.opens:
        return
    # which code means which side is a guess (binance-facts 6.2)
    code = {"BUY": -4106, "LONG": -4106, "SELL": -4107, "SHORT": -4107}.get(side, -4105)
    hit = code == -4105 or order.is_buy == (code == -4106)
    if hit:
        raise Refused(code, "Only reduce-only orders are allowed on this symbol.")
