"""Which fields a type takes; status, type and client id."""

from __future__ import annotations

from typing import Any

import pytest
from orderkit import broken, futures, order, spot

S, F = "spot", "futures"


def fields(market: str, *args: Any, **more: Any) -> list[str]:
    validator = spot() if market == S else futures(info={"timeInForce": ["GTC", "GTX"]})
    found = validator.check(order(*args, **more), reference=100)
    return [one.field for one in found if one.filter == "PARAMETERS"]


@pytest.mark.parametrize(
    ("market", "more"),
    [
        (S, {"time_in_force": "GTC"}), (S, {"time_in_force": "ioc"}), (S, {"type": "LIMIT_MAKER"}),
        (S, {"type": "market", "price": None}),
        (S, {"type": "market", "price": None, "quantity": None, "quote_quantity": "50"}),
        (S, {"type": "stop_loss", "price": None, "stop_price": "90"}),
        (S, {"type": "take_profit", "price": None, "trailing_delta": 100}),
        (S, {"type": "stop_loss_limit", "stop_price": "90", "trailing_delta": 100}),
        (S, {"iceberg_quantity": "0.5", "time_in_force": "GTC"}),
        (S, {"type": "limit_maker", "iceberg_quantity": "0.5"}),
        (F, {"time_in_force": "GTX", "reduce_only": True, "position_side": "both"}),
        (F, {"type": "market", "price": None}),
        (F, {"type": "stop", "stop_price": "90"}),
        (F, {"type": "take_profit_market", "price": None, "stop_price": "90"}),
        (F, {"type": "stop_market", "price": None, "quantity": None, "stop_price": "90",
             "close_position": True}),
        (F, {"type": "trailing_stop_market", "price": None, "callback_rate": "0.1"}),
        (F, {"type": "trailing_stop_market", "price": None, "callback_rate": "10"}),
    ],
)  # fmt: skip
def test_check_fields_of_a_type_are_fine(market: str, more: Any) -> None:
    assert fields(market, **more) == []


@pytest.mark.parametrize(
    ("market", "more", "expected"),
    [
        (S, {"quantity": None}, ["quantity"]), (S, {"price": None}, ["price"]),
        (S, {"quantity": None, "price": None}, ["quantity", "price"]),
        (S, {"stop_price": "90"}, ["stop_price"]),
        (S, {"quote_quantity": "90"}, ["quote_quantity"]),
        (S, {"trailing_delta": 100}, ["trailing_delta"]),
        (S, {"reduce_only": True}, ["reduce_only"]),
        (S, {"close_position": True}, ["close_position"]),
        (S, {"position_side": "long"}, ["position_side"]),
        (S, {"callback_rate": "1"}, ["callback_rate"]),
        (S, {"time_in_force": "GTX"}, ["time_in_force"]),
        (S, {"type": "limit_maker", "time_in_force": "GTC"}, ["time_in_force"]),
        (S, {"type": "market"}, ["price"]),
        (S, {"type": "market", "price": None, "quantity": None}, ["quantity"]),
        (S, {"type": "market", "price": None, "quote_quantity": "9"}, ["quote_quantity"]),
        (S, {"type": "market", "price": None, "iceberg_quantity": "0.5"}, ["iceberg_quantity"]),
        (S, {"type": "stop_loss", "price": None}, ["stop_price"]),
        (S, {"type": "stop_loss_limit"}, ["stop_price"]),
        (S, {"iceberg_quantity": "0.5", "time_in_force": "IOC"}, ["time_in_force"]),
        (F, {"quote_quantity": "90"}, ["quote_quantity"]),
        (F, {"iceberg_quantity": "0.5"}, ["iceberg_quantity"]),
        (F, {"trailing_delta": 100}, ["trailing_delta"]),
        (F, {"close_position": True}, ["close_position"]),
        (F, {"time_in_force": "IOC"}, ["time_in_force"]),
        (F, {"type": "market", "price": None, "time_in_force": "GTC"}, ["time_in_force"]),
        (F, {"type": "stop", "price": "100"}, ["stop_price"]),
        (F, {"type": "stop_market", "stop_price": "90"}, ["price"]),
        (F, {"type": "stop_market", "price": None, "stop_price": "90", "quantity": None},
         ["quantity"]),
        (F, {"type": "stop_market", "price": None, "stop_price": "90", "close_position": True},
         ["close_position"]),
        (F, {"type": "stop_market", "price": None, "quantity": None, "stop_price": "90",
             "close_position": True, "reduce_only": True}, ["reduce_only"]),
        (F, {"type": "trailing_stop_market", "price": None}, ["callback_rate"]),
        (F, {"type": "trailing_stop_market", "price": None, "callback_rate": "0.09"},
         ["callback_rate"]),
        (F, {"type": "trailing_stop_market", "price": None, "callback_rate": "1",
             "stop_price": "90"}, ["stop_price"]),
    ],
)  # fmt: skip
def test_check_wrong_fields_are_named(market: str, more: Any, expected: list[str]) -> None:
    assert fields(market, **more) == expected


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"quantity": "0"}, "quantity"), ({"price": "-100"}, "price"),
        ({"type": "stop_loss_limit", "stop_price": "0"}, "stop_price"),
        ({"iceberg_quantity": "0"}, "iceberg_quantity"),
        ({"type": "stop_loss_limit", "trailing_delta": 0}, "trailing_delta"),
        ({"type": "market", "price": None, "quantity": None, "quote_quantity": "0"},
         "quote_quantity"),
    ],
)  # fmt: skip
def test_check_numbers_are_above_zero(more: Any, field: str) -> None:
    assert fields(S, **more) == [field]


def test_check_switches_of_the_market_deny_fields() -> None:
    info = {
        "icebergAllowed": False, "allowTrailingStop": False, "quoteOrderQtyMarketAllowed": False,
    }  # fmt: skip
    validator = spot(info=info)
    asked = order(type="stop_loss_limit", trailing_delta=100, iceberg_quantity="0.5")
    assert [one.field for one in validator.check(asked)] == ["iceberg_quantity", "trailing_delta"]
    quoted = order(type="market", price=None, quantity=None, quote_quantity="50")
    assert [one.field for one in validator.check(quoted)] == ["quote_quantity"]


@pytest.mark.parametrize("make", [spot, futures])
def test_check_status_and_type(make: Any) -> None:
    assert broken(make(status="BREAK").check(order())) == [("STATUS", "status")]
    assert broken(make(status="", active=False).check(order())) == [("STATUS", "status")]
    listed = make(order_types=("MARKET", "STOP"))
    assert broken(listed.check(order())) == [("ORDER_TYPE", "type")]
    odd = listed.check(order(type="iceberg"))
    assert broken(odd) == [("ORDER_TYPE", "type")]
    assert "velas does not know the fields of type iceberg" in [one.needs for one in odd.not_judged]


@pytest.mark.parametrize(
    ("make", "client_id", "ok"),
    [
        (spot, "a-Z_09", True), (spot, "a" * 36, True), (spot, "a" * 37, False),
        (spot, "a.b", False), (spot, "a\n", False), (spot, "ä", False),
        (futures, "a.b:c/d_e-F", True), (futures, "a b", False), (futures, "a" * 37, False),
    ],
)  # fmt: skip
def test_check_client_id(make: Any, client_id: str, ok: bool) -> None:
    verdict = make().check(order(client_id=client_id))
    assert broken(verdict) == ([] if ok else [("CLIENT_ORDER_ID", "client_id")])
