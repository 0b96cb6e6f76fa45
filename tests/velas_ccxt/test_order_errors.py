"""What failed order requests mean: a table of replies, both markets (facts 2, 6, 8)."""

from __future__ import annotations

import ccxt.async_support as foreign
import orjson
import pytest

from velas import errors
from velas.orders.desk import _NOT_MADE
from velas_ccxt._errors import Reply, translate
from velas_ccxt._order_errors import order_error


def meaning(status: int, document: object, *, spot: bool, body: str = "") -> errors.VelasError:
    text = body if document is None else orjson.dumps(document).decode()
    reply = Reply(status=status, body=text, document=document)
    known = translate(foreign.ExchangeError("x"), reply, venue="binance", now_ms=0)
    return order_error(known, reply, spot=spot)


def leaves_it_open(error: errors.VelasError) -> bool:
    return isinstance(error, errors.DuplicateOrder) or not isinstance(error, _NOT_MADE)


def said(code: int, text: str) -> dict[str, object]:
    return {"code": code, "msg": text}


UNKNOWN = "Unknown error, please check your request or try again later."


@pytest.mark.parametrize("spot", [True, False])
@pytest.mark.parametrize(
    ("status", "document"),
    [
        (0, None),
        (200, None),
        (408, None),
        (500, None),
        (502, None),
        (503, None),
        (504, None),
        (503, said(-1000, UNKNOWN)),
        (500, said(-1000, "An unknown error occurred while processing the request.")),
        (500, said(-1001, "Internal error; unable to process your request. Please try again.")),
        (503, said(-1001, "Internal error; unable to process your request. Please try again.")),
        (400, said(-1006, "An unexpected response was received. Execution status unknown.")),
        (400, said(-1007, "Timeout waiting for response. Execution status unknown.")),
        (408, said(-1007, "Timeout waiting for response. Execution status unknown.")),
        (400, said(-2010, "Duplicate order sent.")),
        (400, said(-4116, "ClientOrderId is duplicated.")),
        (500, said(-2010, "Filter failure: LOT_SIZE")),
        (200, said(-2010, "Filter failure: LOT_SIZE")),
        (307, None),
        (400, None),
        (404, None),
        (407, None),
        (409, said(-2021, "Order cancel-replace partially failed.")),
        (400, {"code": "-1007", "msg": "Timeout waiting for response."}),
    ],
)
def test_fate_is_open(status: int, document: object, spot: bool) -> None:
    assert leaves_it_open(meaning(status, document, spot=spot, body="<html>"))


@pytest.mark.parametrize("spot", [True, False])
@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (400, said(-1013, "Filter failure: LOT_SIZE"), errors.OrderRejected),
        (400, said(-1111, "Precision is over the maximum."), errors.OrderRejected),
        (400, said(-2010, "Account has insufficient balance."), errors.OrderRejected),
        (400, said(-2019, "Margin is insufficient."), errors.OrderRejected),
        (400, said(-4164, "Order's notional must be no smaller than 5"), errors.OrderRejected),
        (400, said(-1021, "Timestamp for this request."), errors.TimestampRefused),
        (400, said(-5028, "Timestamp at the matching engine."), errors.TimestampRefused),
        (400, said(-1022, "Signature"), errors.AuthError),
        (401, said(-2015, "Invalid API-key, IP, or permissions"), errors.AuthError),
        (400, said(-1102, "Mandatory parameter"), errors.BadRequest),
        (429, said(-1015, "Too many new orders"), errors.RateLimited),
        (429, said(-1003, "Too much request weight used"), errors.RateLimited),
        (418, said(-1003, "banned until 1700000000000"), errors.Banned),
        (403, None, errors.Forbidden),
        (451, None, errors.RestrictedLocation),
        (503, said(-1008, "Request throttled by system-level protection."), errors.OrderNotPlaced),
        (400, said(-1008, "Server is currently overloaded"), errors.OrderNotPlaced),
    ],
)
def test_no_order_was_made(
    status: int, document: object, kind: type[errors.VelasError], spot: bool
) -> None:
    found = meaning(status, document, spot=spot, body="<html>")
    assert type(found) is kind
    assert not leaves_it_open(found)


def test_service_unavailable_is_definite_on_futures_alone() -> None:
    document = said(-1001, "Service Unavailable.")
    assert isinstance(meaning(503, document, spot=False), errors.OrderNotPlaced)
    assert leaves_it_open(meaning(503, document, spot=True))
    assert leaves_it_open(meaning(503, None, spot=False, body="Service Unavailable."))


@pytest.mark.parametrize(
    ("code", "text", "by_a_rule"),
    [
        (-1013, "Filter failure: NOTIONAL", True),
        (-2010, "Filter failure: MAX_POSITION", True),
        (-4003, "Quantity less than zero.", True),
        (-2010, "Account has insufficient balance.", False),
        (-2022, "ReduceOnly Order is rejected.", False),
    ],
)
def test_refusals_by_a_filter_are_told_from_others(code: int, text: str, by_a_rule: bool) -> None:
    found = meaning(400, said(code, text), spot=code > -2011)
    assert isinstance(found, errors.OrderRejected)
    assert found.by_a_rule is by_a_rule
