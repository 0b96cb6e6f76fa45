"""Whatever becomes of the request or its answer: at most one order, over real HTTP."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from tradekit import bot, limit_order, scripted, venue_of

from velas import errors
from velas.ledger import Ledger
from velas.orders import Journal
from velas.testing import ManualClock
from velas.testing.venue.faults import FaultPlan
from velas.testing.venue.order_faults import ORDER_RATES, OrderFault

MARKETS = pytest.mark.parametrize("market", ["spot", "futures"])
Make = Callable[[], OrderFault]

ACCEPTED: dict[str, Make] = {
    "no answer": lambda: OrderFault.no_answer(accepted=True),
    "reset": lambda: OrderFault.broken_off(accepted=True),
    "502": lambda: OrderFault.gateway(502, accepted=True),
    "504": lambda: OrderFault.gateway(504, accepted=True),
    "-1007": lambda: OrderFault.backend_timeout(accepted=True),
    "-1006": lambda: OrderFault.unexpected_response(accepted=True),
    "503 unknown": lambda: OrderFault.unknown_error(accepted=True),
    "late": lambda: OrderFault.late(3.0),
    "late, silent": lambda: OrderFault.late(4.5, then="silence"),
    "invisible": lambda: OrderFault.invisible(8.0),
    "invisible, reset": lambda: OrderFault.invisible(3.0, then="reset"),
}
NOT_ACCEPTED: dict[str, Make] = {
    "no answer": lambda: OrderFault.no_answer(accepted=False),
    "reset": lambda: OrderFault.broken_off(accepted=False),
    "502": lambda: OrderFault.gateway(502, accepted=False),
    "504": lambda: OrderFault.gateway(504, accepted=False),
    "-1007": lambda: OrderFault.backend_timeout(accepted=False),
    "-1006": lambda: OrderFault.unexpected_response(accepted=False),
    "503 unknown": lambda: OrderFault.unknown_error(accepted=False),
    "503 internal": OrderFault.internal_error,
    "too late": lambda: OrderFault.late(7.0),
    "duplicate, said wrongly": OrderFault.duplicate_id,
}
AT_ONCE: dict[str, Make] = {
    "-1008": OrderFault.throttled,
    "-1021": OrderFault.out_of_time,
    "429": lambda: OrderFault.too_many_orders(2.0),
}


def cases(table: dict[str, Make]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("make", table.values(), ids=table.keys())


@MARKETS
@cases(ACCEPTED)
async def test_order_accepted_answer_lost_is_found(
    market: str, make: Make, clock: ManualClock
) -> None:
    async with (
        venue_of(market, clock, faults=scripted(market, make())) as venue,
        bot(venue, timeout_s=0.6) as exchange,
    ):
        request = await limit_order(exchange)
        order = await exchange.create_order(request)
        assert [one.client_id for one in venue.orders()] == [order.client_id]
        assert venue.order_attempts == 1
        assert order.status == "open"
        assert (await exchange.create_order(request)).id == order.id
        assert len(venue.orders()) == 1


@MARKETS
@cases(NOT_ACCEPTED)
async def test_order_lost_is_sent_again_once_it_is_known_to_be(
    market: str, make: Make, clock: ManualClock
) -> None:
    async with (
        venue_of(market, clock, faults=scripted(market, make())) as venue,
        bot(venue, timeout_s=0.6) as exchange,
    ):
        request = await limit_order(exchange)
        began_ms = clock.now_ms()
        order = await exchange.create_order(request)
        assert [one.client_id for one in venue.orders()] == [order.client_id]
        assert venue.order_attempts == 2
        assert clock.now_ms() - began_ms > 20_000  # recvWindow, and time to settle


@MARKETS
@cases(AT_ONCE)
async def test_order_refused_for_the_moment_is_sent_again_at_once(
    market: str, make: Make, clock: ManualClock
) -> None:
    async with (
        venue_of(market, clock, faults=scripted(market, make())) as venue,
        bot(venue) as exchange,
    ):
        request = await limit_order(exchange)
        began_ms = clock.now_ms()
        order = await exchange.create_order(request)
        assert [one.client_id for one in venue.orders()] == [order.client_id]
        assert venue.order_attempts == 2
        assert clock.now_ms() - began_ms < 5_000


async def test_order_futures_service_unavailable_is_no_order(clock: ManualClock) -> None:
    faults = scripted("futures", OrderFault.service_unavailable())
    async with venue_of("futures", clock, faults=faults) as venue, bot(venue) as exchange:
        began_ms = clock.now_ms()
        await exchange.create_order(await limit_order(exchange))
        assert len(venue.orders()) == 1
        assert clock.now_ms() - began_ms < 5_000


async def test_order_spot_service_unavailable_leaves_it_open(clock: ManualClock) -> None:
    faults = scripted("spot", OrderFault.service_unavailable())
    async with venue_of("spot", clock, faults=faults) as venue, bot(venue) as exchange:
        began_ms = clock.now_ms()
        await exchange.create_order(await limit_order(exchange))
        assert len(venue.orders()) == 1
        assert clock.now_ms() - began_ms > 20_000


@MARKETS
async def test_order_filled_answer_lost_is_not_placed_twice(
    market: str, clock: ManualClock
) -> None:
    # the trap: once it is filled the venue takes its client id again
    faults = scripted(market, OrderFault.no_answer(accepted=True))
    async with (
        venue_of(market, clock, faults=faults) as venue,
        bot(venue, timeout_s=0.6) as exchange,
    ):
        request = await limit_order(exchange, share="1.01")
        order = await exchange.create_order(request)
        assert order.status == "filled"
        again = await exchange.create_order(request)
        assert (again.id, len(venue.orders())) == (order.id, 1)


@MARKETS
async def test_order_crash_in_mid_call_is_settled_after_the_restart(
    market: str, clock: ManualClock
) -> None:
    faults = scripted(market, OrderFault.no_answer(accepted=True))
    ledger = Ledger()
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
            (line,) = await exchange.recover_orders()
            assert (line.key, line.state) == ("first", "placed")
            order = await exchange.create_order(request)
            assert line.order is not None
            assert order.id == line.order.id
        assert len(venue.orders()) == 1


@MARKETS
async def test_order_venue_gone_is_unknown_then_settled(market: str, clock: ManualClock) -> None:
    faults = scripted(market, OrderFault.no_answer(accepted=True))
    ledger = Ledger()
    async with venue_of(market, clock, faults=faults) as venue:
        async with bot(venue, ledger, timeout_s=0.6) as exchange:
            request = await limit_order(exchange)
            await exchange.server_time_ms()
            venue.faults = FaultPlan(venue.faults, _Down())
            with pytest.raises(errors.OrderUnknown, match=r"'first'.*not sent again"):
                await exchange.create_order(request)
            venue.faults = FaultPlan()
            assert (await exchange.create_order(request)).intent == "first"
        assert len(venue.orders()) == 1


class _Down(FaultPlan):
    """Once an order has been sent, every question about orders is answered by HTTP 502."""

    sent = False

    def take(self, path: str, query: str):
        self.sent |= path.startswith("POST")
        asked = "origClientOrderId" in query
        return OrderFault.gateway(502, accepted=False) if self.sent and asked else None


@MARKETS
async def test_order_venue_clock_off_is_measured(market: str, clock: ManualClock) -> None:
    async with venue_of(market, clock, clock_skew_ms=-40_000) as venue, bot(venue) as exchange:
        request = await limit_order(exchange)
        await exchange.create_order(request)
        venue.clock_skew_ms = 30_000  # it jumps, and what was signed before is refused
        await exchange.create_order(await limit_order(exchange, "second"))
        assert len(await exchange.open_orders()) >= 1  # a price may have moved in 70 seconds
        venue.clock_skew_ms = -10_000
        assert await exchange.balances()
        await exchange.create_order(await limit_order(exchange, "third"))
        assert len(venue.orders()) == 3


@MARKETS
async def test_order_filter_changed_is_judged_again_by_the_new_rules(
    market: str, clock: ManualClock
) -> None:
    name = {"spot": "NOTIONAL", "futures": "MIN_NOTIONAL"}[market]
    field = {"spot": "minNotional", "futures": "notional"}[market]
    faults = scripted(market, OrderFault.filter_change({name: {field: "1000000"}}))
    async with venue_of(market, clock, faults=faults) as venue, bot(venue) as exchange:
        request = await limit_order(exchange)
        with pytest.raises(errors.OrderInvalid, match=name) as raised:
            await exchange.create_order(request)
        (violation,) = raised.value.violations
        assert violation.filter == name  # type: ignore[attr-defined]
        assert venue.orders() == []
        with pytest.raises(errors.OrderInvalid, match="not sent"):
            await exchange.create_order(request)
        assert venue.order_attempts == 1


async def random_orders(market: str, seed: int) -> None:
    print(f"{market}, seed {seed}")
    rng = random.Random(seed)
    rates = {kind: rate * 4 for kind, rate in ORDER_RATES.items() if rate}
    rates |= {"lost": 0.02, "unanswered": 0.02}  # they cost real time
    clock, ledger = ManualClock(auto=True), Ledger()
    faults = FaultPlan.random(seed, rates=rates, max_in_a_row=2, only=["/order"])
    async with venue_of(market, clock) as venue:
        requests = []
        async with bot(venue, ledger) as exchange:
            for n in range(8):
                share = rng.choice(("0.97", "1.01"))
                requests.append(await limit_order(exchange, f"intent {n}", share=share))
        venue.faults = faults
        for _ in range(3):  # three lives, the last without faults
            async with bot(venue, ledger, timeout_s=0.5) as exchange:
                for request in requests:
                    try:
                        await exchange.create_order(request)
                    except (errors.OrderUnknown, errors.OrderNotPlaced, errors.Transient):
                        continue
            if rng.random() < 0.5:
                venue.faults = FaultPlan()
        venue.faults = FaultPlan()
        async with bot(venue, ledger) as exchange:
            await exchange.recover_orders()
            placed = [await exchange.create_order(request) for request in requests]
            assert Journal(ledger, exchange._trader._venue.account).unsettled() == []  # type: ignore[union-attr]
        made = [one.client_id for one in venue.orders()]
        assert sorted(made) == sorted(str(one.client_id) for one in placed)
        assert len(set(made)) == len(requests)


@MARKETS
@pytest.mark.parametrize("seed", range(3))
async def test_orders_random_faults_one_for_each_intent(market: str, seed: int) -> None:
    await random_orders(market, seed)


@pytest.mark.faults
@MARKETS
@pytest.mark.parametrize("seed", range(100, 160))
async def test_orders_many_random_faults_one_for_each_intent(market: str, seed: int) -> None:
    await random_orders(market, seed)
