"""An account at a small server that speaks Kraken's private dialect, with faults."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from ccxt_dialects import Kraken

from velas.clock import Clock

__all__ = ["KrakenAccount"]


class KrakenAccount(Kraken):
    """Makes, lists and cancels orders; `faults` are used up by AddOrder, one each.

    ``before`` and ``after``: the connection breaks before or after the order is made;
    ``500``, ``garbage``: made, and answered so; a text with a colon: refused with it, and
    with ``400 `` before it made nevertheless.
    `shows_ids` False: replies have no client ids. `fills` makes new orders filled.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.orders: dict[str, dict[str, Any]] = {}
        self.faults: list[str] = []
        self.shows_ids = True
        self.fills = False

    @property
    def sent(self) -> list[dict[str, str]]:
        """The AddOrder requests that came in."""
        return [query for path, query in self.requests if path.endswith("/AddOrder")]

    def made(self) -> list[dict[str, Any]]:
        return list(self.orders.values())

    async def _answer(self, request: web.Request) -> web.Response:
        if not request.path.endswith("/AddOrder"):
            return await super()._answer(request)
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append((request.path, form))
        fault = self.faults.pop(0) if self.faults else ""
        if fault.startswith("400 "):
            self._make(form)
            return web.json_response({"error": [fault[4:]]}, status=400)
        if ":" in fault:
            return web.json_response({"error": [fault]})
        if fault == "before":
            return self._broken(request)
        if "validate" in form:
            return web.json_response({"error": [], "result": {"descr": {"order": "fine"}}})
        reply = self._make(form)
        if fault == "after":
            return self._broken(request)
        if fault == "500":
            return web.Response(status=500, text="oops")
        if fault == "garbage":
            return web.Response(text="<html>", content_type="text/html")
        return web.json_response(reply)

    def _broken(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _make(self, form: dict[str, str]) -> Any:
        txid = f"OABCDE-{len(self.orders):05d}-XXXXXX"
        price = form.get("price", "0")
        self.orders[txid] = {
            "status": "closed" if self.fills else "open",
            "opentm": self.clock.now_ms() / 1000 + len(self.orders),
            "cl_ord_id": form.get("cl_ord_id") if self.shows_ids else None,
            "descr": {
                "pair": "XBTUSDT",
                "type": form["type"],
                "ordertype": form["ordertype"],
                "price": price,
                "price2": "0",
                "order": f"{form['type']} {form['volume']} XBTUSDT @ {form['ordertype']} {price}",
            },
            "vol": form["volume"],
            "vol_exec": form["volume"] if self.fills else "0.00000000",
            "cost": "0.00000",
            "fee": "0.00000",
            "price": "0.00000",
            "oflags": "fciq",
        }
        told = self.orders[txid]["descr"]["order"]
        return {"error": [], "result": {"descr": {"order": told}, "txid": [txid]}}

    def answer(self, path: str, query: dict[str, str]) -> Any:
        if path.endswith("/OpenOrders"):
            return self._listed("open", {"open"})
        if path.endswith("/ClosedOrders"):
            return self._listed("closed", {"closed", "canceled"})
        if path.endswith("/QueryOrders"):
            found = {key: row for key, row in self.orders.items() if key == query["txid"]}
            if not found:
                return {"error": ["EOrder:Unknown order"]}
            return {"error": [], "result": found}
        if path.endswith("/CancelOrder"):
            row = self.orders.get(query["txid"])
            if row is None or row["status"] != "open":
                return {"error": ["EOrder:Unknown order"]}
            row["status"] = "canceled"
            return {"error": [], "result": {"count": 1}}
        if path.endswith("/BalanceEx"):
            result = {
                "XXBT": {"balance": "0.00000012", "hold_trade": "0.00000002"},
                "USDT": {"balance": "123456789.12345678", "hold_trade": "0"},
                "XETH": {"balance": "0.0000", "hold_trade": "0"},
            }
            return {"error": [], "result": result}
        return super().answer(path, query)

    def _listed(self, name: str, states: set[str]) -> Any:
        found = {key: row for key, row in self.orders.items() if row["status"] in states}
        return {"error": [], "result": {name: found, "count": len(found)}}
