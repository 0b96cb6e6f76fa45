"""The order rules that are no filters: status, type, id, decimals, which fields a type has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from filter_marks import ALGO, PRICED, Mark, Symbol, Unreadable, fraction, mark, number

from velas.models import OrderRequest

__all__ = ["POSITIVE", "identity", "implied", "precision", "shape"]

TICKS = ("PRICE_FILTER", "minPrice", "tickSize")
LOTS = ("LOT_SIZE", "minQty", "stepSize")


def identity(symbol: Symbol, order: OrderRequest) -> Iterator[Mark]:
    """Judge the symbol's status, the order's type and its id."""
    status = symbol.row.get("status") or symbol.row.get("contractStatus")
    if status:
        yield mark("STATUS", "", status != "TRADING", "")
    types = symbol.row.get("orderTypes") or symbol.row.get("OrderType")
    if types:
        yield mark("ORDER_TYPE", "type", order.type.upper() not in types, "")
    if order.client_id is not None:
        allowed = r"[a-zA-Z0-9-_]{1,36}" if symbol.kind == "spot" else r"[.A-Z:/a-z0-9_-]{1,36}"
        broken = re.fullmatch(allowed, order.client_id) is None
        yield mark("CLIENT_ORDER_ID", "client_id", broken, "")


def precision(symbol: Symbol, order: OrderRequest) -> Iterator[Mark]:
    """Judge the number of decimals where no grid says it already (-1111)."""
    spot = symbol.kind == "spot"
    quantities = symbol.row.get("baseAssetPrecision" if spot else "quantityPrecision")
    prices = symbol.row.get("quotePrecision" if spot else "pricePrecision")
    values = [
        ("price", prices, TICKS),
        ("stop_price", prices, TICKS),
        ("quantity", quantities, LOTS),
    ]
    if spot:  # Futures have neither
        values += [("iceberg_quantity", quantities, LOTS), ("quote_quantity", prices, None)]
    for field, places, grid in values:
        value = getattr(order, field)
        if value is None or places is None or implied(symbol, grid, int(places)):
            continue
        yield mark("PRECISION", field, not whole(fraction(value) * 10 ** int(places)), "")


def implied(symbol: Symbol, grid: tuple[str, str, str] | None, places: int) -> bool:
    """Return whether all that is on a filter's grid has so few decimals."""
    row = None if grid is None else symbol.find(grid[0])
    if grid is None or row is None:
        return False
    try:
        low, step = number(row, grid[1]), number(row, grid[2])
    except Unreadable:
        return False
    origin = Fraction(0) if symbol.kind == "spot" else low
    return step != 0 and whole(step * 10**places) and whole(origin * 10**places)


def whole(x: Fraction) -> bool:
    """Return whether a number is an integer."""
    return x.denominator == 1


# -- which fields an order of a type has --------------------------------------------------

FIELDS = {  # needed, and allowed besides
    "spot": {
        "limit": ("quantity price", "time_in_force iceberg_quantity"),
        "limit_maker": ("quantity price", "iceberg_quantity"),
        "market": ("", "quantity quote_quantity"),
        "stop_loss": ("quantity", "stop_price trailing_delta"),
        "take_profit": ("quantity", "stop_price trailing_delta"),
        "stop_loss_limit": (
            "quantity price",
            "stop_price trailing_delta time_in_force iceberg_quantity",
        ),
        "take_profit_limit": (
            "quantity price",
            "stop_price trailing_delta time_in_force iceberg_quantity",
        ),
    },
    "futures": {
        "limit": ("quantity price", ""),
        "market": ("quantity", ""),
        "stop": ("quantity price stop_price", ""),
        "take_profit": ("quantity price stop_price", ""),
        "stop_market": ("stop_price", "quantity close_position"),
        "take_profit_market": ("stop_price", "quantity close_position"),
        "trailing_stop_market": ("quantity callback_rate", ""),
    },
}
ALWAYS = {"spot": "", "futures": "reduce_only position_side time_in_force"}
ALL_FIELDS = (
    "quantity",
    "price",
    "stop_price",
    "time_in_force",
    "reduce_only",
    "quote_quantity",
    "iceberg_quantity",
    "trailing_delta",
    "callback_rate",
    "close_position",
    "position_side",
)


POSITIVE = ("quantity", "price", "stop_price", "iceberg_quantity", "quote_quantity")


def given(order: OrderRequest, field: str) -> bool:
    return getattr(order, field) not in (None, False)


def shape(symbol: Symbol, order: OrderRequest) -> Iterator[Mark]:
    """Judge which fields are given, for the types there are."""
    fields = FIELDS[symbol.kind].get(order.type)
    if fields is None:
        return
    needed, allowed = fields[0].split(), (fields[1] + " " + ALWAYS[symbol.kind]).split()
    problems = [field for field in needed if not given(order, field)]
    problems += [f for f in ALL_FIELDS if given(order, f) and f not in [*needed, *allowed]]
    problems += spot_shape(symbol, order) if symbol.kind == "spot" else futures_shape(symbol, order)
    for field in problems:
        yield Mark("PARAMETERS", field, "violated")
    for field in POSITIVE:
        value = getattr(order, field)
        if value is not None and value <= 0:
            yield Mark("PARAMETERS", field, "violated", "positive")


def spot_shape(symbol: Symbol, order: OrderRequest) -> Iterator[str]:
    kind, time_in_force = order.type, order.time_in_force
    if kind == "market" and (order.quantity is None) == (order.quote_quantity is None):
        yield "quantity|quote_quantity"
    if order.quote_quantity is not None and symbol.row.get("quoteOrderQtyMarketAllowed") is False:
        yield "quote_quantity"
    if kind in ALGO["spot"] and order.stop_price is None and order.trailing_delta is None:
        yield "stop_price|trailing_delta"
    if kind in PRICED["spot"] and time_in_force not in (None, "GTC", "IOC", "FOK"):
        yield "time_in_force"
    if order.iceberg_quantity is not None and symbol.row.get("icebergAllowed") is False:
        yield "iceberg_quantity"
    yield from iceberg_shape(order)


def iceberg_shape(order: OrderRequest) -> Iterator[str]:
    if order.iceberg_quantity is not None and order.time_in_force not in (None, "GTC"):
        yield "iceberg_quantity|time_in_force"


def futures_shape(symbol: Symbol, order: OrderRequest) -> Iterator[str]:
    if order.type in ("stop_market", "take_profit_market"):
        if order.close_position == (order.quantity is not None):
            yield "quantity|close_position"
        if order.close_position and order.reduce_only:
            yield "reduce_only|close_position"
    yield from iceberg_shape(order)
    rate = order.callback_rate
    if rate is not None and not Fraction(1, 10) <= fraction(rate) <= 10:
        yield "callback_rate"
    allowed = symbol.row.get("timeInForce")
    if order.time_in_force is not None and allowed and order.time_in_force not in allowed:
        yield "time_in_force"
