"""Who may send a signed request, and how old it may be."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from decimal import Decimal
from typing import Any

import pytest
from signed import START, limit, trading

from velas.errors import ConfigError
from velas.testing import STAND_IN_KEY, STAND_IN_SECRET, Account, ManualClock
from velas.testing import venue as venue_package

BAD_KEY = (401, -2014, "API-key format invalid.")
UNKNOWN_KEY = (401, -2015, "Invalid API-key, IP, or permissions for action.")
BAD_SIGNATURE = (400, -1022, "Signature for this request is not valid.")
TOO_OLD = (400, -1021, "Timestamp for this request is outside of the recvWindow.")
AHEAD = (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
TOO_OLD_FOR_ENGINE = (400, -5028, "Timestamp for this request is outside of the ME recvWindow.")
MARKETS = pytest.mark.parametrize("market", ["spot", "futures"])


def missing(name: str) -> tuple[int, int, str]:
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return 400, -1102, text


def signature(text: str) -> str:
    return hmac.new(STAND_IN_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


@MARKETS
@pytest.mark.parametrize(
    ("key", "error"),
    [(None, BAD_KEY), ("two words", BAD_KEY), ("", BAD_KEY), ("other-key", UNKNOWN_KEY)],
)
async def test_signing_wrong_key_is_refused(market: Any, key: str | None, error: Any) -> None:
    async with trading(market) as client:
        assert (await client.send("GET", "openOrders", key=key)).error == error


@MARKETS
async def test_signing_wrong_secret_is_refused(market: Any) -> None:
    async with trading(market) as client:
        payload = client.signed({}, secret="another secret")
        assert (await client.raw("GET", f"openOrders?{payload}")).error == BAD_SIGNATURE


@MARKETS
async def test_signing_is_over_the_bytes_as_sent(market: Any) -> None:
    # an escape the venue would not have needed: another spelling of the same parameters
    text = f"timestamp={START}&symbol=%42TCUSDT"
    async with trading(market) as client:
        good = await client.raw("GET", f"openOrders?{text}&signature={signature(text)}")
        plain = signature(text.replace("%42", "B"))
        bad = await client.raw("GET", f"openOrders?{text}&signature={plain}")
    assert (good.status, bad.error) == (200, BAD_SIGNATURE)


@MARKETS
async def test_signing_query_and_body_are_signed_as_one_text(market: Any) -> None:
    query, body = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC", "quantity=0.01&price=45000"
    body += f"&timestamp={START}"
    async with trading(market) as client:
        data = f"{body}&signature={signature(query + body)}"
        mixed = await client.raw("POST", f"order?{query}", data=data)
        data = f"{body}&signature={signature(f'{query}&{body}')}"
        wrong = await client.raw("POST", f"order?{query}", data=data)
    assert (mixed.status, wrong.error) == (200, BAD_SIGNATURE)


@MARKETS
async def test_signing_post_by_query_and_delete_by_query_work(market: Any) -> None:
    async with trading(market) as client:
        placed = await client.raw("POST", f"order?{client.signed(limit(newClientOrderId='a'))}")
        wanted = {"symbol": "BTCUSDT", "origClientOrderId": "a"}
        gone = await client.raw("DELETE", "order", data=client.signed(wanted))
    assert (placed.status, gone.status, gone.body["status"]) == (200, 200, "CANCELED")


async def test_signing_signature_may_be_upper_case_and_anywhere() -> None:
    text = f"timestamp={START}&symbol=BTCUSDT"
    async with trading() as client:
        query = f"signature={signature('&' + text).upper()}&{text}"
        assert (await client.raw("GET", f"openOrders?{query}")).status == 200


async def test_signing_parameter_sent_twice_is_refused() -> None:
    text = f"timestamp={START}&symbol=BTCUSDT&symbol=ETHUSDT"
    async with trading() as client:
        reply = await client.raw("GET", f"openOrders?{text}&signature={signature(text)}")
    assert reply.error == (400, -1101, "Duplicate values for a parameter detected.")


@MARKETS
async def test_signing_without_timestamp_or_signature_is_refused(market: Any) -> None:
    async with trading(market) as client:
        unsigned = await client.raw("GET", f"openOrders?timestamp={START}")
        timeless = await client.raw("GET", f"openOrders?signature={signature('')}")
    assert unsigned.error == missing("signature")
    assert timeless.error == missing("timestamp")


@MARKETS
@pytest.mark.parametrize(
    ("offset_ms", "window", "error"),
    [
        (999, None, None),
        (1000, None, AHEAD),
        (-5000, None, None),
        (-5001, None, TOO_OLD),
        (-60000, 60000, None),
        (-101, 100, TOO_OLD),
        (0, 60001, (400, -1131, "recvWindow must be less than 60000.")),
        (
            0,
            "soon",
            (
                400,
                -1100,
                "Illegal characters found in parameter 'recvWindow'; "
                "legal range is '^[0-9]{1,20}$'.",
            ),
        ),
    ],
)
async def test_signing_window_is_judged_by_the_venue_clock(
    market: Any, offset_ms: int, window: Any, error: Any
) -> None:
    params = {} if window is None else {"recvWindow": window}
    # the venue is an hour off, and right about it
    async with trading(market, clock_skew_ms=3_600_000) as client:
        time_ms = START + 3_600_000 + offset_ms
        reply = await client.send("GET", "openOrders", timestamp=time_ms, **params)
    assert (reply.error if reply.code else None) == error


async def test_signing_spot_takes_microseconds_and_a_fraction_of_a_window() -> None:
    async with trading() as client:
        window = {"recvWindow": "0.5"}
        now = await client.send("GET", "openOrders", timestamp=START * 1000, **window)
        old = await client.send("GET", "openOrders", timestamp=(START - 1) * 1000, **window)
    assert (now.status, old.error) == (200, TOO_OLD)


@pytest.mark.parametrize(("market", "error"), [("spot", TOO_OLD), ("futures", TOO_OLD_FOR_ENGINE)])
async def test_signing_window_that_ends_on_the_way_is_refused_by_the_engine(
    market: Any, error: Any
) -> None:
    async with trading(market, latency_s=3.0) as client:
        late = await client.place(recvWindow=2999)
        just = await client.place(recvWindow=3000)
        assert (late.error, just.status) == (error, 200)
        assert [one.time_ms for one in client.venue.orders()] == [START + 6000]


async def test_signing_query_is_not_judged_by_the_engine() -> None:
    async with trading(latency_s=3.0) as client:
        assert (await client.send("GET", "openOrders", recvWindow=10)).status == 200


async def test_accounts_have_their_own_orders_and_balances() -> None:
    accounts = [Account(), Account("second-key", "second-secret", {"USDT": Decimal("7.5")})]
    async with trading(accounts=accounts) as client:
        await client.place(newClientOrderId="a")
        text = f"timestamp={START}"
        digest = hmac.new(b"second-secret", text.encode(), hashlib.sha256).hexdigest()
        query = f"{text}&signature={digest}"
        orders = await client.raw("GET", f"openOrders?{query}", key="second-key")
        account = await client.raw("GET", f"account?{query}", key="second-key")
        crossed = await client.raw("GET", f"account?{query}", key=STAND_IN_KEY)
    assert orders.body == []
    assert account.body["balances"] == [
        {"asset": "USDT", "free": "7.50000000", "locked": "0.00000000"}
    ]
    assert crossed.error == BAD_SIGNATURE


def test_account_hides_its_secret_and_refuses_impossible_balances() -> None:
    assert STAND_IN_SECRET not in repr(Account())
    with pytest.raises(ConfigError, match="not negative"):
        Account(balances={"USDT": Decimal("-1")})


def test_package_exports_the_key() -> None:
    assert (venue_package.STAND_IN_KEY, venue_package.STAND_IN_SECRET) == (
        STAND_IN_KEY,
        STAND_IN_SECRET,
    )


class NoticingClock(ManualClock):
    """Says when the venue began to wait."""

    def __init__(self) -> None:
        super().__init__(START)
        self.asked = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.set()
        await super().sleep(seconds)


async def test_signing_client_that_hung_up_has_its_order_placed() -> None:
    clock = NoticingClock()
    async with trading(clock=clock, latency_s=2.0) as client:
        request = asyncio.ensure_future(client.place())
        await clock.asked.wait()
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        assert client.venue.orders() == []
        clock.advance(2.0)
        assert [one.status for one in client.venue.orders()] == ["NEW"]
    (record,) = client.venue.requests
    assert (record.method, record.status, record.query["symbol"]) == ("POST", 0, "BTCUSDT")
