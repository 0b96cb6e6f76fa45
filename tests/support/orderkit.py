"""Markets and orders for the tests of order rules."""

from __future__ import annotations

from typing import Any

from velas import Market, OrderRequest, OrderValidator, Verdict

__all__ = ["FUTURES", "SPOT", "broken", "futures", "generic", "order", "row", "spot"]

SPOT: dict[str, dict[str, Any]] = {
    "PRICE_FILTER": {"minPrice": "0.01", "maxPrice": "1000", "tickSize": "0.01"},
    "LOT_SIZE": {"minQty": "0.001", "maxQty": "100", "stepSize": "0.001"},
    "ICEBERG_PARTS": {"limit": 10},
    "MARKET_LOT_SIZE": {"minQty": "0.00000000", "maxQty": "50", "stepSize": "0.00000000"},
    "TRAILING_DELTA": {
        "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000,
        "minTrailingBelowDelta": 20, "maxTrailingBelowDelta": 1000,
    },
    "PERCENT_PRICE_BY_SIDE": {
        "bidMultiplierUp": "1.2", "bidMultiplierDown": "0.5",
        "askMultiplierUp": "2", "askMultiplierDown": "0.8", "avgPriceMins": 5,
    },
    "NOTIONAL": {
        "minNotional": "5", "applyMinToMarket": True,
        "maxNotional": "5000", "applyMaxToMarket": False, "avgPriceMins": 5,
    },
    "MAX_NUM_ORDERS": {"maxNumOrders": 200},
    "MAX_NUM_ALGO_ORDERS": {"maxNumAlgoOrders": 5},
}  # fmt: skip
FUTURES: dict[str, dict[str, Any]] = {
    "PRICE_FILTER": {"minPrice": "0.10", "maxPrice": "1000", "tickSize": "0.10"},
    "LOT_SIZE": {"minQty": "0.001", "maxQty": "100", "stepSize": "0.001"},
    "MARKET_LOT_SIZE": {"minQty": "0.001", "maxQty": "20", "stepSize": "0.001"},
    "MAX_NUM_ORDERS": {"limit": 200},
    "MAX_NUM_ALGO_ORDERS": {"limit": 10},
    "MIN_NOTIONAL": {"notional": "5"},
    "PERCENT_PRICE": {"multiplierUp": "1.05", "multiplierDown": "0.95", "multiplierDecimal": "4"},
    "POSITION_RISK_CONTROL": {"positionControlSide": "NONE"},
}


def row(name: str, **fields: Any) -> dict[str, Any]:
    return {"filterType": name, **fields}


def _rows(known: dict[str, dict[str, Any]], changes: dict[str, Any]) -> tuple[Any, ...]:
    merged = {**known, **changes}
    return tuple(row(name, **fields) for name, fields in merged.items() if fields is not None)


def spot(
    changes: dict[str, Any] | None = None, *, only: bool = False, **market: Any
) -> OrderValidator:
    """Return the validator of a Spot market; `only` these filters, or as changes."""
    filters = _rows({} if only else SPOT, changes or {})
    return _validator(type="spot", filters=filters, **market)


def futures(
    changes: dict[str, Any] | None = None, *, only: bool = False, **market: Any
) -> OrderValidator:
    filters = _rows({} if only else FUTURES, changes or {})
    return _validator(type="swap", linear=True, filters=filters, **market)


def generic(**market: Any) -> OrderValidator:
    return _validator(**{"status": "", **market})


def _validator(**market: Any) -> OrderValidator:
    fields = {"status": "TRADING", **market}
    return OrderValidator.from_market(Market("BTC/USDT", "BTCUSDT", "BTC", "USDT", **fields))


def order(
    side: Any = "buy", type: str = "limit", quantity: Any = "1", price: Any = "100", **more: Any
) -> OrderRequest:
    return OrderRequest("BTC/USDT", side, type, quantity, price, **more)


def broken(verdict: Verdict) -> list[tuple[str, str]]:
    """Return filter and field of each violation."""
    return [(one.filter, one.field) for one in verdict]
