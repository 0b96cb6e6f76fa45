"""`kill -9` in the middle of placing orders: each intent has its one order in the end."""

from __future__ import annotations

import multiprocessing
import random
from collections import Counter
from pathlib import Path

import order_victim
import pytest

import velas
from velas.ledger import Ledger
from velas.orders import client_id_of
from velas.testing import StandInVenue
from velas.testing.venue.faults import FaultKind, FaultPlan

INTENTS = 8
FAULTS: dict[FaultKind, float] = {"unanswered": 0.05, "error_after": 0.1, "reset_after": 0.1}
PLACE = {"spot": "POST /api/v3/order", "futures": "POST /fapi/v1/order"}


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Processes that start in milliseconds, because everything is imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["order_victim", "velas_ccxt", "velas.config", "velas.orders"])
    return context


def killed_orders(
    processes: multiprocessing.context.ForkServerContext,
    folder: Path,
    market: str,
    seed: int,
    kills: int,
    rates: dict[FaultKind, float] = FAULTS,
) -> None:
    print(f"{market}, seed {seed}")
    rng = random.Random(seed)
    faults = FaultPlan.random(seed, rates=rates, max_in_a_row=2, only=[PLACE[market]])
    log = folder / "acknowledged"
    requests = [
        velas.OrderRequest("BTC/USDT", "buy", "market", "0.01", intent=f"intent {n}")
        for n in range(INTENTS)
    ]
    exchange = {"spot": "binance_spot", "futures": "binance_futures"}[market]
    with StandInVenue(market, faults=faults, latency_s=0.01).in_thread() as venue:  # type: ignore[arg-type]
        for at in range(kills + 1):
            child = processes.Process(
                target=order_victim.place, args=(venue.rest_url, folder, log, requests, exchange)
            )
            child.start()
            child.join(timeout=None if at == kills else rng.uniform(0.05, 0.6))
            child.kill()
            child.join()
            code = child.exitcode
            child.close()
            assert code == (0 if at == kills else code), f"kill {at}: exit code {code}"
        made = Counter(one.client_id for one in venue.orders())
    assert made == {client_id_of(f"intent {n}"): 1 for n in range(INTENTS)}
    acknowledged = {tuple(line.split("=")) for line in log.read_text().splitlines()}
    assert len(acknowledged) == INTENTS  # whoever was told, was told of the same order
    with Ledger(folder / "velas.db", read_only=True) as ledger:
        states = ledger.read("SELECT state, count(*) FROM intent GROUP BY state", ())
    assert states == [("placed", INTENTS)]


@pytest.mark.parametrize("market", ["spot", "futures"])
def test_orders_killed_in_mid_call_each_intent_has_one(processes, market, tmp_path) -> None:
    killed_orders(processes, tmp_path, market, seed=1, kills=2)


@pytest.mark.faults
@pytest.mark.parametrize("market", ["spot", "futures"])
@pytest.mark.parametrize("seed", range(10, 20))
def test_orders_killed_many_times_each_intent_has_one(processes, market, seed, tmp_path) -> None:
    killed_orders(processes, tmp_path, market, seed, 15, FAULTS | {"lost": 0.1})
