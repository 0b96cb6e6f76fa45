"""What a new order must, may and must not say."""

from __future__ import annotations

from typing import Any

import pytest
from signed import Reply, limit, market, trading

NUMBER = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
IDS = {"spot": "^[a-zA-Z0-9-_]{1,36}$", "futures": r"^[\.A-Z\:/a-z0-9_-]{1,36}$"}
MARKETS = pytest.mark.parametrize("venue", ["spot", "futures"])


def illegal(name: str, legal: str = NUMBER) -> tuple[int, int, str]:
    text = f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    return 400, -1100, text


def missing(name: str) -> tuple[int, int, str]:
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return 400, -1102, text


def superfluous(name: str) -> tuple[int, int, str]:
    return 400, -1106, f"Parameter '{name}' sent when not required."


async def answer(venue: Any, params: dict[str, Any], path: str = "order") -> Reply:
    async with trading(venue) as client:
        reply = await client.send("POST", path, **params)
        assert reply.status == 200 or not client.venue.orders()
        return reply


@MARKETS
@pytest.mark.parametrize("value", ["1e-3", "+0.01", "-0.01", " 0.01", "0,01", ".01", "1.", "٣"])
@pytest.mark.parametrize("name", ["quantity", "price"])
async def test_number_not_in_plain_notation_is_refused(venue: Any, name: str, value: str) -> None:
    assert (await answer(venue, limit(**{name: value}))).error == illegal(name)


@MARKETS
@pytest.mark.parametrize("name", ["symbol", "side", "type", "timeInForce", "quantity", "price"])
@pytest.mark.parametrize("value", [None, ""])
async def test_mandatory_parameter_not_sent_is_refused(
    venue: Any, name: str, value: str | None
) -> None:
    assert (await answer(venue, limit(**{name: value}))).error == missing(name)


@MARKETS
@pytest.mark.parametrize(
    ("name", "value", "code", "text"),
    [
        ("symbol", "NOPEUSDT", -1121, "Invalid symbol."),
        ("side", "buy", -1117, "Invalid side."),
        ("type", "limit", -1116, "Invalid orderType."),
        ("timeInForce", "GTX2", -1115, "Invalid timeInForce."),
        ("newOrderRespType", "ALL", -1136, "Invalid newOrderRespType."),
    ],
)
async def test_word_that_is_none_is_refused(
    venue: Any, name: str, value: str, code: int, text: str
) -> None:
    assert (await answer(venue, limit(**{name: value}))).error == (400, code, text)


@MARKETS
@pytest.mark.parametrize(("name", "value"), [("timeInForce", "GTC"), ("price", "45000")])
async def test_market_order_with_limit_parameter_is_refused(
    venue: Any, name: str, value: str
) -> None:
    assert (await answer(venue, market(**{name: value}))).error == superfluous(name)


@pytest.mark.parametrize("name", ["stopPrice", "quoteOrderQty", "trailingDelta"])
async def test_spot_limit_order_with_parameter_of_another_type_is_refused(name: str) -> None:
    assert (await answer("spot", limit(**{name: "100"}))).error == superfluous(name)


async def test_spot_unknown_parameter_is_refused() -> None:
    reply = await answer("spot", limit(colour="red"))
    text = "Not all sent parameters were read; read '8' parameter(s) but was sent '9'."
    assert reply.error == (400, -1104, text)


async def test_spot_market_order_needs_one_amount() -> None:
    both = await answer("spot", market(quoteOrderQty="100"))
    none = await answer("spot", market(quantity=None))
    text = "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"
    assert (both.error, none.error) == (superfluous("quoteOrderQty"), (400, -1102, text))


async def test_spot_stop_order_needs_a_stop() -> None:
    reply = await answer("spot", market(type="STOP_LOSS"))
    text = "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!"
    assert reply.error == (400, -1102, text)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"quantity": "0"}, "Invalid quantity."),
        ({"price": "0.00"}, "Invalid price."),
        ({"icebergQty": "0.02"}, "IcebergQty exceeds QTY."),
    ],
)
async def test_spot_amount_that_makes_no_sense_is_refused(
    params: dict[str, str], text: str
) -> None:
    assert (await answer("spot", limit(**params))).error == (400, -1013, text)


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"quantity": "0"}, -4003, "Quantity less than zero."),
        ({"price": "0"}, -4001, "Price less than 0."),
        (
            {"positionSide": "LONG"},
            -4061,
            "Order's position side does not match user's setting.",
        ),
        ({"workingType": "LAST"}, -4031, "Invalid parameter working type: LAST"),
        ({"reduceOnly": "yes"}, -1130, "Data sent for parameter 'reduceOnly' is not valid."),
        ({"newClientOrderId": "x" * 37}, -4015,
         "Client order id length should not be more than 36 chars"),
    ],
)  # fmt: skip
async def test_futures_parameter_out_of_range_is_refused(
    params: dict[str, str], code: int, text: str
) -> None:
    assert (await answer("futures", limit(**params))).error == (400, code, text)


@pytest.mark.parametrize(
    "kind", ["STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
)
async def test_futures_conditional_type_has_moved(kind: str) -> None:
    text = "Order type not supported for this endpoint. "
    text += "Please use the Algo Order API endpoints instead."
    assert (await answer("futures", limit(type=kind, stopPrice="1"))).error == (400, -4120, text)


async def test_futures_good_till_date_is_needed_and_not_too_soon() -> None:
    none = await answer("futures", limit(timeInForce="GTD"))
    soon = await answer("futures", limit(timeInForce="GTD", goodTillDate=1_790_000_050_000))
    assert none.error == missing("goodTillDate")
    assert soon.code == -5040


@MARKETS
@pytest.mark.parametrize("value", ["with space", "é", "a@b"])
async def test_client_id_with_other_characters_is_refused(venue: Any, value: str) -> None:
    reply = await answer(venue, limit(newClientOrderId=value))
    assert reply.error == illegal("newClientOrderId", IDS[venue])


async def test_client_id_of_futures_is_not_one_of_spot() -> None:
    for value in ("a.b:c/d", "x" * 37):
        reply = await answer("spot", limit(newClientOrderId=value))
        assert reply.error == illegal("newClientOrderId", IDS["spot"])
    assert (await answer("futures", limit(newClientOrderId="a.b:c/d"))).status == 200


@MARKETS
async def test_client_id_not_sent_is_made_up(venue: Any) -> None:
    assert (await answer(venue, limit())).body["clientOrderId"] == "standin-1"


@pytest.mark.parametrize(
    ("venue", "name", "value", "text"),
    [
        ("spot", "price", "45000.123456789", "Parameter 'price' has too much precision."),
        ("spot", "quantity", "0.010000001", "Parameter 'quantity' has too much precision."),
        ("futures", "price", "45000.123", "Precision is over the maximum defined for this asset."),
        ("futures", "quantity", "0.0101", "Precision is over the maximum defined for this asset."),
    ],
)
async def test_too_many_decimals_are_refused(venue: Any, name: str, value: str, text: str) -> None:
    assert (await answer(venue, limit(**{name: value}))).error == (400, -1111, text)


@MARKETS
async def test_zeros_at_the_end_are_no_decimals(venue: Any) -> None:
    assert (await answer(venue, limit(quantity="0.0100000000", price="45000.0000"))).status == 200


@MARKETS
async def test_test_order_is_judged_and_not_placed(venue: Any) -> None:
    async with trading(venue) as client:
        good = await client.send("POST", "order/test", **limit())
        bad = await client.send("POST", "order/test", **limit(quantity="0.0000001"))
        assert (good.status, good.body, bad.status) == (200, {}, 400)
        assert (client.venue.orders(), client.venue.order_attempts) == ([], 0)


async def test_spot_test_order_tells_commissions_when_asked() -> None:
    reply = await answer("spot", limit(computeCommissionRates="true"), "order/test")
    assert reply.body["standardCommissionForOrder"]["maker"] == "0.00000000"
