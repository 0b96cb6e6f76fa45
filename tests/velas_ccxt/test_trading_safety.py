"""What must never leave: an order twice, a key to a stranger; and orders in the venue's pace."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp
import attrs
import orjson
import pytest
from aiohttp import web
from tradekit import CLASSES, KEYS, bot, limit_order, scripted, venue_of

from velas import errors
from velas.credentials import Credentials
from velas.ledger import Ledger
from velas.models import BookTicker, Market
from velas.order_models import OrderRequest
from velas.orders.guard import check_worth
from velas.settings import Trading
from velas.testing import ManualClock, StandInVenue
from velas.testing.venue.order_faults import OrderFault
from velas_ccxt import BinanceFutures, BinanceSpot

Change = Callable[[web.Request, int, bytes], web.Response | None]


@asynccontextmanager
async def proxy(venue: StandInVenue, change: Change) -> AsyncIterator[str]:
    """Stand between a bot and the venue; `change` may answer something else."""

    async def handle(request: web.Request) -> web.StreamResponse:
        async with session.request(
            request.method,
            f"{venue.rest_url}{request.rel_url}",
            data=await request.read(),
            headers={
                name: request.headers[name]
                for name in ("X-MBX-APIKEY", "Content-Type")
                if name in request.headers
            },
        ) as answer:
            body = await answer.read()
            changed = change(request, answer.status, body)
            return changed or web.Response(
                status=answer.status, body=body, content_type="application/json"
            )

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    async with aiohttp.ClientSession() as session:
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@asynccontextmanager
async def behind(
    venue: StandInVenue, change: Change, ledger: Ledger | None = None
) -> AsyncIterator[BinanceSpot | BinanceFutures]:
    async with proxy(venue, change) as url:
        exchange = CLASSES[venue.market](
            url=url,
            clock=venue.clock,
            credentials=KEYS,
            trading=Trading(mode="live"),
            ledger=ledger or Ledger(),
        )
        async with exchange:
            yield exchange


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["itself", "another host"])
async def test_redirect_is_never_followed(status: int, to: str, clock: ManualClock) -> None:
    stolen: list[str] = []

    async def steal(request: web.Request) -> web.Response:
        stolen.append(request.method)
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", steal)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    elsewhere = f"http://localhost:{runner.addresses[0][1]}/steal"
    redirected: list[str] = []

    def change(request: web.Request, _: int, __: bytes) -> web.Response | None:
        if request.method != "POST" or redirected:
            return None
        redirected.append(request.path)  # the venue has executed it
        target = str(request.rel_url) if to == "itself" else elsewhere
        return web.Response(status=status, headers={"Location": target})

    try:
        async with venue_of("spot", clock) as venue, behind(venue, change) as exchange:
            order = await exchange.create_order(await limit_order(exchange))
            assert redirected == ["/api/v3/order"]
            assert [str(one.id) for one in venue.orders()] == [order.id]
            assert venue.order_attempts == 1
    finally:
        await runner.cleanup()
    assert stolen == []


async def test_answer_about_another_order_is_not_ours(clock: ManualClock) -> None:
    row = {
        "symbol": "BTCUSDT", "orderId": 999, "clientOrderId": "somebody", "side": "BUY",
        "type": "LIMIT", "status": "FILLED", "price": "1", "origQty": "7", "executedQty": "7",
    }  # fmt: skip
    other = orjson.dumps(row)

    def change(request: web.Request, status: int, _: bytes) -> web.Response | None:
        if request.method == "POST":
            return web.Response(status=status, body=other, content_type="application/json")
        return None

    async with venue_of("spot", clock) as venue, behind(venue, change) as exchange:
        order = await exchange.create_order(await limit_order(exchange))
        assert [str(one.id) for one in venue.orders()] == [order.id]
        assert order.status == "open"


async def test_firewall_s_page_that_repeats_the_key_does_not_show_it(clock: ManualClock) -> None:
    key = KEYS.api_key
    assert key is not None

    def change(request: web.Request, _: int, __: bytes) -> web.Response | None:
        if request.path == "/api/v3/account":
            return web.Response(status=403, text=f"Blocked. key {key.reveal()} of you")
        return None

    async with venue_of("spot", clock) as venue, behind(venue, change) as exchange:
        with pytest.raises(errors.Forbidden, match=r"Blocked. key \*\*\* of you"):
            await exchange.balances()


async def test_rotated_key_finds_what_the_account_has_placed(clock: ManualClock) -> None:
    # the same venue under another spelling of its address is another account's name
    ledger = Ledger()
    async with venue_of("spot", clock) as venue:
        async with bot(venue, ledger) as exchange:
            request = await limit_order(exchange, share="1.01")
            first = await exchange.create_order(request)
            assert first.status == "filled"
        async with behind(venue, lambda *_: None, ledger) as exchange:
            again = await exchange.create_order(request)
            assert (again.id, again.intent) == (first.id, "first")
        assert len(venue.orders()) == 1


async def test_keys_do_not_go_out_by_http_but_to_this_machine() -> None:
    exchange = BinanceSpot(
        url="http://mirror.example", credentials=KEYS, trading=Trading(mode="live")
    )
    async with exchange:
        with pytest.raises(errors.AuthError, match="keys go out by https only"):
            await exchange.balances()


@pytest.mark.parametrize("market", ["spot", "futures"])
async def test_orders_keep_the_venue_s_pace(market: str, clock: ManualClock) -> None:
    async with venue_of(market, clock) as venue, bot(venue) as exchange:
        many = 350  # of 100 in ten seconds on Spot, of 300 on Futures
        requests = [
            OrderRequest("BTC/USDT", side, "market", "0.002", intent=f"intent {n}")
            for n, side in zip(range(many), itertools.cycle(("buy", "sell")), strict=False)
        ]
        await asyncio.gather(*(exchange.create_order(one) for one in requests))
        assert len(venue.orders()) == many
        # (a clock that others' waiting moves may make a signature too old: sent again)
        assert 429 not in {one.status for one in venue.requests}


async def test_order_methods_belong_to_one_event_loop(clock: ManualClock) -> None:
    async with venue_of("spot", clock) as venue, bot(venue) as exchange:
        await exchange.balances()

        def elsewhere() -> None:
            asyncio.run(exchange.balances())

        with pytest.raises(errors.ExchangeError, match="belongs to the event loop"):
            await asyncio.to_thread(elsewhere)
    with pytest.raises(errors.ExchangeError, match="is closed"):
        await exchange.create_order(OrderRequest("BTC/USDT", "buy", "market", 1))


BASE = Market("BTC/USD:BTC", "BTCUSD", "BTC", "USD", type="swap", settle="BTC")


async def worth(market: Market, quantity: str, most: str) -> None:
    async def quote() -> BookTicker:
        raise AssertionError("not needed")

    request = OrderRequest(market.symbol, "buy", "limit", quantity, "0.1")
    await check_worth(request, market, Decimal(most), quote)


async def test_max_notional_of_inverse_contracts_is_by_their_size() -> None:
    inverse = attrs.evolve(BASE, linear=False, contract_size=Decimal(10))
    await worth(inverse, "600", "6000")
    with pytest.raises(errors.TradingOff, match="worth up to 6010 USD"):
        await worth(inverse, "601", "6000")
    with pytest.raises(errors.TradingOff, match="cannot be told"):
        await worth(BASE, "1", "6000")


@pytest.mark.parametrize("market", ["spot", "futures"])
async def test_fence_is_the_window_the_request_was_signed_with(
    market: str, clock: ManualClock
) -> None:
    faults = scripted(market, OrderFault.gateway(502, accepted=False))
    async with (
        venue_of(market, clock, faults=faults) as venue,
        bot(venue, trading={"recv_window_ms": 40_000}) as exchange,
    ):
        request = await limit_order(exchange)
        began_ms = clock.now_ms()
        order = await exchange.create_order(request)
        assert clock.now_ms() - began_ms > 55_000
        assert [str(one.id) for one in venue.orders()] == [order.id]
        assert venue.order_attempts == 2


async def test_accounts_are_told_apart_by_exchange_address_and_key() -> None:
    other = Credentials(api_key="another", api_secret="another")
    exchanges = [
        kind(url=url, credentials=keys, trading=Trading())
        for kind in (BinanceSpot, BinanceFutures)
        for url in ("http://127.0.0.1:1", "http://127.0.0.1:2", None)
        for keys in (KEYS, other)
    ]
    names = {one._trader._venue.account for one in exchanges if one._trader is not None}
    assert len(names) == len(exchanges)
    for one in exchanges:
        await one.aclose()


async def test_broken_connection_is_not_repeated_by_the_http_library(clock: ManualClock) -> None:
    async with venue_of("spot", clock) as venue, bot(venue) as exchange:
        await exchange.balances()
        assert exchange._client.exchange.session._retry_connection is False


async def test_triggered_order_that_cannot_be_found_is_not_absent(clock: ManualClock) -> None:
    # the conditional order is there, whatever is known of the ordinary one it has become
    posts: list[str] = []

    def change(request: web.Request, status: int, body: bytes) -> web.Response | None:
        if request.method == "POST":
            posts.append(request.path)
            return web.Response(status=502, text="lost")
        if request.path == "/fapi/v1/algoOrder" and status == 200:
            row = {**orjson.loads(body), "algoStatus": "TRIGGERED", "actualOrderId": "4242"}
            return web.Response(body=orjson.dumps(row), content_type="application/json")
        return None

    async with venue_of("futures", clock) as venue, behind(venue, change) as exchange:
        state = await exchange.market_state("BTC/USDT")
        rules = await exchange.order_validator("BTC/USDT")
        assert state.mark_price is not None
        stop = rules.normalize_price(state.mark_price * Decimal("1.03"))
        request = OrderRequest(
            "BTC/USDT", "buy", "stop_market", "0.01", stop_price=stop, intent="stop"
        )
        with pytest.raises(errors.OrderUnknown, match="4242"):
            await exchange.create_order(request)
        assert posts == ["/fapi/v1/algoOrder"]


async def test_order_without_an_intent_of_its_own_costs_no_question(clock: ManualClock) -> None:
    async with venue_of("spot", clock) as venue, bot(venue) as exchange:
        request = attrs.evolve(await limit_order(exchange), intent=None)
        await exchange.create_order(request)
        assert [one.method for one in venue.requests if one.path == "/api/v3/order"] == ["POST"]


async def test_cancelation_that_cannot_be_noted_is_one_all_the_same(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger()
    async with venue_of("spot", clock) as venue, bot(venue, ledger) as exchange:
        order = await exchange.create_order(await limit_order(exchange))
        ledger.write("PRAGMA query_only = 1", ())
        canceled = await exchange.cancel_order("BTC/USDT", order.id)
        assert canceled.status == "canceled"
        assert "order 1 is canceled, which could not be noted" in caplog.text
