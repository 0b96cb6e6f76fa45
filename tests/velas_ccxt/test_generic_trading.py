"""Orders through ccxt's unified methods: Kraken's dialect, and Binance US at the stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from ccxt_dialects import Bybit
from kraken_account import KrakenAccount

from velas.config import Settings
from velas.credentials import Credentials
from velas.errors import (
    AuthError,
    BadRequest,
    OrderInvalid,
    OrderNotFound,
    OrderRejected,
    OrderUnknown,
    TradingOff,
    Unsupported,
)
from velas.ledger import Ledger
from velas.models import OrderRequest
from velas.settings import Trading
from velas.testing import STAND_IN_KEY, STAND_IN_SECRET, ManualClock, StandInVenue
from velas_ccxt import CcxtExchange
from velas_ccxt._client_ids import client_ids

KEYS = Credentials(api_key="key", api_secret="c2VjcmV0")
LIVE = Trading(mode="live")


@asynccontextmanager
async def kraken(
    clock: ManualClock, *, trading: Trading = LIVE, **options: Any
) -> AsyncIterator[tuple[KrakenAccount, CcxtExchange]]:
    venue = KrakenAccount(clock)
    options.setdefault("credentials", KEYS)
    options.setdefault("ledger", Ledger())
    async with venue:
        exchange = CcxtExchange("kraken", url=venue.url, clock=clock, trading=trading, **options)
        async with exchange:
            yield venue, exchange


def order(**fields: Any) -> OrderRequest:
    known = {"side": "buy", "type": "limit", "quantity": "0.01", "price": "100.1", "intent": "i"}
    return OrderRequest("BTC/USDT", **{**known, **fields})


# -- placing ------------------------------------------------------------------------------


async def test_create_order_returns_the_order_under_the_intent(clock: ManualClock) -> None:
    async with kraken(clock) as (venue, exchange):
        made = await exchange.create_order(order())
        assert (made.intent, made.status, made.side, made.type) == ("i", "open", "buy", "limit")
        assert (made.quantity, made.price) == (Decimal("0.01"), Decimal("100.1"))
        assert made.id in venue.orders
        again = await exchange.create_order(order())
        assert again.id == made.id
        assert len(venue.sent) == 1


async def test_create_order_writes_numbers_plainly(clock: ManualClock) -> None:
    async with kraken(clock) as (venue, exchange):
        await exchange.create_order(order(quantity=Decimal("1E+1"), price=Decimal("1.5E+2")))
        assert (venue.sent[0]["volume"], venue.sent[0]["price"]) == ("10", "150")


async def test_create_order_sends_an_id_kraken_takes(clock: ManualClock) -> None:
    async with kraken(clock) as (venue, exchange):
        await exchange.create_order(order())
        sent = venue.sent[0]["cl_ord_id"]
        assert len(sent) == 36
        assert client_ids("kraken").out(sent) == sent


async def test_create_order_judges_the_rules_first(clock: ManualClock) -> None:
    async with kraken(clock) as (venue, exchange):
        with pytest.raises(OrderInvalid, match=r"limits\.amount"):
            await exchange.create_order(order(quantity="0.00001"))
        assert venue.sent == []


async def test_create_order_refused_by_the_venue_may_be_tried_again(clock: ManualClock) -> None:
    async with kraken(clock) as (venue, exchange):
        venue.faults = ["EOrder:Insufficient funds"]
        with pytest.raises(OrderRejected, match="Insufficient funds"):
            await exchange.create_order(order())
        assert (await exchange.create_order(order())).id in venue.orders
        assert len(venue.sent) == 2


async def test_create_order_with_a_refused_nonce_is_sent_again(clock: ManualClock) -> None:
    async with kraken(clock) as (venue, exchange):
        venue.faults = ["EAPI:Invalid nonce"]
        await exchange.create_order(order())
        nonces = [int(one["nonce"]) for one in venue.sent]
        assert nonces == sorted(set(nonces))
        assert len(venue.made()) == 1


@pytest.mark.parametrize("fault", ["after", "500", "garbage", "400 EService:Unavailable"])
@pytest.mark.parametrize("fills", [False, True])
async def test_create_order_whose_answer_is_lost_is_found(
    clock: ManualClock, fault: str, fills: bool
) -> None:
    async with kraken(clock) as (venue, exchange):
        venue.faults, venue.fills = [fault], fills
        made = await exchange.create_order(order())
        assert made.id in venue.orders
        assert made.status == ("filled" if fills else "open")
        assert len(venue.sent) == 1


@pytest.mark.parametrize("fault", ["before", "EService:Unavailable", "EGeneral:Internal error"])
async def test_create_order_that_may_be_lost_stays_unknown_and_is_not_sent_again(
    clock: ManualClock, fault: str
) -> None:
    async with kraken(clock) as (venue, exchange):
        venue.faults = [fault]
        for _ in range(2):
            with pytest.raises(OrderUnknown, match="not sent again"):
                await exchange.create_order(order())
        assert len(venue.sent) == 1
        assert [one.state for one in await exchange.recover_orders()] == ["sent"]


async def test_create_order_at_a_venue_without_client_ids_stays_unknown(
    clock: ManualClock,
) -> None:
    async with kraken(clock) as (venue, exchange):
        venue.faults, venue.shows_ids = ["after"], False
        with pytest.raises(OrderUnknown):
            await exchange.create_order(order())
        assert len(venue.made()) == 1
        venue.shows_ids = True


async def test_recover_after_a_restart_finds_the_order(clock: ManualClock, tmp_path: Path) -> None:
    async with kraken(clock, ledger=None, db_path=tmp_path / "v.db") as (venue, exchange):
        venue.faults, venue.shows_ids = ["after"], False
        with pytest.raises(OrderUnknown):
            await exchange.create_order(order())
        (row,) = venue.orders.values()
        row["cl_ord_id"] = venue.sent[0]["cl_ord_id"]
        async with CcxtExchange(
            "kraken",
            url=venue.url,
            clock=clock,
            trading=LIVE,
            credentials=KEYS,
            db_path=tmp_path / "v.db",
        ) as second:
            (found,) = await second.recover_orders()
            assert (found.state, found.key) == ("placed", "i")
        assert len(venue.sent) == 1


async def test_markets_that_cannot_be_loaded_send_nothing(clock: ManualClock) -> None:
    async with kraken(clock) as (venue, exchange):
        venue.bodies["/AssetPairs"] = [{"error": ["EGeneral:Permission denied"]}]
        with pytest.raises(AuthError):
            await exchange.create_order(order())
        assert venue.sent == []
        assert await exchange.recover_orders() == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"type": "trailing_stop"}, "none of market, limit"),
        ({"stop_price": 90}, "stop_price"),
        ({"time_in_force": "GTD"}, "GTD"),
        ({"reduce_only": True}, "reduce_only"),
        ({"iceberg_quantity": "0.01"}, "iceberg_quantity"),
        (
            {
                "side": "sell",
                "type": "market",
                "price": None,
                "quantity": None,
                "quote_quantity": 50,
            },
            "quote_quantity",
        ),
    ],
)
async def test_create_order_ccxt_cannot_place_is_unsupported(
    clock: ManualClock, fields: dict[str, Any], text: str
) -> None:
    async with kraken(clock) as (venue, exchange):
        with pytest.raises(Unsupported, match=text):
            await exchange.create_order(order(**fields))
        assert venue.sent == []


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"type": "limit_maker"}, {"oflags": "post", "ordertype": "limit"}),
        ({"time_in_force": "IOC"}, {"timeinforce": "IOC"}),
        ({"time_in_force": "GTX"}, {"oflags": "post"}),
        (
            {"type": "stop_loss", "price": None, "stop_price": "90.5"},
            {"ordertype": "stop-loss", "price": "90.5"},
        ),
        (
            {"type": "market", "price": None, "quantity": None, "quote_quantity": "50.5"},
            {"oflags": "viqc", "volume": "50.5"},
        ),
    ],
)
async def test_create_order_sends_its_conditions(
    clock: ManualClock, fields: dict[str, Any], sent: dict[str, str]
) -> None:
    async with kraken(clock) as (venue, exchange):
        await exchange.create_order(order(**fields))
        assert sent.items() <= venue.sent[0].items()


async def test_create_order_with_a_client_id_kraken_refuses_is_not_sent(
    clock: ManualClock,
) -> None:
    async with kraken(clock) as (venue, exchange):
        with pytest.raises(BadRequest, match="client_id"):
            await exchange.create_order(order(client_id="longer-than-eighteen"))
        assert venue.sent == []


# -- guards -------------------------------------------------------------------------------


async def test_mode_off_sends_nothing(clock: ManualClock) -> None:
    async with kraken(clock, trading=Trading()) as (venue, exchange):
        with pytest.raises(TradingOff):
            await exchange.create_order(order())
        with pytest.raises(TradingOff):
            await exchange.cancel_order("BTC/USDT", "1")
        assert venue.requests == []


async def test_mode_test_lets_the_venue_judge(clock: ManualClock) -> None:
    async with kraken(clock, trading=Trading(mode="test")) as (venue, exchange):
        tested = await exchange.create_order(order())
        assert tested.status == "tested"
        assert venue.sent[0]["validate"] == "true"
        assert venue.made() == []
        venue.faults = ["EOrder:Insufficient funds"]
        with pytest.raises(OrderRejected):
            await exchange.create_order(order())


async def test_max_notional_is_judged_by_the_book(clock: ManualClock) -> None:
    trading = Trading(mode="live", max_notional=Decimal("1.0"))
    async with kraken(clock, trading=trading) as (venue, exchange):
        with pytest.raises(TradingOff, match="max_notional"):
            await exchange.create_order(order())
        with pytest.raises(TradingOff, match="max_notional"):
            await exchange.create_order(order(type="market", price=None, quantity="0.02"))
        assert venue.sent == []
        await exchange.create_order(order(type="market", price=None, quantity="0.009"))


async def test_without_a_key_nothing_is_asked(clock: ManualClock) -> None:
    async with kraken(clock, credentials=Credentials(api_key="key")) as (venue, exchange):
        with pytest.raises(AuthError, match="set KRAKEN_API_SECRET,"):
            await exchange.balances()
        with pytest.raises(AuthError):
            await exchange.create_order(order())
        assert venue.sent == []


async def test_a_passphrase_is_asked_for_where_it_is_needed() -> None:
    exchange = CcxtExchange("okx", credentials=KEYS)
    with pytest.raises(AuthError, match="set OKX_API_PASSWORD,"):
        await exchange.balances()
    await exchange.aclose()


async def test_a_venue_that_signs_with_a_wallet_is_unsupported() -> None:
    exchange = CcxtExchange("hyperliquid", credentials=KEYS)
    with pytest.raises(Unsupported, match=r"signed with .*privateKey"):
        await exchange.balances()
    await exchange.aclose()


async def test_another_venues_keys_are_not_used() -> None:
    exchange = CcxtExchange("kraken", credentials=attrs.evolve(KEYS, venue="BYBIT"))
    with pytest.raises(AuthError):
        await exchange.balances()
    await exchange.aclose()


async def test_from_settings_trades_with_the_settings(clock: ManualClock, tmp_path: Path) -> None:
    async with KrakenAccount(clock) as venue:
        settings = Settings(
            exchange="kraken",
            credentials=KEYS,
            trading=LIVE,
            db_path=tmp_path / "v.db",
        )
        settings = attrs.evolve(settings, rest=attrs.evolve(settings.rest, url=venue.url))
        async with CcxtExchange.from_settings(settings, clock=clock) as exchange:
            await exchange.create_order(order())
        assert (tmp_path / "v.db").exists()
        assert len(venue.made()) == 1


# -- the account --------------------------------------------------------------------------


async def test_balances_are_exact(clock: ManualClock) -> None:
    async with kraken(clock) as (_, exchange):
        assert await exchange.balances() == {
            "BTC": Decimal("0.0000001"),
            "USDT": Decimal("123456789.12345678"),
        }


async def test_orders_are_fetched_and_canceled_by_either_id(clock: ManualClock) -> None:
    async with kraken(clock) as (venue, exchange):
        first = await exchange.create_order(order(intent="a"))
        second = await exchange.create_order(order(intent="b", client_id="mine"))
        assert [one.id for one in await exchange.open_orders()] == [first.id, second.id]
        assert (await exchange.open_orders("BTC/USDT"))[1].intent == "b"
        assert (await exchange.fetch_order("BTC/USDT", client_id="mine")).id == second.id
        assert first.client_id is not None
        found = await exchange.fetch_order("BTC/USDT", client_id=first.client_id)
        assert found.id == first.id
        canceled = await exchange.cancel_order("BTC/USDT", client_id="mine")
        assert (canceled.id, canceled.status) == (second.id, "canceled")
        again = await exchange.cancel_order("BTC/USDT", second.id)
        assert again.status == "canceled"
        venue.orders[first.id]["status"] = "closed"
        with pytest.raises(OrderNotFound, match="it is filled"):
            await exchange.cancel_order("BTC/USDT", first.id)
        assert await exchange.open_orders() == []


async def test_an_order_nobody_knows_is_not_found(clock: ManualClock) -> None:
    async with kraken(clock) as (_, exchange):
        with pytest.raises(OrderNotFound):
            await exchange.fetch_order("BTC/USDT", client_id="nobody")
        with pytest.raises(OrderNotFound):
            await exchange.fetch_order("BTC/USDT", "OXXXXX-XXXXX-XXXXXX")


async def test_market_state_is_public(clock: ManualClock) -> None:
    async with kraken(clock, credentials=Credentials()) as (_, exchange):
        state = await exchange.market_state("BTC/USDT")
        assert (state.reference_price, state.mark_price) == (Decimal("100.15"), None)
        assert (state.best_bid, state.best_ask) == (Decimal("100.1"), Decimal("100.2"))
        book = await exchange.fetch_book_ticker("BTC/USDT")
        assert (book.ask, book.ask_quantity) == (Decimal("100.2"), Decimal("0.00000001"))


async def test_positions_of_spot_are_unsupported(clock: ManualClock) -> None:
    async with kraken(clock) as (_, exchange):
        with pytest.raises(Unsupported, match="balances"):
            await exchange.positions()


# -- Binance US at the stand-in -----------------------------------------------------------


@pytest.mark.parametrize("mode", ["test", "live"])
async def test_binance_us_at_the_stand_in(clock: ManualClock, mode: Any) -> None:
    async with (
        StandInVenue("spot", clock=clock, symbols=["BTCUSDT"]) as venue,
        CcxtExchange(
            "binanceus",
            url=venue.rest_url,
            clock=clock,
            credentials=Credentials(api_key=STAND_IN_KEY, api_secret=STAND_IN_SECRET),
            trading=Trading(mode=mode),
            ledger=Ledger(),
        ) as exchange,
    ):
        bid = (await exchange.fetch_book_ticker("BTC/USDT")).bid
        price = (bid * Decimal("0.9")).quantize(Decimal("1"))
        made = await exchange.create_order(order(quantity="0.01", price=price))
        if mode == "test":
            assert made.status == "tested"
            assert await exchange.open_orders("BTC/USDT") == []
            return
        assert [one.id for one in await exchange.open_orders("BTC/USDT")] == [made.id]
        found = await exchange.fetch_order("BTC/USDT", client_id=made.client_id)
        assert (found.id, found.quantity, found.price, found.intent) == (
            *(made.id, Decimal("0.01"), price),
            "i",
        )
        assert (await exchange.balances())["USDT"] > 0
        canceled = await exchange.cancel_order("BTC/USDT", made.id)
        assert canceled.status == "canceled"


# -- Bybit's derivatives ------------------------------------------------------------------


class BybitLinear(Bybit):
    """One linear contract, one short position, and orders that are taken."""

    def answer(self, path: str, query: dict[str, str]) -> Any:
        now = str(self.clock.now_ms())
        if path.endswith("/instruments-info"):
            entry = {
                "symbol": "BTCUSDT",
                "contractType": "LinearPerpetual",
                "status": "Trading",
                "baseCoin": "BTC",
                "quoteCoin": "USDT",
                "settleCoin": "USDT",
                "priceFilter": {"tickSize": "0.10"},
                "lotSizeFilter": {"minOrderQty": "0.001", "maxOrderQty": "100", "qtyStep": "0.001"},
            }
            found = [entry] if query["category"] == "linear" else []
            return self.wrapped({"category": query["category"], "list": found}, now)
        if path.endswith("/query-api"):
            return self.wrapped({"unified": 0, "uta": 1}, now)
        if path.endswith("/account/info"):
            return self.wrapped({"unifiedMarginStatus": 6}, now)
        if path.endswith("/position/list"):
            row = {
                "symbol": "BTCUSDT",
                "side": "Sell",
                "size": "0.150",
                "avgPrice": "101.5",
                "markPrice": "100.25",
                "unrealisedPnl": "-0.1875",
                "positionValue": "15.225",
                "leverage": "10",
                "positionIdx": 0,
            }
            return self.wrapped({"category": "linear", "list": [row]}, now)
        if path.endswith("/order/create"):
            return self.wrapped({"orderId": "o-1", "orderLinkId": query["orderLinkId"]}, now)
        return super().answer(path, query)


async def test_bybit_derivatives_positions_and_reducing_orders(clock: ManualClock) -> None:
    async with (
        BybitLinear(clock) as venue,
        CcxtExchange(
            "bybit",
            kind="derivatives",
            url=venue.url,
            clock=clock,
            credentials=KEYS,
            trading=LIVE,
            ledger=Ledger(),
        ) as exchange,
    ):
        (held,) = await exchange.positions()
        assert (held.symbol, held.quantity) == ("BTC/USDT:USDT", Decimal("-0.150"))
        assert (held.entry_price, held.mark_price) == (Decimal("101.5"), Decimal("100.25"))
        request = OrderRequest(
            "BTC/USDT", "buy", "limit", "0.15", "100.1", reduce_only=True, intent="close"
        )
        made = await exchange.create_order(request)
        assert (made.id, made.client_id, made.reduce_only) == ("o-1", made.client_id, True)
        (sent,) = [query for path, query in venue.requests if path.endswith("/order/create")]
        assert (sent["qty"], sent["price"], sent["reduceOnly"]) == ("0.15", "100.1", True)
        assert sent["orderLinkId"] == made.client_id
