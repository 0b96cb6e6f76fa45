"""What may enter a recording."""

from __future__ import annotations

import json

import pytest

from velas.errors import ConfigError
from velas_replay._scrub import check_public, clean_response, clean_uri, trimmed

KLINES = "https://api.x.invalid/api/v3/klines"


@pytest.mark.parametrize(
    "url",
    [
        KLINES + "?symbol=BTCUSDT&interval=1h",
        "https://x.invalid/fapi/v1/exchangeInfo",
        "https://x.invalid/api/v3/ticker/bookTicker?symbol=BTCUSDT",
        "https://x.invalid/0/public/OHLC?pair=XBTUSDT",
        "https://x.invalid/v5/market/instruments-info?category=spot",
    ],
)
def test_public_question_is_allowed(url: str) -> None:
    check_public("GET", url, {"User-Agent": "x"}, body=None, allowed=())


@pytest.mark.parametrize(
    ("method", "url", "headers", "body", "message"),
    [
        ("POST", KLINES, {}, None, "only GET"),
        ("GET", KLINES, {}, "x=1", "only GET"),
        ("GET", "https://x.invalid/api/v3/account", {}, None, "not known to be public"),
        ("GET", "https://x.invalid/api/v3/klines/../account", {}, None, "not known"),
        ("GET", "https://x.invalid/sapi/v1/capital/config/getall", {}, None, "not known"),
        ("GET", "https://x.invalid/fapi/v1/listenKey", {}, None, "not known"),
        ("GET", KLINES + "?signature=SESAME", {}, None, "signed .signature"),
        ("GET", KLINES + "?listenKey=SESAME", {}, None, "signed .listenKey"),
        ("GET", KLINES + "?signature=", {}, None, "signed"),
        ("GET", KLINES, {"X-MBX-APIKEY": "SESAME"}, None, "signed .X-MBX-APIKEY"),
        ("GET", KLINES, {"authorization": "SESAME"}, None, "signed"),
        ("GET", KLINES, {"Cookie": "SESAME"}, None, "signed"),
        ("GET", KLINES, {"API-Sign": "SESAME"}, None, "signed"),
    ],
)
def test_any_other_request_is_refused(
    method: str, url: str, headers: dict[str, str], body: object, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_public(method, url, headers, body=body, allowed=())
    assert "SESAME" not in str(caught.value)


def test_path_that_was_allowed_is_allowed() -> None:
    url = "https://x.invalid/public/candles"
    with pytest.raises(ConfigError, match="--public /public/candles"):
        check_public("GET", url, {}, body=None, allowed=())
    check_public("GET", url, {}, body=None, allowed=["/public/candles"])


def test_clean_uri_has_a_neutral_host_and_sorted_parameters() -> None:
    dirty = "http://user@127.0.0.1:8080/api/v3/klines?symbol=BTC%2FUSDT&b=&timestamp=1&recvWindow=5"
    assert clean_uri(dirty) == "https://recorded.invalid/api/v3/klines?b=&symbol=BTC%2FUSDT"
    assert clean_uri("http://x/api/v3/time") == "https://recorded.invalid/api/v3/time"
    assert clean_uri(clean_uri(dirty)) == clean_uri(dirty)


def test_clean_response_keeps_three_headers() -> None:
    headers = {
        "Content-Type": ["application/json"],
        "Retry-After": ["1"],
        "x-mbx-used-weight-1m": ["7"],
        "X-MBX-USED-WEIGHT": ["7"],
        "x-mbx-uuid": ["7"],
        "Set-Cookie": ["a=b"],
        "Date": ["now"],
        "Server": ["x"],
    }
    answer = {
        "status": {"code": 200, "message": "OK"},
        "headers": headers,
        "body": {"string": b"{}"},
        "url": "http://127.0.0.1/",
    }
    cleaned = clean_response(answer)
    assert cleaned is not None
    assert set(cleaned) == {"status", "headers", "body"}
    assert set(cleaned["headers"]) == {
        "content-type",
        "retry-after",
        "x-mbx-used-weight-1m",
        "x-mbx-used-weight",
    }


@pytest.mark.parametrize("code", [301, 400, 401, 418, 429, 503])
def test_clean_response_drops_what_is_no_answer(code: int) -> None:
    assert clean_response({"status": {"code": code}, "headers": {}, "body": {}}) is None


def test_trimmed_keeps_the_wanted_markets() -> None:
    document = {"symbols": [{"symbol": "A"}, {"symbol": "B"}], "rateLimits": [1]}
    kept = json.loads(trimmed(json.dumps(document).encode(), ["B"]))
    assert kept == {"symbols": [{"symbol": "B"}], "rateLimits": [1]}


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"symbols":{"A":1}}', b'["symbols"]', b"\xff"])
def test_trimmed_leaves_other_answers_alone(body: bytes) -> None:
    assert trimmed(body, ["A"]) == body
