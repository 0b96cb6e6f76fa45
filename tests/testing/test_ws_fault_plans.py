"""Faults by seed: the same again, in bounds, and what is left of the truth under them."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import orjson
import pytest
from ws_client import START, Desk, closes, desk

from velas.testing import ScaledClock, SocketFault, SocketFaultPlan
from velas.testing.venue.socket_plans import DEFAULT_SOCKET_RATES, SERIES_KINDS, Fate

PATH = "/ws/btcusdt@kline_1m"


def drawn(plan: SocketFaultPlan, connections: int, frames: int) -> list[list[SocketFault]]:
    return [plan.fate(PATH).due(frames) for _ in range(connections)]


def at_closes(plan: SocketFaultPlan, count: int) -> list[SocketFault | None]:
    return [plan.at_close("btcusdt@kline_1m", n, n * 60_000) for n in range(count)]


def test_plan_default_has_no_fault() -> None:
    plan = SocketFaultPlan()
    assert drawn(plan, 3, 1000) == [[], [], []]
    assert at_closes(plan, 3) == [None] * 3


def test_random_plan_same_seed_draws_the_same() -> None:
    one, two, other = (SocketFaultPlan.random(seed) for seed in (5, 5, 6))
    faults = drawn(one, 50, 2000)
    assert faults == drawn(two, 50, 2000)
    assert faults != drawn(other, 50, 2000)
    assert at_closes(one, 300) == at_closes(two, 300)
    assert at_closes(one, 300) != at_closes(other, 300)


def test_random_plan_draws_every_kind_about_as_often_as_asked() -> None:
    plan = SocketFaultPlan.random(1)
    connections, frames, candles = 400, 3000, 3000
    counts = Counter(fault.kind for fate in drawn(plan, connections, frames) for fault in fate)
    counts += Counter(fault.kind for fault in at_closes(plan, candles) if fault is not None)
    assert set(counts) == set(DEFAULT_SOCKET_RATES)
    delivered = connections - counts["mute"] - counts["refuse"]
    for kind, rate in DEFAULT_SOCKET_RATES.items():
        trials = delivered * frames
        if kind in SERIES_KINDS:
            trials = candles
        elif kind in ("mute", "refuse"):
            trials = connections
        assert counts[kind] == pytest.approx(rate * trials, rel=0.35), kind


def test_random_plan_lets_a_connection_through_after_some_in_a_row() -> None:
    plan = SocketFaultPlan.random(1, rates={"mute": 0.5, "refuse": 0.5}, max_in_a_row=2)
    assert [bool(fate) for fate in drawn(plan, 6, 10)] == [True, True, False] * 2


def test_random_plan_of_bounded_size_ends() -> None:
    plan = SocketFaultPlan.random(1, rates={"lose": 0.5, "revise": 1.0}, most=3)
    for _ in range(3):
        plan.note(SocketFault.lose())
    assert at_closes(plan, 5) == [None] * 5
    assert len(plan.fate(PATH).due(1000)) <= 1  # what was drawn before


def test_random_plan_candles_do_not_depend_on_what_else_happened() -> None:
    one, two = SocketFaultPlan.random(9), SocketFaultPlan.random(9)
    drawn(one, 20, 100)
    assert at_closes(one, 200) == at_closes(two, 200)


def test_fate_gives_each_fault_once_at_its_frame() -> None:
    fate = Fate([SocketFault.lose(), SocketFault.lose(2, after=5)])
    assert [len(fate.due(n)) for n in (0, 1, 5, 6)] == [1, 0, 1, 0]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_random_faults_over_hours_say_nothing_that_the_venue_never_had(seed: int) -> None:
    """A client that always comes back hears true candles, but for the revised ones."""
    rates = {kind: rate * 5 for kind, rate in DEFAULT_SOCKET_RATES.items() if kind != "refuse"}
    plan = SocketFaultPlan.random(seed, rates=rates)
    heard: dict[int, float] = {}
    clock = ScaledClock(600, start_ms=START + 5_000)
    async with desk("futures", clock=clock, socket_faults=plan) as it:
        until = START + 1_200_000
        while clock.now_ms() < until:
            await _listen(it, heard, until)
        truth = it.venue.frame("BTCUSDT", "1m", start_ms=START, end_ms=clock.now_ms())
        revised = plan.taken["revise"]
    true = dict(zip(truth["timestamp"].tolist(), truth["close"].tolist(), strict=True))
    wrong = [at for at, close in heard.items() if close != true[at]]
    assert len(heard) > 5, f"seed {seed}"
    assert len(wrong) <= revised, f"seed {seed}"
    assert plan.taken.total() > 5, f"seed {seed}: {plan.taken}"


async def _listen(it: Desk, heard: dict[int, float], until_ms: int) -> None:
    url = it.venue.ws_url + "/market" + PATH
    patience = aiohttp.ClientWSTimeout(ws_close=0.1)  # a half-open one never says goodbye
    try:
        async with it.session.ws_connect(url, timeout=patience) as socket:
            while it.venue.now_ms() < until_ms:
                message = await asyncio.wait_for(socket.receive(), 0.3)
                if message.type != aiohttp.WSMsgType.TEXT:
                    return
                try:
                    for candle in closes([orjson.loads(message.data)]):
                        heard[candle["t"]] = float(candle["c"])
                except (AttributeError, LookupError, TypeError, ValueError):
                    continue  # wrong on purpose
    except (TimeoutError, aiohttp.ClientError):
        return
