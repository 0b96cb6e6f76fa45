"""Conditional USDT-M orders at the endpoint of their own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from signed import START, Trading, limit, market, trading

from velas.testing import ManualClock


def conditional(**params: Any) -> dict[str, Any]:
    stop = {"algoType": "CONDITIONAL", "type": "STOP_MARKET", "side": "SELL", "timeInForce": None}
    return limit(**{**stop, "price": None, "triggerPrice": "44000", **params})


def lowest(client: Trading, hours: int) -> Decimal:
    instrument = client.venue._rest.listing.instruments["BTCUSDT"]
    times = START + 1000 * np.arange(hours * 3600 + 1, dtype=np.int64)
    return Decimal(f"{client.venue.candles.prices(instrument, times).min():.1f}")


async def place(client: Trading, **params: Any) -> Any:
    return await client.send("POST", "algoOrder", **conditional(**params))


async def test_conditional_order_is_taken_found_and_cancelled() -> None:
    async with trading("futures") as client:
        placed = await place(client, clientAlgoId="stop")
        by_name = await client.send("GET", "algoOrder", clientAlgoId="stop")
        by_number = await client.send("GET", "algoOrder", algoId=placed.body["algoId"])
        opened = await client.send("GET", "openAlgoOrders")
        gone = await client.send("DELETE", "algoOrder", clientAlgoId="stop")
        again = await client.send("DELETE", "algoOrder", clientAlgoId="stop")
        after = await client.send("GET", "openAlgoOrders", symbol="BTCUSDT")
        plain = await client.send("GET", "openOrders")
    assert placed.body == by_name.body == by_number.body == opened.body[0]
    assert {
        "clientAlgoId": "stop",
        "algoType": "CONDITIONAL",
        "orderType": "STOP_MARKET",
        "algoStatus": "NEW",
        "triggerPrice": "44000.0",
        "quantity": "0.010",
        "createTime": START,
        "triggerTime": 0,
    }.items() <= placed.body.items()
    assert gone.body == {
        "algoId": placed.body["algoId"],
        "clientAlgoId": "stop",
        "code": "200",
        "msg": "success",
    }
    assert (again.code, after.body, plain.body) == (-2011, [], [])


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"algoType": "VP"}, -1130),
        ({"algoType": None}, -1102),
        ({"type": "LIMIT"}, -1116),
        ({"triggerPrice": None}, -1102),
        ({"triggerPrice": "0"}, -4006),
        ({"triggerPrice": "44000.05"}, -4014),
        ({"triggerPrice": "46500"}, -2021),
        ({"side": "BUY"}, -2021),
        ({"type": "TAKE_PROFIT_MARKET"}, -2021),
        ({"quantity": None}, -1102),
        ({"closePosition": "true"}, -4137),
        ({"price": "44000"}, -1106),
        ({"type": "STOP", "price": "40000"}, -4184),
        ({"type": "STOP", "side": "BUY", "triggerPrice": "50000", "price": "53000"}, -4183),
        ({"type": "STOP"}, -1102),
        ({"clientAlgoId": "x" * 37}, -4015),
        ({"clientAlgoId": "stop"}, -4116),
    ],
)
async def test_conditional_order_that_is_wrong_is_refused(
    params: dict[str, Any], code: int
) -> None:
    async with trading("futures") as client:
        await place(client, clientAlgoId="stop")
        assert (await place(client, **params)).code == code
        assert len(client.venue.orders()) == 1


async def test_conditional_orders_are_cancelled_all_at_once() -> None:
    async with trading("futures") as client:
        await place(client)
        # far from the price, near to its trigger
        assert (await place(client, type="STOP", triggerPrice="40000", price="39000")).status == 200
        gone = await client.send("DELETE", "algoOpenOrders", symbol="BTCUSDT")
        assert [one.status for one in client.venue.orders()] == ["CANCELED"] * 2
    assert gone.body == {"code": "200", "msg": "The operation of cancel all open order is done."}


async def test_conditional_order_is_not_found_by_another_id() -> None:
    async with trading("futures") as client:
        nobody = await client.send("GET", "algoOrder", clientAlgoId="none")
        nothing = await client.send("GET", "algoOrder")
    text = "Param 'clientAlgoId' or 'algoId' must be sent, but both were empty/null!"
    assert nobody.error == (400, -2013, "Order does not exist.")
    assert nothing.error == (400, -1102, text)


async def test_conditional_order_triggers_into_a_market_order() -> None:
    clock = ManualClock(START)
    async with trading("futures", clock=clock) as client:
        await client.send("POST", "order", **market())
        trigger = lowest(client, 6)
        await place(client, clientAlgoId="stop", triggerPrice=trigger, closePosition="true",
                    quantity=None)  # fmt: skip
        clock.advance(6 * 3600)
        algo = (await client.send("GET", "algoOrder", clientAlgoId="stop")).body
        order = await client.send("GET", "order", symbol="BTCUSDT", orderId=algo["actualOrderId"])
        positions = await client.send("GET", "/fapi/v3/positionRisk")
        names = [one.client_id for one in client.venue.orders()]
    assert names == ["standin-1", "stop", "standin-3"]
    assert algo["algoStatus"] == "FINISHED"
    assert START < algo["triggerTime"] == order.body["time"]
    assert (order.body["status"], order.body["type"]) == ("FILLED", "MARKET")
    assert Decimal(order.body["avgPrice"]) == trigger
    assert positions.body == []


async def test_conditional_limit_order_rests_at_its_price() -> None:
    clock = ManualClock(START)
    async with trading("futures", clock=clock) as client:
        trigger = lowest(client, 6)
        await place(client, type="STOP", triggerPrice=trigger, price="47500")
        clock.advance(6 * 3600)
        opened = (await client.send("GET", "openOrders")).body
        algos = (await client.send("GET", "openAlgoOrders")).body
    assert [(one["type"], one["price"], one["status"]) for one in opened] == [
        ("LIMIT", "47500.0", "NEW")
    ]
    assert algos == []


async def test_conditional_order_without_its_position_is_rejected_when_triggered() -> None:
    clock = ManualClock(START)
    async with trading("futures", clock=clock) as client:
        await place(client, clientAlgoId="stop", triggerPrice=lowest(client, 6), reduceOnly="true")
        clock.advance(6 * 3600)
        algo = (await client.send("GET", "algoOrder", clientAlgoId="stop")).body
        assert [one.status for one in client.venue.orders()] == ["REJECTED"]
    assert (algo["algoStatus"], algo["actualOrderId"]) == ("REJECTED", "")


async def test_conditional_orders_are_limited_over_all_symbols() -> None:
    clock = ManualClock(START)
    async with trading("futures", clock=clock) as client:
        for _ in range(200):
            clock.advance(1)
            assert (await place(client)).status == 200
        refused = await place(client)
    assert refused.error == (400, -4045, "Reach max stop order limit.")
