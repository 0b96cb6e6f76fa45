"""Small servers on loopback that speak other venues' candle dialects, for ccxt."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from velas.clock import Clock

__all__ = ["Bybit", "Kraken", "OtherVenue", "ohlcv_at"]


def ohlcv_at(open_ms: int, step_ms: int) -> tuple[float, float, float, float, float]:
    """The candle both dialects serve at an open time."""
    slot = open_ms // step_ms
    base = 100 + slot % 17
    return (base, base + 2.5, base - 1.25, base + 0.5, 3 + slot % 5)


class OtherVenue:
    """A server; `bodies` overrides the answer of a path, `requests` is what came in."""

    paths: dict[str, str]

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.bodies: dict[str, list[Any]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    def count(self, path: str) -> int:
        return sum(name.endswith(path) for name, _ in self.requests)

    async def _answer(self, request: web.Request) -> web.Response:
        query = {**request.query, **await self.form(request)}
        self.requests.append((request.path, query))
        for path, bodies in self.bodies.items():
            if request.path.endswith(path) and bodies:
                body = bodies.pop(0)
                if isinstance(body, web.Response):
                    return body
                return web.json_response(body)
        return web.json_response(self.answer(request.path, query))

    async def form(self, request: web.Request) -> dict[str, str]:
        """What the body of a request says."""
        if request.content_type == "application/json":
            body: dict[str, str] = json.loads(await request.text() or "{}")
            return body
        return {name: str(value) for name, value in (await request.post()).items()}

    def answer(self, path: str, query: dict[str, str]) -> Any:
        raise NotImplementedError

    def rows(self, start_ms: int, step_ms: int) -> list[tuple[int, list[str]]]:
        """All candles from `start_ms` to the one that is forming, prices as text."""
        first = -(-start_ms // step_ms) * step_ms
        return [
            (at, [str(value) for value in ohlcv_at(at, step_ms)])
            for at in range(first, self.clock.now_ms() + 1, step_ms)
        ]


class Kraken(OtherVenue):
    """Gives the newest 720 candles, whatever is asked; seconds."""

    def answer(self, path: str, query: dict[str, str]) -> Any:
        if path.endswith("/Time"):
            return {"error": [], "result": {"unixtime": self.clock.now_ms() // 1000}}
        if path.endswith("/AssetPairs"):
            pair = {
                "altname": "XBTUSDT",
                "wsname": "XBT/USDT",
                "base": "XXBT",
                "quote": "USDT",
                "pair_decimals": 1,
                "lot_decimals": 8,
                "ordermin": "0.00005",
                "costmin": "0.5",
                "leverage_buy": [],
                "status": "online",
            }
            return {"error": [], "result": {"XBTUSDT": pair}}
        if path.endswith("/Depth"):
            book = {"bids": [["100.1", "2.5", 1]], "asks": [["100.2", "0.00000001", 1]]}
            return {"error": [], "result": {query["pair"]: book}}
        if path.endswith("/Ticker"):
            day = {name: ["100.15", "100.15"] for name in "cvplh"}
            row = {"a": ["100.2", "1", "1.0"], "b": ["100.1", "2", "2.5"], "o": "99", **day}
            return {"error": [], "result": {query["pair"]: {**row, "t": [1, 1]}}}
        step_ms = int(query["interval"]) * 60_000
        rows = self.rows(self.clock.now_ms() - 720 * step_ms, step_ms)[-720:]
        since_ms = int(query.get("since", 0)) * 1000
        found = [
            [at // 1000, *ohlc, "0", volume, 1] for at, (*ohlc, volume) in rows if at > since_ms
        ]
        return {"error": [], "result": {query["pair"]: found, "last": rows[-2][0] // 1000}}


class Bybit(OtherVenue):
    """Newest first, all numbers as text; from `start` on when given, else the newest."""

    steps = {"1": 1, "60": 60, "240": 240, "D": 1440}  # noqa: RUF012

    def answer(self, path: str, query: dict[str, str]) -> Any:
        now = str(self.clock.now_ms())
        if path.endswith("/time"):
            return {"retCode": 0, "retMsg": "OK", "result": {}, "time": now}
        if path.endswith("/instruments-info"):
            assert query["category"] == "spot", query
            entry = {
                "symbol": "BTCUSDT",
                "baseCoin": "BTC",
                "quoteCoin": "USDT",
                "status": "Trading",
                "marginTrading": "both",
                "lotSizeFilter": {
                    "basePrecision": "0.000001",
                    "quotePrecision": "0.00000001",
                    "minOrderQty": "0.00004",
                    "maxOrderQty": "71.7",
                    "minOrderAmt": "1",
                    "maxOrderAmt": "2000000",
                },
                "priceFilter": {"tickSize": "0.01"},
            }
            return self.wrapped({"category": "spot", "list": [entry]}, now)
        if path.endswith("/tickers"):
            row = {"symbol": "BTCUSDT", "bid1Price": "100.1", "ask1Price": "100.2"}
            found = {"category": "spot", "list": [{**row, "lastPrice": "100.15"}]}
            return self.wrapped(found, now)
        if path.endswith("/orderbook"):
            book = {"s": "BTCUSDT", "b": [["100.1", "2.5"]], "a": [["100.2", "1"]]}
            return self.wrapped({**book, "ts": self.clock.now_ms(), "u": 7}, now)
        step_ms = self.steps[query["interval"]] * 60_000
        limit = int(query["limit"])
        start_ms = int(query.get("start", self.clock.now_ms() - limit * step_ms))
        rows = self.rows(max(start_ms, self.clock.now_ms() - 5000 * step_ms), step_ms)[:limit]
        found = [[str(at), *values, "0"] for at, values in reversed(rows)]
        return self.wrapped({"category": "spot", "symbol": "BTCUSDT", "list": found}, now)

    @staticmethod
    def wrapped(result: Any, now: str) -> Any:
        """The envelope of every Bybit answer."""
        return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now}
