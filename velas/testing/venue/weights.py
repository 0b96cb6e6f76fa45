"""What each request costs, and the clock window it is charged to (binance-facts 1.3, 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from velas.errors import ConfigError
from velas.testing.venue.instruments import MarketName

__all__ = ["DEFAULT_LIMIT", "Cost", "WeightWindow", "cost_of", "limit_of"]

Params = Mapping[str, str]
DEFAULT_LIMIT: Mapping[MarketName, int] = {"spot": 6000, "futures": 2400}

_UNKNOWN_PATH = 1
_CHANGING = 1
_UNITS = ((86_400, "D", "DAY"), (3_600, "H", "HOUR"), (60, "M", "MINUTE"), (1, "S", "SECOND"))


@attrs.frozen
class Cost:
    """The weight of one request; `honest_header` is False where the venue's header lies."""

    weight: int
    honest_header: bool = True


def cost_of(market: MarketName, path: str, params: Params, method: str = "GET") -> Cost:
    """Return what a request costs, also when it is then refused with HTTP 400.

    Whatever is not a GET costs 1.
    """
    table = _SPOT if market == "spot" else _FUTURES
    weigh = table.get(path, _UNKNOWN_PATH) if method == "GET" else _CHANGING
    weight = weigh if isinstance(weigh, int) else weigh(params)
    return Cost(weight, honest_header=path not in _LYING)


def limit_of(market: MarketName, given: int | None, exchange_info: Mapping[str, Any] | None) -> int:
    """Return the weight limit: the given one, else the document's, else the market's own."""
    if given is not None:
        return given
    for rule in (exchange_info or {}).get("rateLimits", []):
        if rule.get("rateLimitType") == "REQUEST_WEIGHT":
            return int(rule["limit"])
    return DEFAULT_LIMIT[market]


class WeightWindow:
    """Adds up weight in windows of `length_s` aligned to UTC; a limit of 0 is never passed.

    Raises:
        ConfigError: the length is not positive or the limit negative.
    """

    def __init__(self, limit: int, length_s: int = 60) -> None:
        if limit < 0 or length_s <= 0:
            raise ConfigError(
                f"weight limit {limit!r} must be 0 (not enforced) or more, "
                f"window {length_s!r} s above 0"
            )
        self.limit = limit
        self.length_s = length_s
        self.used = 0
        self.most_used = 0
        self._window = -1

    @property
    def header(self) -> str:
        """The response header that carries the used weight."""
        count, letter, _ = self._unit()
        return f"X-MBX-USED-WEIGHT-{count}{letter}"

    @property
    def rule(self) -> dict[str, object]:
        """This limit as a row of exchangeInfo's `rateLimits`."""
        count, _, name = self._unit()
        return {
            "rateLimitType": "REQUEST_WEIGHT",
            "interval": name,
            "intervalNum": count,
            "limit": self.limit or 1_000_000_000,
        }

    def charge(self, weight: int, now_ms: int) -> bool:
        """Add `weight` to the window of `now_ms`; return whether the limit still holds."""
        window = now_ms // (self.length_s * 1000)
        if window != self._window:
            self._window, self.used = window, 0
        self.used += weight
        self.most_used = max(self.most_used, self.used)
        return not self.limit or self.used <= self.limit

    def next_ms(self, now_ms: int) -> int:
        """Return when the next window begins, ms."""
        length_ms = self.length_s * 1000
        return (now_ms // length_ms + 1) * length_ms

    def _unit(self) -> tuple[int, str, str]:
        fits = (unit for unit in _UNITS if self.length_s % unit[0] == 0)
        seconds, letter, name = next(fits)
        return self.length_s // seconds, letter, name


def _number(params: Params, name: str, default: int) -> int:
    text = params.get(name, "")
    return int(text) if text.isdecimal() else default


def _bands(value: int, *bands: tuple[int, int], above: int) -> int:
    return next((weight for upto, weight in bands if value <= upto), above)


def _futures_klines(params: Params) -> int:
    # measured 2026-10-07; the documented bands end one row earlier
    if "limit" not in params:
        return 5
    return _bands(_number(params, "limit", 500), (100, 1), (500, 2), (1000, 5), above=10)


def _spot_depth(params: Params) -> int:
    return _bands(_number(params, "limit", 100), (100, 5), (500, 25), (1000, 50), above=250)


def _futures_depth(params: Params) -> int:
    if "limit" not in params:
        return 1
    return _bands(_number(params, "limit", 500), (50, 2), (100, 5), (500, 10), above=20)


def _by_symbol(one: int, all_of_them: int) -> Callable[[Params], int]:
    return lambda params: one if params.get("symbol") else all_of_them


def _spot_day(params: Params) -> int:
    if params.get("symbol"):
        return 2
    asked = params.get("symbols", "")
    return _bands(asked.count(",") + 1, (20, 2), (100, 40), above=80) if asked else 80


_Table = Mapping[str, int | Callable[[Params], int]]

_SPOT: _Table = {
    "/api/v3/ping": 1,
    "/api/v3/time": 1,
    "/api/v3/exchangeInfo": 20,
    "/api/v3/klines": 2,
    "/api/v3/aggTrades": 4,
    "/api/v3/trades": 25,
    "/api/v3/depth": _spot_depth,
    "/api/v3/ticker/bookTicker": _by_symbol(2, 4),
    "/api/v3/ticker/price": _by_symbol(2, 4),
    "/api/v3/ticker/24hr": _spot_day,
    "/api/v3/avgPrice": 2,
    "/api/v3/order": 4,
    "/api/v3/openOrders": _by_symbol(6, 80),
    "/api/v3/allOrders": 20,
    "/api/v3/account": 20,
    "/api/v3/rateLimit/order": 40,
}
_FUTURES: _Table = {
    "/fapi/v1/ping": 1,
    "/fapi/v1/time": 1,
    "/fapi/v1/exchangeInfo": 1,
    "/fapi/v1/klines": _futures_klines,
    "/fapi/v1/aggTrades": 20,
    "/fapi/v1/trades": 5,
    "/fapi/v1/depth": _futures_depth,
    "/fapi/v1/ticker/bookTicker": _by_symbol(2, 5),
    "/fapi/v1/ticker/price": _by_symbol(1, 2),
    "/fapi/v2/ticker/price": _by_symbol(1, 2),
    "/fapi/v1/ticker/24hr": _by_symbol(1, 40),
    "/fapi/v1/premiumIndex": _by_symbol(1, 10),
    "/fapi/v1/order": 1,
    "/fapi/v1/openOrder": 1,
    "/fapi/v1/openOrders": _by_symbol(1, 40),
    "/fapi/v1/allOrders": 5,
    "/fapi/v1/algoOrder": 1,
    "/fapi/v1/openAlgoOrders": _by_symbol(1, 40),
    "/fapi/v1/rateLimit/order": 1,
    "/fapi/v1/leverageBracket": 1,
    "/fapi/v2/balance": 5,
    "/fapi/v3/balance": 5,
    "/fapi/v2/account": 5,
    "/fapi/v3/account": 5,
    "/fapi/v2/positionRisk": 5,
    "/fapi/v3/positionRisk": 5,
}
_LYING = frozenset({"/fapi/v1/ticker/bookTicker", "/fapi/v2/ticker/price"})
