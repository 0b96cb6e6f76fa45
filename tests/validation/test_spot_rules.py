"""Binance Spot: every filter, each bound, and what it does not apply to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from orderkit import broken, order, spot

from velas import MarketState, OrderValidator

P, L = ("PRICE_FILTER", "price"), ("LOT_SIZE", "quantity")


@pytest.fixture(scope="module")
def validator() -> OrderValidator:
    return spot()


def test_check_legal_order_has_no_violation(validator: OrderValidator) -> None:
    verdict = validator.check(order(), reference=100)
    assert verdict.ok
    assert [one.filter for one in verdict.not_judged] == ["MAX_NUM_ORDERS"]


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ("0.01", []), ("1000", []), ("1000.00", []), ("999.99", []),
        ("0.009", [P, P]), ("1000.01", [P]), ("100.001", [P]), ("1E+2", []),
    ],
)  # fmt: skip
def test_check_price_filter(price: str, expected: list[Any]) -> None:
    only = spot(
        {"PRICE_FILTER": {"minPrice": "0.01", "maxPrice": "1000", "tickSize": "0.01"}}, only=True
    )
    assert broken(only.check(order(price=price))) == expected


def test_check_price_filter_holds_the_trigger_as_well(validator: OrderValidator) -> None:
    asked = order(type="stop_loss_limit", stop_price="99.999")
    assert broken(validator.check(asked)) == [("PRICE_FILTER", "stop_price")]


@pytest.mark.parametrize("part", ["minPrice", "maxPrice", "tickSize"])
def test_check_price_filter_zero_switches_a_part_off(part: str) -> None:
    fields = {"minPrice": "50", "maxPrice": "60", "tickSize": "0.01", part: "0.00000000"}
    only = spot({"PRICE_FILTER": fields}, only=True)
    price = {"minPrice": "0.01", "maxPrice": "99", "tickSize": "55.0001"}[part]
    assert only.check(order(price=price)).ok


def test_check_spot_steps_count_from_zero_not_from_the_minimum() -> None:
    fields = {"minPrice": "0.05", "maxPrice": "1000", "tickSize": "0.1"}
    only = spot({"PRICE_FILTER": fields}, only=True)
    assert only.check(order(price="0.2")).ok
    assert broken(only.check(order(price="0.15"))) == [P]


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("0.05", []), ("50", []), ("100.001", [L]), ("0.0505", [L]), ("0.0005", [L, L])],
)
def test_check_lot_size(quantity: str, expected: list[Any]) -> None:
    only = spot({"LOT_SIZE": {"minQty": "0.001", "maxQty": "100", "stepSize": "0.001"}}, only=True)
    assert broken(only.check(order(quantity=quantity))) == expected


def test_check_lot_size_holds_the_visible_part_too(validator: OrderValidator) -> None:
    asked = order(iceberg_quantity="0.1005")
    assert broken(validator.check(asked)) == [("LOT_SIZE", "iceberg_quantity")]


@pytest.mark.parametrize("kind", ["market", "stop_loss", "take_profit"])
def test_check_market_lot_size_beside_lot_size(validator: OrderValidator, kind: str) -> None:
    stop = {} if kind == "market" else {"stop_price": "90"}
    asked = order(type=kind, price=None, quantity="120", **stop)
    assert broken(validator.check(asked)) == [L, ("MARKET_LOT_SIZE", "quantity")]
    assert validator.check(order(quantity="60", price="10")).ok


def test_check_market_lot_size_with_a_step_of_its_own() -> None:
    fields = {"minQty": "0", "maxQty": "50", "stepSize": "0.0015"}
    mixed = spot({"MARKET_LOT_SIZE": fields})
    (found,) = mixed.check(order(type="market", price=None, quantity="0.1"), reference=100)
    assert (found.filter, found.nearest) == ("MARKET_LOT_SIZE", Decimal("0.099"))


def test_check_percent_price_by_side_uses_the_side_s_pair(validator: OrderValidator) -> None:
    name = ("PERCENT_PRICE_BY_SIDE", "price")
    for side, low, high in (("buy", "50", "120"), ("sell", "80", "200")):
        for price in (low, high):
            assert validator.check(order(side, price=price), reference=100).ok
        for price in (Decimal(low) - Decimal("0.01"), Decimal(high) + Decimal("0.01")):
            assert broken(validator.check(order(side, price=price), reference=100)) == [name]


def test_check_percent_price_is_two_sided() -> None:
    fields = {"multiplierUp": "1.1", "multiplierDown": "0.9", "avgPriceMins": 1}
    only = spot({"PERCENT_PRICE": fields}, only=True)
    for side in ("buy", "sell"):
        assert only.check(order(side, price="110"), reference="100").ok
        (found,) = only.check(order(side, price="111"), reference="100")
        assert (found.filter, found.nearest) == ("PERCENT_PRICE", 110)
        assert not only.check(order(side, price="89.99"), reference="100").ok


def test_check_percent_price_without_reference_is_not_judged(validator: OrderValidator) -> None:
    verdict = validator.check(order(price="1000"))
    assert verdict.ok
    assert ("PERCENT_PRICE_BY_SIDE", "the reference price is not given") in [
        (one.filter, one.needs) for one in verdict.not_judged
    ]


def test_check_percent_price_leaves_the_trigger_alone(validator: OrderValidator) -> None:
    asked = order(type="stop_loss_limit", stop_price="900")
    assert validator.check(asked, reference=100).ok


@pytest.mark.parametrize(("flag", "ok"), [(True, False), (False, True)])
def test_check_min_notional_market_only_if_the_flag_says_so(flag: bool, ok: bool) -> None:
    fields = {"minNotional": "10", "applyToMarket": flag, "avgPriceMins": 5}
    only = spot({"MIN_NOTIONAL": fields}, only=True)
    asked = order(type="market", price=None, quantity="0.09")
    assert only.check(asked, reference=100).ok is ok
    assert only.check(asked).ok
    assert bool(only.check(asked).not_judged) is flag
    assert broken(only.check(order(quantity="0.09"))) == [("MIN_NOTIONAL", "quantity")]


def test_check_notional_each_bound_has_its_flag(validator: OrderValidator) -> None:
    name = ("NOTIONAL", "quantity")
    assert broken(validator.check(order(quantity="0.049"), reference=100)) == [name]
    assert validator.check(order(quantity="0.05"), reference=100).ok
    assert broken(validator.check(order(quantity="50.001"), reference=100)) == [name]
    small, large = (order(type="market", price=None, quantity=q) for q in ("0.049", "50"))
    assert broken(validator.check(small, reference=100)) == [name]
    assert validator.check(large, reference=1000).ok


def test_check_notional_of_a_quote_quantity_needs_no_reference(validator: OrderValidator) -> None:
    asked = order(type="market", price=None, quantity=None, quote_quantity="4.99")
    (found,) = validator.check(asked)
    assert (found.filter, found.field, found.nearest) == ("NOTIONAL", "quote_quantity", 5)


@pytest.mark.parametrize(("part", "ok"), [("0.1", True), ("0.099", False), ("0.5", True)])
def test_check_iceberg_parts(validator: OrderValidator, part: str, ok: bool) -> None:
    verdict = validator.check(order(iceberg_quantity=part))
    assert verdict.ok is ok
    assert broken(verdict) == ([] if ok else [("ICEBERG_PARTS", "iceberg_quantity")])
    assert [one.nearest for one in verdict] == ([] if ok else [Decimal("0.1")])


@pytest.mark.parametrize(
    ("side", "kind", "low", "high"),
    [
        ("buy", "stop_loss", 10, 2000), ("buy", "stop_loss_limit", 10, 2000),
        ("sell", "take_profit", 10, 2000), ("sell", "take_profit_limit", 10, 2000),
        ("sell", "stop_loss", 20, 1000), ("sell", "stop_loss_limit", 20, 1000),
        ("buy", "take_profit", 20, 1000), ("buy", "take_profit_limit", 20, 1000),
    ],
)  # fmt: skip
def test_check_trailing_delta_above_or_below(
    validator: OrderValidator, side: str, kind: str, low: int, high: int
) -> None:
    price = "100" if kind.endswith("limit") else None
    for delta, nearest in ((low, None), (high, None), (low - 1, low), (high + 1, high)):
        verdict = validator.check(order(side, kind, price=price, trailing_delta=delta))
        assert [one.nearest for one in verdict] == ([] if nearest is None else [nearest])


@pytest.mark.parametrize(
    ("name", "field", "known", "more"),
    [
        ("MAX_NUM_ORDERS", "maxNumOrders", "open_orders", {}),
        ("MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders", "open_algo_orders",
         {"type": "stop_loss_limit", "stop_price": "99"}),
        ("MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders", "open_iceberg_orders",
         {"iceberg_quantity": "0.5"}),
        ("EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders", "exchange_orders", {}),
        ("EXCHANGE_MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders", "exchange_algo_orders",
         {"type": "take_profit_limit", "stop_price": "99"}),
        ("EXCHANGE_MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders", "exchange_iceberg_orders",
         {"iceberg_quantity": "0.5"}),
    ],
)  # fmt: skip
def test_check_counts_this_order_too(name: str, field: str, known: str, more: Any) -> None:
    if name.startswith("EXCHANGE"):
        ours = ({"filterType": name, field: 3},)
        lists = {"MAX_NUM_ORDER_LISTS": {"maxNumOrderLists": 20}}
        validator = spot(lists, only=True, exchange_filters=ours)
    else:
        validator = spot({name: {field: 3}}, only=True)
    asked = order(**more)
    assert validator.check(asked, reference=MarketState(**{known: 2})).ok
    (found,) = validator.check(asked, reference=MarketState(**{known: 3}))
    assert (found.filter, found.field, found.value, found.nearest) == (name, known, 3, None)
    assert [one.filter for one in validator.check(asked).not_judged] == [name]
    plain = order(type="market", price=None)
    assert validator.check(plain, reference=MarketState(**{known: 3})).ok


def test_check_limits_of_lists_and_amendments_are_known_and_never_apply() -> None:
    validator = spot(
        {
            "MAX_NUM_ORDER_LISTS": {"maxNumOrderLists": 20},
            "MAX_NUM_ORDER_AMENDS": {"maxNumOrderAmends": 10},
        },
        only=True,
    )
    state = MarketState(open_order_lists=20, amends=10)
    assert validator.check(order(), reference=state).ok
    assert validator.unknown_filters == ()
    assert not validator.check(order()).not_judged


def test_check_max_position_of_buys_only() -> None:
    only = spot({"MAX_POSITION": {"maxPosition": "10"}}, only=True)
    state = MarketState(position="8.5")
    assert only.check(order(quantity="1.5"), reference=state).ok
    (found,) = only.check(order(quantity="2"), reference=state)
    assert (found.filter, found.nearest) == ("MAX_POSITION", Decimal("1.5"))
    assert only.check(order("sell", quantity="2"), reference=state).ok
    assert [one.needs for one in only.check(order()).not_judged] == ["the position is not given"]
    spends = order(type="market", price=None, quantity=None, quote_quantity="5")
    assert only.check(spends, reference=state).not_judged


def test_check_precision_where_no_step_implies_it() -> None:
    info = {"baseAssetPrecision": 2, "quotePrecision": 3}
    filters = {"PRICE_FILTER": {"minPrice": "0", "maxPrice": "0", "tickSize": "0"}}
    loose = spot(filters, only=True, info=info)
    found = loose.check(order(quantity="1.005", price="1.0005"))
    assert broken(found) == [("PRECISION", "price"), ("PRECISION", "quantity")]
    assert [one.nearest for one in found] == [1, 1]
    assert spot(info=info).check(order(price="100.0050", quantity="1.001")).violations
    held = spot(
        {"LOT_SIZE": {"minQty": "0", "maxQty": "0", "stepSize": "0.1"}}, only=True, info=info
    )
    assert broken(held.check(order(quantity="1.005"))) == [L]


def test_check_precision_is_not_implied_by_what_holds_market_orders_only() -> None:
    lots = {"MARKET_LOT_SIZE": {"minQty": "0", "maxQty": "0", "stepSize": "0.1"}}
    validator = spot(lots, only=True, info={"baseAssetPrecision": 1})
    assert broken(validator.check(order(quantity="1.05"))) == [("PRECISION", "quantity")]


def test_check_all_violations_at_once(validator: OrderValidator) -> None:
    asked = order(price="1000.005", quantity="0.0005", client_id="a b")
    assert broken(validator.check(asked, reference=100)) == [
        ("CLIENT_ORDER_ID", "client_id"),
        P, P, L, L, ("PERCENT_PRICE_BY_SIDE", "price"), ("NOTIONAL", "quantity"),
    ]  # fmt: skip


def test_check_visible_part_is_no_larger_than_the_whole() -> None:
    (found,) = spot().check(order(quantity="1", iceberg_quantity="5"), reference="100")
    assert (found.filter, found.field) == ("ICEBERG_PARTS", "iceberg_quantity")
    assert found.nearest == 1
    whole = order(quantity="1", iceberg_quantity="1")
    assert spot().check(whole, reference="100").ok
