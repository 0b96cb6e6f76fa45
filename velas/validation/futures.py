"""Binance Futures' filters as rules: steps counted from the minimum, prices from the mark."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from velas.models import Market
from velas.validation.binance import Reader, filter_rules, grid_rule, precision_rules, switched
from velas.validation.numbers import ENDLESS, NO_BOUND, Fields
from velas.validation.parameters import Parameters
from velas.validation.rules import Rule
from velas.validation.standing_rules import (
    ClientId,
    MarketPercent,
    OrderType,
    PositionControl,
    Status,
)
from velas.validation.value_rules import GridRule, Notional, PercentPrice, state_price

__all__ = ["futures_rules"]

_log = logging.getLogger(__name__)

_Row = Mapping[str, Any]
_MARK = state_price("mark price", "mark_price")
_CLIENT_ID = re.compile(r"[\.A-Z\:/a-z0-9_-]{1,36}")
_LOT = ("minQty", "maxQty", "stepSize")


def futures_rules(market: Market) -> tuple[Rule, ...]:
    """Return all rules of a Futures market.

    LOT_SIZE is applied, beside MARKET_LOT_SIZE, to what executes at the market's price,
    and MARKET_LOT_SIZE to stops too: the venue says neither.
    """
    rules: list[Rule] = [Status("STATUS", market, "TRADING")]
    if market.order_types:
        rules.append(OrderType("ORDER_TYPE", market.order_types))
    rules.append(Parameters("PARAMETERS", times=_times(market)))
    rules.append(ClientId("CLIENT_ORDER_ID", _CLIENT_ID))
    rules.extend(_with_market_percent(market))
    precisions = {("price", "stop_price"): "pricePrecision", ("quantity",): "quantityPrecision"}
    rules.extend(precision_rules(market, rules, precisions))
    _tell_incongruent(market, rules)
    return tuple(rules)


def _times(market: Market) -> tuple[str, ...]:
    listed = market.info.get("timeInForce")
    return tuple(map(str, listed)) if isinstance(listed, (list, tuple)) else ()


def _with_market_percent(market: Market) -> Iterator[Rule]:
    for rule in filter_rules(market, _READERS):
        yield rule
        if isinstance(rule, PercentPrice):
            missing = tuple({name for names in rule.sided_missing for name in names})
            yield MarketPercent(rule.filter, rule.price, rule.sell[0], rule.buy[1], missing=missing)


def _tell_incongruent(market: Market, rules: list[Rule]) -> None:
    # no listed market is known where it matters from where steps are counted
    for rule in rules:
        if isinstance(rule, GridRule) and rule.offset:
            _log.warning(
                "%s %s: the minimum %s is no multiple of the step %s; "
                "steps are counted from the minimum, as the venue documents",
                market.symbol, rule.filter, rule.low, rule.step,
            )  # fmt: skip


def _price_filter(row: _Row) -> Rule:
    names = ("minPrice", "maxPrice", "tickSize")
    return grid_rule(row, names, ("price", "stop_price"), from_least=True)


def _lot_size(row: _Row) -> Rule:
    return grid_rule(row, _LOT, ("quantity", "iceberg_quantity"), from_least=True)


def _market_lot_size(row: _Row) -> Rule:
    return grid_rule(row, _LOT, ("quantity",), from_least=True, market_only=True)


def _percent_price(row: _Row) -> Rule:
    # one-sided: a buy may be as cheap, a sell as dear as it likes
    up, down = Fields(row), Fields(row)
    return PercentPrice(
        "PERCENT_PRICE",
        _MARK,
        buy=(NO_BOUND, switched(up.number("multiplierUp"), ENDLESS)),
        sell=(switched(down.number("multiplierDown"), NO_BOUND), ENDLESS),
        sided_missing=(tuple(up.missing), tuple(down.missing)),
        by_trigger=True,
    )


def _min_notional(row: _Row) -> Rule:
    read = Fields(row)
    low = switched(read.number("notional", "minNotional"), NO_BOUND)
    return Notional(
        "MIN_NOTIONAL",
        _MARK,
        low=low,
        spares_reducing=True,
        takes_quote=False,
        missing=tuple(read.missing),
    )


def _position_control(row: _Row) -> Rule:
    side = row.get("positionControlSide")
    return PositionControl("POSITION_RISK_CONTROL", None if side is None else str(side))


_READERS: Mapping[str, Reader] = {
    "PRICE_FILTER": _price_filter,
    "LOT_SIZE": _lot_size,
    "MARKET_LOT_SIZE": _market_lot_size,
    "PERCENT_PRICE": _percent_price,
    "MIN_NOTIONAL": _min_notional,
    "POSITION_RISK_CONTROL": _position_control,
}
