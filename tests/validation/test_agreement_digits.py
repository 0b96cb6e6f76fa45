"""Numbers of any size and length: the verdicts agree, and are written without an exponent."""

from __future__ import annotations

from decimal import Decimal, getcontext, localcontext
from fractions import Fraction
from typing import Any

import pytest
from filter_agreement import check_difference, normalize_difference
from filter_marks import Symbol
from hypothesis import given, settings
from hypothesis import strategies as st

from velas.decimals import plain
from velas.errors import OrderInvalid
from velas.models import Market, OrderRequest
from velas.validation import MarketState, OrderValidator


def _rows(kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": "0.00000001",
            "maxPrice": "1000000000000",
            "tickSize": "0.00000001",
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": "0.00000300",
            "maxQty": "922337203685.47758070",
            "stepSize": "0.00000003",
        },
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0", "maxQty": "12345678.9", "stepSize": "0"},
    ]
    if kind == "spot":
        rows.append({"filterType": "MIN_NOTIONAL", "minNotional": "10", "applyToMarket": True})
        rows.append(
            {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0333", "multiplierDown": "0.9667"}
        )
    else:
        rows.append({"filterType": "MIN_NOTIONAL", "notional": "5"})
        rows.append(
            {"filterType": "PERCENT_PRICE", "multiplierUp": "1.05", "multiplierDown": "0.95"}
        )
    return rows


def _pair(kind: str) -> tuple[Symbol, OrderValidator]:
    row = {"symbol": "XY", "status": "TRADING", "filters": _rows(kind)}
    market = Market(
        symbol="X/Y",
        id="XY",
        base="X",
        quote="Y",
        type="spot" if kind == "spot" else "swap",
        status="TRADING",
        filters=tuple(row["filters"]),
        info=row,
    )
    return Symbol(kind, row), OrderValidator.from_market(market)


PAIRS = {kind: _pair(kind) for kind in ("spot", "futures")}


@st.composite
def numbers(draw: st.DrawFn) -> Decimal:
    """A number from 1e-12 to 1e12 of up to 24 digits."""
    digits = draw(st.integers(1, 24))
    first = draw(st.integers(10 ** (digits - 1), 10**digits - 1))
    return Decimal(f"{first}E{draw(st.integers(-12, 11)) - digits + 1}")


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, OrderRequest, MarketState]:
    kind = draw(st.sampled_from(("spot", "futures")))
    of_type = draw(st.sampled_from(("limit", "market")))
    price = draw(numbers())
    order = OrderRequest(
        "X/Y",
        draw(st.sampled_from(("buy", "sell"))),
        of_type,
        quantity=draw(numbers()),
        price=price if of_type == "limit" else None,
    )
    mark = draw(st.one_of(st.none(), st.just(price), numbers()))
    state = MarketState(reference_price=mark, mark_price=mark, best_bid=mark, best_ask=mark)
    return kind, order, state


@settings(max_examples=400)
@given(cases())
def test_check_numbers_of_any_size_verdicts_are_those_of_the_reading(case) -> None:
    kind, order, state = case
    symbol, validator = PAIRS[kind]
    assert check_difference(validator, symbol, order, state) == ""


@settings(max_examples=200)
@given(cases(), st.sampled_from(("0", "0.001", "0.5")))
def test_normalize_numbers_of_any_size_finds_the_nearest_legal_order(case, share) -> None:
    kind, order, state = case
    symbol, validator = PAIRS[kind]
    policy = (Decimal(share), Decimal(share))
    assert normalize_difference(validator, symbol, order, state, policy) == ""


@settings(max_examples=400)
@given(numbers(), numbers(), st.sampled_from(("spot", "futures")))
def test_normalize_price_and_quantity_are_written_without_an_exponent(price, quantity, kind):
    validator = PAIRS[kind][1]
    try:
        found = (validator.normalize_price(price), validator.normalize_quantity(quantity))
    except OrderInvalid:
        return
    assert found[1] <= quantity
    for number in found:
        text = plain(number)
        assert set(text) <= set("0123456789.")
        assert Fraction(text) == Fraction(*number.as_integer_ratio())


@settings(max_examples=100)
@given(cases())
def test_check_callers_decimal_context_does_not_matter(case) -> None:
    kind, order, state = case
    validator = PAIRS[kind][1]
    usual = validator.check(order, reference=state)
    with localcontext() as context:
        context.prec = 3
        context.traps = dict.fromkeys(context.traps, True)
        context.clear_flags()
        assert validator.check(order, reference=state) == usual
        assert getcontext().prec == 3
        assert not any(context.flags.values())


@pytest.mark.parametrize("kind", ["spot", "futures"])
def test_short_forms_are_those_of_a_limit_order(kind: str) -> None:
    validator = PAIRS[kind][1]
    assert validator.validate_order("X/Y", Decimal(10), Decimal(3)) == (True, "")
    ok, message = validator.validate_order("X/Y", Decimal("1e-9"), Decimal("1e-9"))
    assert not ok
    assert "PRICE_FILTER" in message
    assert "LOT_SIZE" in message
