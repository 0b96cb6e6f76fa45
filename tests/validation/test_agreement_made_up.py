"""`OrderValidator` against a slow reading of the filters: made-up rows, random orders.

``VELAS_AGREEMENT_ORDERS`` says how many orders the long runs compare, ``VELAS_AGREEMENT_SEED``
where they begin.
"""

from __future__ import annotations

import os
from collections import Counter
from fractions import Fraction

import attrs
import pytest
from filter_agreement import check_difference, explain_difference, nearest_difference
from filter_markets import made_up_market
from filter_marks import Mark, Symbol, fraction
from filter_nearest import TooManyCandidates
from filter_orders import Chance, random_case
from filter_reading import read

from velas.models import Market, OrderRequest
from velas.validation import MarketState, OrderValidator

KINDS = ("spot", "futures")
ORDERS = int(os.environ.get("VELAS_AGREEMENT_ORDERS", "1_000_000"))
SEED = int(os.environ.get("VELAS_AGREEMENT_SEED", "1000"))


def compare(kind: str, seed: int, orders: int) -> None:
    rng = Chance(seed)
    for at in range(orders):
        if at % 10 == 0:
            symbol, market = made_up_market(rng, kind)
            validator = OrderValidator.from_market(market)
        order, state = random_case(rng, symbol)
        difference = check_difference(validator, symbol, order, state)
        assert not difference, f"seed {seed}, order {at}: {difference}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_check_made_up_filters_verdicts_are_those_of_the_reading(kind: str, seed: int) -> None:
    compare(kind, seed, 1_250)


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(SEED, SEED + 8))
def test_check_many_made_up_filters_verdicts_are_those_of_the_reading(kind: str, seed: int) -> None:
    compare(kind, seed, ORDERS // 16)


@pytest.mark.parametrize("kind", KINDS)
def test_explain_rows_are_the_verdict_and_name_every_rule_that_applies(kind: str) -> None:
    rng = Chance(11)
    for at in range(500):
        symbol, market = made_up_market(rng, kind)
        validator = OrderValidator.from_market(market)
        difference = explain_difference(validator, symbol, *random_case(rng, symbol))
        assert not difference, f"order {at}: {difference}"


@pytest.mark.parametrize("kind", KINDS)
def test_check_nearest_of_a_violation_is_the_nearest_there_is(kind: str) -> None:
    rng = Chance(12)
    for at in range(120):
        symbol, market = made_up_market(rng, kind)
        validator = OrderValidator.from_market(market)
        try:
            difference = nearest_difference(validator, symbol, *random_case(rng, symbol))
        except TooManyCandidates:
            continue
        assert not difference, f"order {at}: {difference}"


FLAGS = {"applyToMarket", "applyMinToMarket", "applyMaxToMarket"}
UNREAD = {"filterType", "avgPriceMins", "multiplierDecimal", "positionControlSide"} | FLAGS
SIDED = ("NOTIONAL", "PERCENT_PRICE", "PERCENT_PRICE_BY_SIDE", "TRAILING_DELTA")  # half suffices


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spoiled", [None, "", "x", "1/3", [], {}, True, "NaN", "Infinity"])
def test_check_a_filter_that_cannot_be_read_is_not_judged_and_not_fatal(kind, spoiled) -> None:
    rng = Chance(13)
    for at in range(40):
        symbol, market = made_up_market(rng, kind)
        rows = [dict(row) for row in symbol.filters]
        row = rng.choice([row for row in rows if row.keys() - UNREAD])
        row[rng.choice(sorted(row.keys() - UNREAD))] = spoiled
        validator = OrderValidator.from_market(attrs.evolve(market, filters=tuple(rows)))
        order, state = random_case(rng, symbol)
        whole = read(symbol, order, state)
        verdict = validator.check(order, reference=state)
        name, case = row["filterType"], f"order {at}: {row} {order} {state} {verdict}"
        # what can still be read of it may be judged; nothing more than of the whole is found,
        # but for decimals, which nothing implies any more
        found = Counter(one.filter for one in verdict if one.filter != "PRECISION")
        assert found <= Counter(mark.filter for mark in whole if mark.kind == "violated"), case
        if name not in SIDED and any(mark.filter == name for mark in whole):
            assert name in {one.filter for one in verdict.not_judged}, case


# -- the comparison itself ----------------------------------------------------------------

ROW = {
    "symbol": "XY",
    "status": "TRADING",
    "orderTypes": ["LIMIT", "MARKET"],
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.1", "maxPrice": "99", "tickSize": "0.1"},
        {"filterType": "LOT_SIZE", "minQty": "0.003", "maxQty": "9", "stepSize": "0.003"},
        {"filterType": "MIN_NOTIONAL", "minNotional": "0.9", "applyToMarket": True},
    ],
}
SYMBOL = Symbol("spot", ROW)
MARKET = Market(
    symbol="X/Y",
    id="XY",
    base="X",
    quote="Y",
    status="TRADING",
    filters=tuple(ROW["filters"]),
    order_types=("LIMIT", "MARKET"),
    info=ROW,
)


def off_by_one_step(name: str, key: str, step: str) -> Symbol:
    """Return the symbol with one bound moved by one step."""
    rows = [
        {**row, key: str(fraction(row[key]) + fraction(step))} if row["filterType"] == name else row
        for row in ROW["filters"]
    ]
    return attrs.evolve(SYMBOL, row={**ROW, "filters": rows})


@pytest.mark.parametrize(
    ("name", "key", "step", "price", "quantity"),
    [
        ("PRICE_FILTER", "minPrice", "0.1", "0.1", "9"),
        ("PRICE_FILTER", "maxPrice", "0.1", "99.1", "9"),
        ("PRICE_FILTER", "tickSize", "0.1", "0.3", "3"),
        ("LOT_SIZE", "minQty", "0.003", "99", "0.003"),
        ("LOT_SIZE", "maxQty", "0.003", "1", "9.003"),
        ("LOT_SIZE", "stepSize", "0.00000001", "1", "3"),
        ("MIN_NOTIONAL", "minNotional", "0.00000001", "1", "0.9"),
    ],
)
def test_comparison_a_reading_one_step_off_is_noticed(name, key, step, price, quantity) -> None:
    validator = OrderValidator.from_market(MARKET)
    order = OrderRequest("X/Y", "buy", "limit", price=price, quantity=quantity)
    assert check_difference(validator, SYMBOL, order, MarketState()) == ""
    wrong = off_by_one_step(name, key, step)
    assert name in check_difference(validator, wrong, order, MarketState())


def test_comparison_a_reading_that_is_wrong_is_noticed_by_random_orders() -> None:
    def strict(symbol: Symbol, order: OrderRequest, state: MarketState) -> list[Mark]:
        """Read a maximum as if the value itself were not allowed any more."""
        marks = read(symbol, order, state)
        row = symbol.find("LOT_SIZE")
        if row is not None and order.quantity is not None:
            most = Fraction(str(row["maxQty"]))
            if most and fraction(order.quantity) == most:
                marks.append(Mark("LOT_SIZE", "quantity", "violated", "max"))
        return marks

    rng, noticed = Chance(5), 0
    for _ in range(120):
        symbol, market = made_up_market(rng, "spot")
        validator = OrderValidator.from_market(market)
        for _ in range(10):
            case = random_case(rng, symbol)
            noticed += bool(check_difference(validator, symbol, *case, reading=strict))
    assert noticed > 5


@pytest.mark.parametrize(
    "mark",
    [
        Mark("LOT_SIZE", "quantity", "violated"),
        Mark("MAX_NUM_ORDERS", "", "violated"),
        Mark("PARAMETERS", "quantity", "violated"),
        Mark("PRICE_FILTER", "", "not judged"),
    ],
)
def test_comparison_one_mark_too_many_is_noticed(mark: Mark) -> None:
    validator = OrderValidator.from_market(MARKET)
    order = OrderRequest("X/Y", "buy", "limit", price=1, quantity=3)
    difference = check_difference(
        validator, SYMBOL, order, MarketState(), reading=lambda *case: [*read(*case), mark]
    )
    assert mark.filter in difference
