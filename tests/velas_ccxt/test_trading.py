"""Orders, balances and positions of both Binance markets, against the stand-in venue."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import attrs
import pytest
from tradekit import CLASSES, KEYS, bot, limit_order, scripted, venue_of

import velas
from velas import errors
from velas.credentials import Credentials
from velas.decimals import plain
from velas.ledger import Ledger
from velas.order_models import OrderRequest
from velas.settings import Trading
from velas.testing import ManualClock
from velas.testing.venue.faults import FaultPlan
from velas.testing.venue.order_faults import OrderFault

MARKETS = pytest.mark.parametrize("market", ["spot", "futures"])
SYMBOL = {"spot": "BTC/USDT", "futures": "BTC/USDT:USDT"}


def buy(intent: str, **fields: object) -> OrderRequest:
    given = {"type": "market", "quantity": "0.01", **fields}
    return OrderRequest("BTC/USDT", "buy", intent=intent, **given)  # type: ignore[arg-type]


@MARKETS
async def test_create_limit_order_is_what_the_venue_has(market: str, clock: ManualClock) -> None:
    async with venue_of(market, clock) as venue, bot(venue) as exchange:
        request = await limit_order(exchange)
        order = await exchange.create_order(request)
        assert (order.symbol, order.side, order.type) == (SYMBOL[market], "buy", "limit")
        assert (order.status, order.is_open) == ("open", True)
        assert (order.quantity, order.filled, order.remaining) == (
            Decimal("0.01"),
            0,
            Decimal("0.01"),
        )
        assert (order.price, order.average, order.time_in_force) == (request.price, None, "GTC")
        assert order.timestamp == venue.now_ms()
        assert order.intent == "first"
        (row,) = venue.orders()
        assert (str(row.id), row.client_id) == (order.id, order.client_id)
        assert await exchange.fetch_order("BTC/USDT", order.id) == order
        assert await exchange.fetch_order("BTCUSDT", client_id=order.client_id) == order
        assert await exchange.open_orders() == [order]
        assert await exchange.open_orders("BTC/USDT") == [order]


@MARKETS
async def test_create_market_order_is_filled_with_its_cost(market: str, clock: ManualClock) -> None:
    async with venue_of(market, clock) as venue, bot(venue) as exchange:
        order = await exchange.create_order(buy("first"))
        assert (order.status, order.filled, order.price) == ("filled", Decimal("0.01"), None)
        assert order.average is not None
        assert order.cost is not None
        assert abs(order.average * order.filled - order.cost) < Decimal("0.01")
        assert await exchange.open_orders() == []


async def test_create_spot_market_order_by_quote_quantity(clock: ManualClock) -> None:
    async with venue_of("spot", clock) as venue, bot(venue) as exchange:
        order = await exchange.create_order(buy("first", quantity=None, quote_quantity="100"))
        assert order.status == "filled"
        assert order.cost is not None
        assert Decimal(99) < order.cost <= 100


async def test_create_spot_stop_waits_for_its_price(clock: ManualClock) -> None:
    async with venue_of("spot", clock) as venue, bot(venue) as exchange:
        state = await exchange.market_state("BTC/USDT")
        rules = await exchange.order_validator("BTC/USDT")
        assert state.best_bid is not None
        stop, price = (
            rules.normalize_price(state.best_bid * Decimal(share)) for share in ("0.9", "0.89")
        )
        request = OrderRequest(
            "BTC/USDT", "sell", "stop_loss_limit", "0.01", price, stop, intent="stop"
        )
        order = await exchange.create_order(request)
        assert (order.type, order.status) == ("stop_loss_limit", "open")
        assert (order.price, order.stop_price) == (price, stop)


@pytest.mark.parametrize("kind", ["stop_market", "stop", "take_profit", "take_profit_market"])
async def test_futures_conditional_orders_have_ids_of_their_own(
    kind: str, clock: ManualClock
) -> None:
    async with venue_of("futures", clock) as venue, bot(venue) as exchange:
        await exchange.create_order(buy("position"))
        state = await exchange.market_state("BTC/USDT")
        rules = await exchange.order_validator("BTC/USDT")
        assert state.best_bid is not None
        share = "0.97" if "stop" in kind else "1.03"
        stop = rules.normalize_price(state.best_bid * Decimal(share))
        request = OrderRequest(
            "BTC/USDT", "sell", kind, "0.01", None if "market" in kind else stop, stop,
            reduce_only=True, intent="way out",
        )  # fmt: skip
        order = await exchange.create_order(request)
        assert order.id.startswith("algo-")
        assert (order.status, order.stop_price, order.reduce_only) == ("open", stop, True)
        assert (await exchange.create_order(request)).id == order.id
        assert await exchange.open_orders() == [order]
        assert await exchange.fetch_order("BTC/USDT", order.id) == order
        assert await exchange.fetch_order("BTC/USDT", client_id=order.client_id) == order
        canceled = await exchange.cancel_order("BTC/USDT", order.id)
        assert canceled == attrs.evolve(order, status="canceled")
        assert await exchange.open_orders() == []


async def test_futures_conditional_order_whose_answer_is_lost_is_found(
    clock: ManualClock,
) -> None:
    lost = OrderFault.no_answer(accepted=True)
    faults = FaultPlan.script([lost], path="POST /fapi/v1/algoOrder")
    async with (
        venue_of("futures", clock, faults=faults) as venue,
        bot(venue, timeout_s=0.6) as exchange,
    ):
        rules = await exchange.order_validator("BTC/USDT")
        state = await exchange.market_state("BTC/USDT")
        assert state.mark_price is not None
        stop = rules.normalize_price(state.mark_price * Decimal("1.03"))
        order = await exchange.create_order(buy("first", type="stop_market", stop_price=stop))
        assert order.id.startswith("algo-")
        assert len(await exchange.open_orders()) == 1


@MARKETS
async def test_cancel_returns_the_order_and_may_be_repeated(
    market: str, clock: ManualClock
) -> None:
    async with venue_of(market, clock) as venue, bot(venue) as exchange:
        request = await limit_order(exchange)
        order = await exchange.create_order(request)
        clock.advance(2)
        canceled = await exchange.cancel_order("BTC/USDT", client_id=order.client_id)
        assert canceled == attrs.evolve(order, status="canceled")
        assert await exchange.cancel_order("BTC/USDT", order.id) == canceled
        assert (await exchange.create_order(request)).id == order.id


@MARKETS
async def test_cancel_leaves_before_anything_is_asked(market: str, clock: ManualClock) -> None:
    path = {"spot": "GET /api/v3/order", "futures": "GET /fapi/v1/order"}[market]
    async with venue_of(market, clock) as venue, bot(venue) as exchange:
        order = await exchange.create_order(await limit_order(exchange))
        down = OrderFault.gateway(502, accepted=False)
        venue.faults = FaultPlan.script([down] * 50, path=path)
        canceled = await exchange.cancel_order("BTC/USDT", order.id)
        assert (canceled.id, canceled.status) == (order.id, "canceled")
        assert venue.orders()[0].status == "CANCELED"


@MARKETS
async def test_cancel_answer_lost_is_asked_again(market: str, clock: ManualClock) -> None:
    path = {"spot": "DELETE /api/v3/order", "futures": "DELETE /fapi/v1/order"}[market]
    faults = FaultPlan.script([OrderFault.gateway(502, accepted=True)], path=path)
    async with venue_of(market, clock, faults=faults) as venue, bot(venue) as exchange:
        order = await exchange.create_order(await limit_order(exchange))
        assert (await exchange.cancel_order("BTC/USDT", order.id)).status == "canceled"


@MARKETS
async def test_cancel_filled_order_is_not_found(market: str, clock: ManualClock) -> None:
    async with venue_of(market, clock) as venue, bot(venue) as exchange:
        order = await exchange.create_order(buy("first"))
        with pytest.raises(errors.OrderNotFound, match="not open, it is filled"):
            await exchange.cancel_order("BTC/USDT", order.id)


@MARKETS
async def test_fetch_order_nobody_made_is_not_found(market: str, clock: ManualClock) -> None:
    async with venue_of(market, clock) as venue, bot(venue) as exchange:
        for ids in ({"order_id": "4242"}, {"client_id": "nobody"}):
            with pytest.raises(errors.OrderNotFound, match="-2013"):
                await exchange.fetch_order("BTC/USDT", **ids)
        for wrong in ({}, {"order_id": "1", "client_id": "a"}):
            with pytest.raises(errors.ConfigError, match="order_id or by client_id"):
                await exchange.fetch_order("BTC/USDT", **wrong)


@MARKETS
async def test_orders_of_others_have_no_intent(market: str, clock: ManualClock) -> None:
    async with venue_of(market, clock) as venue:
        async with bot(venue) as other:
            await other.create_order(await limit_order(other))
        async with bot(venue) as exchange:
            (order,) = await exchange.open_orders()
            assert order.intent is None


@MARKETS
async def test_balances_are_what_is_free(market: str, clock: ManualClock) -> None:
    async with venue_of(market, clock) as venue, bot(venue) as exchange:
        before = await exchange.balances()
        await exchange.create_order(await limit_order(exchange))
        after = await exchange.balances()
        assert after["USDT"] < before["USDT"]
        assert all(free > 0 for free in after.values())


async def test_positions_are_signed_and_spot_has_none(clock: ManualClock) -> None:
    async with venue_of("futures", clock) as venue, bot(venue) as exchange:
        assert await exchange.positions() == []
        await exchange.create_order(attrs.evolve(buy("short"), side="sell"))
        (position,) = await exchange.positions("BTC/USDT")
        assert (position.symbol, position.quantity) == ("BTC/USDT:USDT", Decimal("-0.01"))
        assert position.entry_price is not None
    async with venue_of("spot", clock) as venue, bot(venue) as exchange:
        with pytest.raises(errors.Unsupported, match="no positions"):
            await exchange.positions()


@MARKETS
async def test_market_state_has_the_price_the_filters_refer_to(
    market: str, clock: ManualClock
) -> None:
    async with venue_of(market, clock) as venue, bot(venue) as exchange:
        state = await exchange.market_state("BTC/USDT")
        known = state.reference_price if market == "spot" else state.mark_price
        assert known is not None
        assert state.best_bid is not None
        assert abs(known / state.best_bid - 1) < Decimal("0.01")


# -- modes, guards, keys --------------------------------------------------------------------


@MARKETS
async def test_mode_off_sends_nothing(market: str, clock: ManualClock) -> None:
    async with (
        venue_of(market, clock) as venue,
        bot(venue, trading={"mode": "off"}) as exchange,
    ):
        with pytest.raises(errors.TradingOff, match=r"trading.mode is 'off'.*'test' or 'live'"):
            await exchange.create_order(buy("first"))
        with pytest.raises(errors.TradingOff, match="must be 'live'"):
            await exchange.cancel_order("BTC/USDT", "1")
        assert venue.count() == 0
        assert await exchange.balances()


@MARKETS
async def test_mode_test_lets_the_venue_judge_and_makes_no_order(
    market: str, clock: ManualClock
) -> None:
    ledger = Ledger()
    async with (
        venue_of(market, clock) as venue,
        bot(venue, ledger, trading={"mode": "test"}) as exchange,
    ):
        request = await limit_order(exchange)
        order = await exchange.create_order(request)
        assert (order.status, order.id, order.is_open) == ("tested", "", False)
        assert venue.count("/order/test") == 1
        assert venue.orders() == []
        assert ledger.read("SELECT count(*) FROM intent", ()) == [(0,)]


@MARKETS
async def test_mode_test_corrects_its_clock(market: str, clock: ManualClock) -> None:
    async with (
        venue_of(market, clock) as venue,
        bot(venue, trading={"mode": "test"}) as exchange,
    ):
        request = await limit_order(exchange)
        await exchange.create_order(request)
        venue.clock_skew_ms = 60_000
        assert (await exchange.create_order(request)).status == "tested"


@MARKETS
async def test_max_notional_is_the_last_guard(market: str, clock: ManualClock) -> None:
    async with (
        venue_of(market, clock) as venue,
        bot(venue, trading={"max_notional": Decimal(300)}) as exchange,
    ):
        for request in (
            buy("market"),
            await limit_order(exchange, "limit"),
            attrs.evolve(buy("sell"), side="sell"),
        ):
            with pytest.raises(errors.TradingOff, match=r"worth up to .* USDT, more than .*300"):
                await exchange.create_order(request)
        assert venue.order_attempts == 0


async def test_max_notional_of_a_cheap_sell_is_by_the_book(clock: ManualClock) -> None:
    async with (
        venue_of("spot", clock) as venue,
        bot(venue, trading={"max_notional": Decimal(300)}) as exchange,
    ):
        rules = await exchange.order_validator("BTC/USDT")
        state = await exchange.market_state("BTC/USDT")
        assert state.best_bid is not None
        low = rules.normalize_price(state.best_bid * Decimal("0.25"))  # 250 by its limit
        request = OrderRequest("BTC/USDT", "sell", "limit", "0.01", low, intent="cheap")
        with pytest.raises(errors.TradingOff, match="worth up to"):
            await exchange.create_order(request)


async def test_max_notional_lets_out_of_a_position(clock: ManualClock) -> None:
    async with venue_of("futures", clock) as venue:
        async with bot(venue) as exchange:
            await exchange.create_order(buy("in"))
        async with bot(venue, trading={"max_notional": Decimal(1)}) as exchange:
            way_out = attrs.evolve(buy("out"), side="sell", reduce_only=True)
            assert (await exchange.create_order(way_out)).status == "filled"
            assert await exchange.positions() == []


@MARKETS
async def test_illegal_order_is_refused_with_all_violations_and_not_sent(
    market: str, clock: ManualClock
) -> None:
    async with venue_of(market, clock) as venue, bot(venue) as exchange:
        request = OrderRequest(
            "BTC/USDT", "buy", "limit", "0.0000123", "40000.00123", intent="illegal"
        )
        with pytest.raises(errors.OrderInvalid) as raised:
            await exchange.create_order(request)
        filters = [one.filter for one in raised.value.violations]  # type: ignore[attr-defined]
        assert filters[:2] == ["PRICE_FILTER", "LOT_SIZE"]
        assert filters[-1].endswith("NOTIONAL")
        assert venue.order_attempts == 0


@MARKETS
async def test_refused_by_the_venue_is_rejected_and_not_placed(
    market: str, clock: ManualClock
) -> None:
    async with venue_of(market, clock) as venue, bot(venue) as exchange:
        request = attrs.evolve(await limit_order(exchange), quantity=Decimal(90))
        with pytest.raises(errors.OrderRejected, match="-20") as raised:
            await exchange.create_order(request)
        assert not raised.value.by_a_rule
        assert venue.orders() == []
        assert await exchange.recover_orders() == []


@MARKETS
async def test_no_key_is_told_with_the_variables_names(market: str, clock: ManualClock) -> None:
    async with (
        venue_of(market, clock) as venue,
        bot(venue, credentials=Credentials()) as exchange,
    ):
        for refused in (exchange.balances(), exchange.create_order(await limit_order(exchange))):
            with pytest.raises(errors.AuthError, match="BINANCE_API_KEY and BINANCE_API_SECRET"):
                await refused


async def test_keys_of_another_venue_are_not_used(clock: ManualClock) -> None:
    keys = Credentials(venue="KRAKEN", api_key="a", api_secret="b")
    async with venue_of("spot", clock) as venue, bot(venue, credentials=keys) as exchange:
        with pytest.raises(errors.AuthError, match="needs an account's key"):
            await exchange.balances()
        assert venue.count("/account") == 0


async def test_no_ledger_places_nothing(clock: ManualClock) -> None:
    async with venue_of("spot", clock) as venue:
        exchange = CLASSES["spot"](
            url=venue.rest_url, clock=clock, credentials=KEYS, trading=Trading(mode="live")
        )
        async with exchange:
            request = await limit_order(exchange)
            with pytest.raises(errors.ConfigError, match="orders need a ledger"):
                await exchange.create_order(request)
        assert venue.order_attempts == 0


async def test_from_settings_intents_are_kept_at_db_path(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with venue_of("spot", clock) as venue:
        settings = velas.load_settings(
            data_dir=tmp_path,
            rest={"url": venue.rest_url},
            trading={"mode": "live"},
            api_key=KEYS.api_key,
            api_secret=KEYS.api_secret,
            environ={},
        )
        async with velas.open_exchange(settings, clock=clock) as exchange:
            assert not settings.db_path.exists()  # nothing is made before it is needed
            request = await limit_order(exchange)  # type: ignore[arg-type]
            first = await exchange.create_order(request)
        async with velas.open_exchange(settings, clock=clock) as exchange:
            assert (await exchange.create_order(request)).id == first.id
        assert len(venue.orders()) == 1
        assert settings.db_path.stat().st_mode & 0o077 == 0


@MARKETS
async def test_every_number_on_the_wire_is_plain(market: str, clock: ManualClock) -> None:
    async with venue_of(market, clock, faults=scripted(market)) as venue, bot(venue) as exchange:
        request = await limit_order(exchange)
        assert request.price is not None
        spelled = attrs.evolve(
            request, quantity=Decimal("1E-2"), price=request.price * Decimal("1.0000")
        )
        await exchange.create_order(spelled)
        (sent,) = [one for one in venue.requests if "newClientOrderId" in one.query]
        assert (sent.query["quantity"], sent.query["price"]) == ("0.01", plain(request.price))


@MARKETS
async def test_fetch_intent_is_where_a_wish_stands(market: str, clock: ManualClock) -> None:
    ledger = Ledger()
    async with venue_of(market, clock) as venue:
        async with bot(venue, ledger) as exchange:
            assert await exchange.fetch_intent("first") is None
            request = await limit_order(exchange)
            order = await exchange.create_order(request)
            await exchange.cancel_order("BTC/USDT", order.id)
            with pytest.raises(errors.OrderRejected):
                await exchange.create_order(
                    attrs.evolve(request, quantity=Decimal(90), intent="second")
                )
        async with bot(venue, ledger) as exchange:
            found = await exchange.fetch_intent("first")
            assert found is not None
            assert found.state == "placed"
            assert found.order == attrs.evolve(order, status="canceled")
            assert found.request == attrs.evolve(request, symbol=SYMBOL[market])
            second = await exchange.fetch_intent("second")
            assert second is not None
            assert (second.state, second.order) == ("refused", None)


@MARKETS
async def test_fetch_intent_settles_one_whose_fate_is_open(market: str, clock: ManualClock) -> None:
    ledger = Ledger()
    faults = scripted(market, OrderFault.no_answer(accepted=True))
    async with venue_of(market, clock, faults=faults) as venue:
        async with bot(venue, ledger) as exchange:
            request = await limit_order(exchange)
            placing = asyncio.ensure_future(exchange.create_order(request))
            while not venue.orders():  # noqa: ASYNC110 - the venue has no event for it
                await asyncio.sleep(0)
            placing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await placing
        async with bot(venue, ledger) as exchange:
            found = await exchange.fetch_intent("first")
            assert found is not None
            assert found.state == "placed"
            assert found.order is not None
