"""The validator's short forms, its messages, and real listings."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest
from orderkit import futures, generic, order, spot
from realdata import market_data

from velas import ConfigError, Market, MarketState, OrderRequest, OrderValidator


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTCUSDT"])
def test_validate_order_legal_has_no_message(symbol: str) -> None:
    assert spot().validate_order(symbol, "100", "1") == (True, "")


def test_validate_order_message_holds_all_violations() -> None:
    ok, message = spot().validate_order("BTC/USDT", "100.001", "0.0400")
    assert not ok
    assert message == (
        "PRICE_FILTER: price 100.001, but must be a multiple of 0.01; nearest legal: 100; "
        "NOTIONAL: quantity 0.04, but price 100.001 * quantity must be at least 5; "
        "it is 4.00004; nearest legal: 0.05"
    )


def test_validate_order_of_another_symbol_is_refused() -> None:
    assert spot().validate_order("ETH/USDT", "100", "1") == (
        False, "symbol ETH/USDT: these are the rules of BTC/USDT",
    )  # fmt: skip


def test_validate_order_leaves_rules_of_one_side_out() -> None:
    validator = futures({"POSITION_RISK_CONTROL": {"positionControlSide": "BUY"}})
    assert validator.validate_order("BTCUSDT", "100", "1") == (True, "")


@pytest.mark.parametrize("wrong", [1.5, "many", None, Decimal("NaN")])
def test_numbers_that_are_not_exact_are_refused(wrong: Any) -> None:
    validator = spot()
    with pytest.raises(ConfigError):
        validator.normalize_price(wrong)
    with pytest.raises(ConfigError):
        validator.normalize_quantity(wrong)
    if wrong is not None:
        with pytest.raises(ConfigError):
            validator.check(order(), reference=wrong)


def test_check_takes_the_same_price_in_every_spelling() -> None:
    validator, asked = spot(), order(price="121")
    state = MarketState(reference_price=100, mark_price=100)
    found = [validator.check(asked, reference=one) for one in ("100", 100, Decimal(100), state)]
    assert len(set(found)) == 1
    assert not found[0].ok


def test_check_sees_each_new_reference() -> None:
    validator, asked = spot(), order(price="100")
    assert validator.check(asked, reference=100).ok
    assert not validator.check(asked, reference=10).ok
    assert validator.check(asked).ok
    assert validator.check(asked, reference=100).ok


def test_explain_tells_fulfilled_broken_and_unjudged_rules() -> None:
    rows = spot().explain(order(quantity="0.0401"), reference=100)
    assert {one.ok for one in rows} == {True, False, None}
    by_filter = {one.filter: one for one in rows}
    assert by_filter["NOTIONAL"].rule == "price 100 * quantity must be at most 5000; it is 4.01"
    assert by_filter["MAX_NUM_ORDERS"].needs == "open_orders is not given"
    assert by_filter["PRICE_FILTER"].ok


def test_nearest_of_a_quantity_fits_all_its_rules() -> None:
    found = spot().check(order(type="market", price=None, quantity="0.0105"), reference=100)
    assert {one.nearest for one in found} == {Decimal("0.05")}


def test_validator_knows_its_market() -> None:
    assert generic().market.symbol == "BTC/USDT"
    assert generic().unknown_filters == ()


@pytest.mark.parametrize(
    "name",
    [
        "binance_spot_2021-10-12", "binance_spot_2025-08-07",
        "binance_usdm_2021-07-22", "binance_usdm_2025-08-07",
    ],
)  # fmt: skip
def test_every_real_symbol_has_a_validator(name: str, caplog: pytest.LogCaptureFixture) -> None:
    document = json.loads((market_data() / "exchange_info" / f"{name}.json").read_text("utf-8"))
    for raw in document["symbols"]:
        market = Market(
            raw["symbol"], raw["symbol"], raw["baseAsset"], raw["quoteAsset"],
            type="swap" if "usdm" in name else "spot", status=raw["status"],
            filters=tuple(raw["filters"]), order_types=tuple(raw["orderTypes"]), info=raw,
        )  # fmt: skip
        validator = OrderValidator.from_market(market)
        assert validator.unknown_filters == ()
        price = validator.normalize_price(1)
        asked = OrderRequest(
            raw["symbol"], "buy", "limit", validator.normalize_quantity(9999), price
        )
        verdict = validator.check(asked, reference=price)
        assert {one.filter for one in verdict} <= {"STATUS", "NOTIONAL", "MIN_NOTIONAL"}
        assert {one.filter for one in verdict.not_judged} <= {"MAX_NUM_ORDERS", "MAX_POSITION"}
    assert not caplog.records


@pytest.mark.parametrize(
    "validator", [spot(), futures(), generic(limits={"cost": (Decimal(5), None)})]
)
@pytest.mark.parametrize("copied", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy])
def test_copy_of_a_validator_and_its_verdicts_says_the_same(
    validator: OrderValidator, copied: Any
) -> None:
    asked = order(price="100.0000000001", quantity="0.01")
    verdict = validator.check(asked, reference=100)
    other = copied(validator)
    assert other.market == validator.market
    assert copied(verdict) == verdict == other.check(asked, reference=100)


def test_check_words_that_are_no_order_type_leave_nothing_behind() -> None:
    validator = spot()
    list(validator.check(order(type="odd", price="0")))
    before = [len(one) for one in vars(validator._families).values()]
    for at in range(50):
        list(validator.check(order(type=f"odd{at}", price="0")))
    assert [len(one) for one in vars(validator._families).values()] == before
