"""Binance Futures: steps from the minimum, one-sided prices, reduce-only."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest
from orderkit import broken, futures, order

from velas import MarketState, OrderValidator, Policy


@pytest.fixture(scope="module")
def validator() -> OrderValidator:
    return futures()


def test_check_legal_order_has_no_violation(validator: OrderValidator) -> None:
    verdict = validator.check(order(reduce_only=False), reference=100)
    assert verdict.ok
    assert [one.filter for one in verdict.not_judged] == ["MAX_NUM_ORDERS"]


def test_check_futures_steps_count_from_the_minimum(caplog: pytest.LogCaptureFixture) -> None:
    fields = {"minPrice": "0.05", "maxPrice": "1000", "tickSize": "0.1"}
    with caplog.at_level(logging.WARNING):
        odd = futures({"PRICE_FILTER": fields}, only=True)
    assert "steps are counted from the minimum" in caplog.text
    assert odd.check(order(price="0.15")).ok
    (found,) = odd.check(order(price="0.2"))
    assert (found.rule, found.nearest) == (
        "must be 0.05 plus a multiple of 0.1", Decimal("0.15"),
    )  # fmt: skip


def test_check_futures_with_even_minimum_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        futures()
    assert not caplog.records


@pytest.mark.parametrize(
    ("side", "price", "ok"),
    [
        ("buy", "105", True), ("buy", "105.1", False), ("buy", "10", True),
        ("sell", "95", True), ("sell", "94.9", False), ("sell", "900", True),
    ],
)  # fmt: skip
def test_check_percent_price_is_one_sided_against_the_mark(
    validator: OrderValidator, side: str, price: str, ok: bool
) -> None:
    verdict = validator.check(order(side, price=price), reference=100)
    assert broken(verdict) == ([] if ok else [("PERCENT_PRICE", "price")])
    state = MarketState(reference_price=100)
    assert "PERCENT_PRICE" in [
        one.filter for one in validator.check(order(side, price=price), reference=state).not_judged
    ]


@pytest.mark.parametrize(
    ("side", "field", "fine", "bad"),
    [("buy", "best_ask", "105", "105.01"), ("sell", "best_bid", "95", "94.99")],
)
def test_check_percent_price_of_market_orders_is_the_counterparty_s(
    validator: OrderValidator, side: str, field: str, fine: str, bad: str
) -> None:
    asked = order(side, "market", price=None)
    known: dict[str, Any] = {"mark_price": 100, field: fine}
    assert validator.check(asked, reference=MarketState(**known)).ok
    known[field] = bad
    assert broken(validator.check(asked, reference=MarketState(**known))) == [
        ("PERCENT_PRICE", field)
    ]
    needs = {one.filter: one.needs for one in validator.check(asked, reference=100).not_judged}
    assert needs == {"PERCENT_PRICE": f"the {field.replace('_', ' ')} is not given"}


def test_check_min_notional_spares_what_reduces(validator: OrderValidator) -> None:
    asked: dict[str, Any] = {"quantity": "0.049"}
    assert broken(validator.check(order(**asked), reference=100)) == [("MIN_NOTIONAL", "quantity")]
    assert validator.check(order(reduce_only=True, **asked), reference=100).ok
    market = order(type="market", price=None, **asked)
    assert broken(validator.check(market, reference=100)) == [("MIN_NOTIONAL", "quantity")]
    closing = order(
        "sell", "stop_market", None, None, stop_price="90", close_position=True
    )  # fmt: skip
    assert validator.check(closing, reference=100).ok


@pytest.mark.parametrize(
    "more",
    [
        {"type": "market", "price": None},
        {"type": "stop_market", "price": None, "stop_price": "90"},
        {"type": "take_profit_market", "price": None, "stop_price": "90"},
        {"type": "trailing_stop_market", "price": None, "callback_rate": "1"},
    ],
)
def test_check_market_lot_size(validator: OrderValidator, more: Any) -> None:
    verdict = validator.check(order(quantity="20.001", **more), reference=100)
    assert broken(verdict) == [("MARKET_LOT_SIZE", "quantity")]
    assert validator.check(order(quantity="20.001"), reference=100).ok


@pytest.mark.parametrize(
    ("word", "side", "reducing", "ok"),
    [
        ("NONE", "buy", False, True), (None, "buy", False, True),
        ("BOTH", "buy", False, False), ("ALL", "sell", False, False),
        ("BUY", "buy", False, False), ("LONG", "buy", False, False), ("BUY", "sell", False, True),
        ("SELL", "sell", False, False), ("SHORT", "sell", False, False),
        ("SHORT", "buy", False, True), ("BOTH", "buy", True, True),
    ],
)  # fmt: skip
def test_check_position_risk_control(word: Any, side: str, reducing: bool, ok: bool) -> None:
    only = futures({"POSITION_RISK_CONTROL": {"positionControlSide": word}}, only=True)
    verdict = only.check(order(side, reduce_only=reducing))
    assert broken(verdict) == ([] if ok else [("POSITION_RISK_CONTROL", "reduce_only")])


def test_check_position_risk_control_with_another_word_is_not_judged() -> None:
    only = futures({"POSITION_RISK_CONTROL": {"positionControlSide": "UP"}}, only=True)
    assert [one.needs for one in only.check(order()).not_judged] == ["unknown side UP"]


def test_check_max_num_algo_orders_counts_conditional_types(validator: OrderValidator) -> None:
    stop = order(type="stop", stop_price="99")
    state = MarketState(mark_price=100, open_orders=0, open_algo_orders=10)
    assert broken(validator.check(stop, reference=state)) == [
        ("MAX_NUM_ALGO_ORDERS", "open_algo_orders")
    ]
    assert validator.check(order(), reference=state).ok


def test_check_precision_of_futures() -> None:
    info = {"pricePrecision": 1, "quantityPrecision": 0}
    loose = futures({"MAX_NUM_ORDERS": {"limit": 1}}, only=True, info=info)
    assert broken(loose.check(order(quantity="1.5", price="1.05"))) == [
        ("PRECISION", "price"), ("PRECISION", "quantity"),
    ]  # fmt: skip


def test_check_min_notional_is_of_the_quantity_whatever_else_is_given() -> None:
    wrong = order("buy", "market", "1", None, quote_quantity="200")
    found = {(one.filter, one.field) for one in futures().check(wrong, reference="2")}
    assert found == {("PARAMETERS", "quote_quantity"), ("MIN_NOTIONAL", "quantity")}


@pytest.mark.parametrize(
    ("side", "price", "trigger", "ok"),
    [
        ("buy", "110.5", "110", True),  # far from the mark price, near its own trigger
        ("buy", "116", "110", False),
        ("sell", "85.5", "90", True),
        ("sell", "85.4", "90", False),
        ("buy", "104", "50", False),  # near the mark price, far above its trigger
    ],
)
@pytest.mark.parametrize("kind", ["stop", "take_profit"])
def test_check_percent_price_of_a_stop_is_by_its_trigger(
    kind: str, side: str, price: str, trigger: str, ok: bool, validator: OrderValidator
) -> None:
    asked = order(side, kind, "1", price, stop_price=trigger)
    state = MarketState(mark_price=100, open_orders=0, open_algo_orders=0)
    verdict = validator.check(asked, reference=state)
    assert broken(verdict) == ([] if ok else [("PERCENT_PRICE", "price")])
    legal = validator.normalize(asked, reference=state, policy=Policy(worse_price="0.2"))
    assert validator.check(legal, reference=state).ok
