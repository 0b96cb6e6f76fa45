"""`OrderValidator` against a slow reading, on every symbol of four recorded exchangeInfo."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest
from binance_venue import opened
from filter_agreement import check_difference, normalize_difference
from filter_marks import Symbol
from filter_nearest import TooManyCandidates
from filter_orders import Chance, random_case, random_policy
from realdata import market_data

from velas.limits import reset_shared_limiters
from velas.models import Market
from velas.testing import ManualClock
from velas.validation import OrderValidator

FILES = (
    ("spot", "binance_spot_2021-10-12"),
    ("spot", "binance_spot_2025-08-07"),
    ("futures", "binance_usdm_2021-07-22"),
    ("futures", "binance_usdm_2025-08-07"),
)
NOW_MS = 1_700_000_123_456
ORDERS = int(os.environ.get("VELAS_AGREEMENT_ORDERS", "1_000_000"))
SEED = int(os.environ.get("VELAS_AGREEMENT_SEED", "1000"))
Listing = list[tuple[Symbol, Market]]


@pytest.fixture(scope="module", params=FILES, ids=lambda one: one[1])
def listing(request: pytest.FixtureRequest) -> Listing:
    """Every symbol of a file: its raw row, and the market the adapter makes of it."""
    kind, name = request.param
    path = market_data() / "exchange_info" / f"{name}.json"
    document = json.loads(path.read_text())
    rows = document["symbols"]
    markets = asyncio.run(_markets(kind, document, [row["symbol"] for row in rows]))
    exchange_filters = tuple(document["exchangeFilters"])
    symbols = [Symbol(kind, row, exchange_filters) for row in rows]
    return list(zip(symbols, markets, strict=True))


async def _markets(kind: str, document: dict[str, Any], names: list[str]) -> list[Market]:
    clock = ManualClock(NOW_MS, auto=True)
    reset_shared_limiters()
    async with opened(clock, kind, exchange_info=document) as (_, exchange):
        markets = [await exchange.market(name) for name in names]
    reset_shared_limiters()
    return markets


def compare(listing: Listing, seed: int, orders: int) -> None:
    """Compare so many orders, the same number for each symbol as nearly as can be."""
    rng = Chance(seed)
    symbols = rng.sample(listing, len(listing))
    per_symbol = max(1, orders // len(symbols))
    for symbol, market in symbols:
        validator = OrderValidator.from_market(market)
        for at in range(per_symbol):
            order, state = random_case(rng, symbol)
            difference = check_difference(validator, symbol, order, state)
            assert not difference, f"seed {seed}, {market.id}, order {at}: {difference}"


def test_check_recorded_filters_verdicts_are_those_of_the_reading(listing: Listing) -> None:
    compare(listing, 1, 4_000)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_check_recorded_filters_many_verdicts_are_those_of_the_reading(
    listing: Listing, seed: int
) -> None:
    compare(listing, seed, ORDERS // 16)


def compare_normalized(listing: Listing, seed: int, orders: int) -> None:
    rng = Chance(seed)
    for at in range(orders):
        symbol, market = rng.choice(listing)
        validator = OrderValidator.from_market(market)
        order, state = random_case(rng, symbol)
        policy = random_policy(rng)
        try:
            difference = normalize_difference(validator, symbol, order, state, policy)
        except TooManyCandidates:
            continue
        assert not difference, f"seed {seed}, {market.id}, order {at}: {difference}"


def test_normalize_recorded_filters_finds_the_nearest_legal_order(listing: Listing) -> None:
    compare_normalized(listing, 1, 250)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_normalize_recorded_filters_many_find_the_nearest_legal_order(
    listing: Listing, seed: int
) -> None:
    compare_normalized(listing, seed, ORDERS // 400)
