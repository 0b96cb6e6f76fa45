from __future__ import annotations

import inspect
import json
import traceback

import aiohttp
import pytest
from ccxt.base import errors as foreign
from realdata import market_data

from velas import errors
from velas_ccxt._errors import TABLE, Reply, translate

NOW_MS = 1_700_000_000_000
FOREIGN = [kind for kind in vars(foreign).values() if inspect.isclass(kind)]


def reply(status: int = 0, document: object = None, *, body: str = "", **headers: str) -> Reply:
    text = body or ("" if document is None else json.dumps(document))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, document=document, body=text, headers=named)


def translated(
    answer: Reply, error: foreign.BaseError | None = None, cause: Exception | None = None
) -> errors.VelasError:
    raised = error or foreign.ExchangeError("binance GET https://x/y?signature=abc&apiKey=k")
    raised.__cause__ = cause
    return translate(raised, answer, venue="binance_spot", now_ms=NOW_MS)


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_table_maps_every_ccxt_error(kind: type[foreign.BaseError]) -> None:
    assert kind.__name__ in TABLE
    assert type(translated(reply(), kind("text"))) is TABLE[kind.__name__]


def test_table_has_no_name_ccxt_does_not_have() -> None:
    assert {kind.__name__ for kind in FOREIGN} == set(TABLE)


def test_table_makes_only_network_and_rate_errors_transient() -> None:
    transient = {name for name, kind in TABLE.items() if issubclass(kind, errors.Transient)}
    assert transient == {
        *("OperationFailed", "NetworkError", "ExchangeNotAvailable", "OnMaintenance"),
        *("DDoSProtection", "RateLimitExceeded", "RequestTimeout", "ChecksumError"),
        *("BadResponse", "NullResponse"),
    }


def test_translate_of_a_class_of_tomorrow_takes_its_base() -> None:
    class Newer(foreign.ExchangeNotAvailable): ...

    assert type(translated(reply(), Newer("text"))) is errors.Unavailable


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (451, {"code": 0, "msg": "restricted location"}, errors.RestrictedLocation),
        (403, None, errors.Forbidden),
        (401, None, errors.AuthError),
        (408, {"code": -1007, "msg": "Timeout"}, errors.RequestTimeout),
        (429, {"code": -1003, "msg": "Too many requests."}, errors.RateLimited),
        (429, {"code": -1015, "msg": "Too many new orders."}, errors.RateLimited),
        (418, None, errors.Banned),
        (500, None, errors.Unavailable),
        (502, None, errors.Unavailable),
        (503, {"code": -1008, "msg": "overloaded"}, errors.Unavailable),
        (504, None, errors.RequestTimeout),
        (520, None, errors.Unavailable),
        (400, {"code": -1121, "msg": "Invalid symbol."}, errors.UnknownSymbol),
        (400, {"code": -1120, "msg": "Invalid interval."}, errors.BadRequest),
        (400, {"code": -1100, "msg": "Illegal characters"}, errors.BadRequest),
        (400, {"code": -1130, "msg": "Data sent for limit"}, errors.BadRequest),
        (400, {"code": -4166, "msg": "Search window"}, errors.TooOld),
        (400, {"code": -4088, "msg": "Maximum time interval"}, errors.BadRequest),
        (400, {"code": -1013, "msg": "Filter failure: LOT_SIZE"}, errors.OrderRejected),
        (400, {"code": -1021, "msg": "Timestamp"}, errors.TimestampRefused),
        (400, {"code": -2014, "msg": "API-key format invalid."}, errors.AuthError),
        (404, None, errors.BadRequest),
        (400, {"msg": "no code"}, errors.BadRequest),
    ],
)
def test_translate_goes_by_status_and_code(
    status: int, document: object, kind: type[errors.VelasError]
) -> None:
    found = translated(reply(status, document), foreign.ExchangeNotAvailable("x"))
    assert type(found) is kind
    assert f"HTTP {status}" in str(found)


@pytest.mark.parametrize("status", [403, 451])
def test_translate_of_a_refused_place_is_not_transient(status: int) -> None:
    assert not isinstance(translated(reply(status)), errors.Transient)


def test_translate_of_a_cut_body_is_unavailable() -> None:
    cause = aiohttp.ClientPayloadError("Response payload is not completed")
    found = translated(reply(200), foreign.ExchangeError("binance GET https://x"), cause)
    assert type(found) is errors.Unavailable
    assert "payload" in str(found)


# -- waiting times ----------------------------------------------------------------------


def test_translate_reads_retry_after_in_seconds() -> None:
    found = translated(reply(429, Retry_After="7"))
    assert isinstance(found, errors.RateLimited)
    assert found.retry_after_s == 7


def test_translate_reads_retry_after_as_a_date() -> None:
    found = translated(reply(429, retry_after="Tue, 14 Nov 2023 22:13:30 GMT"))
    assert isinstance(found, errors.RateLimited)
    assert found.retry_after_s == pytest.approx(10)


@pytest.mark.parametrize("value", ["", "soon", "-3"])
def test_translate_of_no_waiting_time_names_none(value: str) -> None:
    found = translated(reply(429, Retry_After=value))
    assert isinstance(found, errors.RateLimited)
    assert found.retry_after_s is None


@pytest.mark.parametrize("status", [418, 429, 400])
def test_translate_reads_the_ban_in_the_message(status: int) -> None:
    text = "Way too much request weight used; IP banned until 1700000060000. Please"
    found = translated(reply(status, {"code": -1003, "msg": text}, Retry_After="90"))
    assert isinstance(found, errors.Banned)
    assert found.until_ms == 1_700_000_060_000
    assert found.retry_after_s == 90


def test_translate_of_a_ban_without_message_ends_after_the_header() -> None:
    found = translated(reply(418, Retry_After="2.5"))
    assert isinstance(found, errors.Banned)
    assert found.until_ms == NOW_MS + 2500


def test_translate_of_a_ban_without_end_has_none() -> None:
    found = translated(reply(418))
    assert isinstance(found, errors.Banned)
    assert (found.until_ms, found.retry_after_s) == (None, None)


# -- what a message shows ---------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "binance GET https://api.binance.com/api/v3/order?symbol=X&signature=s3cr3t",
        "headers {'X-MBX-APIKEY': 's3cr3t'}",
        "apiKey=s3cr3t",
        "signature: s3cr3t",
        '{"secret":"s3cr3t"}',
    ],
)
def test_translate_shows_no_secret(text: str) -> None:
    from_ccxt = translated(reply(), foreign.ExchangeNotAvailable(text))
    from_body = translated(reply(500, body=text))
    from_cause = translated(reply(), None, aiohttp.ClientError(text))
    for found in (from_ccxt, from_body, from_cause):
        assert "s3cr3t" not in "".join(traceback.format_exception(found))


def test_translate_of_a_long_body_is_cut() -> None:
    assert len(str(translated(reply(502, body="<html>" + "x " * 5000)))) < 300


def test_translate_shows_code_and_text_of_the_venue() -> None:
    found = translated(reply(400, {"code": -1121, "msg": "Invalid symbol."}))
    assert str(found) == "binance_spot: HTTP 400 -1121 Invalid symbol."


# -- seen in public reports -------------------------------------------------------------

SEEN = {
    -1003: errors.RateLimited,
    -1013: errors.OrderRejected,
    -1121: errors.UnknownSymbol,
    -2014: errors.AuthError,
    -4088: errors.BadRequest,
}


def test_translate_of_bodies_seen_in_reports() -> None:
    cases = json.loads((market_data() / "errors/binance_error_bodies.json").read_text())
    assert cases
    for case in cases:
        document = case.get("body")
        body = case.get("body_prefix") or json.dumps(document)
        status = case["http_status"] or (429 if "-1003" in body else 400)
        found = translated(reply(status, document, body=body))
        banned = "banned until" in body
        code = document["code"] if document else -1003
        assert type(found) is (errors.Banned if banned else SEEN[code]), case
        if isinstance(found, errors.Banned):
            assert str(found.until_ms) in body
