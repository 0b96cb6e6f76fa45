"""USDT-M's signed endpoints for orders, conditional ones too (binance-facts 6.2, 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from velas.testing.venue import order_answers, order_refusal, params
from velas.testing.venue.engine import Engine, Trader
from velas.testing.venue.order_ledger import Ledger, Order
from velas.testing.venue.order_params import read_algo_order, read_futures_order
from velas.testing.venue.order_queries import find, page
from velas.testing.venue.order_routes import Route, Routes, no_hiding

__all__ = ["FuturesOrders"]

Params = Mapping[str, str]

_FORGOTTEN_MS = 3 * 86_400_000
_ALL_CANCELED = "The operation of cancel all open order is done."
_ALGO_IDS = ("clientAlgoId", "algoId")


class FuturesOrders:
    """Handlers of the USDT-M order side; each takes an account, parameters and the time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> Routes:
        """Return what is served by method and path."""
        base = "/fapi/v1"
        return {
            ("POST", f"{base}/order"): Route(self._place, engine=True, places=True),
            ("POST", f"{base}/order/test"): Route(no_hiding(self._test), engine=True),
            ("GET", f"{base}/order"): Route(no_hiding(self._query)),
            ("GET", f"{base}/openOrder"): Route(no_hiding(self._query_open)),
            ("DELETE", f"{base}/order"): Route(no_hiding(self._cancel), engine=True),
            ("GET", f"{base}/openOrders"): Route(no_hiding(self._open)),
            ("DELETE", f"{base}/allOpenOrders"): Route(no_hiding(self._cancel_all), engine=True),
            ("GET", f"{base}/allOrders"): Route(no_hiding(self._all)),
            ("GET", f"{base}/rateLimit/order"): Route(no_hiding(self._rate_limit)),
            ("POST", f"{base}/algoOrder"): Route(self._place_algo, engine=True, places=True),
            ("GET", f"{base}/algoOrder"): Route(no_hiding(self._query_algo)),
            ("DELETE", f"{base}/algoOrder"): Route(no_hiding(self._cancel_algo), engine=True),
            ("GET", f"{base}/openAlgoOrders"): Route(no_hiding(self._open_algos)),
            ("DELETE", f"{base}/algoOpenOrders"): Route(no_hiding(self._cancel_algos), engine=True),
        }

    def _place(self, trader: Trader, query: Params, now_ms: int, hidden_ms: int) -> Any:
        self._symbol(query)
        order = read_futures_order(query, now_ms)
        order.visible_ms = now_ms + hidden_ms
        self._engine.check(trader, order, now_ms)
        self._engine.place(trader, order, now_ms)
        row = self._engine.listing.row(order.symbol, now_ms)
        if order.response == "ACK":
            return order_answers.futures_acknowledged(order, row)
        return order_answers.futures_order(order, row)

    def _test(self, trader: Trader, query: Params, now_ms: int) -> Any:
        self._symbol(query)
        order = read_futures_order(query, now_ms)
        self._engine.check(trader, order, now_ms)
        return {}

    def _query(self, trader: Trader, query: Params, now_ms: int) -> Any:
        self._symbol(query)
        order = find(trader.orders, query, now_ms, order_refusal.no_such_order())
        ended = order.status in ("CANCELED", "EXPIRED") and not order.filled
        if ended and now_ms - order.updated_ms > _FORGOTTEN_MS:
            raise order_refusal.no_such_order()
        return self._shown(order, now_ms)

    def _query_open(self, trader: Trader, query: Params, now_ms: int) -> Any:
        self._symbol(query)
        order = find(trader.orders, query, now_ms, order_refusal.no_such_order())
        if not order.is_open:
            raise order_refusal.no_such_order()
        return self._shown(order, now_ms)

    def _cancel(self, trader: Trader, query: Params, now_ms: int) -> Any:
        self._symbol(query)
        order = self._open_one(trader.orders, query, now_ms)
        self._engine.cancel(trader, order, now_ms)
        return self._shown(order, now_ms)

    def _cancel_all(self, trader: Trader, query: Params, now_ms: int) -> Any:
        for order in trader.orders.open(self._symbol(query)):
            self._engine.cancel(trader, order, now_ms)
        return {"code": 200, "msg": _ALL_CANCELED}

    def _open(self, trader: Trader, query: Params, now_ms: int) -> Any:
        symbol = self._symbol(query) if query.get("symbol") else None
        found = trader.orders.open(symbol)
        return [self._shown(one, now_ms) for one in found if one.visible_ms <= now_ms]

    def _all(self, trader: Trader, query: Params, now_ms: int) -> Any:
        if query.get("symbol"):
            self._symbol(query)
        found = page(trader.orders, query, now_ms, longest_days=7)
        return [self._shown(one, now_ms) for one in found]

    def _rate_limit(self, trader: Trader, query: Params, now_ms: int) -> Any:
        rows = trader.limits.rows(self._engine.listing.rate_limits(), now_ms)
        return [{name: row[name] for name in row if name != "count"} for row in rows]

    def _place_algo(self, trader: Trader, query: Params, now_ms: int, hidden_ms: int) -> Any:
        self._symbol(query)
        order = read_algo_order(query, now_ms)
        order.visible_ms = now_ms + hidden_ms
        self._engine.check(trader, order, now_ms)
        self._engine.place_algo(trader, order, now_ms)
        return self._shown_algo(order, now_ms)

    def _query_algo(self, trader: Trader, query: Params, now_ms: int) -> Any:
        unknown = order_refusal.no_such_order()
        return self._shown_algo(self._algo(trader, query, now_ms, unknown), now_ms)

    def _cancel_algo(self, trader: Trader, query: Params, now_ms: int) -> Any:
        order = self._algo(trader, query, now_ms, order_refusal.cancel_rejected())
        if not order.is_open:
            raise order_refusal.cancel_rejected()
        self._engine.cancel(trader, order, now_ms)
        return {
            "algoId": order.id,
            "clientAlgoId": order.client_id,
            "code": "200",
            "msg": "success",
        }

    def _cancel_algos(self, trader: Trader, query: Params, now_ms: int) -> Any:
        for order in trader.algos.open(self._symbol(query)):
            self._engine.cancel(trader, order, now_ms)
        return {"code": "200", "msg": _ALL_CANCELED}

    def _open_algos(self, trader: Trader, query: Params, now_ms: int) -> Any:
        symbol = self._symbol(query) if query.get("symbol") else None
        found = trader.algos.open(symbol)
        return [self._shown_algo(one, now_ms) for one in found if one.visible_ms <= now_ms]

    def _algo(self, trader: Trader, query: Params, now_ms: int, unknown: Any) -> Order:
        # these endpoints name no symbol: the ids are the account's
        client_id, number = query.get(_ALGO_IDS[0], ""), params.number(query, _ALGO_IDS[1])
        if not client_id and number is None:
            raise order_refusal.neither_id(*_ALGO_IDS)
        for order in reversed(list(trader.algos)):
            named = order.id == number if number is not None else order.client_id == client_id
            if named and order.visible_ms <= now_ms:
                return order
        raise unknown

    def _open_one(self, ledger: Ledger, query: Params, now_ms: int) -> Order:
        order = find(ledger, query, now_ms, order_refusal.cancel_rejected())
        if not order.is_open:
            raise order_refusal.cancel_rejected()
        return order

    def _shown(self, order: Order, now_ms: int) -> Any:
        return order_answers.futures_order(order, self._engine.listing.row(order.symbol, now_ms))

    def _shown_algo(self, order: Order, now_ms: int) -> Any:
        return order_answers.algo_order(order, self._engine.listing.row(order.symbol, now_ms))

    def _symbol(self, query: Params) -> str:
        return self._engine.instrument(params.required(query, "symbol")).symbol
