"""Made-up markets: odd steps, minimums off the grid, parts that are off, unknown filters."""

from __future__ import annotations

from fractions import Fraction
from random import Random
from typing import Any

from filter_marks import TYPES, Row, Symbol
from filter_orders import written

from velas.models import Market

__all__ = ["made_up_market"]


def made_up_market(rng: Random, kind: str) -> tuple[Symbol, Market]:
    """Return a symbol with odd filters, and the market that velas would see."""
    row: dict[str, Any] = {
        "symbol": "XY",
        "status": rng.choice(("TRADING",) * 18 + ("BREAK", "")),
        "orderTypes": [one.upper() for one in TYPES[kind] if rng.random() < 0.97],
        "filters": made_up_filters(rng, kind),
    }
    if kind == "futures":
        row["timeInForce"] = ["GTC", "IOC", "FOK", "GTX"]
    else:
        row["icebergAllowed"] = rng.random() < 0.9
        row["quoteOrderQtyMarketAllowed"] = rng.random() < 0.9
    if rng.random() < 0.6:
        quantity = "baseAssetPrecision" if kind == "spot" else "quantityPrecision"
        row[quantity] = rng.choice((0, 3, 8, 8, 8))
        row["quotePrecision" if kind == "spot" else "pricePrecision"] = rng.choice((2, 8, 8, 8))
    exchange = made_up_exchange_filters(rng) if kind == "spot" else ()
    market = Market(
        symbol="X/Y" if kind == "spot" else "X/Y:Y",
        id="XY",
        base="X",
        quote="Y",
        type="spot" if kind == "spot" else "swap",
        active=row["status"] != "BREAK",
        status=row["status"],
        filters=tuple(row["filters"]),
        exchange_filters=exchange,
        order_types=tuple(row["orderTypes"]),
        info=row,
    )
    return Symbol(kind, row, exchange), market


STEPS = ("0.0003", "0.001", "0.01", "0.05", "0.25", "0.7", "1", "10", "0.00000001", "1e-05", "1.0")


def some_range(rng: Random, names: tuple[str, str, str]) -> dict[str, Any]:
    """Return a range with a step: odd steps, minimums off the grid, parts that are off."""
    step = Fraction(rng.choice(STEPS))
    low = step * rng.randint(1, 20)
    if rng.random() < 0.2:
        low += step / rng.choice((2, 5))
    high = low + step * rng.choice((0, 10, 1000, 100_000))
    values = [low, high, step]
    values = [Fraction(0) if rng.random() < 0.12 else value for value in values]
    return dict(zip(names, (spelled(rng, value) for value in values), strict=True))


def spelled(rng: Random, x: Fraction) -> Any:
    value = written(x)
    if x.denominator == 1 and rng.random() < 0.1:
        return int(x)
    return str(value) if rng.random() < 0.1 else f"{value:f}"


def made_up_filters(rng: Random, kind: str) -> list[Row]:
    quantities = ("minQty", "maxQty", "stepSize")
    rows: list[Row] = [
        {"filterType": "PRICE_FILTER"} | some_range(rng, ("minPrice", "maxPrice", "tickSize")),
        {"filterType": "LOT_SIZE"} | some_range(rng, quantities),
        {"filterType": "MARKET_LOT_SIZE"} | some_range(rng, quantities),
        *(spot_filters(rng) if kind == "spot" else futures_filters(rng)),
    ]
    if rng.random() < 0.1:
        rows.append({"filterType": rng.choice(("T_PLUS_SELL", "MAX_ASSET", "NEW")), "limit": 1})
    rng.shuffle(rows)
    return [row for row in rows if rng.random() < 0.9]


def spot_filters(rng: Random) -> list[Row]:
    up, down = rng.choice((("5", "0.2"), ("1.0333", "0.97"), ("1.5", "0.1")))
    minimum = rng.choice(("0.5", "5.00000000", "10", 100, "0.0001"))
    flags = [rng.random() < 0.5 for _ in range(3)]
    return [
        rng.choice(
            (
                {"filterType": "PERCENT_PRICE", "multiplierUp": up, "multiplierDown": down},
                {
                    "filterType": "PERCENT_PRICE_BY_SIDE",
                    "bidMultiplierUp": up,
                    "bidMultiplierDown": down,
                    "askMultiplierUp": "1.2",
                    "askMultiplierDown": "0.9",
                },
            )
        )
        | {"avgPriceMins": 5},
        rng.choice(
            (
                {
                    "filterType": "MIN_NOTIONAL",
                    "minNotional": minimum,
                    "applyToMarket": flags[0],
                    "avgPriceMins": 0,
                },
                {
                    "filterType": "NOTIONAL",
                    "minNotional": minimum,
                    "applyMinToMarket": flags[1],
                    "maxNotional": rng.choice(("1000", "123.45", "9000000")),
                    "applyMaxToMarket": flags[2],
                    "avgPriceMins": 5,
                },
            )
        ),
        {"filterType": "ICEBERG_PARTS", "limit": rng.choice((1, 3, 10, 100))},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": rng.choice((1, 200))},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        {"filterType": "MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders": 5},
        {"filterType": "MAX_POSITION", "maxPosition": rng.choice(("10.00000000", "12.345"))},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": 10,
            "maxTrailingAboveDelta": 2000,
            "minTrailingBelowDelta": 20,
            "maxTrailingBelowDelta": 1000,
        },
    ]


def futures_filters(rng: Random) -> list[Row]:
    side = rng.choice(("NONE", "BOTH", "ALL", "BUY", "SELL", "LONG", "SHORT", "SIDEWAYS"))
    return [
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": rng.choice(("1.1500", "1.05")),
            "multiplierDown": rng.choice(("0.8500", "0.95")),
            "multiplierDecimal": rng.choice((4, "4")),
        },
        {"filterType": "MIN_NOTIONAL", "notional": rng.choice(("5", "100", 20))},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": side},
    ]


def made_up_exchange_filters(rng: Random) -> tuple[Row, ...]:
    rows: list[Row] = [
        {"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": 1000},
        {"filterType": "EXCHANGE_MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 200},
        {"filterType": "EXCHANGE_MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders": 10},
        {"filterType": "EXCHANGE_MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
    ]
    return tuple(row for row in rows if rng.random() < 0.5)
