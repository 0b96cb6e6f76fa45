from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import pytest

from velas.errors import BadRequest, BadResponse
from velas.models import Market
from velas.order_models import OrderRequest
from velas.orders import client_id_of
from velas_ccxt import _generic_wire as wire
from velas_ccxt._client_ids import client_ids

MARKET = Market(symbol="ABC/USDT", id="ABCUSDT", base="ABC", quote="USDT", type="spot")
OURS = client_id_of("an intent")


def raw(**fields: Any) -> dict[str, Any]:
    known = {
        "id": "7",
        "clientOrderId": "mine",
        "symbol": "ABC/USDT",
        "side": "sell",
        "type": "limit",
        "status": "open",
        "amount": "0.00000010",
        "filled": "0.0",
        "price": "1E-7",
        "timestamp": 1_700_000_000_000,
    }
    return {**known, **fields}


def names(value: object) -> str | None:
    return client_ids("kucoin").back(value)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("open", "open"),
        ("closed", "filled"),
        ("canceled", "canceled"),
        ("canceling", "open"),
        ("expired", "expired"),
        ("rejected", "rejected"),
        ("strange", "open"),
        (None, "open"),
    ],
)
def test_order_has_its_status(word: str | None, status: str) -> None:
    assert wire.order(raw(status=word), MARKET, names).status == status


def test_order_numbers_are_exact() -> None:
    found = wire.order(raw(amount=0.1, average="0"), MARKET, names)
    assert (found.quantity, found.price, found.average) == (Decimal("0.1"), Decimal("1E-7"), None)
    assert found.client_id == "mine"


def test_order_without_a_market_has_the_symbol_it_says() -> None:
    assert wire.order(raw(), None, names).symbol == "ABC/USDT"


@pytest.mark.parametrize("field", ["id", "side"])
def test_order_without_what_it_needs_is_a_bad_response(field: str) -> None:
    with pytest.raises(BadResponse):
        wire.order(raw(**{field: None}), MARKET, names)


def test_placed_order_of_an_id_alone_is_what_was_asked_for() -> None:
    request = OrderRequest("ABC/USDT", "buy", "limit", "3", "2")
    found = wire.placed_order({"id": "7"}, request, OURS)
    assert (found.id, found.client_id, found.status) == ("7", OURS, "open")
    assert (found.quantity, found.price, found.filled) == (Decimal(3), Decimal(2), Decimal(0))


def test_placed_order_without_an_id_is_a_bad_response() -> None:
    with pytest.raises(BadResponse):
        wire.placed_order({}, OrderRequest("ABC/USDT", "buy", "market", "3"), OURS)


def test_position_is_signed_by_its_side() -> None:
    row = {"symbol": "ABC/USDT:USDT", "contracts": "3", "side": "short", "entryPrice": "1.5"}
    found = wire.position(row)
    assert found is not None
    assert (found.quantity, found.entry_price) == (Decimal(-3), Decimal("1.5"))
    assert found.position_side == "both"
    hedged = wire.position({**row, "side": "long", "hedged": True})
    assert hedged is not None
    assert (hedged.quantity, hedged.position_side) == (Decimal(3), "long")
    assert wire.position({**row, "contracts": "0"}) is None


@pytest.mark.parametrize("answer", [None, [], {"free": 3}, {"free": {"A": "x"}}])
def test_balances_of_anything_else_are_a_bad_response(answer: object) -> None:
    with pytest.raises(BadResponse):
        wire.balances(answer)


def test_balances_without_empty_ones() -> None:
    free = {"A": "0.10", "B": "0.000", "C": None, "D": 2.5}
    assert wire.balances({"free": free}) == {"A": Decimal("0.1"), "D": Decimal("2.5")}


def test_book_ticker_of_an_empty_side_is_a_bad_response() -> None:
    with pytest.raises(BadResponse):
        wire.book_ticker({"bids": [], "asks": [["1", "2"]]}, "ABC/USDT")


def test_number_text_is_compared_as_a_number() -> None:
    text = wire.number_text(Decimal("1E+1"))
    assert text == "10"
    assert text is not None
    assert (text < 9.5, text <= 10, text > 9, text >= 10.5) == (False, True, True, False)


# -- client ids ---------------------------------------------------------------------------


@pytest.mark.parametrize("venue", ["okx", "gate", "bybit", "coinbase", "cryptocom", "mexc"])
def test_our_client_ids_come_back_as_they_were(venue: str) -> None:
    ids = client_ids(venue)
    sent = ids.prefix + ids.out(OURS)
    assert ids.back(sent) == OURS
    assert ids.is_same(sent, OURS)
    assert not ids.is_same(sent, client_id_of("another"))


def test_krakens_are_uuids_and_come_back() -> None:
    ids = client_ids("kraken")
    sent = ids.out(OURS)
    assert str(uuid.UUID(sent)) == sent
    assert ids.back(sent) == OURS
    assert ids.is_same(sent, OURS)


def test_krakens_of_somebody_else_stay_as_they_are() -> None:
    ids = client_ids("kraken")
    for other in ("0a1b2c3d-0000-4000-8000-000000000000", "my-own-id"):
        assert ids.out(other) == other == ids.back(other)


@pytest.mark.parametrize(
    ("venue", "mine"),
    [("okx", "has-a-dash"), ("gate", "x" * 29), ("gate", "text"), ("kraken", "x" * 19)],
)
def test_client_ids_a_venue_cannot_take_are_refused(venue: str, mine: str) -> None:
    with pytest.raises(BadRequest, match="client_id"):
        client_ids(venue).out(mine)


def test_no_client_id_is_none() -> None:
    assert client_ids("gate").back("") is None
    assert client_ids("gate").back(None) is None
