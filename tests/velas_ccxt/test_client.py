from __future__ import annotations

import logging
from typing import Any

import pytest
from aiohttp import web
from ccxt.async_support.binance import binance
from ccxt_dialects import OtherVenue

from velas import errors
from velas.clock import SYSTEM_CLOCK
from velas.testing import ManualClock
from velas_ccxt._client import CcxtClient
from velas_ccxt._errors import Reply


class Echo(OtherVenue):
    def answer(self, path: str, query: dict[str, str]) -> Any:
        return {"path": path, **query}


def client(url: str | None = None, **options: Any) -> CcxtClient:
    return CcxtClient(binance, venue="binance_spot", clock=SYSTEM_CLOCK, url=url, **options)


async def test_call_fills_the_reply(clock: ManualClock) -> None:
    async with Echo(clock) as venue:
        one = client(venue.url)
        reply = Reply()
        found = await one.call(reply, one.exchange.publicGetKlines, {"symbol": "X"})
        assert found == reply.document == {"path": "/api/v3/klines", "symbol": "X"}
        assert (reply.status, reply.headers["Content-Type"][:16]) == (200, "application/json")
        await one.close()


async def test_call_raw_leaves_the_text(clock: ManualClock) -> None:
    async with Echo(clock) as venue:
        one = client(venue.url)
        reply = Reply(raw=True)
        await one.call(reply, one.exchange.publicGetKlines, {"symbol": "X"})
        assert reply.document is None
        assert reply.body.startswith('{"path"')
        await one.close()


async def test_call_raw_of_an_error_is_translated(clock: ManualClock) -> None:
    async with Echo(clock) as venue:
        venue.bodies["klines"] = [
            web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        ]
        one = client(venue.url)
        with pytest.raises(errors.UnknownSymbol, match="-1121"):
            await one.call(Reply(raw=True), one.exchange.publicGetKlines, {"symbol": "X"})
        await one.close()


async def test_call_that_ccxt_cannot_read_is_a_bad_response() -> None:
    async def broken() -> None:
        raise KeyError("symbol")

    one = client()
    with pytest.raises(errors.BadResponse, match="KeyError"):
        await one.call(Reply(), broken)
    await one.close()


async def test_call_after_close_is_refused(clock: ManualClock) -> None:
    async with Echo(clock) as venue:
        one = client(venue.url)
        await one.close()
        with pytest.raises(errors.ExchangeError, match="closed") as caught:
            await one.call(Reply(), one.exchange.publicGetTime, {})
        assert not isinstance(caught.value, errors.Transient)
        assert venue.requests == []


async def test_call_outside_of_the_client_is_ccxt_as_ever(clock: ManualClock) -> None:
    async with Echo(clock) as venue:
        one = client(venue.url)
        assert (await one.exchange.publicGetTime())["path"] == "/api/v3/time"
        await one.exchange.close()


def test_address_replaces_scheme_host_and_port_only() -> None:
    urls = client("http://127.0.0.1:81").exchange.urls["api"]
    assert urls["public"] == "http://127.0.0.1:81/api/v3"
    assert urls["fapiPublicV2"] == "http://127.0.0.1:81/fapi/v2"
    assert {str(url)[:20] for url in urls.values()} == {"http://127.0.0.1:81/"}


def test_address_without_override_is_the_venue() -> None:
    assert client().host("public") == "api.binance.com"
    assert client("http://127.0.0.1:81").host("public") == "127.0.0.1:81"


async def test_https_uses_the_certificates_of_certifi() -> None:
    one = client("https://127.0.0.1:9")
    with pytest.raises(errors.Unavailable):
        await one.call(Reply(), one.exchange.publicGetTime, {})
    assert one.exchange.ssl_context.get_ca_certs()
    await one.close()


def test_ccxt_makes_no_signed_or_paced_request_by_itself() -> None:
    exchange = client().exchange
    assert exchange.has["fetchCurrencies"] is False
    assert exchange.options["adjustForTimeDifference"] is False
    assert exchange.enableRateLimit is False
    assert not exchange.apiKey
    assert not exchange.secret


async def test_keys_are_not_logged(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Echo(clock) as venue:
        one = client(venue.url, config={"apiKey": "k3y", "secret": "s3cr3t"})
        await one.call(Reply(), one.exchange.privateGetAccount, {})
        assert venue.requests[0][1]["signature"]
        signature = venue.requests[0][1]["signature"]
        venue.bodies["account"] = [web.json_response({"code": -1022, "msg": "x"}, status=400)]
        with pytest.raises(errors.AuthError) as caught:
            await one.call(Reply(), one.exchange.privateGetAccount, {})
        await one.close()
    shown = caplog.text + repr(one) + repr(caught.value) + str(caught.value.__cause__)
    for secret in ("k3y", "s3cr3t", signature):
        assert secret not in shown


async def test_pace_keeps_calls_apart_by_their_cost() -> None:
    clock = ManualClock(auto=True)
    async with Echo(clock) as venue:
        one = CcxtClient(binance, venue="b", clock=clock, url=venue.url, paced=True)
        one.exchange.rateLimit = 100
        start_s = clock.monotonic_s()
        for _ in range(3):
            await one.exchange.publicGetDepth({"symbol": "X", "limit": 500})  # cost 5
        assert clock.monotonic_s() - start_s == pytest.approx(1.0)
        await one.exchange.close()


async def test_call_is_logged_at_debug_without_its_query(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "velas_ccxt")
    async with Echo(clock) as venue:
        one = client(venue.url)
        await one.call(Reply(), one.exchange.publicGetKlines, {"symbol": "X"})
        await one.close()
    assert "GET /api/v3/klines: HTTP 200" in caplog.text
    assert "symbol" not in caplog.text
