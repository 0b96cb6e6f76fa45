"""Filters velas does not know, and rows that lack something: said, never fatal."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from orderkit import FUTURES, SPOT, broken, futures, order, spot

from velas import MarketState

STATE = MarketState(
    reference_price=100, mark_price=100, best_bid=100, best_ask=100, position=0, open_orders=0,
    open_algo_orders=0, open_iceberg_orders=0,
)  # fmt: skip
ORDERS: dict[str, Any] = {
    "MARKET_LOT_SIZE": {"type": "market", "price": None},
    "ICEBERG_PARTS": {"iceberg_quantity": "0.5"},
    "TRAILING_DELTA": {"type": "stop_loss_limit", "trailing_delta": 100},
    "MAX_NUM_ALGO_ORDERS": {"type": "stop_loss_limit", "stop_price": "99"},
    "NOTIONAL": {"type": "market", "price": None},
}
WORDS = {"avgPriceMins", "multiplierDecimal", "positionControlSide"}
CASES = [
    (make, name, field)
    for make, known in ((spot, SPOT), (futures, FUTURES))
    for name, fields in known.items()
    for field in fields
    if field not in WORDS
]


def asked(make: Any, name: str, field: str) -> Any:
    more = dict(ORDERS.get(name, {}))
    if make is futures and name == "MAX_NUM_ALGO_ORDERS":
        more["type"] = "stop"
    side = "sell" if field.startswith("ask") or "Below" in field else "buy"
    if make is futures and field == "multiplierDown":
        side = "sell"
    if name == "TRAILING_DELTA" and side == "sell":
        more["type"] = "stop_loss_limit"
    return order(side, **more)


@pytest.mark.parametrize("value", [None, "many", True, "NaN"])
@pytest.mark.parametrize(("make", "name", "field"), CASES)
def test_check_missing_field_is_not_judged(make: Any, name: str, field: str, value: Any) -> None:
    if value is True and field.startswith("apply"):
        value = "perhaps"
    known = SPOT if make is spot else FUTURES
    fields = {key: one for key, one in known[name].items() if key != field}
    if value is not None:
        fields[field] = value
    verdict = make({name: fields}).check(asked(make, name, field), reference=STATE)
    if field == "applyMaxToMarket" and name == "NOTIONAL":
        assert [one.filter for one in verdict.not_judged] == ["NOTIONAL"]
    assert verdict.ok
    assert [(one.filter, field in one.needs) for one in verdict.not_judged] == [(name, True)]


def test_check_judges_the_parts_that_could_be_read() -> None:
    validator = spot({"PRICE_FILTER": {"minPrice": "0.01", "maxPrice": "50"}})
    verdict = validator.check(order(), reference=STATE)
    assert broken(verdict) == [("PRICE_FILTER", "price")]
    assert [one.filter for one in verdict.not_judged] == ["PRICE_FILTER"]


def test_check_unknown_filter_is_listed_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            validator = spot({"T_PLUS_SELL": {}, "NEVER_HEARD": {"limit": 1}})
    assert validator.unknown_filters == ("T_PLUS_SELL", "NEVER_HEARD")
    verdict = validator.check(order(), reference=STATE)
    assert verdict.ok
    assert [str(one) for one in verdict.not_judged] == [
        "T_PLUS_SELL: not judged, velas does not know this filter",
        "NEVER_HEARD: not judged, velas does not know this filter",
    ]
    assert sum("NEVER_HEARD" in one.message for one in caplog.records) == 1


@pytest.mark.parametrize("tick", ["0.05", 0.05, "5E-2", " 0.050 "])
def test_from_market_reads_numbers_as_venues_write_them(tick: Any) -> None:
    fields = {"minPrice": 0, "maxPrice": "1000", "tickSize": tick}
    validator = spot({"PRICE_FILTER": fields}, only=True)
    assert validator.check(order(price="0.15")).ok
    assert broken(validator.check(order(price="0.16"))) == [("PRICE_FILTER", "price")]
