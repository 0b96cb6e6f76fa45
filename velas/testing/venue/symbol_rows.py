"""Symbol rows of exchangeInfo with every filter live symbols have (binance-facts 6)."""

from __future__ import annotations

from typing import Any

from velas.testing.venue.instruments import Instrument

__all__ = ["Document", "futures_row", "spot_row"]

Document = dict[str, Any]  # JSON of the venue's own shape

_NO_DELIVERY = 4_133_404_800_000  # "perpetual" in the venue's spelling (binance-facts 1.5)
_STOPS = ["STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
_SPOT_ORDERS = ["LIMIT", "LIMIT_MAKER", "MARKET", *_STOPS]
_FUTURES_STOPS = ["STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"]
_FUTURES_ORDERS = ["LIMIT", "MARKET", *_FUTURES_STOPS, "TRAILING_STOP_MARKET"]
_PREVENTION = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]


def spot_row(one: Instrument, status: str) -> Document:
    """Return a symbol row of the Spot market."""
    return {
        "symbol": one.symbol,
        "status": status,
        "baseAsset": one.base,
        "baseAssetPrecision": 8,
        "quoteAsset": one.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": _SPOT_ORDERS,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": True,
        "filters": _spot_filters(one),
        "permissions": [],
        "permissionSets": [["SPOT", "MARGIN"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": _PREVENTION,
    }


def _spot_filters(one: Instrument) -> list[Document]:
    tick, step = _step(one.price_decimals, 8), _step(one.quantity_decimals, 8)
    most = f"{_most_quantity(one):.8f}"
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": tick,
            "maxPrice": f"{_most_price(one):.8f}",
            "tickSize": tick,
        },
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": most, "stepSize": step},
        {"filterType": "ICEBERG_PARTS", "limit": 100},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": "0.00000000",
            "maxQty": f"{_most_quantity(one) / 100:.8f}",
            "stepSize": "0.00000000",
        },
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": 10,
            "maxTrailingAboveDelta": 2000,
            "minTrailingBelowDelta": 10,
            "maxTrailingBelowDelta": 2000,
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.2",
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": _least_notional(one),
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
    ]


def futures_row(one: Instrument, status: str) -> Document:
    """Return a symbol row of the USDT-M market."""
    delivery = one.delisted_ms or _NO_DELIVERY
    return {
        "symbol": one.symbol,
        "pair": one.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": delivery,
        "onboardDate": one.listed_ms,
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": one.base,
        "quoteAsset": one.quote,
        "marginAsset": one.quote,
        # finer than tick and step, as at the venue: they must not be used as such
        "pricePrecision": one.price_decimals + 1,
        "quantityPrecision": one.quantity_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["Layer-1"],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": _futures_filters(one),
        "orderTypes": _FUTURES_ORDERS,
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY"],
    }


def _futures_filters(one: Instrument) -> list[Document]:
    tick = _step(one.price_decimals, one.price_decimals)
    step = _step(one.quantity_decimals, one.quantity_decimals)
    most = int(_most_quantity(one))
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": tick,
            "maxPrice": str(int(_most_price(one))),
            "tickSize": tick,
        },
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": str(most), "stepSize": step},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": step,
            "maxQty": str(max(1, most // 10)),
            "stepSize": step,
        },
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MIN_NOTIONAL", "notional": "100" if one.base == "BTC" else "5"},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": "1.0500",
            "multiplierDown": "0.9500",
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]


def _step(decimals: int, wire: int) -> str:
    return f"{10.0**-decimals:.{wire}f}"


def _most_price(one: Instrument) -> float:
    return float(10 ** max(3, len(str(int(one.level))) + 1))


def _most_quantity(one: Instrument) -> float:
    return float(10 ** max(3, 8 - len(str(int(one.level)))))


def _least_notional(one: Instrument) -> str:
    return {"BTC": "0.00010000", "ETH": "0.00100000", "BNB": "0.01000000"}.get(
        one.quote, "5.00000000"
    )
