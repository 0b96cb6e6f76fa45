"""What ccxt would send for an order at the main venues: caught before it leaves."""

from __future__ import annotations

import inspect
import re
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import ccxt.async_support as ccxt_async
import pytest

from velas.credentials import Credentials
from velas.errors import OrderRejected, Unavailable, Unsupported
from velas.models import Market, OrderRequest
from velas.orders import client_id_of
from velas.testing import ManualClock
from velas_ccxt._client import CcxtClient
from velas_ccxt._client_ids import client_ids
from velas_ccxt._errors import Reply
from velas_ccxt._generic import _signing
from velas_ccxt._generic_placing import placing
from velas_ccxt._generic_trading import BY_CLIENT_ID, ORDERS_BY_GET, TESTS, can_trade
from velas_ccxt._leaving import LastLook, only_tests

SPOT = (
    "binanceus", "bitfinex", "bitget", "bitstamp", "bybit", "coinbase", "cryptocom",
    "gate", "htx", "kraken", "kucoin", "mexc", "okx",
)  # fmt: skip
SWAP = ("bybit", "gate", "krakenfutures", "kucoin", "okx")
TINY = Decimal("1E-7")
LONG = Decimal("123456789.12345678")  # 17 digits: more than a float holds
# what ccxt would otherwise ask the venue before it makes an order
OPTIONS: dict[str, dict[str, Any]] = {
    "bybit": {"enableUnifiedMargin": False, "enableUnifiedAccount": True, "unifiedMarginStatus": 6},
    "gate": {"unifiedAccount": False},
    "kucoin": {"uta": False},
    "bitget": {"uta": False},
}
KEY = "0123456789abcdef0123456789abcdef"
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"


class Caught(Exception):
    """The request that was about to leave."""

    def __init__(self, method: str, url: str, body: object) -> None:
        super().__init__(method)
        self.text = unquote(f"{url} {body}")


def signing(name: str, kind: str = "spot") -> CcxtClient:
    client = CcxtClient(
        getattr(ccxt_async, name),
        venue=name,
        clock=ManualClock(1_700_000_000_000, auto=True),
        url="http://127.0.0.1:9",
        config=_signing("spot" if kind == "spot" else "derivatives"),
        credentials=Credentials(api_key=KEY, api_secret=SECRET, password="word"),
    )
    exchange = client.exchange
    exchange.options.update(OPTIONS.get(name, {}))
    spot = kind == "spot"
    market = exchange.safe_market_structure(
        {
            "id": "ABCUSDT" if spot else "ABCUSDTM",
            "lowercaseId": "abcusdt",
            "symbol": "ABC/USDT" if spot else "ABC/USDT:USDT",
            "base": "ABC",
            "quote": "USDT",
            "baseId": "ABC",
            "quoteId": "USDT",
            "settle": None if spot else "USDT",
            "settleId": None if spot else "usdt",
            "type": "spot" if spot else "swap",
            "spot": spot,
            "swap": not spot,
            "future": False,
            "option": False,
            "margin": False,
            "contract": not spot,
            "linear": None if spot else True,
            "inverse": None if spot else False,
            "contractSize": None if spot else 1.0,
            "active": True,
            "precision": precision(exchange),
            "limits": {},
            "info": {
                "symbol": "ABCUSDT",
                "orderTypes": ["LIMIT", "MARKET"],
                "altname": "ABCUSDT",
                "underlying": "ABC",
                "quoteIncrement": "0.01",
            },
        }
    )
    exchange.set_markets([market])
    exchange.accounts = [{"id": "1", "type": "spot"}]  # of htx
    return client


def precision(exchange: Any) -> dict[str, Any]:
    if exchange.precisionMode == 4:
        return {"amount": 1e-08, "price": 1e-10, "cost": 1e-08}
    return {"amount": 20, "price": 20, "cost": 20}


def market_of(client: CcxtClient) -> Market:
    (symbol,) = client.exchange.markets
    kind = "spot" if ":" not in symbol else "swap"
    return Market(symbol=symbol, id="X", base="ABC", quote="USDT", type=kind, linear=True)


async def sent(client: CcxtClient, request: OrderRequest, *, look: bool = True) -> str:
    """Return the request that makes the order, as it is about to leave."""
    ids = client_ids(client.exchange.id)
    wire_id = ids.out(client_id_of("an intent"))
    call = placing(client.exchange, request, market_of(client), {ids.param: wire_id})
    announced: list[int | None] = []

    async def sending(expires_ms: int | None) -> None:
        announced.append(expires_ms)

    last = LastLook(wire_id, call.numbers, sending, reduce_only=request.reduce_only)

    async def leaving(method: str, url: str, body: object) -> None:
        if look:
            await last(method, url, body)
        raise Caught(method, url, body)

    try:
        with pytest.raises(Caught) as caught:
            await client.call(Reply(leaving=leaving), call.method, *call.args)
    finally:
        await client.close()
    assert announced == ([None] if look else [])
    assert wire_id in caught.value.text
    return caught.value.text


def order(symbol: str = "ABC/USDT", **fields: Any) -> OrderRequest:
    known = {"side": "sell", "type": "limit", "quantity": LONG, "price": TINY}
    return OrderRequest(symbol, **{**known, **fields})


@pytest.mark.parametrize("name", SPOT)
async def test_numbers_are_sent_exactly_and_in_plain_notation(name: str) -> None:
    text = await sent(signing(name), order())
    assert "123456789.12345678" in text
    assert "0.0000001" in text
    assert not re.search(r"\de-\d", text)


@pytest.mark.parametrize("name", SPOT)
async def test_a_tiny_quantity_is_sent_in_plain_notation(name: str) -> None:
    text = await sent(signing(name), order(quantity=TINY, price="12.5"))
    assert "0.0000001" in text


@pytest.mark.parametrize("name", SWAP)
async def test_contracts_are_sent_as_they_are_and_reduce_only(name: str) -> None:
    client = signing(name, "swap")
    request = order("ABC/USDT:USDT", quantity=3, price="0.0000012", reduce_only=True)
    text = await sent(client, request)
    assert "0.0000012" in text
    assert "reduce" in text.lower()


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("binanceus", "quoteOrderQty=12.5"),
        ("bitget", '"size":"12.5"'),  # of a market buy: in the quote currency
        ("bybit", '"qty":"12.5"'),  # so too, as no marketUnit is said
        ("coinbase", '"quote_size":"12.5"'),
        ("gate", '"amount":"12.5"'),  # so too
        ("kraken", "oflags=viqc"),
        ("kucoin", '"funds":"12.5"'),
        ("mexc", "quoteOrderQty=12.5"),
        ("okx", '"tgtCcy":"quote_ccy"'),
    ],
)
async def test_what_is_to_be_spent_is_sent_as_that(name: str, sign: str) -> None:
    request = order(side="buy", type="market", quantity=None, price=None, quote_quantity="12.5")
    text = await sent(signing(name), request)
    assert sign in text.replace(": ", ":")
    assert "12.5" in text


@pytest.mark.parametrize("name", ["bitget", "coinbase", "gate"])
async def test_a_market_buy_by_quantity_leaves_only_where_the_venue_takes_one(name: str) -> None:
    request = order(side="buy", type="market", price=None, quantity=3)
    with pytest.raises(OrderRejected, match="price argument"):
        await sent(signing(name), request)


@pytest.mark.parametrize(("name", "kind"), [("bingx", "spot"), ("mexc", "swap")])
async def test_numbers_ccxt_makes_floats_of_do_not_leave_unless_they_stay_the_same(
    name: str, kind: str
) -> None:
    symbol = "ABC/USDT" if kind == "spot" else "ABC/USDT:USDT"
    with pytest.raises(Unsupported, match=r"0\.0000001 as it is; nothing was sent"):
        await sent(signing(name, kind), order(symbol, quantity=3))
    assert "12.5" in await sent(signing(name, kind), order(symbol, quantity=3, price="12.5"))


def test_tables_hold_only_venues_ccxt_has() -> None:
    for name in {*BY_CLIENT_ID, *TESTS, *ORDERS_BY_GET}:
        assert name in ccxt_async.exchanges, name


def test_venues_that_make_orders_by_get_are_known() -> None:
    found = set()
    for name in ccxt_async.exchanges:
        made = getattr(ccxt_async, name).__dict__.get("create_order")
        if made is not None and re.search(r"await self\.\w*Get\w*\(", inspect.getsource(made)):
            found.add(name)
    assert found == ORDERS_BY_GET


@pytest.mark.parametrize("name", sorted(TESTS))
async def test_a_test_leaves_as_a_test(name: str) -> None:
    client = signing(name)
    ids = client_ids(name)
    params = {ids.param: ids.out(client_id_of("x")), **TESTS[name]}
    call = placing(client.exchange, order(quantity=1, price=2), market_of(client), params)
    left: list[str] = []

    async def leaving(method: str, url: str, body: object) -> None:
        await only_tests(method, url, body)
        left.append(method)
        raise Caught(method, url, body)

    with pytest.raises(Caught):
        await client.call(Reply(leaving=leaving), call.method, *call.args)
    await client.close()
    assert left == ["POST"]


async def test_a_test_that_would_be_an_order_does_not_leave() -> None:
    client = signing("bitstamp")
    call = placing(client.exchange, order(), market_of(client), {"test": True})
    with pytest.raises(Unsupported, match="real order"):
        await client.call(Reply(leaving=only_tests), call.method, *call.args)
    await client.close()


def test_most_venues_trade() -> None:
    assert sum(can_trade(getattr(ccxt_async, name)()) for name in ccxt_async.exchanges) > 80


async def test_an_order_leaves_once_whatever_ccxt_does() -> None:
    announced: list[int | None] = []

    async def sending(expires_ms: int | None) -> None:
        announced.append(expires_ms)

    look = LastLook("mine", (Decimal(3),), sending)
    await look("GET", "http://v/account", None)
    assert announced == []
    await look("POST", "http://v/order?id=mine", '{"size": "3.00"}')
    with pytest.raises(Unavailable, match="second time"):
        await look("POST", "http://v/order?id=mine", '{"size": "3.00"}')
    assert announced == [None]


async def test_a_get_is_announced_where_it_makes_orders() -> None:
    announced: list[int | None] = []

    async def sending(expires_ms: int | None) -> None:
        announced.append(expires_ms)

    await LastLook("mine", (), sending, by_get=True)("GET", "http://v/buy", None)
    assert announced == [None]


async def test_a_reply_is_forgotten_when_the_next_request_leaves() -> None:
    judged = ValueError()
    reply = Reply(status=200, headers={"a": "b"}, body="{}", document={}, judged=judged)
    await reply.send("POST", "http://v/order", None)
    assert (reply.status, reply.headers, reply.body) == (0, {}, "")
    assert (reply.document, reply.judged) == (None, None)
