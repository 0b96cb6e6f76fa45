"""Order checks against ccxt's price_to_precision and amount_to_precision.

python -m benchmarks.orders [--orders 20000] [--rounds 5]

ccxt's pair rounds two numbers and judges nothing; a full check judges every filter of the
market. Both get the same orders, made up front: floats for ccxt, whose users have floats,
and requests for velas; `check` learns whether the order is legal, `check + words` reads all
violations too, `build + check` makes the request from text as well. `moving reference` has
another reference price at each order.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any

import attrs

from benchmarks.tables import show
from velas.errors import OrderInvalid
from velas.models import Market, OrderRequest
from velas.order_models import Side
from velas.validation import OrderValidator, Policy

__all__ = ["main", "orders"]

_REFERENCE = Decimal("64000")
_POLICY = Policy(larger_quantity=Decimal(1))
_BASE = "ccxt pair"

_SPOT_FILTERS: tuple[Mapping[str, Any], ...] = (
    {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000",
     "tickSize": "0.01000000"},
    {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000",
     "stepSize": "0.00001000"},
    {"filterType": "ICEBERG_PARTS", "limit": 100},
    {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "115.68219458",
     "stepSize": "0.00000000"},
    {"filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000,
     "minTrailingBelowDelta": 10, "maxTrailingBelowDelta": 2000},
    {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2",
     "askMultiplierUp": "5", "askMultiplierDown": "0.2", "avgPriceMins": 5},
    {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True,
     "maxNotional": "9000000.00000000", "applyMaxToMarket": False, "avgPriceMins": 5},
    {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
    {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
)  # fmt: skip
_FUTURES_FILTERS: tuple[Mapping[str, Any], ...] = (
    {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
    {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
    {"filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "120", "stepSize": "0.001"},
    {"filterType": "MAX_NUM_ORDERS", "limit": 200},
    {"filterType": "MIN_NOTIONAL", "notional": "100"},
    {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500",
     "multiplierDecimal": "4"},
    {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
)  # fmt: skip
_SPOT: Mapping[str, Any] = {
    "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "baseAssetPrecision": 8,
    "quoteAsset": "USDT", "quotePrecision": 8, "quoteAssetPrecision": 8,
    "isSpotTradingAllowed": True, "isMarginTradingAllowed": True, "icebergAllowed": True,
    "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
    "permissions": ["SPOT"], "filters": list(_SPOT_FILTERS),
}  # fmt: skip
_FUTURES: Mapping[str, Any] = {
    "symbol": "BTCUSDT", "pair": "BTCUSDT", "contractType": "PERPETUAL",
    "deliveryDate": 4133404800000, "onboardDate": 1569398400000, "status": "TRADING",
    "baseAsset": "BTC", "quoteAsset": "USDT", "marginAsset": "USDT", "pricePrecision": 2,
    "quantityPrecision": 3, "baseAssetPrecision": 8, "quotePrecision": 8,
    "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT"],
    "timeInForce": ["GTC", "IOC", "FOK", "GTX"], "filters": list(_FUTURES_FILTERS),
}  # fmt: skip


@attrs.frozen
class Venue:
    """One market as velas and as ccxt have it, and how its numbers look."""

    name: str
    validator: OrderValidator
    peer: Any
    symbol: str
    price_step: Decimal
    quantity_step: Decimal


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    rows = []
    for venue in (_spot(), _futures()):
        for illegal in (0.0, 0.3):
            found = _measure(venue, orders(venue, options.orders, illegal), options.rounds)
            what = f"{venue.name}, {illegal:.0%} illegal" if illegal else f"{venue.name}, legal"
            rows += [[f"{what}: {name}", *cells] for name, cells in found]
    show(["orders", "per second", "us each", f"x {_BASE}", "rounds"], rows)
    return 0


def orders(venue: Venue, count: int, illegal: float, *, seed: int = 7) -> list[OrderRequest]:
    """Return limit orders around the reference price, a share of them breaking a rule."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        price = _on(venue.price_step, chance.uniform(0.96, 1.04) * float(_REFERENCE))
        quantity = _on(venue.quantity_step, chance.uniform(0.01, 2))
        if chance.random() < illegal:
            price, quantity = _spoiled(venue, price, quantity, chance)
        side: Side = "buy" if chance.random() < 0.5 else "sell"
        found.append(OrderRequest(venue.symbol, side, "limit", quantity, price))
    return found


def _on(step: Decimal, value: float) -> Decimal:
    return Decimal(int(value / float(step))) * step


def _spoiled(
    venue: Venue, price: Decimal, quantity: Decimal, chance: random.Random
) -> tuple[Decimal, Decimal]:
    return chance.choice(
        [
            (price + venue.price_step / 3, quantity),
            (price, quantity + venue.quantity_step / 4),
            (price, venue.quantity_step),  # a notional too small
            (price, Decimal(100_000)),
        ]
    )


def _measure(
    venue: Venue, requests: list[OrderRequest], rounds: int
) -> list[tuple[str, list[str]]]:
    contestants = _contestants(venue, requests)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    rows = []
    for name, taken in seconds.items():
        ratios = [base / mine for base, mine in zip(seconds[_BASE], taken, strict=True)]
        each = statistics.median(taken) / len(requests)
        rows.append(
            (name, [f"{1 / each:,.0f}", f"{each * 1e6:.2f}", f"{statistics.median(ratios):.2f}",
                    f"{min(ratios):.2f}-{max(ratios):.2f}"])
        )  # fmt: skip
    return rows


def _contestants(venue: Venue, requests: list[OrderRequest]) -> dict[str, Callable[[], None]]:
    moving = [_REFERENCE + at % 1_000 for at in range(len(requests))]
    still = [_REFERENCE] * len(requests)
    return {
        _BASE: partial(_theirs, venue, requests=_floats(requests)),
        "check": partial(_check, venue.validator, requests, still),
        "check + words": partial(_tell, venue.validator, requests),
        "check, moving reference": partial(_check, venue.validator, requests, moving),
        "build + check": partial(_build_and_check, venue, _texts(requests)),
        "normalize": partial(_normalize, venue.validator, requests),
    }


def _floats(requests: list[OrderRequest]) -> list[tuple[float, float]]:
    return [(float(one.price or 0), float(one.quantity or 0)) for one in requests]


def _texts(requests: list[OrderRequest]) -> list[tuple[Side, str, str]]:
    return [(one.side, str(one.quantity), str(one.price)) for one in requests]


def _theirs(venue: Venue, requests: list[tuple[float, float]]) -> None:
    price_to, amount_to = venue.peer.price_to_precision, venue.peer.amount_to_precision
    symbol = venue.symbol
    for price, amount in requests:
        price_to(symbol, price)
        amount_to(symbol, amount)


def _check(
    validator: OrderValidator, requests: list[OrderRequest], references: list[Decimal]
) -> None:
    check = validator.check
    for request, reference in zip(requests, references, strict=True):
        _ = check(request, reference=reference).ok


def _tell(validator: OrderValidator, requests: list[OrderRequest]) -> None:
    for request in requests:
        _ = list(validator.check(request, reference=_REFERENCE))


def _build_and_check(venue: Venue, texts: list[tuple[Side, str, str]]) -> None:
    check, symbol = venue.validator.check, venue.symbol
    for side, quantity, price in texts:
        _ = check(OrderRequest(symbol, side, "limit", quantity, price), reference=_REFERENCE).ok


def _normalize(validator: OrderValidator, requests: list[OrderRequest]) -> None:
    for request in requests:
        with suppress(OrderInvalid):
            validator.normalize(request, reference=_REFERENCE, policy=_POLICY)


def _spot() -> Venue:
    import ccxt

    market = Market(
        "BTC/USDT", "BTCUSDT", "BTC", "USDT", status="TRADING", filters=_SPOT_FILTERS,
        order_types=tuple(_SPOT["orderTypes"]), info=_SPOT,
    )  # fmt: skip
    return _venue("spot", market, ccxt.binance(), _SPOT, "0.01", "0.00001")


def _futures() -> Venue:
    import ccxt

    market = Market(
        "BTC/USDT:USDT", "BTCUSDT", "BTC", "USDT", type="swap", settle="USDT", linear=True,
        status="TRADING", filters=_FUTURES_FILTERS,
        order_types=tuple(_FUTURES["orderTypes"]), info=_FUTURES,
    )  # fmt: skip
    return _venue("futures", market, ccxt.binanceusdm(), _FUTURES, "0.1", "0.001")


def _venue(
    name: str, market: Market, peer: Any, row: Mapping[str, Any], tick: str, step: str
) -> Venue:
    # what it would have asked the venue for
    peer.options.update(crossMarginPairsData=[], isolatedMarginPairsData=[])
    peer.set_markets([peer.parse_market(row)])
    validator = OrderValidator.from_market(market)
    return Venue(name, validator, peer, market.symbol, Decimal(tick), Decimal(step))


if __name__ == "__main__":
    raise SystemExit(main())
