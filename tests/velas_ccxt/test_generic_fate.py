"""What a failed order means, over ccxt's errors, statuses and where they were read."""

from __future__ import annotations

from typing import Any

import pytest
from ccxt.base import errors as ccxt_errors

from velas.errors import DuplicateOrder
from velas.orders.desk import _NOT_MADE
from velas_ccxt._errors import TABLE, Reply, translate
from velas_ccxt._generic_fate import order_error

# refusals in a body below 400: the venue has judged, and no order exists
REFUSED = {
    "AccountNotEnabled", "AccountSuspended", "AddressPending", "ArgumentsRequired",
    "AuthenticationError", "BadRequest", "BadSymbol", "ContractUnavailable",
    "DDoSProtection", "InsufficientFunds", "InvalidAddress", "InvalidNonce", "InvalidOrder",
    "InvalidProxySettings", "ManualInteractionNeeded", "MarginModeAlreadySet", "MarketClosed",
    "NoChange", "NotSupported", "OperationRejected", "OrderImmediatelyFillable",
    "OrderNotCached", "OrderNotFillable", "PermissionDenied", "RateLimitExceeded",
    "RestrictedLocation",
}  # fmt: skip
DUPLICATE = {"DuplicateOrderId"}
TROUBLE = {
    name for name in TABLE if issubclass(getattr(ccxt_errors, name), ccxt_errors.OperationFailed)
} - {"ChecksumError", "DDoSProtection", "RateLimitExceeded", "InvalidNonce"}


def fate(name: str, *, status: int, judged: bool = True, document: Any = None) -> str:
    error = getattr(ccxt_errors, name)("venue {...}")
    reply = Reply(status=status, body="{}", document={"error": 1} if document is None else document)
    reply.judged = error if judged else None
    known = order_error(translate(error, reply, venue="v", now_ms=0), reply)
    if isinstance(known, DuplicateOrder):
        return "duplicate"
    return "none" if isinstance(known, _NOT_MADE) else "open"


@pytest.mark.parametrize("name", sorted(TABLE))
def test_judged_below_400_is_by_the_class(name: str) -> None:
    expected = "duplicate" if name in DUPLICATE else "none" if name in REFUSED else "open"
    assert fate(name, status=200) == expected


@pytest.mark.parametrize("name", sorted(TABLE))
def test_judged_at_400_is_a_refusal_unless_it_is_the_venues_trouble(name: str) -> None:
    is_open = name in TROUBLE or name == "OrderNotFound"
    expected = "duplicate" if name in DUPLICATE else "open" if is_open else "none"
    assert fate(name, status=400) == expected


@pytest.mark.parametrize("status", [0, 408, 500, 502, 503, 504, 520])
@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.parametrize("name", sorted(TABLE))
def test_without_an_answer_below_500_everything_is_open(
    name: str, status: int, judged: bool
) -> None:
    assert fate(name, status=status, judged=judged) == "open"


@pytest.mark.parametrize("name", sorted(TABLE))
def test_read_after_a_good_answer_everything_is_open(name: str) -> None:
    assert fate(name, status=200, judged=False) == "open"


@pytest.mark.parametrize("name", ["ExchangeNotAvailable", "ExchangeError", "BadRequest"])
def test_at_400_ccxt_cannot_judge_it_is_refused_if_it_is_json(name: str) -> None:
    assert fate(name, status=404, judged=False) == "none"
    assert fate(name, status=404, judged=False, document="<html>") == "open"


@pytest.mark.parametrize("status", [401, 403, 418, 429, 451])
@pytest.mark.parametrize("judged", [True, False])
def test_refused_before_the_engine_is_refused(status: int, judged: bool) -> None:
    assert fate("ExchangeNotAvailable", status=status, judged=judged) == "none"


@pytest.mark.parametrize("text", ["Duplicate clientOrderId", "clientOid duplicated"])
def test_a_duplicate_without_a_name_in_ccxt_is_one(text: str) -> None:
    error = ccxt_errors.InvalidOrder(text)
    reply = Reply(status=200, body=text, document={}, judged=error)
    known = translate(error, reply, venue="v", now_ms=0)
    assert isinstance(order_error(known, reply), DuplicateOrder)
