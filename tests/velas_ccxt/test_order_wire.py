"""Orders as parameters, replies as orders; pure functions of both Binance markets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velas.decimals import exact, plain
from velas.errors import BadResponse, ConfigError
from velas.order_models import OrderRequest
from velas_ccxt import _order_wire as wire

ROW: dict[str, Any] = {
    "orderId": 7, "clientOrderId": "mine", "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT",
    "status": "PARTIALLY_FILLED", "price": "64000.10000000", "origQty": "0.00300000",
    "executedQty": "0.00100000", "cummulativeQuoteQty": "64.00010000", "timeInForce": "GTC",
    "stopPrice": "0.00000000", "time": 5, "updateTime": 9,
}  # fmt: skip
ALGO: dict[str, Any] = {
    "algoId": 9, "clientAlgoId": "mine", "symbol": "BTCUSDT", "side": "SELL",
    "orderType": "STOP_MARKET", "algoStatus": "NEW", "quantity": "0.003", "price": "0",
    "triggerPrice": "60000", "timeInForce": "GTC", "reduceOnly": True, "createTime": 5,
}  # fmt: skip


def request(kind: str, **fields: object) -> OrderRequest:
    return OrderRequest("BTC/USDT", "buy", kind, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "spot", "in_force"),
    [
        ("limit", True, "GTC"),
        ("limit", False, "GTC"),
        ("limit_maker", True, None),
        ("market", True, None),
        ("stop_loss_limit", True, "GTC"),
        ("take_profit_limit", True, "GTC"),
        ("stop_loss", True, None),
        ("take_profit", True, None),  # a market order on Spot, one with a limit on Futures
        ("take_profit", False, "GTC"),
        ("stop", False, "GTC"),
        ("stop_market", False, None),
    ],
)
def test_params_say_how_long_what_rests_shall_rest(
    kind: str, spot: bool, in_force: str | None
) -> None:
    params = wire.order_params(request(kind, quantity=1), "BTCUSDT", "id", spot=spot)
    assert params.get("timeInForce") == in_force
    asked = request(kind, quantity=1, time_in_force="ioc")
    assert wire.order_params(asked, "BTCUSDT", "id", spot=spot)["timeInForce"] == "IOC"


def test_params_have_every_field_in_the_venue_s_words() -> None:
    asked = request(
        "limit", quantity="1E-3", price="64000.10", stop_price="1E+4", iceberg_quantity="0.0005",
        quote_quantity="7.50", trailing_delta=100, callback_rate="0.5", reduce_only=True,
        close_position=True, position_side="long",
    )  # fmt: skip
    assert wire.order_params(asked, "BTCUSDT", "id", spot=True) == {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "quantity": "0.001", "price": "64000.1", "stopPrice": "10000", "icebergQty": "0.0005",
        "quoteOrderQty": "7.5", "trailingDelta": "100", "callbackRate": "0.5",
        "reduceOnly": "true", "closePosition": "true", "positionSide": "LONG",
        "newClientOrderId": "id", "newOrderRespType": "RESULT",
    }  # fmt: skip


def test_algo_params_have_a_trigger_and_their_own_client_id() -> None:
    asked = request("stop_market", stop_price="60000", close_position=True)
    assert wire.algo_params(asked, "BTCUSDT", "id") == {
        "symbol": "BTCUSDT", "side": "BUY", "type": "STOP_MARKET", "algoType": "CONDITIONAL",
        "clientAlgoId": "id", "triggerPrice": "60000", "closePosition": "true",
    }  # fmt: skip


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_plain_is_the_number_itself_without_an_exponent(number: Decimal) -> None:
    if number.as_tuple().exponent < -40:  # type: ignore[operator]
        with pytest.raises(ConfigError, match="more than 40 digits"):
            exact(number)
        return
    text = plain(exact(number))
    assert Decimal(text) == number
    assert set(text) <= set("-0123456789.")
    assert not text.endswith(".")
    assert text == "0" or not ("." in text and text.endswith("0"))


@pytest.mark.parametrize(
    "value",
    [0.1, True, None, "a lot", "NaN", "Infinity", "1e99", b"1", Decimal("sNaN"), "", "1_0e"],
)
def test_exact_refuses_what_is_no_exact_number(value: object) -> None:
    with pytest.raises(ConfigError):
        exact(value)


def test_order_has_what_was_executed_and_at_what_price() -> None:
    order = wire.order(ROW, "BTC/USDT")
    assert (order.id, order.client_id, order.status) == ("7", "mine", "open")
    assert (order.filled, order.remaining) == (Decimal("0.001"), Decimal("0.002"))
    assert (order.average, order.cost) == (Decimal("64000.1"), Decimal("64.0001"))
    assert (order.price, order.stop_price, order.timestamp) == (Decimal("64000.1"), None, 5)


def test_order_of_a_market_order_has_no_price() -> None:
    row = {**ROW, "type": "MARKET", "price": "0.00000000", "status": "FILLED", "executedQty": "0"}
    order = wire.order(row, "BTC/USDT")
    assert (order.price, order.average, order.status) == (None, None, "filled")
    assert str(order.filled) == "0"


def test_order_canceled_keeps_its_client_id() -> None:
    row = {**ROW, "origClientOrderId": "mine", "clientOrderId": "of the cancelation"}
    assert wire.order(row, "BTC/USDT").client_id == "mine"


@pytest.mark.parametrize(
    ("word", "status"),
    [("NEW", "open"), ("PENDING_NEW", "open"), ("EXPIRED_IN_MATCH", "expired"),
     ("CANCELED", "canceled"), ("REJECTED", "rejected")],
)  # fmt: skip
def test_order_status_is_one_of_ours(word: str, status: str) -> None:
    assert wire.order({**ROW, "status": word}, "BTC/USDT").status == status


def test_order_of_an_unknown_status_exists_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert wire.order({**ROW, "status": "ON_THE_MOON"}, "BTC/USDT").status == "open"
    assert "'ON_THE_MOON' is not known" in caplog.text


@pytest.mark.parametrize(
    "broken",
    [None, [], {}, {**ROW, "side": "MAYBE"}, {**ROW, "executedQty": "much"},
     {**ROW, "origQty": None}],
)  # fmt: skip
def test_order_that_is_none_is_a_bad_response(broken: object) -> None:
    with pytest.raises(BadResponse, match="not an order"):
        wire.order(broken, "BTC/USDT")


def test_algo_order_is_told_from_others_by_its_id() -> None:
    order = wire.algo_order(ALGO, "BTC/USDT:USDT")
    assert (order.id, order.type, order.status) == ("algo-9", "stop_market", "open")
    assert (order.price, order.stop_price, order.reduce_only) == (None, Decimal(60000), True)
    assert wire.is_algo_id(order.id) == "9"
    assert wire.is_algo_id("9") is None
    assert wire.algo_child(ALGO) is None
    assert wire.algo_child({**ALGO, "actualOrderId": 12}) == "12"
    with pytest.raises(BadResponse, match="not a conditional order"):
        wire.algo_order({**ALGO, "algoId": None, "side": ""}, "x")


def test_balances_of_both_markets_are_what_is_free() -> None:
    spot = {
        "balances": [{"asset": "BTC", "free": "0.5", "locked": "1"}, {"asset": "X", "free": "0"}]
    }
    futures = [{"asset": "USDT", "balance": "9", "availableBalance": "7"}]
    assert wire.balances(spot) == {"BTC": Decimal("0.5")}
    assert wire.balances(futures) == {"USDT": Decimal(7)}
    for broken in (None, {"balances": None}, [{"asset": "USDT"}]):
        with pytest.raises(BadResponse, match="not a list of balances"):
            wire.balances(broken)


def test_positions_are_those_that_are_not_empty() -> None:
    row = {"symbol": "BTCUSDT", "positionAmt": "-0.5", "entryPrice": "64000", "markPrice": "1",
           "unRealizedProfit": "3", "positionSide": "SHORT"}  # fmt: skip
    (found,) = wire.positions([row, {**row, "positionAmt": "0.000"}], {"BTCUSDT": "BTC/USDT:USDT"})
    assert (found.symbol, found.quantity, found.position_side) == (
        "BTC/USDT:USDT",
        Decimal("-0.5"),
        "short",
    )
    with pytest.raises(BadResponse, match="not a list of positions"):
        wire.positions([{}], {})
