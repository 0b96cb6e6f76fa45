"""Spot's signed endpoints: what each does and answers (binance-facts 1.3, 8)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from velas.testing.venue import order_answers, order_refusal, params
from velas.testing.venue.engine import Engine, Trader
from velas.testing.venue.exact import text
from velas.testing.venue.order_ledger import Order
from velas.testing.venue.order_params import Reader, read_spot_order
from velas.testing.venue.order_queries import find, page
from velas.testing.venue.order_routes import Route, Routes, no_hiding
from velas.testing.venue.refusal import Refused

__all__ = ["SpotOrders"]

Params = Mapping[str, str]

_ARCHIVED_MS = 90 * 86_400_000


class SpotOrders:
    """Handlers of the Spot order side; each takes an account, parameters and the time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> Routes:
        """Return what is served by method and path."""
        base = "/api/v3"
        return {
            ("POST", f"{base}/order"): Route(self._place, engine=True, places=True),
            ("POST", f"{base}/order/test"): Route(no_hiding(self._test), engine=True),
            ("GET", f"{base}/order"): Route(no_hiding(self._query)),
            ("DELETE", f"{base}/order"): Route(no_hiding(self._cancel), engine=True),
            ("GET", f"{base}/openOrders"): Route(no_hiding(self._open)),
            ("DELETE", f"{base}/openOrders"): Route(no_hiding(self._cancel_all), engine=True),
            ("GET", f"{base}/allOrders"): Route(no_hiding(self._all)),
            ("GET", f"{base}/account"): Route(no_hiding(self._account)),
            ("GET", f"{base}/rateLimit/order"): Route(no_hiding(self._rate_limit)),
        }

    def _place(self, trader: Trader, query: Params, now_ms: int, hidden_ms: int) -> Any:
        self._symbol(query)
        order = read_spot_order(query, now_ms)
        order.visible_ms = now_ms + hidden_ms
        self._engine.check(trader, order, now_ms)
        self._engine.place(trader, order, now_ms)
        return order_answers.spot_placed(order, self._engine.instrument(order.symbol))

    def _test(self, trader: Trader, query: Params, now_ms: int) -> Any:
        self._symbol(query)
        self._engine.check(trader, read_spot_order(query, now_ms), now_ms)
        if Reader(query).boolean("computeCommissionRates"):
            rates = {"maker": "0.00000000", "taker": "0.00000000"}
            return {"standardCommissionForOrder": rates, "taxCommissionForOrder": rates}
        return {}

    def _query(self, trader: Trader, query: Params, now_ms: int) -> Any:
        self._symbol(query)
        order = find(trader.orders, query, now_ms, order_refusal.no_such_order())
        ended = order.status in ("CANCELED", "EXPIRED") and not order.filled
        if ended and now_ms - order.updated_ms > _ARCHIVED_MS:
            raise Refused(
                -2026,
                "Order was canceled or expired with no executed qty over 90 days ago "
                "and has been archived.",
            )
        return order_answers.spot_order(order)

    def _cancel(self, trader: Trader, query: Params, now_ms: int) -> Any:
        self._symbol(query)
        client_id = Reader(query).client_id("newClientOrderId", spot=True)
        order = find(trader.orders, query, now_ms, order_refusal.cancel_rejected())
        if not order.is_open:
            raise order_refusal.cancel_rejected()
        return self._canceled(trader, order, client_id, now_ms)

    def _canceled(self, trader: Trader, order: Order, client_id: str, now_ms: int) -> Any:
        self._engine.cancel(trader, order, now_ms)
        return order_answers.spot_canceled(order, client_id or f"standin-cancel-{order.id}")

    def _cancel_all(self, trader: Trader, query: Params, now_ms: int) -> Any:
        symbol = self._symbol(query)
        found = trader.orders.open(symbol)
        if not found:
            raise order_refusal.cancel_rejected()
        return [self._canceled(trader, order, "", now_ms) for order in found]

    def _open(self, trader: Trader, query: Params, now_ms: int) -> Any:
        symbol = self._symbol(query) if query.get("symbol") else None
        found = trader.orders.open(symbol)
        return [order_answers.spot_order(one) for one in found if one.visible_ms <= now_ms]

    def _all(self, trader: Trader, query: Params, now_ms: int) -> Any:
        self._symbol(query)
        found = page(trader.orders, query, now_ms, longest_days=1)
        return [order_answers.spot_order(one) for one in found]

    def _account(self, trader: Trader, query: Params, now_ms: int) -> Any:
        leave_out = Reader(query).boolean("omitZeroBalances")
        funds = trader.funds
        nothing = Fraction(0)
        rows = [
            {"asset": asset, "free": text(free, 8), "locked": text(locked, 8)}
            for asset in dict.fromkeys((*funds.free, *funds.locked))
            for free, locked in [(funds.free.get(asset, nothing), funds.locked.get(asset, nothing))]
            if free or locked or not leave_out
        ]
        no_fee = text(nothing, 8)
        return {
            "makerCommission": 0,
            "takerCommission": 0,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": dict.fromkeys(("maker", "taker", "buyer", "seller"), no_fee),
            "canTrade": True,
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": max((one.updated_ms for one in trader.orders), default=0),
            "accountType": "SPOT",
            "balances": rows,
            "permissions": ["SPOT"],
            "uid": 1,
        }

    def _rate_limit(self, trader: Trader, query: Params, now_ms: int) -> Any:
        return trader.limits.rows(self._engine.listing.rate_limits(), now_ms)

    def _symbol(self, query: Params) -> str:
        return self._engine.instrument(params.required(query, "symbol")).symbol
