"""What a client may hear of an order, and what became of it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import aiohttp
import pytest
from signed import START, Reply, Trading, limit, market, trading

from velas.errors import ConfigError
from velas.testing import ORDER_RATES, FaultPlan, ManualClock, OrderFault
from velas.testing.venue.faults import Fault, FaultKind
from velas.testing.venue.order_faults import drawn

MARKETS = pytest.mark.parametrize("venue", ["spot", "futures"])
ACCEPTED = pytest.mark.parametrize("accepted", [False, True])
NEW_ORDER = {"spot": "POST /api/v3/order", "futures": "POST /fapi/v1/order"}
TOO_OLD = {"spot": -1021, "futures": -5028}
DUPLICATE = {"spot": -2010, "futures": -4116}
THROTTLED = (
    "Request throttled by system-level protection. "
    "Reduce-only/close-position orders are exempt. Please try again."
)


def with_fault(venue: str, *faults: Fault | None) -> FaultPlan:
    return FaultPlan.script(faults, path=NEW_ORDER[venue])


async def query(client: Trading, client_id: str = "a") -> Reply:
    return await client.send("GET", "order", symbol="BTCUSDT", origClientOrderId=client_id)


@MARKETS
@ACCEPTED
async def test_no_answer_leaves_the_order_placed_or_not(venue: Any, accepted: bool) -> None:
    faults = with_fault(venue, OrderFault.no_answer(accepted=accepted))
    async with trading(venue, faults=faults) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.place(newClientOrderId="a")
        assert len(client.venue.orders()) == accepted == ((await query(client)).status == 200)
        assert client.venue.order_attempts == 1
        assert client.venue.requests[0].status == 0


@MARKETS
@ACCEPTED
async def test_broken_connection_leaves_the_order_placed_or_not(venue: Any, accepted: bool) -> None:
    faults = with_fault(venue, OrderFault.broken_off(accepted=accepted))
    async with trading(venue, faults=faults) as client:
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.place(newClientOrderId="a")
        assert len(client.venue.orders()) == accepted


@MARKETS
@ACCEPTED
@pytest.mark.parametrize(
    ("make", "error"),
    [
        (
            OrderFault.backend_timeout,
            (
                None,
                -1007,
                "Timeout waiting for response from backend server. "
                "Send status unknown; execution status unknown.",
            ),
        ),
        (
            OrderFault.unexpected_response,
            (
                500,
                -1006,
                "An unexpected response was received from the message bus. "
                "Execution status unknown.",
            ),
        ),
        (
            OrderFault.unknown_error,
            (503, -1000, "Unknown error, please check your request or try again later."),
        ),
    ],
)
async def test_unknown_outcome_is_either(venue: Any, accepted: bool, make: Any, error: Any) -> None:
    faults = with_fault(venue, make(accepted=accepted))
    async with trading(venue, faults=faults) as client:
        reply = await client.place(newClientOrderId="a")
        status = error[0] or (504 if venue == "spot" else 408)
        assert reply.error == (status, *error[1:])
        assert len(client.venue.orders()) == accepted


@ACCEPTED
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_gateway_error_is_either(accepted: bool, status: int) -> None:
    faults = with_fault("spot", OrderFault.gateway(status, accepted=accepted))
    async with trading(faults=faults) as client:
        reply = await client.place()
        assert reply.status == status
        assert isinstance(reply.body, str) == (status in (502, 504))
        assert len(client.venue.orders()) == accepted


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (OrderFault.service_unavailable(), (503, -1001, "Service Unavailable.")),
        (
            OrderFault.internal_error(),
            (503, -1001, "Internal error; unable to process your request. Please try again."),
        ),
        (OrderFault.throttled(), (503, -1008, THROTTLED)),
        (
            OrderFault.out_of_time(),
            (400, -1021, "Timestamp for this request is outside of the recvWindow."),
        ),
        (
            OrderFault.too_many_orders(7.2),
            (429, -1015, "Too many new orders; current limit is 100 orders per 10 SECOND."),
        ),
        (OrderFault.error(400, -4242, "Something new."), (400, -4242, "Something new.")),
    ],
)
async def test_definite_failure_places_nothing(fault: OrderFault, error: Any) -> None:
    async with trading(faults=with_fault("spot", fault)) as client:
        reply = await client.place()
        assert reply.error == error
        assert reply.headers.get("Retry-After") == ("8" if error[0] == 429 else None)
        assert client.venue.orders() == []
        assert (await client.place()).status == 200


@MARKETS
async def test_duplicate_fault_says_so_of_an_id_nobody_has(venue: Any) -> None:
    async with trading(venue, faults=with_fault(venue, OrderFault.duplicate_id())) as client:
        assert (await client.place()).code == DUPLICATE[venue]
        assert client.venue.orders() == []


async def test_throttling_lets_reducing_orders_through() -> None:
    faults = with_fault("futures", None, OrderFault.throttled())
    async with trading("futures", faults=faults) as client:
        await client.send("POST", "order", **market())
        reply = await client.send("POST", "order", **market(side="SELL", reduceOnly="true"))
        assert (reply.status, client.venue.requests[-1].fault) == (200, None)


@MARKETS
async def test_late_order_arrives_when_its_time_has_come(venue: Any) -> None:
    clock = ManualClock(START)
    faults = with_fault(venue, OrderFault.late(4.0))
    async with trading(venue, clock=clock, faults=faults) as client:
        assert (await client.place(newClientOrderId="a")).code == -1007
        clock.advance(3.999)
        assert (await query(client)).code == -2013
        clock.advance(0.001)
        assert (await query(client)).body["status"] == "NEW"
        assert client.venue.orders()[0].time_ms == START + 4000


@MARKETS
async def test_late_order_beyond_its_window_never_arrives(venue: Any) -> None:
    clock = ManualClock(START)
    faults = with_fault(venue, OrderFault.late(4.0), OrderFault.late(4.0))
    async with trading(venue, clock=clock, faults=faults) as client:
        await client.place(newClientOrderId="a", recvWindow=3999)
        await client.place(newClientOrderId="b", recvWindow=4000)
        clock.advance(60)
        assert [one.client_id for one in client.venue.orders()] == ["b"]


@MARKETS
async def test_late_order_whose_id_was_sent_again_is_one_or_two(venue: Any) -> None:
    clock = ManualClock(START)
    faults = with_fault(venue, OrderFault.late(4.0), None, OrderFault.late(4.0))
    async with trading(venue, clock=clock, faults=faults) as client:
        for name, params in (("rests", limit()), ("fills", market())):
            for _ in range(2):
                await client.send("POST", "order", **{**params, "newClientOrderId": name})
        clock.advance(10)
        ids = [one.client_id for one in client.venue.orders()]
    # the one that fills at once does not keep its id to itself
    assert ids == ["rests", "fills", "fills"]


async def test_late_order_may_be_silent_or_reset() -> None:
    faults = with_fault(
        "spot", OrderFault.late(1.0, then="silence"), OrderFault.late(1.0, then="reset")
    )
    clock = ManualClock(START)
    async with trading(clock=clock, faults=faults) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.place()
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.place()
        clock.advance(1)
        assert len(client.venue.orders()) == 2


@MARKETS
async def test_invisible_order_holds_its_id_before_it_is_found(venue: Any) -> None:
    clock = ManualClock(START)
    faults = with_fault(venue, OrderFault.invisible(3.0))
    async with trading(venue, clock=clock, faults=faults) as client:
        assert (await client.place(newClientOrderId="a")).code == -1007
        assert (await query(client)).code == -2013
        assert (await client.send("GET", "order", symbol="BTCUSDT", orderId=1)).code == -2013
        assert (await client.send("GET", "openOrders")).body == []
        assert (await client.send("GET", "allOrders", symbol="BTCUSDT")).body == []
        wanted = {"symbol": "BTCUSDT", "origClientOrderId": "a"}
        assert (await client.send("DELETE", "order", **wanted)).code == -2011
        assert (await client.place(newClientOrderId="a")).code == DUPLICATE[venue]
        clock.advance(3.0)
        assert (await query(client)).body["status"] == "NEW"
        assert len((await client.send("GET", "openOrders")).body) == 1


async def test_invisible_order_may_be_answered() -> None:
    faults = with_fault("spot", OrderFault.invisible(3.0, then="answer"))
    async with trading(clock=ManualClock(START), faults=faults) as client:
        assert (await client.place(newClientOrderId="a")).body["orderId"] == 1
        assert (await query(client)).code == -2013


async def test_invisible_order_does_not_hide_an_older_one_of_its_id() -> None:
    faults = with_fault("spot", None, OrderFault.invisible(3.0))
    async with trading(clock=ManualClock(START), faults=faults) as client:
        await client.send("POST", "order", **market(newClientOrderId="a"))
        await client.send("POST", "order", **market(newClientOrderId="a"))
        assert (await query(client)).body["orderId"] == 1


async def test_filter_change_strikes_the_request_and_stays() -> None:
    change = OrderFault.filter_change({"LOT_SIZE": {"minQty": "0.02"}})
    async with trading(faults=with_fault("spot", None, change)) as client:
        replies = [await client.place() for _ in range(3)]
        info = await client.raw("GET", "exchangeInfo?symbol=BTCUSDT", key=None)
        wider = await client.place(quantity="0.02")
    assert [reply.code for reply in replies] == [None, -1013, -1013]
    assert info.body["symbols"][0]["filters"][1]["minQty"] == "0.02"
    assert wider.status == 200


async def test_fault_on_an_order_the_engine_refuses_places_nothing() -> None:
    faults = with_fault("spot", OrderFault.backend_timeout(accepted=True))
    async with trading(faults=faults) as client:
        assert (await client.place(quantity="0.0000001")).code == -1007
        assert client.venue.orders() == []


@pytest.mark.parametrize(
    ("fault", "placed"),
    [
        (Fault.server_error(503), 0),
        (Fault.too_many(), 0),
        (Fault.reset(), 1),
        (Fault.truncated(), 1),
        (Fault.wrong("html"), 1),
        (Fault.latency(1.0), 1),
    ],
)
async def test_plain_fault_refuses_or_spoils_the_answer(fault: Fault, placed: int) -> None:
    async with trading(faults=with_fault("spot", fault)) as client:
        try:
            await client.place()
        except (aiohttp.ClientError, ValueError):
            assert placed
        assert len(client.venue.orders()) == placed


async def test_script_of_a_method_leaves_the_others_alone() -> None:
    faults = FaultPlan.script([OrderFault.service_unavailable()], path="DELETE /api/v3/order")
    async with trading(faults=faults) as client:
        await client.place(newClientOrderId="a")
        assert (await query(client)).status == 200
        wanted = {"symbol": "BTCUSDT", "origClientOrderId": "a"}
        assert (await client.send("DELETE", "order", **wanted)).status == 503
        assert (await client.send("DELETE", "order", **wanted)).status == 200


async def test_cancel_may_be_done_without_an_answer() -> None:
    faults = FaultPlan.script(
        [OrderFault.backend_timeout(accepted=True)], path="DELETE /api/v3/order"
    )
    async with trading(faults=faults) as client:
        await client.place(newClientOrderId="a")
        wanted = {"symbol": "BTCUSDT", "origClientOrderId": "a"}
        assert (await client.send("DELETE", "order", **wanted)).code == -1007
        assert (await query(client)).body["status"] == "CANCELED"


@pytest.mark.parametrize(
    "fault", [OrderFault.late(1.0), OrderFault.invisible(1.0), OrderFault.filter_change({})]
)
async def test_order_fault_on_a_public_path_has_nothing_to_do(fault: OrderFault) -> None:
    async with trading(faults=FaultPlan.script([fault])) as client:
        reply = await client.raw("GET", "time", key=None)
        assert reply.code in (None, -1007)
        assert client.venue.orders() == []


def test_random_meets_every_kind_of_the_order_rates() -> None:
    plan = FaultPlan.random(7, rates=ORDER_RATES)
    faults = [plan.take(NEW_ORDER["spot"], str(number)) for number in range(5_000)]
    assert {fault.kind for fault in faults if fault is not None} == set(ORDER_RATES)
    assert all(isinstance(fault, OrderFault) for fault in faults if fault is not None)


def test_random_same_seed_gives_the_same_order_faults() -> None:
    first, second = (FaultPlan.random(3, rates=ORDER_RATES) for _ in range(2))
    assert [first.take("x", str(n)) for n in range(500)] == [
        second.take("x", str(n)) for n in range(500)
    ]


async def test_random_same_order_gets_through_after_three() -> None:
    faults = FaultPlan.random(1, rates={"error_before": 1.0}, only=[NEW_ORDER["spot"]])
    clock = ManualClock(START)
    async with trading(clock=clock, faults=faults) as client:
        statuses = []
        for _ in range(4):
            clock.advance(0.1)  # another timestamp, another signature, the same order
            statuses.append((await client.place(newClientOrderId="a")).status)
    assert [status == 200 for status in statuses] == [False, False, False, True]


@pytest.mark.parametrize("kind", ["duplicate", "error_before", "reset_after"])
def test_drawn_fault_has_the_kind_asked_for(kind: FaultKind) -> None:
    assert {drawn(kind, random.Random(seed)).kind for seed in range(20)} == {kind}


@pytest.mark.parametrize(
    "make",
    [
        lambda: OrderFault.gateway(400, accepted=True),
        lambda: OrderFault.backend_timeout(accepted=True, status=500),
        lambda: OrderFault.late(1.0, then="answer"),
        lambda: OrderFault.invisible(1.0, then="hope"),  # type: ignore[arg-type]
    ],
)
def test_order_fault_that_cannot_be_is_an_error(make: Any) -> None:
    with pytest.raises(ConfigError):
        make()
