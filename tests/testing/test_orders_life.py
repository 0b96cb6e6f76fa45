"""Placing, finding and cancelling, in the shapes of the venue."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from signed import START, limit, market, trading

from velas.errors import ConfigError
from velas.testing import ManualClock, StandInVenue

NO_ORDER = (400, -2013, "Order does not exist.")
NOT_OPEN = (400, -2011, "Unknown order sent.")
DUPLICATE = {
    "spot": (400, -2010, "Duplicate order sent."),
    "futures": (400, -4116, "ClientOrderId is duplicated."),
}
MARKETS = pytest.mark.parametrize("venue", ["spot", "futures"])
DAY = 86_400
ACK = {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
RESULT = ACK | {
    "price", "origQty", "executedQty", "origQuoteOrderQty", "cummulativeQuoteQty", "status",
    "timeInForce", "type", "side", "workingTime", "selfTradePreventionMode",
}  # fmt: skip


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        (limit(), RESULT | {"fills"}),
        (market(), RESULT | {"fills"}),
        (limit(type="LIMIT_MAKER", timeInForce=None), ACK),
        (limit(newOrderRespType="ACK"), ACK),
        (limit(newOrderRespType="RESULT"), RESULT),
        (limit(newOrderRespType="RESULT", icebergQty="0.005"), RESULT | {"icebergQty"}),
    ],
)
async def test_spot_answer_is_as_long_as_asked(params: dict[str, Any], fields: set[str]) -> None:
    async with trading() as client:
        assert set((await client.send("POST", "order", **params)).body) == fields


async def test_spot_filled_order_has_eight_decimals_and_its_fills() -> None:
    async with trading() as client:
        ask = (await client.ticker())["askPrice"]
        body = (await client.send("POST", "order", **market(newClientOrderId="a"))).body
    cost = f"{Decimal(ask) * Decimal('0.01'):.8f}"
    assert body == {
        "symbol": "BTCUSDT",
        "orderId": 1,
        "orderListId": -1,
        "clientOrderId": "a",
        "transactTime": START,
        "price": "0.00000000",
        "origQty": "0.01000000",
        "executedQty": "0.01000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": cost,
        "status": "FILLED",
        "timeInForce": "GTC",
        "type": "MARKET",
        "side": "BUY",
        "workingTime": START,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "fills": [
            {
                "price": ask,
                "qty": "0.01000000",
                "commission": "0.00000000",
                "commissionAsset": "BTC",
                "tradeId": 1,
            }
        ],
    }


async def test_futures_answers_new_unless_the_result_is_asked_for() -> None:
    async with trading("futures") as client:
        ask = (await client.ticker())["askPrice"]
        ack = (await client.send("POST", "order", **market())).body
        result = (await client.send("POST", "order", **market(newOrderRespType="RESULT"))).body
        query = (await client.send("GET", "order", symbol="BTCUSDT", orderId=1)).body
    assert (ack["status"], ack["executedQty"], "time" in ack) == ("NEW", "0.000", False)
    assert (query["status"], query["executedQty"], query["time"]) == ("FILLED", "0.010", START)
    cost = f"{Decimal(ask) * Decimal('0.01'):.4f}"
    assert (result["avgPrice"], result["cumQuote"]) == (f"{ask}0000", cost)
    assert (result["reduceOnly"], result["positionSide"], result["workingType"]) == (
        False,
        "BOTH",
        "CONTRACT_PRICE",
    )


@MARKETS
async def test_order_is_found_by_either_id(venue: Any) -> None:
    async with trading(venue) as client:
        await client.place(newClientOrderId="a")
        by_client_id = await client.send("GET", "order", symbol="BTCUSDT", origClientOrderId="a")
        by_number = await client.send("GET", "order", symbol="BTCUSDT", orderId=1)
    assert by_client_id.body == by_number.body
    body = by_client_id.body
    assert (body["clientOrderId"], body["status"], body["time"]) == ("a", "NEW", START)
    assert Decimal(body["price"]) == 45000


@MARKETS
async def test_order_that_is_not_there_is_not_found(venue: Any) -> None:
    async with trading(venue) as client:
        await client.place(newClientOrderId="a")
        for params in (
            {"origClientOrderId": "b"},
            {"orderId": 9},
            {"orderId": 1, "symbol": "ETHUSDT"},
            {"origClientOrderId": "a", "symbol": "ETHUSDT"},
        ):
            params = {"symbol": "BTCUSDT", **params}
            assert (await client.send("GET", "order", **params)).error == NO_ORDER
            assert (await client.send("DELETE", "order", **params)).error == NOT_OPEN


@MARKETS
async def test_query_without_id_or_with_two_that_disagree_is_refused(venue: Any) -> None:
    async with trading(venue) as client:
        await client.place(newClientOrderId="a")
        none = await client.send("GET", "order", symbol="BTCUSDT")
        both = await client.send("GET", "order", symbol="BTCUSDT", orderId=1, origClientOrderId="b")
    text = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
    assert none.error == (400, -1102, text)
    assert both.error == (400, -2039, "Client order ID is not correct for this order ID.")


@MARKETS
async def test_cancel_ends_an_order_once(venue: Any) -> None:
    wanted = {"symbol": "BTCUSDT", "origClientOrderId": "a"}
    async with trading(venue) as client:
        await client.place(newClientOrderId="a")
        gone = await client.send("DELETE", "order", **wanted)
        again = await client.send("DELETE", "order", **wanted)
        query = await client.send("GET", "order", **wanted)
        opened = await client.send("GET", "openOrders")
    assert (gone.body["status"], again.error) == ("CANCELED", NOT_OPEN)
    assert (query.body["status"], opened.body) == ("CANCELED", [])
    if venue == "spot":
        assert gone.body["origClientOrderId"] == "a" != gone.body["clientOrderId"]


async def test_spot_cancel_takes_an_id_of_its_own() -> None:
    async with trading() as client:
        await client.place(newClientOrderId="a")
        gone = await client.send(
            "DELETE", "order", symbol="BTCUSDT", orderId=1, newClientOrderId="c"
        )
    assert (gone.body["clientOrderId"], gone.body["origClientOrderId"]) == ("c", "a")


@MARKETS
async def test_filled_order_cannot_be_cancelled(venue: Any) -> None:
    async with trading(venue) as client:
        await client.send("POST", "order", **market())
        gone = await client.send("DELETE", "order", symbol="BTCUSDT", orderId=1)
    assert gone.error == NOT_OPEN


@MARKETS
async def test_client_id_of_an_open_order_is_refused(venue: Any) -> None:
    async with trading(venue) as client:
        await client.place(newClientOrderId="a")
        again = await client.place(newClientOrderId="a")
        elsewhere = await client.place(newClientOrderId="a", symbol="ETHUSDT", price="2000")
        assert (again.error, client.venue.order_attempts) == (DUPLICATE[venue], 3)
        assert elsewhere.code not in (-2010, -4116)


@MARKETS
async def test_client_id_of_a_filled_order_places_a_second_one(venue: Any) -> None:
    # the trap: a client id does not make a request safe to repeat
    async with trading(venue) as client:
        for _ in range(2):
            assert (
                await client.send("POST", "order", **market(newClientOrderId="a"))
            ).status == 200
        newest = await client.send("GET", "order", symbol="BTCUSDT", origClientOrderId="a")
        assert [one.client_id for one in client.venue.orders()] == ["a", "a"]
    assert newest.body["orderId"] == 2


@MARKETS
async def test_open_orders_are_of_one_symbol_or_all(venue: Any) -> None:
    async with trading(venue) as client:
        eth = f"{await client.bid('ETHUSDT') * 0.96:.0f}"
        await client.place(newClientOrderId="a")
        await client.place(newClientOrderId="b", symbol="ETHUSDT", price=eth, quantity="1")
        every = await client.send("GET", "openOrders")
        one = await client.send("GET", "openOrders", symbol="ETHUSDT")
        wrong = await client.send("GET", "openOrders", symbol="NOPE")
    assert [row["clientOrderId"] for row in every.body] == ["a", "b"]
    assert [row["clientOrderId"] for row in one.body] == ["b"]
    assert wrong.error == (400, -1121, "Invalid symbol.")


async def test_spot_cancel_all_answers_each_order() -> None:
    async with trading() as client:
        for name in "ab":
            await client.place(newClientOrderId=name)
        gone = await client.send("DELETE", "openOrders", symbol="BTCUSDT")
        again = await client.send("DELETE", "openOrders", symbol="BTCUSDT")
    assert [(row["origClientOrderId"], row["status"]) for row in gone.body] == [
        ("a", "CANCELED"),
        ("b", "CANCELED"),
    ]
    assert again.error == NOT_OPEN


async def test_futures_cancel_all_says_so_and_open_order_finds_only_open() -> None:
    async with trading("futures") as client:
        await client.place(newClientOrderId="a")
        wanted = {"symbol": "BTCUSDT", "origClientOrderId": "a"}
        before = await client.send("GET", "openOrder", **wanted)
        gone = await client.send("DELETE", "allOpenOrders", symbol="BTCUSDT")
        after = await client.send("GET", "openOrder", **wanted)
    assert before.body["status"] == "NEW"
    assert gone.body == {
        "code": 200,
        "msg": "The operation of cancel all open order is done.",
    }
    assert after.error == NO_ORDER


@MARKETS
async def test_all_orders_pages_by_number_time_and_limit(venue: Any) -> None:
    clock = ManualClock(START)
    async with trading(venue, clock=clock) as client:
        for _ in range(4):
            await client.send("POST", "order", **market())
            clock.advance(60)

        async def numbers(**params: Any) -> list[int]:
            reply = await client.send("GET", "allOrders", symbol="BTCUSDT", **params)
            return [row["orderId"] for row in reply.body]

        assert await numbers() == [1, 2, 3, 4]
        assert await numbers(limit=2) == [3, 4]
        assert await numbers(orderId=2, limit=2) == [2, 3]
        assert await numbers(startTime=START + 60_000, endTime=START + 120_000) == [2, 3]
        window = {"startTime": START, "endTime": START + 8 * DAY * 1000}
        long = await client.send("GET", "allOrders", symbol="BTCUSDT", **window)
    hours = 24 if venue == "spot" else 168
    assert long.error == (400, -1127, f"More than {hours} hours between startTime and endTime.")


@pytest.mark.parametrize(("venue", "days", "code"), [("spot", 91, -2026), ("futures", 4, -2013)])
async def test_unfilled_order_is_forgotten(venue: Any, days: int, code: int) -> None:
    clock = ManualClock(START)
    async with trading(venue, clock=clock) as client:
        await client.place(newClientOrderId="a")
        await client.send("DELETE", "order", symbol="BTCUSDT", orderId=1)
        wanted = {"symbol": "BTCUSDT", "origClientOrderId": "a"}
        before = await client.send("GET", "order", **wanted)
        clock.advance(days * DAY)
        after = await client.send("GET", "order", **wanted)
    assert (before.status, after.code) == (200, code)


async def test_orders_outlive_a_restart_of_the_venue() -> None:
    async with trading() as client:
        await client.place(newClientOrderId="a")
        await client.venue.aclose()
        await client.venue.start()
        found = await client.send("GET", "order", symbol="BTCUSDT", origClientOrderId="a")
    assert found.body["status"] == "NEW"


async def test_reset_account_forgets_orders_and_restores_balances() -> None:
    async with trading() as client:
        await client.send("POST", "order", **market(newClientOrderId="a"))
        await client.place()
        client.venue.reset_account()
        account = await client.send("GET", "account")
        assert client.venue.orders() == []
    assert account.body["balances"][0] == {
        "asset": "USDT",
        "free": "100000.00000000",
        "locked": "0.00000000",
    }


async def test_orders_are_recorded_for_tests() -> None:
    async with trading() as client:
        await client.place(newClientOrderId="a", side="SELL", price="50000.5")
        (record,) = client.venue.orders("BTCUSDT")
        assert client.venue.orders("ETHUSDT") == []
    assert (record.id, record.client_id, record.symbol) == (1, "a", "BTCUSDT")
    assert (record.side, record.type, record.status) == ("SELL", "LIMIT", "NEW")
    assert (record.quantity, record.filled, record.price, record.time_ms) == (
        Decimal("0.01"),
        Decimal(0),
        Decimal("50000.5"),
        START,
    )


@MARKETS
async def test_symbol_that_does_not_trade_is_refused(venue: Any) -> None:
    async with trading(venue) as client:
        status, error = {
            "spot": ("BREAK", (400, -1013, "Market is closed.")),
            "futures": (
                "SETTLING",
                (
                    400,
                    -4108,
                    "Symbol is on delivering or delivered or settling or closed or pre-trading.",
                ),
            ),
        }[venue]
        client.venue.change_symbol("BTCUSDT", status=status)
        assert (await client.place()).error == error
        info = await client.raw("GET", "exchangeInfo", key=None)
    assert info.body["symbols"][0]["status"] == status


async def test_order_type_the_symbol_has_not_is_refused() -> None:
    async with trading() as client:
        client.venue.change_symbol("BTCUSDT", orderTypes=["LIMIT"])
        reply = await client.send("POST", "order", **market())
    assert reply.error == (400, -1013, "Market orders are not supported for this symbol.")


def test_change_symbol_that_is_not_listed_is_an_error() -> None:
    with pytest.raises(ConfigError, match="NOPE"):
        StandInVenue().change_symbol("NOPE")


@MARKETS
async def test_path_that_is_not_served_is_404(venue: Any) -> None:
    async with trading(venue) as client:
        assert (await client.send("DELETE", "account")).status == 404
