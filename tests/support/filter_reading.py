"""Binance's order filters, read slowly and obviously, to judge `velas.validation` by.

Everything is a `Fraction`, every rule is written out where it stands in Binance's own
documents, and nothing is taken from velas but the two models that are read here as plain
data: the order and what is known of the market.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from filter_marks import (
    ALGO,
    MARKET_TYPES,
    Mark,
    Row,
    Symbol,
    Unreadable,
    fraction,
    mark,
    missing,
    number,
)
from filter_shape import identity, precision, shape

from velas.models import OrderRequest
from velas.validation import MarketState

__all__ = ["read", "read_filters"]

NO_SINGLE_ORDER = {
    "MAX_NUM_ORDER_LISTS",
    "EXCHANGE_MAX_NUM_ORDER_LISTS",
    "MAX_NUM_ORDER_AMENDS",
}


def read(symbol: Symbol, order: OrderRequest, state: MarketState) -> list[Mark]:
    """Return every judgement of every rule on an order."""
    marks = [*shape(symbol, order), *identity(symbol, order), *precision(symbol, order)]
    return marks + read_filters(symbol, order, state)


def read_filters(symbol: Symbol, order: OrderRequest, state: MarketState) -> list[Mark]:
    """Return every judgement of the filters alone."""
    marks = []
    for row in [*symbol.filters, *symbol.exchange_filters]:
        name = str(row["filterType"])
        try:
            marks += one_filter(symbol, name, row, order, state)
        except Unreadable:
            marks.append(Mark(name, "", "not judged"))
    return marks


def one_filter(
    symbol: Symbol, name: str, row: Row, order: OrderRequest, state: MarketState
) -> list[Mark]:
    """Return the judgements of one filter."""
    if name in NO_SINGLE_ORDER and symbol.kind == "spot":
        return []
    rules = SPOT if symbol.kind == "spot" else FUTURES
    rule = rules.get(name)
    if rule is None:
        return [Mark(name, "", "not judged", "unknown")]
    return list(rule(symbol, row, order, state))


# -- range and grid -----------------------------------------------------------------------


def on_grid(
    name: str, field: str, value: object, low: Fraction, high: Fraction, step: Fraction, kind: str
) -> Iterator[Mark]:
    """Judge one field by a minimum, a maximum and a step, each off when it is 0."""
    x = fraction(value)
    if low != 0:
        yield mark(name, field, x < low, "min")
    if high != 0:
        yield mark(name, field, x > high, "max")
    if step != 0:
        remainder = x % step if kind == "spot" else (x - low) % step
        yield mark(name, field, remainder != 0, "step")


def price_filter(symbol: Symbol, row: Row, order: OrderRequest, _: MarketState) -> Iterator[Mark]:
    low, high, tick = (number(row, key) for key in ("minPrice", "maxPrice", "tickSize"))
    for field, value in (("price", order.price), ("stop_price", order.stop_price)):
        if value is not None:
            yield from on_grid("PRICE_FILTER", field, value, low, high, tick, symbol.kind)


def lot_size(symbol: Symbol, row: Row, order: OrderRequest, _: MarketState) -> Iterator[Mark]:
    low, high, step = (number(row, key) for key in ("minQty", "maxQty", "stepSize"))
    given = (("quantity", order.quantity), ("iceberg_quantity", order.iceberg_quantity))
    for field, value in given:
        if value is not None:
            yield from on_grid("LOT_SIZE", field, value, low, high, step, symbol.kind)


def market_lot_size(
    symbol: Symbol, row: Row, order: OrderRequest, _: MarketState
) -> Iterator[Mark]:
    low, high, step = (number(row, key) for key in ("minQty", "maxQty", "stepSize"))
    if order.quantity is not None and order.type in MARKET_TYPES[symbol.kind]:
        yield from on_grid(
            "MARKET_LOT_SIZE", "quantity", order.quantity, low, high, step, symbol.kind
        )


# -- price times quantity -----------------------------------------------------------------


def spot_notional(
    name: str, part: str, bound: Fraction, at_market: bool, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    """Judge price times quantity by one bound, which may be off for market orders."""
    if order.type in MARKET_TYPES["spot"]:
        if not at_market:
            return
        if order.quote_quantity is not None:
            field, notional = "quote_quantity", fraction(order.quote_quantity)
        elif order.quantity is None:
            return
        elif state.reference_price is None:
            yield missing(name)
            return
        else:
            field = "quantity"
            notional = fraction(state.reference_price) * fraction(order.quantity)
    elif order.price is None or order.quantity is None:
        return
    else:
        field, notional = "quantity", fraction(order.price) * fraction(order.quantity)
    if part == "min":
        yield mark(name, field, notional < bound, part)
    else:
        yield mark(name, field, bound != 0 and notional > bound, part)


def spot_min_notional(
    symbol: Symbol, row: Row, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    bound = number(row, "minNotional")
    yield from spot_notional("MIN_NOTIONAL", "min", bound, row["applyToMarket"], order, state)


def notional(symbol: Symbol, row: Row, order: OrderRequest, state: MarketState) -> Iterator[Mark]:
    low, high = number(row, "minNotional"), number(row, "maxNotional")
    yield from spot_notional("NOTIONAL", "min", low, row["applyMinToMarket"], order, state)
    yield from spot_notional("NOTIONAL", "max", high, row["applyMaxToMarket"], order, state)


def futures_min_notional(
    symbol: Symbol, row: Row, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    bound = number(row, "notional")
    if order.reduce_only or order.close_position or order.quantity is None:
        return
    price = state.mark_price if order.type in MARKET_TYPES["futures"] else order.price
    if price is not None:
        broken = fraction(price) * fraction(order.quantity) < bound
        yield mark("MIN_NOTIONAL", "quantity", broken, "min")
    elif order.type in MARKET_TYPES["futures"]:
        yield missing("MIN_NOTIONAL")


# -- price against the market -------------------------------------------------------------


def spot_percent(
    name: str, up: Fraction, down: Fraction, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    if order.price is None:
        return
    if state.reference_price is None:
        yield missing(name)
        return
    price, reference = fraction(order.price), fraction(state.reference_price)
    yield mark(name, "price", price < reference * down, "min")
    yield mark(name, "price", price > reference * up, "max")


def percent_price(
    symbol: Symbol, row: Row, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    up, down = number(row, "multiplierUp"), number(row, "multiplierDown")
    yield from spot_percent("PERCENT_PRICE", up, down, order, state)


def percent_price_by_side(
    symbol: Symbol, row: Row, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    bid = number(row, "bidMultiplierUp"), number(row, "bidMultiplierDown")
    ask = number(row, "askMultiplierUp"), number(row, "askMultiplierDown")
    up, down = bid if order.side == "buy" else ask
    yield from spot_percent("PERCENT_PRICE_BY_SIDE", up, down, order, state)


def futures_percent_price(
    symbol: Symbol, row: Row, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    up, down = number(row, "multiplierUp"), number(row, "multiplierDown")
    compared = [("price", order.price)] if order.price is not None else []
    if order.type == "market" and order.side == "buy":
        compared.append(("best_ask", state.best_ask))
    elif order.type == "market":
        compared.append(("best_bid", state.best_bid))
    # -4183 and -4184: a stop's limit is compared with its own trigger
    conditional = order.type.startswith(("stop", "take_profit", "trailing"))
    base = order.stop_price if conditional else state.mark_price
    for field, price in compared:
        if price is None or base is None:
            yield missing("PERCENT_PRICE")
        elif order.side == "buy":
            broken = fraction(price) > fraction(base) * up
            yield mark("PERCENT_PRICE", field, broken, "max")
        else:
            broken = fraction(price) < fraction(base) * down
            yield mark("PERCENT_PRICE", field, broken, "min")


# -- counts, positions and the rest -------------------------------------------------------


def iceberg_parts(symbol: Symbol, row: Row, order: OrderRequest, _: MarketState) -> Iterator[Mark]:
    limit = number(row, "limit")
    if order.iceberg_quantity is None or order.quantity is None or order.iceberg_quantity <= 0:
        return
    parts = fraction(order.quantity) / fraction(order.iceberg_quantity)
    ceiling = -((-parts.numerator) // parts.denominator)
    larger = order.iceberg_quantity > order.quantity  # the visible part of it, yet more than it
    yield mark("ICEBERG_PARTS", "iceberg_quantity", ceiling > limit or larger, "max")


def counted(name: str, count: int | None, limit: Fraction) -> Mark:
    """Judge one order more than there are now."""
    return missing(name) if count is None else mark(name, "", count + 1 > limit, "max")


def max_num_orders(
    symbol: Symbol, row: Row, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    limit = number(row, "maxNumOrders" if symbol.kind == "spot" else "limit")
    if order.type != "market":
        yield counted("MAX_NUM_ORDERS", state.open_orders, limit)


def max_num_algo_orders(
    symbol: Symbol, row: Row, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    limit = number(row, "maxNumAlgoOrders" if symbol.kind == "spot" else "limit")
    if order.type in ALGO[symbol.kind]:
        yield counted("MAX_NUM_ALGO_ORDERS", state.open_algo_orders, limit)


def max_num_iceberg_orders(
    symbol: Symbol, row: Row, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    limit = number(row, "maxNumIcebergOrders")
    if order.iceberg_quantity is not None and order.iceberg_quantity > 0:
        yield counted("MAX_NUM_ICEBERG_ORDERS", state.open_iceberg_orders, limit)


def exchange_max_num_orders(
    symbol: Symbol, row: Row, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    limit = number(row, "maxNumOrders")
    if order.type != "market":
        yield counted("EXCHANGE_MAX_NUM_ORDERS", state.exchange_orders, limit)


def exchange_max_num_algo_orders(
    symbol: Symbol, row: Row, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    limit = number(row, "maxNumAlgoOrders")
    if order.type in ALGO[symbol.kind]:
        yield counted("EXCHANGE_MAX_NUM_ALGO_ORDERS", state.exchange_algo_orders, limit)


def exchange_max_num_iceberg_orders(
    symbol: Symbol, row: Row, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    limit = number(row, "maxNumIcebergOrders")
    if order.iceberg_quantity is not None and order.iceberg_quantity > 0:
        yield counted("EXCHANGE_MAX_NUM_ICEBERG_ORDERS", state.exchange_iceberg_orders, limit)


def max_position(
    symbol: Symbol, row: Row, order: OrderRequest, state: MarketState
) -> Iterator[Mark]:
    limit = number(row, "maxPosition")
    if order.side != "buy":
        return
    if order.quantity is None:
        if order.quote_quantity is not None:
            yield missing("MAX_POSITION")  # how much that buys is known afterwards only
    elif state.position is None:
        yield missing("MAX_POSITION")
    else:
        after = fraction(state.position) + fraction(order.quantity)
        yield mark("MAX_POSITION", "quantity", after > limit, "max")


def trailing_delta(symbol: Symbol, row: Row, order: OrderRequest, _: MarketState) -> Iterator[Mark]:
    stops = {"buy": "Above", "sell": "Below"}
    profits = {"buy": "Below", "sell": "Above"}
    which = {
        "stop_loss": stops,
        "stop_loss_limit": stops,
        "take_profit": profits,
        "take_profit_limit": profits,
    }.get(order.type)
    if order.trailing_delta is None or which is None:
        return
    low = number(row, f"minTrailing{which[order.side]}Delta")
    high = number(row, f"maxTrailing{which[order.side]}Delta")
    yield mark("TRAILING_DELTA", "trailing_delta", order.trailing_delta < low, "min")
    yield mark("TRAILING_DELTA", "trailing_delta", order.trailing_delta > high, "max")


def position_risk_control(
    symbol: Symbol, row: Row, order: OrderRequest, _: MarketState
) -> Iterator[Mark]:
    side = row.get("positionControlSide")
    closed = {
        None: set(),
        "NONE": set(),
        "BOTH": {"buy", "sell"},
        "ALL": {"buy", "sell"},
        "BUY": {"buy"},
        "LONG": {"buy"},
        "SELL": {"sell"},
        "SHORT": {"sell"},
    }.get(side)
    if closed is None:
        yield missing("POSITION_RISK_CONTROL")
        return
    if order.side in closed:
        opens = not order.reduce_only and not order.close_position
        yield mark("POSITION_RISK_CONTROL", "reduce_only", opens, "side")


COMMON = {
    "PRICE_FILTER": price_filter,
    "LOT_SIZE": lot_size,
    "MARKET_LOT_SIZE": market_lot_size,
    "MAX_NUM_ORDERS": max_num_orders,
    "MAX_NUM_ALGO_ORDERS": max_num_algo_orders,
}
SPOT = COMMON | {
    "PERCENT_PRICE": percent_price,
    "PERCENT_PRICE_BY_SIDE": percent_price_by_side,
    "MIN_NOTIONAL": spot_min_notional,
    "NOTIONAL": notional,
    "ICEBERG_PARTS": iceberg_parts,
    "MAX_NUM_ICEBERG_ORDERS": max_num_iceberg_orders,
    "MAX_POSITION": max_position,
    "TRAILING_DELTA": trailing_delta,
    "EXCHANGE_MAX_NUM_ORDERS": exchange_max_num_orders,
    "EXCHANGE_MAX_NUM_ALGO_ORDERS": exchange_max_num_algo_orders,
    "EXCHANGE_MAX_NUM_ICEBERG_ORDERS": exchange_max_num_iceberg_orders,
}
FUTURES = COMMON | {
    "PERCENT_PRICE": futures_percent_price,
    "MIN_NOTIONAL": futures_min_notional,
    "POSITION_RISK_CONTROL": position_risk_control,
}
