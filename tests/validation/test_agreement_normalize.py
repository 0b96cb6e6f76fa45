"""What `OrderValidator.normalize` finds against the best of all that were tried."""

from __future__ import annotations

import os
from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from filter_agreement import normalize_difference
from filter_markets import made_up_market
from filter_marks import Symbol, fraction
from filter_nearest import TooManyCandidates, decimal_of, fits, nearest_order, nearest_value
from filter_orders import Chance, random_case, random_policy

from velas.models import Market, OrderRequest
from velas.validation import MarketState, OrderValidator

KINDS = ("spot", "futures")
ORDERS = int(os.environ.get("VELAS_AGREEMENT_ORDERS", "1_000_000"))
SEED = int(os.environ.get("VELAS_AGREEMENT_SEED", "1000"))


def compare(kind: str, seed: int, orders: int) -> None:
    rng = Chance(seed)
    for at in range(orders):
        if at % 5 == 0:
            symbol, market = made_up_market(rng, kind)
            validator = OrderValidator.from_market(market)
        order, state = random_case(rng, symbol)
        policy = random_policy(rng)
        try:
            difference = normalize_difference(validator, symbol, order, state, policy)
        except TooManyCandidates:
            continue
        assert not difference, f"seed {seed}, order {at}: {difference}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_normalize_made_up_filters_finds_the_nearest_legal_order(kind: str, seed: int) -> None:
    compare(kind, seed, 300)


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(SEED, SEED + 8))
def test_normalize_many_made_up_filters_finds_the_nearest_legal_order(kind: str, seed: int) -> None:
    compare(kind, seed, ORDERS // 400)


@pytest.mark.parametrize("seed", range(8))
def test_normalize_two_grids_with_origins_of_their_own_meet_where_they_meet(seed: int) -> None:
    rng = Chance(seed)
    for _ in range(25):
        steps = [Fraction(rng.randint(1, 12), 10) for _ in range(2)]
        lows = [Fraction(rng.randint(1, 30), 10) for _ in range(2)]
        names = ("LOT_SIZE", "MARKET_LOT_SIZE")
        rows = [
            lots(name, low, low + 500 * step, step)
            for name, low, step in zip(names, lows, steps, strict=True)
        ]
        symbol = Symbol("futures", {"status": "TRADING", "filters": rows})
        validator = OrderValidator.from_market(
            Market(
                symbol="X/Y:Y",
                id="XY",
                base="X",
                quote="Y",
                type="swap",
                status="TRADING",
                filters=tuple(rows),
                info=symbol.row,
            )
        )
        order = OrderRequest("X/Y", "buy", "market", quantity=Decimal(rng.randint(1, 4000)) / 100)
        difference = normalize_difference(
            validator, symbol, order, MarketState(), (Decimal(rng.choice((0, 1, 9))), Decimal(0))
        )
        assert not difference, f"seed {seed}: {difference}"


# -- the enumeration itself: against every point of a small grid ---------------------------


def small_symbol(rng: Chance) -> Symbol:
    step = rng.choice((Fraction(1), Fraction(3, 10), Fraction(1, 4)))
    other = rng.choice((Fraction(0), step * 2, step * Fraction(3, 2), Fraction(7, 10)))
    rows = [
        lots("LOT_SIZE", step * rng.randint(0, 5), step * rng.randint(20, 60), step),
        lots("MARKET_LOT_SIZE", other * rng.randint(0, 4), step * rng.randint(15, 50), other),
        {
            "filterType": "NOTIONAL",
            "minNotional": str(rng.randint(1, 20)),
            "maxNotional": str(rng.randint(20, 90)),
            "applyMinToMarket": True,
            "applyMaxToMarket": rng.random() < 0.5,
        },
        {"filterType": "MAX_POSITION", "maxPosition": str(rng.randint(10, 60))},
    ]
    return Symbol("spot", {"filters": rows})


def lots(name: str, low: Fraction, high: Fraction, step: Fraction) -> dict[str, str]:
    values = {"minQty": low, "maxQty": high, "stepSize": step}
    return {"filterType": name} | {key: str(decimal_of(x)) for key, x in values.items()}


@pytest.mark.parametrize("seed", range(20))
def test_nearest_value_is_the_best_of_every_point_there_is(seed: int) -> None:
    rng = Chance(seed)
    symbol = small_symbol(rng)
    asked = Decimal(rng.randint(1, 1_000)) / 10
    order = OrderRequest("X/Y", "buy", "market", quantity=asked)
    state = MarketState(reference_price=rng.choice(("1", "0.5", "3")), position=rng.randint(0, 9))
    most = fraction(asked) * rng.choice((1, Fraction(11, 10), 100))
    points = [Fraction(at, 20) for at in range(1, 2_100)]
    legal = [x for x in points if x <= most and fits(symbol, order, state, "quantity", x)]
    best = min(legal, key=lambda x: (abs(x - fraction(asked)), x), default=None)
    found = nearest_value(symbol, order, state, "quantity", at_most=most)
    assert found == (None if best is None else decimal_of(best))


def test_nearest_order_legal_order_is_the_order() -> None:
    symbol = Symbol("spot", {"filters": [lots("LOT_SIZE", Fraction(1), Fraction(9), Fraction(1))]})
    order = OrderRequest("X/Y", "buy", "limit", quantity=3, price=1)
    assert nearest_order(symbol, order, MarketState()) is order
    off = attrs.evolve(order, quantity=Decimal("3.7"))
    assert nearest_order(symbol, off, MarketState()) == order
    assert nearest_order(symbol, attrs.evolve(order, quantity="0.9"), MarketState()) is None
