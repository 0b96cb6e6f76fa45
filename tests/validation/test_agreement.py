"""The short way and the long way say the same; the caller's decimal context matters not."""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orderkit import FUTURES, SPOT, futures, generic, order, spot

from velas import MarketState, NotJudged, OrderRequest, OrderValidator, Verdict, Violation

VALIDATORS = [
    spot(),
    spot({"MARKET_LOT_SIZE": {"minQty": "0.002", "maxQty": "50", "stepSize": "0.0035"}}),
    spot({"MAX_POSITION": {"maxPosition": "200"}, "T_PLUS_SELL": {}}),
    spot({"PRICE_FILTER": {"minPrice": "1E-12", "maxPrice": "1E+12", "tickSize": "1E-12"},
          "LOT_SIZE": {"minQty": "1E-12", "maxQty": "1E+12", "stepSize": "1E-12"}}),
    futures(),
    futures({"PRICE_FILTER": {"minPrice": "0.05", "maxPrice": "1000", "tickSize": "0.1"}}),
    futures({"POSITION_RISK_CONTROL": {"positionControlSide": "SHORT"}}),
    generic(limits={"price": (Decimal("0.1"), None), "cost": (Decimal(5), Decimal(900))}),
    generic(precision_mode="significant_digits", precision={"price": Decimal(5)}),
]  # fmt: skip


def _number(units: int, places: int) -> Decimal:
    return Decimal(f"{units}E-{places}")


numbers = st.one_of(
    st.builds(_number, st.integers(1, 10**24), st.integers(12, 24)),
    st.integers(1, 100_000).map(lambda units: Decimal(units).scaleb(-2)),
    st.sampled_from([Decimal("0.001"), Decimal("100"), Decimal("99.99"), Decimal("0.05")]),
)
references = st.one_of(
    st.none(),
    numbers,
    st.builds(
        MarketState,
        reference_price=st.none() | numbers,
        mark_price=st.none() | numbers,
        best_ask=st.none() | numbers,
        best_bid=st.none() | numbers,
        position=st.none() | numbers,
        open_orders=st.none() | st.integers(198, 201),
        open_algo_orders=st.none() | st.integers(4, 10),
    ),
)
maybe = st.none() | numbers


@st.composite
def requests(draw: Any) -> OrderRequest:
    kind = draw(st.sampled_from(["limit", "limit", "market", "limit_maker", "stop_loss",
                                 "take_profit_limit", "stop", "stop_market", "odd"]))  # fmt: skip
    priced = kind in ("limit", "limit_maker", "take_profit_limit", "stop", "odd")
    stops = kind in ("stop_loss", "take_profit_limit", "stop", "stop_market")
    rare = draw(st.integers(0, 3)) == 0
    return order(
        draw(st.sampled_from(["buy", "sell"])),
        kind,
        draw(numbers),
        draw(numbers) if priced else None,
        stop_price=draw(numbers) if stops else None,
        time_in_force=draw(st.sampled_from([None, None, "GTC", "GTX"])),
        client_id=draw(st.sampled_from([None, "abc-1", "a.b", "a b"])) if rare else None,
        reduce_only=rare and draw(st.booleans()),
        iceberg_quantity=draw(maybe) if rare else None,
        position_side=draw(st.sampled_from([None, "long"])) if rare else None,
    )


def told(validator: OrderValidator, asked: OrderRequest, reference: Any) -> Verdict:
    """The verdict as `explain` has it, which never takes the short way."""
    rows = validator.explain(asked, reference=reference)
    return Verdict(
        tuple(
            Violation(one.filter, one.field, one.value, one.rule, one.nearest)
            for one in rows
            if one.ok is False
        ),
        tuple(dict.fromkeys(NotJudged(o.filter, o.needs) for o in rows if o.ok is None)),
    )


@given(st.sampled_from(VALIDATORS), st.lists(requests(), min_size=1, max_size=3), references)
def test_check_says_what_explain_says(
    validator: OrderValidator, asked: list[OrderRequest], reference: Any
) -> None:
    for one in asked:
        found, expected = validator.check(one, reference=reference), told(validator, one, reference)
        assert found.ok is expected.ok  # before its violations are looked at
        assert found == expected


@given(numbers, numbers, st.none() | numbers)
def test_check_limit_order_is_what_fractions_say(
    price: Decimal, quantity: Decimal, reference: Decimal | None
) -> None:
    p, q = Fraction(price), Fraction(quantity)
    fine = (
        Fraction(1, 100) <= p <= 1000 and p % Fraction(1, 100) == 0
        and Fraction(1, 1000) <= q <= 100 and q % Fraction(1, 1000) == 0
        and 5 <= p * q <= 5000
    )  # fmt: skip
    if reference is not None:
        fine = fine and Fraction(reference) / 2 <= p <= Fraction(reference) * Fraction(6, 5)
    asked = order(price=price, quantity=quantity)
    assert VALIDATORS[0].check(asked, reference=reference).ok is fine


def test_check_forty_digits_each_side_is_exact() -> None:
    huge = {"minPrice": "0", "maxPrice": "0", "tickSize": "1E-39"}
    validator = spot({"PRICE_FILTER": huge}, only=True)
    whole = "9" * 40
    assert validator.check(order(price=f"{whole}.{'9' * 39}")).ok
    (found,) = validator.check(order(price=f"{whole}.{'9' * 39}6"))
    assert found.nearest == Decimal(f"{whole}.{'9' * 39}")


@pytest.mark.parametrize("rounding", [decimal.ROUND_UP, decimal.ROUND_HALF_EVEN])
@pytest.mark.parametrize("traps", [True, False])
def test_caller_s_context_neither_matters_nor_changes(rounding: str, traps: bool) -> None:
    asked = [
        order(price="123.456789", quantity="0.0123456789"),
        order(price="123.45", quantity="1.234"),
        order("sell", "market", "60.1234", None),
        order(
            "sell", "stop_loss_limit", "1", "99.99", stop_price="1.23456", iceberg_quantity="0.1"
        ),
    ]
    expected = [told(one, each, "101.3") for one in VALIDATORS for each in asked]
    context = decimal.Context(prec=3, rounding=rounding, Emax=9, Emin=-9, traps=[])
    for signal in (decimal.Inexact, decimal.Rounded, decimal.Subnormal, decimal.FloatOperation):
        context.traps[signal] = traps
    with decimal.localcontext(context) as mine:
        before = (mine.prec, dict(mine.traps), dict(mine.flags))
        built = [spot(), *VALIDATORS[1:4], futures(), *VALIDATORS[5:]]
        found = [one.check(each, reference="101.3") for one in built for each in asked]
        texts = [str(violation) for verdict in found for violation in verdict]
        assert (mine.prec, dict(mine.traps), dict(mine.flags)) == before
    assert found == expected
    assert texts == [str(violation) for verdict in expected for violation in verdict]


def test_no_number_of_a_verdict_is_a_float() -> None:
    for known, make in ((SPOT, spot), (FUTURES, futures)):
        assert known
        for one in make().explain(order(price="0.001", quantity="1000.0001"), reference=100):
            assert not any(isinstance(value, float) for value in (one.value, one.nearest))
