"""The venue's weight table and its windows."""

from __future__ import annotations

from typing import Literal

import pytest

from velas.errors import ConfigError
from velas.testing.venue.weights import WeightWindow, cost_of, limit_of

K, F = "/api/v3", "/fapi/v1"
MANY = "[" + ",".join(['"A"'] * 30) + "]"


@pytest.mark.parametrize(
    ("path", "params", "weight"),
    [
        (f"{K}/ping", {}, 1),
        (f"{K}/exchangeInfo", {}, 20),
        (f"{K}/klines", {"limit": "1000"}, 2),
        (f"{K}/aggTrades", {}, 4),
        (f"{K}/trades", {}, 25),
        (f"{K}/depth", {}, 5),
        (f"{K}/depth", {"limit": "101"}, 25),
        (f"{K}/depth", {"limit": "1000"}, 50),
        (f"{K}/depth", {"limit": "5000"}, 250),
        (f"{K}/ticker/bookTicker", {"symbol": "A"}, 2),
        (f"{K}/ticker/bookTicker", {}, 4),
        (f"{K}/ticker/24hr", {"symbol": "A"}, 2),
        (f"{K}/ticker/24hr", {}, 80),
        (f"{K}/ticker/24hr", {"symbols": MANY}, 40),
        (f"{K}/avgPrice", {"symbol": "A"}, 2),
        (f"{K}/order", {"symbol": "A"}, 4),
        (f"{K}/openOrders", {"symbol": "A"}, 6),
        (f"{K}/openOrders", {}, 80),
        (f"{K}/allOrders", {"symbol": "A"}, 20),
        (f"{K}/account", {}, 20),
        (f"{K}/rateLimit/order", {}, 40),
        ("/elsewhere", {}, 1),
    ],
)
def test_cost_spot_request_is_as_documented(path: str, params: dict[str, str], weight: int) -> None:
    assert cost_of("spot", path, params).weight == weight


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_cost_what_changes_an_order_is_one(method: str) -> None:
    paths = (f"{K}/order", f"{K}/openOrders", f"{K}/order/test")
    assert [cost_of("spot", path, {}, method).weight for path in paths] == [1, 1, 1]
    assert cost_of("futures", f"{F}/order", {}, method).weight == 1


@pytest.mark.parametrize(
    ("limit", "weight"),
    [("1", 1), ("100", 1), ("101", 2), ("500", 2), ("501", 5), ("1000", 5), ("1001", 10),
     ("1500", 10), ("9999", 10), ("many", 2), (None, 5)],
)  # fmt: skip
def test_cost_futures_klines_goes_by_limit(limit: str | None, weight: int) -> None:
    params = {} if limit is None else {"limit": limit}
    assert cost_of("futures", f"{F}/klines", params).weight == weight


@pytest.mark.parametrize(
    ("path", "params", "weight"),
    [
        (f"{F}/exchangeInfo", {}, 1),
        (f"{F}/premiumIndex", {"symbol": "A"}, 1),
        (f"{F}/premiumIndex", {}, 10),
        (f"{F}/order", {"symbol": "A"}, 1),
        (f"{F}/openOrders", {"symbol": "A"}, 1),
        (f"{F}/openOrders", {}, 40),
        ("/fapi/v3/balance", {}, 5),
        ("/fapi/v2/positionRisk", {}, 5),
        (f"{F}/aggTrades", {}, 20),
        (f"{F}/trades", {}, 5),
        (f"{F}/depth", {}, 1),
        (f"{F}/depth", {"limit": "50"}, 2),
        (f"{F}/depth", {"limit": "100"}, 5),
        (f"{F}/depth", {"limit": "500"}, 10),
        (f"{F}/depth", {"limit": "1000"}, 20),
        (f"{F}/ticker/bookTicker", {}, 5),
        ("/fapi/v2/ticker/price", {"symbol": "A"}, 1),
        (f"{F}/ticker/24hr", {}, 40),
    ],
)
def test_cost_futures_request_is_as_documented(
    path: str, params: dict[str, str], weight: int
) -> None:
    assert cost_of("futures", path, params).weight == weight


def test_cost_futures_book_ticker_header_lies() -> None:
    assert not cost_of("futures", f"{F}/ticker/bookTicker", {}).honest_header
    assert cost_of("futures", f"{F}/klines", {}).honest_header


@pytest.mark.parametrize(
    ("seconds", "header", "interval", "count"),
    [
        (60, "1M", "MINUTE", 1),
        (10, "10S", "SECOND", 10),
        (300, "5M", "MINUTE", 5),
        (3600, "1H", "HOUR", 1),
        (86_400, "1D", "DAY", 1),
        (90, "90S", "SECOND", 90),
    ],
)
def test_window_length_names_header_and_rule(
    seconds: int, header: str, interval: str, count: int
) -> None:
    window = WeightWindow(50, seconds)
    assert window.header == f"X-MBX-USED-WEIGHT-{header}"
    assert window.rule == {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": interval,
        "intervalNum": count,
        "limit": 50,
    }


def test_window_is_aligned_to_the_clock() -> None:
    window = WeightWindow(10, 10)
    assert window.charge(6, 19_999)
    assert window.next_ms(19_999) == 20_000
    assert window.charge(6, 20_000)
    assert not window.charge(6, 29_999)
    assert (window.used, window.most_used) == (12, 12)


def test_window_without_limit_never_ends() -> None:
    window = WeightWindow(0)
    assert window.charge(10**9, 0)
    assert window.rule["limit"] == 1_000_000_000


@pytest.mark.parametrize(("limit", "length"), [(-1, 60), (1, 0)])
def test_window_impossible_is_refused(limit: int, length: int) -> None:
    with pytest.raises(ConfigError):
        WeightWindow(limit, length)


@pytest.mark.parametrize(("market", "limit"), [("spot", 6000), ("futures", 2400)])
def test_limit_of_market_is_its_own_unless_given(
    market: Literal["spot", "futures"], limit: int
) -> None:
    other = {"rateLimitType": "ORDERS", "limit": 1}
    mine = {"rateLimitType": "REQUEST_WEIGHT", "limit": 1200}
    assert limit_of(market, None, None) == limit
    assert limit_of(market, None, {"rateLimits": [other]}) == limit
    assert limit_of(market, None, {"rateLimits": [other, mine]}) == 1200
    assert limit_of(market, 7, {"rateLimits": [mine]}) == 7
