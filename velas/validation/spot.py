"""Binance Spot's filters as rules: binance-docs `filters.md`, steps counted from 0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from velas.models import Market
from velas.validation.binance import Reader, filter_rules, grid_rule, precision_rules, switched
from velas.validation.numbers import ENDLESS, NO_BOUND, Fields
from velas.validation.parameters import Parameters
from velas.validation.rules import Rule
from velas.validation.standing_rules import ClientId, OrderType, Status, TrailingDelta
from velas.validation.value_rules import (
    IcebergParts,
    Notional,
    PercentPrice,
    PositionLimit,
    state_price,
)

__all__ = ["spot_rules"]

_Row = Mapping[str, Any]
_REFERENCE = state_price("reference price", "reference_price")
_CLIENT_ID = re.compile(r"[a-zA-Z0-9-_]{1,36}")
_TIMES = ("GTC", "IOC", "FOK")
_LOT = ("minQty", "maxQty", "stepSize")


def spot_rules(market: Market) -> tuple[Rule, ...]:
    """Return all rules of a Spot market.

    MARKET_LOT_SIZE is applied, beside LOT_SIZE, to everything that executes at the
    market's price, stops too: the venue says so of market orders only.
    """
    rules: list[Rule] = [Status("STATUS", market, "TRADING")]
    if market.order_types:
        rules.append(OrderType("ORDER_TYPE", market.order_types))
    rules.append(Parameters("PARAMETERS", times=_TIMES, denied=_denied(market)))
    rules.append(ClientId("CLIENT_ORDER_ID", _CLIENT_ID))
    rules.extend(filter_rules(market, _READERS))
    precisions = {
        ("price", "stop_price", "quote_quantity"): "quotePrecision",
        ("quantity", "iceberg_quantity"): "baseAssetPrecision",
    }
    rules.extend(precision_rules(market, rules, precisions))
    return tuple(rules)


def _denied(market: Market) -> tuple[tuple[str, str], ...]:
    switches = {
        "icebergAllowed": "iceberg_quantity",
        "allowTrailingStop": "trailing_delta",
        "quoteOrderQtyMarketAllowed": "quote_quantity",
    }
    return tuple(
        (field, f"this market does not take it ({switch})")
        for switch, field in switches.items()
        if market.info.get(switch) is False
    )


def _price_filter(row: _Row) -> Rule:
    return grid_rule(row, ("minPrice", "maxPrice", "tickSize"), ("price", "stop_price"))


def _lot_size(row: _Row) -> Rule:
    return grid_rule(row, _LOT, ("quantity", "iceberg_quantity"))


def _market_lot_size(row: _Row) -> Rule:
    return grid_rule(row, _LOT, ("quantity",), market_only=True)


def _percent_price(row: _Row) -> Rule:
    read = Fields(row)
    pair = _pair(read, "multiplierDown", "multiplierUp")
    return PercentPrice(
        "PERCENT_PRICE", _REFERENCE, pair, pair, note=_average(row), missing=(),
        sided_missing=(tuple(read.missing), tuple(read.missing)),
    )  # fmt: skip


def _percent_price_by_side(row: _Row) -> Rule:
    bid, ask = Fields(row), Fields(row)
    return PercentPrice(
        "PERCENT_PRICE_BY_SIDE",
        _REFERENCE,
        _pair(bid, "bidMultiplierDown", "bidMultiplierUp"),
        _pair(ask, "askMultiplierDown", "askMultiplierUp"),
        note=_average(row),
        sided_missing=(tuple(bid.missing), tuple(ask.missing)),
    )


def _min_notional(row: _Row) -> Rule:
    read = Fields(row)
    low = switched(read.number("minNotional"), NO_BOUND)
    return Notional(
        "MIN_NOTIONAL", _REFERENCE, low=low, on_market=(_flag(row, "applyToMarket"), True),
        flags=("applyToMarket", ""), note=_average(row), missing=tuple(read.missing),
    )  # fmt: skip


def _notional(row: _Row) -> Rule:
    read = Fields(row)
    low, high = _pair(read, "minNotional", "maxNotional")
    flags = ("applyMinToMarket", "applyMaxToMarket")
    on_market = (_flag(row, flags[0]), _flag(row, flags[1]))
    return Notional(
        "NOTIONAL", _REFERENCE, low=low, high=high, on_market=on_market, flags=flags,
        note=_average(row), missing=tuple(read.missing),
    )  # fmt: skip


def _iceberg_parts(row: _Row) -> Rule:
    read = Fields(row)
    most = read.number("limit")
    return IcebergParts("ICEBERG_PARTS", most, missing=tuple(read.missing))


def _max_position(row: _Row) -> Rule:
    read = Fields(row)
    most = read.number("maxPosition")
    return PositionLimit("MAX_POSITION", most, missing=tuple(read.missing))


def _trailing_delta(row: _Row) -> Rule:
    above, below = Fields(row), Fields(row)
    return TrailingDelta(
        "TRAILING_DELTA",
        _pair(above, "minTrailingAboveDelta", "maxTrailingAboveDelta"),
        _pair(below, "minTrailingBelowDelta", "maxTrailingBelowDelta"),
        tuple(above.missing),
        tuple(below.missing),
    )


def _pair(read: Fields, low: str, high: str) -> tuple[Decimal, Decimal]:
    return switched(read.number(low), NO_BOUND), switched(read.number(high), ENDLESS)


def _flag(row: _Row, name: str) -> bool | None:
    return Fields(row).flag(name)


def _average(row: _Row) -> str:
    minutes = row.get("avgPriceMins")
    if minutes is None:
        return ""
    if str(minutes) == "0":
        return " (the last trade's, where the venue has no other reference)"
    return f" (the average of {minutes} minutes, where the venue has no other reference)"


_READERS: Mapping[str, Reader] = {
    "PRICE_FILTER": _price_filter,
    "LOT_SIZE": _lot_size,
    "MARKET_LOT_SIZE": _market_lot_size,
    "PERCENT_PRICE": _percent_price,
    "PERCENT_PRICE_BY_SIDE": _percent_price_by_side,
    "MIN_NOTIONAL": _min_notional,
    "NOTIONAL": _notional,
    "ICEBERG_PARTS": _iceberg_parts,
    "MAX_POSITION": _max_position,
    "TRAILING_DELTA": _trailing_delta,
}
