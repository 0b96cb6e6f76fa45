"""The nearest legal order: legal, idempotent, nearest, and never against the policy."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orderkit import futures, generic, order, spot

from velas import ConfigError, MarketState, OrderInvalid, OrderValidator, Policy

SMALL = spot(
    {
        "PRICE_FILTER": {"minPrice": "0.2", "maxPrice": "4", "tickSize": "0.2"},
        "LOT_SIZE": {"minQty": "0.3", "maxQty": "6", "stepSize": "0.3"},
        "MARKET_LOT_SIZE": {"minQty": "0.4", "maxQty": "5", "stepSize": "0.2"},
        "NOTIONAL": {"minNotional": "1", "maxNotional": "9",
                     "applyMinToMarket": True, "applyMaxToMarket": True},
        "MAX_POSITION": {"maxPosition": "7"},
    }
)  # fmt: skip
VALIDATORS = {
    "spot": SMALL,
    "futures": futures(
        {
            "PRICE_FILTER": {"minPrice": "0.1", "maxPrice": "4", "tickSize": "0.2"},
            "LOT_SIZE": {"minQty": "0.3", "maxQty": "6", "stepSize": "0.3"},
            "MARKET_LOT_SIZE": {"minQty": "0.1", "maxQty": "5", "stepSize": "0.2"},
            "MIN_NOTIONAL": {"notional": "1"},
        }
    ),
    "generic": generic(
        precision={"price": Decimal("0.2"), "amount": Decimal("0.3")},
        limits={"price": (Decimal("0.2"), Decimal(4)), "amount": (Decimal("0.3"), Decimal(6)),
                "cost": (Decimal(1), Decimal(9))},
    ),
}  # fmt: skip
units = st.integers(1, 900).map(lambda n: Decimal(n) / 100)
shares = st.sampled_from([Decimal(0), Decimal("0.1"), Decimal(1), Decimal(10)])
references = st.one_of(
    st.none(),
    units,
    st.builds(MarketState, reference_price=units, mark_price=units, position=st.none() | units),
)
TENTH = [Decimal(n) / 10 for n in range(1, 101)]


def brute_force(
    validator: OrderValidator, asked: Any, reference: Any, policy: Policy
) -> tuple[Decimal | None, Decimal] | None:
    """Price and quantity by trying every tenth, in the order the policy tells."""
    buys = asked.side == "buy"
    price = asked.price
    if price is not None:
        worst = price * (1 + policy.worse_price if buys else 1 - policy.worse_price)
        prices = [
            one
            for one in TENTH
            if (one <= worst if buys else one >= worst)
            and not any(
                row.field == "price"
                for row in validator.check(order(asked.side, price=one), reference=reference)
            )
        ]
        if not prices:
            return None
        price = min(prices, key=lambda one: (abs(one - asked.price), one if buys else -one))
    most = asked.quantity * (1 + policy.larger_quantity)
    quantities = [
        one
        for one in TENTH
        if one <= most
        and validator.check(order(asked.side, asked.type, one, price), reference=reference).ok
    ]
    if not quantities:
        return None
    return price, min(quantities, key=lambda one: (abs(one - asked.quantity), one))


@given(
    st.sampled_from(sorted(VALIDATORS)), st.sampled_from(["buy", "sell"]),
    st.sampled_from(["limit", "market"]), units, units, references,
    st.builds(Policy, shares, shares),
)  # fmt: skip
def test_normalize_is_the_nearest_by_brute_force(
    name: str, side: str, kind: str, price: Decimal, quantity: Decimal, reference: Any, policy: Any
) -> None:
    validator = VALIDATORS[name]
    asked = order(side, kind, quantity, price if kind == "limit" else None)
    if validator.check(asked, reference=reference).ok:
        assert validator.normalize(asked, reference=reference, policy=policy) is asked
        return
    expected = brute_force(validator, asked, reference, policy)
    if expected is None:
        with pytest.raises(OrderInvalid) as caught:
            validator.normalize(asked, reference=reference, policy=policy)
        assert caught.value.violations
        return
    found = validator.normalize(asked, reference=reference, policy=policy)
    assert (found.price, found.quantity) == expected
    assert validator.check(found, reference=reference).ok
    assert validator.normalize(found, reference=reference, policy=policy) is found


any_units = st.integers(1, 10**15).map(lambda n: Decimal(f"{n}E-9"))


@given(st.sampled_from(["limit", "stop_loss_limit", "take_profit", "market"]),
       st.sampled_from(["buy", "sell"]), any_units, any_units, any_units, any_units,
       st.integers(1, 3000), st.none() | any_units, st.builds(Policy, shares, shares))  # fmt: skip
def test_normalize_is_legal_and_within_the_policy_or_refuses(
    kind: Any, side: Any, p: Any, q: Any, stop: Any, part: Any, delta: Any, reference: Any,
    policy: Policy,
) -> None:  # fmt: skip
    validator = spot()
    more: dict[str, Any] = {}
    if kind in ("stop_loss_limit", "take_profit"):
        more = {"stop_price": stop, "trailing_delta": delta}
    if kind.endswith("limit"):
        more["iceberg_quantity"] = part
    asked = order(side, kind, q, p if kind.endswith("limit") else None, **more)
    try:
        found = validator.normalize(asked, reference=reference, policy=policy)
    except OrderInvalid:
        return
    assert validator.check(found, reference=reference).ok
    assert validator.normalize(found, reference=reference, policy=policy) is found
    assert found.quantity <= q * (1 + policy.larger_quantity)
    if found.price is not None:
        worse = policy.worse_price
        assert found.price <= p * (1 + worse) if side == "buy" else found.price >= p * (1 - worse)


def test_normalize_says_why_there_is_none() -> None:
    with pytest.raises(OrderInvalid) as caught:
        spot().normalize(order(quantity="0.04"), reference=100)
    assert str(caught.value) == (
        "at price 100 the smallest legal quantity is 0.05, larger than the 0.04 asked "
        "(policy: at most 0 % larger)"
    )
    assert [one.filter for one in caught.value.violations] == ["NOTIONAL"]


def test_normalize_says_why_no_price_is_legal() -> None:
    with pytest.raises(OrderInvalid, match=r"nearest legal price is 0\.01, worse than the 0\.004"):
        spot().normalize(order(price="0.004"))


@pytest.mark.parametrize(
    ("make", "more", "filters"),
    [
        (spot, {"type": "nothing"}, ["ORDER_TYPE"]),
        (spot, {"quantity": None}, ["PARAMETERS"]),
        (spot, {"quantity": "-1"}, ["PARAMETERS"]),
        (spot, {"client_id": "a b"}, ["CLIENT_ORDER_ID"]),
    ],
)
def test_normalize_cannot_mend_what_is_no_number(make: Any, more: Any, filters: Any) -> None:
    validator = make(order_types=("LIMIT",))
    with pytest.raises(OrderInvalid) as caught:
        validator.normalize(order(**more))
    assert [one.filter for one in caught.value.violations] == filters


def test_normalize_cannot_mend_counts_and_the_market_s_price() -> None:
    with pytest.raises(OrderInvalid, match="MAX_NUM_ORDERS"):
        spot().normalize(order(), reference=MarketState(open_orders=200))
    with pytest.raises(OrderInvalid, match="best_ask"):
        futures().normalize(
            order(type="market", price=None), reference=MarketState(mark_price=1, best_ask=9)
        )


def test_normalize_moves_triggers_parts_and_distances() -> None:
    asked = order(
        "buy", "stop_loss_limit", "1.0004", "100.009",
        stop_price="100.005", iceberg_quantity="0.0995", trailing_delta=5,
    )  # fmt: skip
    found = spot().normalize(asked, reference=100)
    assert (found.price, found.stop_price) == (Decimal("100.00"), Decimal("100.00"))
    assert (found.quantity, found.iceberg_quantity, found.trailing_delta) == (
        1, Decimal("0.1"), 10,
    )  # fmt: skip
    assert isinstance(found.trailing_delta, int)


def test_normalize_visible_part_is_never_above_the_whole() -> None:
    asked = order(quantity="1.0005", iceberg_quantity="3")
    found = spot().normalize(asked)
    assert (found.quantity, found.iceberg_quantity) == (1, 1)


def test_normalize_callback_rate_and_quote_quantity() -> None:
    trailing = order(type="trailing_stop_market", price=None, callback_rate="12")
    assert futures().normalize(trailing).callback_rate == 10
    quoted = order(type="market", price=None, quantity=None, quote_quantity="4.9")
    with pytest.raises(OrderInvalid, match=r"larger than the 4\.9 asked"):
        spot().normalize(quoted)
    found = spot().normalize(quoted, policy=Policy(larger_quantity="0.1"))  # type: ignore[arg-type]
    assert found.quote_quantity == 5


@pytest.mark.parametrize(("side", "price"), [("buy", "100"), ("sell", "100.01")])
def test_normalize_of_two_prices_equally_near_takes_the_better(side: str, price: str) -> None:
    policy = Policy(worse_price=Decimal("0.1"))
    found = spot().normalize(order(side, price="100.005"), reference=100, policy=policy)
    assert found.price == Decimal(price)


def test_normalize_market_order_ignores_bounds_that_spare_it() -> None:
    fields = {"minNotional": "10", "applyToMarket": False, "avgPriceMins": 5}
    validator = spot({"MIN_NOTIONAL": fields, "NOTIONAL": None})
    asked = order(type="market", price=None, quantity="0.0024")
    (found,) = validator.check(asked, reference=100)
    assert found.nearest == Decimal("0.002")
    assert validator.normalize(asked, reference=100).quantity == Decimal("0.002")


def test_normalize_price_does_not_move_for_the_notional() -> None:
    policy = Policy(Decimal(0), Decimal(10))
    with pytest.raises(OrderInvalid):
        spot().normalize(order("buy", price="10.001", quantity="0.4"), policy=policy)


@pytest.mark.parametrize("share", [-1, 0.1, "x"])
def test_policy_refuses_what_is_no_share(share: Any) -> None:
    with pytest.raises(ConfigError):
        Policy(worse_price=share)


@pytest.mark.parametrize(
    ("price", "side", "expected"),
    [
        ("1.004", None, "1"), ("1.005", None, "1"), ("1.006", None, "1.01"),
        ("1.009", "buy", "1"), ("1.001", "sell", "1.01"), ("1", "sell", "1"),
        ("2000", None, "1000"), ("2000", "buy", "1000"), ("2000", "sell", None),
        ("0.001", None, "0.01"), ("0.001", "buy", None), ("0.001", "sell", "0.01"),
    ],
)  # fmt: skip
def test_normalize_price(price: str, side: Any, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(OrderInvalid) as caught:
            spot().normalize_price(price, side=side)
        assert caught.value.violations
    else:
        assert spot().normalize_price(price, side=side) == Decimal(expected)


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("1.0009", "1"), ("500", "100"), ("0.0009", None), ("0.001", "0.001")],
)
def test_normalize_quantity_never_goes_up(quantity: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(OrderInvalid):
            spot().normalize_quantity(quantity)
    else:
        assert spot().normalize_quantity(quantity) == Decimal(expected)
