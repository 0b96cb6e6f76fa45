"""The intent journal: durable, shared, moved on only from where it was seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from velas.errors import ConfigError, StoreError
from velas.ledger import Ledger
from velas.order_models import Order, OrderRequest
from velas.orders import Fence, Journal, client_id_of

REQUEST = OrderRequest("BTC/USDT", "buy", "limit", "0.00100", price="64000.10", intent="first")
ORDER = Order(
    "BTC/USDT", "7", "id", "buy", "limit", "open", "0.001", "0", "64000.1", 5, intent="first"
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "velas.db") as opened:
        yield opened


def claimed(journal: Journal, request: OrderRequest = REQUEST):
    return journal.claim(request, client_id_of(str(request.intent)), now_ms=1)


def test_client_id_is_the_same_always_and_in_every_alphabet() -> None:
    ids = {client_id_of(key) for key in ("a", "b", "ünïcode", "x" * 500)}
    assert len(ids) == 4
    assert client_id_of("a") in ids
    for one in ids:
        assert len(one) <= 36
        assert all(letter.isascii() and (letter.isalnum() or letter == "-") for letter in one)


def test_claim_then_reopened_is_the_same_intent(tmp_path: Path) -> None:
    with Ledger(tmp_path / "velas.db") as ledger:
        first = claimed(Journal(ledger, "me"))
    with Ledger(tmp_path / "velas.db") as ledger:
        assert claimed(Journal(ledger, "me")) == first
        assert Journal(ledger, "me").get("first") == first
        assert first.state == "ready"


def test_claim_same_numbers_spelled_otherwise_is_the_same_intent(ledger: Ledger) -> None:
    journal = Journal(ledger, "me")
    first = claimed(journal)
    again = attrs.evolve(REQUEST, quantity=Decimal("1E-3"), price=Decimal("64000.1000"))
    assert claimed(journal, again).client_id == first.client_id


def test_claim_for_another_order_is_refused_once_one_may_exist(ledger: Ledger) -> None:
    journal = Journal(ledger, "me")
    journal.sending(claimed(journal), Fence(9, 5), now_ms=2)
    other = attrs.evolve(REQUEST, quantity=Decimal(2), time_in_force="GTC")
    with pytest.raises(
        ConfigError, match=r"is another order's: buy 0\.001.*\(other quantity, time_in_force\)"
    ):
        claimed(journal, other)


def test_claim_with_other_numbers_is_taken_while_no_order_exists(ledger: Ledger) -> None:
    journal = Journal(ledger, "me")
    sent = journal.sending(claimed(journal), Fence(9, 5), now_ms=2)
    assert sent is not None
    journal.refused(sent, "too much", now_ms=3)
    other = claimed(journal, attrs.evolve(REQUEST, quantity=Decimal(2)))
    assert (other.state, other.request.quantity) == ("refused", 2)
    assert journal.get("first") == other


def test_sending_what_another_process_has_changed_meanwhile_is_refused(ledger: Ledger) -> None:
    one, two = Journal(ledger, "me"), Journal(ledger, "me")
    seen = claimed(one)
    two.claim(attrs.evolve(REQUEST, quantity=Decimal(2), client_id="mine"), "mine", now_ms=2)
    assert one.sending(seen, Fence(9, 5), now_ms=3) is None
    assert one.sending(claimed(two, two.get("first").request), Fence(9, 5), now_ms=3)  # type: ignore[union-attr]


def test_claim_used_by_another_account_of_the_exchange_is_refused_if_asked(
    ledger: Ledger,
) -> None:
    claimed(Journal(ledger, "kraken api.kraken.com 123"))
    for account in ("kraken api.kraken.com 456", "kraken elsewhere 123"):
        with pytest.raises(
            ConfigError, match=r"used at api\.kraken\.com with the API key of mark 123"
        ):
            Journal(ledger, account).claim(REQUEST, "other", now_ms=1, alone=True)
    for account in ("krakenfutures api.kraken.com 456", "bybit elsewhere 123"):
        assert Journal(ledger, account).claim(REQUEST, "other", now_ms=1, alone=True)


def test_claim_and_sending_notice_a_file_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "velas.db"
    with Ledger(path) as ledger:
        journal = Journal(ledger, "me")
        intent = claimed(journal)
        path.rename(tmp_path / "elsewhere.db")
        for change in (
            lambda: journal.sending(intent, Fence(9, 5), now_ms=2),
            lambda: claimed(journal, attrs.evolve(REQUEST, intent="second")),
        ):
            with pytest.raises(StoreError, match="removed or replaced while it was open"):
                change()


def test_claim_client_id_of_another_intent_is_refused(ledger: Ledger) -> None:
    journal = Journal(ledger, "me")
    claimed(journal)
    with pytest.raises(ConfigError, match="belongs to another intent"):
        journal.claim(attrs.evolve(REQUEST, intent="second"), client_id_of("first"), now_ms=1)
    assert journal.get("second") is None


def test_accounts_do_not_see_one_another(ledger: Ledger) -> None:
    claimed(Journal(ledger, "me"))
    assert Journal(ledger, "you").get("first") is None
    assert Journal(ledger, "you").unsettled() == []


def test_sending_only_one_of_two_may(ledger: Ledger) -> None:
    one, two = Journal(ledger, "me"), Journal(ledger, "me")
    intent = claimed(one)
    sent = one.sending(intent, Fence(9, 5), now_ms=2)
    assert sent is not None
    assert (sent.state, sent.attempt, sent.expires_ms) == ("sent", 1, 9)
    assert two.sending(intent, Fence(9, 5), now_ms=2) is None
    assert two.sending(sent, Fence(9, 5), now_ms=2) is None


def test_refused_and_absent_may_be_sent_again(ledger: Ledger) -> None:
    journal = Journal(ledger, "me")
    sent = journal.sending(claimed(journal), Fence(9, 5), now_ms=2)
    assert sent is not None
    assert journal.refused(sent, "too little money", now_ms=3)
    refused = journal.get("first")
    assert refused is not None
    assert (refused.state, refused.reason) == ("refused", "too little money")
    again = journal.sending(refused, Fence(20, 5), now_ms=4)
    assert again is not None
    assert not journal.absent(sent, "said of the first attempt", now_ms=5)
    assert journal.absent(again, "not found", now_ms=5)


def test_placed_is_never_unwritten(ledger: Ledger) -> None:
    journal = Journal(ledger, "me")
    sent = journal.sending(claimed(journal), Fence(9, 5), now_ms=2)
    assert sent is not None
    journal.placed(sent, ORDER, now_ms=3)
    for change in (journal.refused, journal.absent):
        assert not change(sent, "late", now_ms=4)
    found = journal.get("first")
    assert found is not None
    assert (found.state, found.order) == ("placed", ORDER)
    assert journal.sending(found, Fence(20, 5), now_ms=4) is None


def test_unsettled_are_those_of_open_fate_oldest_first(ledger: Ledger) -> None:
    journal = Journal(ledger, "me")
    requests = [attrs.evolve(REQUEST, intent=name) for name in ("a", "b", "c")]
    for at, request in enumerate(requests):
        journal.claim(request, client_id_of(str(request.intent)), now_ms=10 - at)
    placed = journal.get("b")
    assert placed is not None
    journal.placed(placed, ORDER, now_ms=20)
    assert [one.key for one in journal.unsettled()] == ["c", "a"]


def test_line_that_cannot_be_read_is_told(ledger: Ledger) -> None:
    journal = Journal(ledger, "me")
    claimed(journal)
    ledger.write("UPDATE intent SET request = x'00'", ())
    with pytest.raises(StoreError, match="'first' in the journal cannot be read"):
        journal.get("first")


def test_numbers_in_the_file_are_plain_text(ledger: Ledger) -> None:
    claimed(Journal(ledger, "me"), attrs.evolve(REQUEST, quantity=Decimal("1E-7")))
    assert ledger.path is not None
    with sqlite3.connect(ledger.path) as raw:
        (stored,) = raw.execute("SELECT request FROM intent").fetchone()
    raw.close()
    assert b'"quantity":"0.0000001"' in stored
