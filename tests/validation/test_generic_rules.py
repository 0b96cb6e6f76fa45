"""Any other venue: ccxt's limits, and precision in three modes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from orderkit import broken, generic, order

LIMITS = {
    "price": (Decimal("1"), Decimal("1000")),
    "amount": (Decimal("0.1"), Decimal("50")),
    "cost": (Decimal("5"), Decimal("5000")),
    "market": (Decimal("0"), Decimal("20")),
    "leverage": (Decimal("1"), Decimal("3")),
}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, []),
        ({"price": "0.5", "quantity": "10"}, [("limits.price", "price")]),
        ({"price": "1001"}, [("limits.price", "price")]),
        ({"quantity": "0.05"}, [("limits.amount", "quantity")]),
        ({"quantity": "51", "price": "1"}, [("limits.amount", "quantity")]),
        ({"quantity": "0.1", "price": "49"}, [("limits.cost", "quantity")]),
        ({"quantity": "50.0", "price": "101"}, [("limits.cost", "quantity")]),
        ({"type": "market", "price": None, "quantity": "21"}, [("limits.market", "quantity")]),
    ],
)
def test_check_limits(more: Any, expected: list[Any]) -> None:
    assert broken(generic(limits=LIMITS).check(order(**more), reference=100)) == expected


def test_check_market_order_without_reference_does_not_judge_the_cost() -> None:
    verdict = generic(limits=LIMITS).check(order(type="market", price=None))
    assert [str(one) for one in verdict.not_judged] == [
        "limits.cost: not judged, the reference price is not given"
    ]


@pytest.mark.parametrize(
    ("mode", "precision", "good", "bad", "nearest"),
    [
        ("tick_size", "0.05", "100.15", "100.13", "100.15"),
        ("tick_size", "0.05", "100.15", "100.125", "100.1"),
        ("decimal_places", "1", "100.1", "100.14", "100.1"),
        ("decimal_places", "-1", "110", "104", "100"),
        ("significant_digits", "3", "101", "101.5", "101"),
        ("significant_digits", "3", "0.00101", "0.0010151", "0.00102"),
        ("significant_digits", "3", "1010", "9996", "10000"),
    ],
)  # fmt: skip
def test_check_precision(mode: Any, precision: str, good: str, bad: str, nearest: str) -> None:
    known = {"price": Decimal(precision), "amount": None}
    validator = generic(precision_mode=mode, precision=known)
    assert validator.check(order(price=good)).ok
    (found,) = validator.check(order(price=bad))
    assert (found.filter, found.nearest) == ("precision.price", Decimal(nearest))


def test_check_precision_of_amounts() -> None:
    validator = generic(precision={"amount": Decimal("0.5")})
    (found,) = validator.check(order(quantity="1.3"))
    assert (found.filter, found.nearest) == ("precision.amount", Decimal("1.5"))


def test_check_cost_of_linear_contracts_counts_their_size() -> None:
    contract = {"type": "swap", "contract_size": Decimal("0.01"), "limits": LIMITS}
    assert broken(generic(linear=True, **contract).check(order())) == [("limits.cost", "quantity")]
    inverse = generic(linear=False, **contract).check(order())
    assert inverse.ok
    assert [one.filter for one in inverse.not_judged] == ["limits.cost"]


def test_check_inactive_market_takes_no_orders() -> None:
    assert broken(generic(active=False).check(order())) == [("STATUS", "status")]
    assert generic(status="online").check(order()).ok


@pytest.mark.parametrize(("client_id", "ok"), [(None, True), ("a-B_9", True), ("a.b", False)])
def test_check_client_id(client_id: str | None, ok: bool) -> None:
    assert generic().check(order(client_id=client_id)).ok is ok


def test_check_unknown_types_are_judged_by_their_numbers() -> None:
    verdict = generic(limits=LIMITS).check(order(type="chase", price="1001"))
    assert broken(verdict) == [("limits.price", "price")]
    assert [one.needs for one in verdict.not_judged] == [
        "velas does not know the fields of type chase"
    ]


def test_check_zero_is_no_bound() -> None:
    validator = generic(limits={"price": (Decimal(0), Decimal(0)), "amount": (None, None)})
    assert validator.check(order()).ok
