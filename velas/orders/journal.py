"""The intent journal: what was wanted, what left, and what is known of it; in the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import attrs
import orjson

from velas.decimals import plain
from velas.errors import ConfigError, StoreError
from velas.ledger_file import LedgerFile
from velas.order_models import Order, OrderRequest
from velas.orders.venue import Fence

__all__ = ["Intent", "IntentState", "Journal"]

IntentState = Literal["ready", "sent", "placed", "refused", "absent"]

_COLUMNS = "intent, client_id, request, state, attempt, expires_ms, window_ms, result, changed_ms"
_OPEN = ("ready", "sent")


@attrs.frozen
class Intent:
    """One line of the journal.

    `state` is ``ready`` (written down, nothing left yet), ``sent`` (a request left, its
    fate is not known), ``placed`` (the order exists), ``refused`` (the venue judged it and
    said no) or ``absent`` (known not to exist for another reason). `attempt` counts the
    requests that left; the last of them cannot be executed any more once the venue's
    clock has passed `expires_ms`, `window_ms` after it was signed (None: it always can).
    `order` is what the venue said of a placed one, `reason` why another state was reached.
    """

    key: str
    client_id: str
    request: OrderRequest
    state: IntentState = "ready"
    attempt: int = 0
    expires_ms: int | None = None
    window_ms: int | None = None
    order: Order | None = None
    reason: str | None = None
    changed_ms: int = 0

    @property
    def may_be_sent(self) -> bool:
        """Whether it is known that no order exists."""
        return self.state in ("ready", "refused", "absent")


class Journal:
    """The intents of one account at one venue, in a ledger that several processes share.

    `account` is the exchange's name, then what tells its accounts apart: address and key.
    Every change is durable when the call returns. A line moves on only from where its
    writer last saw it (attempt, state and order), so of two processes with the same intent
    only one sends; that an order exists may always be written, and is never unwritten.

    Raises:
        StoreError: the ledger cannot be written; then nothing may be sent either.
    """

    def __init__(self, ledger: LedgerFile, account: str) -> None:
        self._ledger = ledger
        self._account = account

    @property
    def is_on_disk(self) -> bool:
        """Whether it is a file, so that writing takes time."""
        return self._ledger.path is not None

    def claim(
        self, request: OrderRequest, client_id: str, *, now_ms: int, alone: bool = False
    ) -> Intent:
        """Write an intent down, or return it as it stands if it is there already.

        One that is known to have no order may be claimed with other numbers. `alone`
        refuses a key that another account of the same exchange has used: it may be the
        same one by another address or API key.

        Raises:
            ConfigError: the key belongs to another order, or its client id to another
                intent.
        """
        key = _key_of(request)
        self._ledger.check_in_place()
        with self._ledger.transaction() as db:
            found = self._find(db, key)
            if found is not None and not _is_same(found, request):
                found = self._changed(db, found, request, now_ms)
            if found is not None:
                return found
            if alone:
                self._check_other_accounts(db, key)
            with _own_client_id(client_id):
                db.execute(
                    "INSERT INTO intent VALUES (?, ?, ?, ?, 'ready', 0, NULL, NULL, NULL, ?)",
                    (self._account, key, client_id, _encode(request), now_ms),
                )
        return Intent(key, client_id, request, changed_ms=now_ms)

    def _changed(
        self, db: sqlite3.Connection, found: Intent, request: OrderRequest, now_ms: int
    ) -> Intent:
        if not found.may_be_sent:
            raise _another(found, request)
        client_id = request.client_id or found.client_id
        with _own_client_id(client_id):
            db.execute(
                "UPDATE intent SET request = ?, client_id = ?, changed_ms = ?"
                " WHERE account = ? AND intent = ?",
                (_encode(request), client_id, now_ms, self._account, found.key),
            )
        return attrs.evolve(found, request=request, client_id=client_id, changed_ms=now_ms)

    def get(self, key: str) -> Intent | None:
        """Return the intent of a key as it stands now, None if it was never claimed."""
        rows = self._ledger.read(
            f"SELECT {_COLUMNS} FROM intent WHERE account = ? AND intent = ?",
            (self._account, key),
        )
        return _decode(rows[0]) if rows else None

    def key_of(self, client_id: str) -> str | None:
        """Return the key of the intent that a client id belongs to, None for a foreign one."""
        rows = self._ledger.read(
            "SELECT intent FROM intent WHERE account = ? AND client_id = ?",
            (self._account, client_id),
        )
        return str(rows[0][0]) if rows else None

    def unsettled(self) -> list[Intent]:
        """Return the intents of which it is not known whether an order exists."""
        rows = self._ledger.read(
            f"SELECT {_COLUMNS} FROM intent WHERE account = ? AND state IN (?, ?)"
            " ORDER BY changed_ms, intent",
            (self._account, *_OPEN),
        )
        return [_decode(row) for row in rows]

    def sending(self, intent: Intent, fence: Fence | None, *, now_ms: int) -> Intent | None:
        """Write down that a request leaves now; None if somebody else was faster.

        When it returns an intent, and only then, the request may go out.
        """
        if not intent.may_be_sent:
            return None
        self._ledger.check_in_place()
        sent = attrs.evolve(
            intent,
            state="sent",
            attempt=intent.attempt + 1,
            expires_ms=None if fence is None else fence.expires_ms,
            window_ms=None if fence is None else fence.window_ms,
            reason=None,
            changed_ms=now_ms,
        )
        return sent if self._move(intent, sent, None) else None

    def placed(self, intent: Intent, order: Order, *, now_ms: int) -> Intent:
        """Write down that the order exists."""
        self._ledger.write(
            "UPDATE intent SET state = 'placed', result = ?, changed_ms = ?"
            " WHERE account = ? AND intent = ?",
            (_encode(order), now_ms, self._account, intent.key),
        )
        return attrs.evolve(intent, state="placed", order=order, reason=None, changed_ms=now_ms)

    def refused(self, intent: Intent, reason: str, *, now_ms: int) -> bool:
        """Write down that the venue refused the request; False if the line moved on."""
        to = attrs.evolve(intent, state="refused", changed_ms=now_ms)
        return self._move(intent, to, orjson.dumps(reason))

    def absent(self, intent: Intent, reason: str, *, now_ms: int) -> bool:
        """Write down that no order exists; False if the line moved on meanwhile."""
        to = attrs.evolve(intent, state="absent", changed_ms=now_ms)
        return self._move(intent, to, orjson.dumps(reason))

    def _move(self, seen: Intent, to: Intent, result: bytes | None) -> bool:
        with self._ledger.transaction() as db:
            return bool(
                db.execute(
                    "UPDATE intent SET state = ?, attempt = ?, expires_ms = ?, window_ms = ?,"
                    " result = ?, changed_ms = ? WHERE account = ? AND intent = ?"
                    " AND attempt = ? AND state = ? AND client_id = ? AND request = ?",
                    (
                        *(to.state, to.attempt, to.expires_ms, to.window_ms),
                        *(result, to.changed_ms, self._account, seen.key),
                        *(seen.attempt, seen.state, seen.client_id, _encode(seen.request)),
                    ),
                ).rowcount
            )

    def _check_other_accounts(self, db: sqlite3.Connection, key: str) -> None:
        # the same account, most likely, under another key or another address
        name, _, _ = self._account.partition(" ")
        row = db.execute(
            "SELECT account FROM intent WHERE intent = ? AND account LIKE ? ESCAPE '\\'"
            " AND state IN ('ready', 'sent', 'placed')",
            (key, name.replace("_", "\\_") + " %"),
        ).fetchone()
        if row is not None:
            _, host, mark = (*row[0].split(" "), "", "")[:3]
            raise ConfigError(
                f"intent {key!r} has been used at {host} with the API key of mark {mark}, which "
                f"is not this one ({self._account.partition(' ')[2]}): after a change of key or "
                "address velas cannot tell whether it is the same account. Use another intent "
                "key, or another db_path for another account"
            )

    def _find(self, db: sqlite3.Connection, key: str) -> Intent | None:
        row = db.execute(
            f"SELECT {_COLUMNS} FROM intent WHERE account = ? AND intent = ?",
            (self._account, key),
        ).fetchone()
        return None if row is None else _decode(row)


def _key_of(request: OrderRequest) -> str:
    if request.intent is None:
        raise ConfigError("an order in the journal needs an intent key")
    return request.intent


def _is_same(found: Intent, request: OrderRequest) -> bool:
    return found.request == request and request.client_id in (None, found.client_id)


def _another(found: Intent, request: OrderRequest) -> ConfigError:
    fields = [one.name for one in attrs.fields(OrderRequest)]
    other = [name for name in fields if getattr(found.request, name) != getattr(request, name)]
    return ConfigError(
        f"intent {found.key!r} is another order's: {_said(found.request)}, not "
        f"{_said(request)} (other {', '.join(other) or 'client_id'}); every order needs an intent "
        "key of its own, and fetch_intent says what became of this one"
    )


@contextmanager
def _own_client_id(client_id: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ConfigError(f"client_id {client_id!r} belongs to another intent") from error


def _said(request: OrderRequest) -> str:
    amount = request.quantity if request.quantity is not None else request.quote_quantity
    price = "" if request.price is None else f" at {plain(request.price)}"
    quantity = "all" if amount is None else plain(amount)
    return f"{request.side} {quantity} {request.symbol} {request.type}{price}"


def _encode(model: OrderRequest | Order) -> bytes:
    return orjson.dumps(attrs.asdict(model), default=plain)


def _decode(row: tuple[Any, ...]) -> Intent:
    key, client_id, request, state, attempt, expires_ms, window_ms, result, changed_ms = row
    try:
        told = None if result is None else orjson.loads(result)
        return Intent(
            key,
            client_id,
            OrderRequest(**orjson.loads(request)),
            state,
            attempt,
            expires_ms,
            window_ms,
            order=Order(**told) if isinstance(told, dict) else None,
            reason=told if isinstance(told, str) else None,
            changed_ms=changed_ms,
        )
    except (TypeError, ValueError) as error:
        raise StoreError(f"intent {key!r} in the journal cannot be read: {error}") from error
