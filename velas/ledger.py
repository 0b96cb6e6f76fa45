"""What velas must remember beside the candles, in SQLite: absences, listings, bans, keys."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from velas.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked
from velas.models import Gap

__all__ = ["IdempotentCall", "Ledger"]

_log = logging.getLogger(__name__)

_APPLICATION_ID = 0x76656C61  # "vela": tells our file from another program's SQLite file
_SCHEMA_VERSION = 1
_BUSY_S = 10.0
_SETTLE_MS = 24 * 3_600_000
_AGAIN_MS = 3_600_000
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS absent (
        exchange TEXT, symbol TEXT, interval TEXT, start_ms INTEGER, end_ms INTEGER,
        missing INTEGER, reason TEXT, confirmed_ms INTEGER,
        PRIMARY KEY (exchange, symbol, interval, start_ms)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS listing (
        exchange TEXT, symbol TEXT, interval TEXT, first_ms INTEGER, probed_ms INTEGER,
        PRIMARY KEY (exchange, symbol, interval)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS extent (
        exchange TEXT, symbol TEXT, interval TEXT, first_ms INTEGER, last_ms INTEGER,
        PRIMARY KEY (exchange, symbol, interval)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS ended (
        exchange TEXT, symbol TEXT, interval TEXT, last_ms INTEGER, asked_ms INTEGER,
        PRIMARY KEY (exchange, symbol, interval)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS unchecked (
        exchange TEXT, symbol TEXT, interval TEXT, start_ms INTEGER, end_ms INTEGER,
        PRIMARY KEY (exchange, symbol, interval)
    ) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS ban (venue TEXT PRIMARY KEY, until_ms INTEGER, reason TEXT)",
    """CREATE TABLE IF NOT EXISTS idempotency (
        key TEXT PRIMARY KEY, state TEXT, result BLOB, expires_ms INTEGER
    )""",
    "CREATE INDEX IF NOT EXISTS idempotency_expiry ON idempotency (expires_ms)",
)

_ADD_ABSENT = """INSERT INTO absent VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET end_ms = excluded.end_ms, missing = excluded.missing,
    reason = excluded.reason, confirmed_ms = excluded.confirmed_ms
    WHERE excluded.end_ms >= absent.end_ms"""


@attrs.frozen
class IdempotentCall:
    """A call made under a key: `state` is ``in_flight`` or ``done``, `result` its bytes."""

    state: str
    result: bytes | None
    expires_ms: int


class Ledger:
    """SQLite at `path` (`db_path` of the settings); in memory when None.

    Safe for several threads and processes; every change is whole, and durable when the
    call returns. The file is made by the first change, readable by its owner only. A
    context manager; `close` may be called again.

    With `read_only` it shows the file as it was when it was opened, needs no permission
    to write, changes and leaves nothing on the disk, and refuses every change.

    Raises:
        StoreCorrupt: the file is damaged, or no SQLite file at all.
        StoreLocked: another process held it for more than ten seconds.
        StoreFull: no space left; what was written before is intact.
        StoreError: not to be opened or written, open for reading only, another
            program's, or a newer velas'.
    """

    def __init__(self, path: str | Path | None = None, *, read_only: bool = False) -> None:
        self.path = None if path is None else Path(path)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._closed = False
        self._opened: sqlite3.Connection | None = None
        if self.path is None or self.path.exists():
            self._open()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def absent(self, exchange: str, symbol: str, interval: str) -> list[Gap]:
        """Return the ranges the venue proved to have no candles in, oldest first."""
        rows = self._read(
            "SELECT start_ms, end_ms, missing, reason FROM absent"
            " WHERE exchange = ? AND symbol = ? AND interval = ? ORDER BY start_ms",
            (exchange, symbol, interval),
        )
        return [Gap(start, end, missing, reason) for start, end, missing, reason in rows]

    def add_absent(
        self, exchange: str, symbol: str, interval: str, gaps: Iterable[Gap], *, now_ms: int
    ) -> None:
        """Remember ranges the venue has no candles in, all or none of them.

        A range that begins where a known one ends makes that one longer; of two from the
        same start the longer one stays.
        """
        with self._transaction() as db:
            for gap in gaps:
                key = (exchange, symbol, interval)
                grown = db.execute(
                    "UPDATE absent SET end_ms = ?, missing = missing + ?, confirmed_ms = ?"
                    " WHERE exchange = ? AND symbol = ? AND interval = ?"
                    " AND end_ms = ? AND reason = ?",
                    (gap.end_ms, gap.missing, now_ms, *key, gap.start_ms, gap.reason),
                ).rowcount
                if not grown:
                    db.execute(_ADD_ABSENT, (*key, *attrs.astuple(gap), now_ms))

    def forget_absent(self, exchange: str, symbol: str, interval: str) -> None:
        """Forget the absences of a series, so that the venue is asked again."""
        self._write(
            "DELETE FROM absent WHERE exchange = ? AND symbol = ? AND interval = ?",
            (exchange, symbol, interval),
        )

    def settled(self, exchange: str, symbol: str, interval: str, *, now_ms: int) -> list[Gap]:
        """Return the absences that need not be asked about again, oldest first.

        One that was young when it was confirmed may have been filled since (venues do,
        after an outage): it counts for an hour, then the venue is asked once more.
        """
        rows = self._read(
            "SELECT start_ms, end_ms, missing, reason FROM absent"
            " WHERE exchange = ? AND symbol = ? AND interval = ?"
            " AND (confirmed_ms >= end_ms + ? OR ? < confirmed_ms + ?) ORDER BY start_ms",
            (exchange, symbol, interval, _SETTLE_MS, now_ms, _AGAIN_MS),
        )
        return [Gap(start, end, missing, reason) for start, end, missing, reason in rows]

    def listing_ms(self, exchange: str, symbol: str, interval: str) -> int | None:
        """Return the open time of the venue's first candle of a series, None if unknown."""
        rows = self._read(
            "SELECT first_ms FROM listing WHERE exchange = ? AND symbol = ? AND interval = ?",
            (exchange, symbol, interval),
        )
        return int(rows[0][0]) if rows else None

    def set_listing_ms(
        self, exchange: str, symbol: str, interval: str, first_ms: int, *, now_ms: int
    ) -> None:
        """Remember the open time of the venue's first candle of a series."""
        self._write(
            "INSERT OR REPLACE INTO listing VALUES (?, ?, ?, ?, ?)",
            (exchange, symbol, interval, first_ms, now_ms),
        )

    def extent(self, exchange: str, symbol: str, interval: str) -> tuple[int, int] | None:
        """Return the first and last open time a series ever had in the store."""
        rows = self._read(
            "SELECT first_ms, last_ms FROM extent"
            " WHERE exchange = ? AND symbol = ? AND interval = ?",
            (exchange, symbol, interval),
        )
        return (int(rows[0][0]), int(rows[0][1])) if rows else None

    def add_extent(
        self, exchange: str, symbol: str, interval: str, first_ms: int, last_ms: int
    ) -> None:
        """Remember that a series reached from `first_ms` to `last_ms`; it never shrinks."""
        self._write(
            "INSERT INTO extent VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " first_ms = min(extent.first_ms, excluded.first_ms),"
            " last_ms = max(extent.last_ms, excluded.last_ms)",
            (exchange, symbol, interval, first_ms, last_ms),
        )

    def ended(self, exchange: str, symbol: str, interval: str) -> tuple[int, int] | None:
        """Return the venue's newest open time of a series that seems over, and when asked."""
        rows = self._read(
            "SELECT last_ms, asked_ms FROM ended"
            " WHERE exchange = ? AND symbol = ? AND interval = ?",
            (exchange, symbol, interval),
        )
        return (int(rows[0][0]), int(rows[0][1])) if rows else None

    def set_ended(
        self, exchange: str, symbol: str, interval: str, last_ms: int, *, asked_ms: int
    ) -> None:
        """Remember that at `asked_ms` the venue had no candle after `last_ms`."""
        self._write(
            "INSERT OR REPLACE INTO ended VALUES (?, ?, ?, ?, ?)",
            (exchange, symbol, interval, last_ms, asked_ms),
        )

    def unchecked(self, exchange: str) -> dict[tuple[str, str], tuple[int, int]]:
        """Return, by symbol and interval, where candles lie that a stream stored unchecked.

        As ``[start_ms, end_ms)`` of open times; REST has not been compared with them yet.
        """
        rows = self._read(
            "SELECT symbol, interval, start_ms, end_ms FROM unchecked WHERE exchange = ?",
            (exchange,),
        )
        return {(symbol, interval): (start, end) for symbol, interval, start, end in rows}

    def set_unchecked(
        self, exchange: str, ranges: Mapping[tuple[str, str], tuple[int, int] | None]
    ) -> None:
        """Remember where unchecked candles lie, None for nowhere; all of it or nothing."""
        with self._transaction() as db:
            for key, found in ranges.items():
                if found is None:
                    db.execute(
                        "DELETE FROM unchecked WHERE exchange = ? AND symbol = ? AND interval = ?",
                        (exchange, *key),
                    )
                else:
                    db.execute(
                        "INSERT OR REPLACE INTO unchecked VALUES (?, ?, ?, ?, ?)",
                        (exchange, *key, *found),
                    )

    def ban_until_ms(self, venue: str) -> int:
        """Return when the last ban of this address at `venue` ends, 0 if there was none."""
        rows = self._read("SELECT until_ms FROM ban WHERE venue = ?", (venue,))
        return int(rows[0][0]) if rows else 0

    def set_ban(self, venue: str, until_ms: int, reason: str) -> None:
        """Remember a ban, so that a restart does not run into it; the later end stays."""
        self._write(
            "INSERT INTO ban VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
            " until_ms = excluded.until_ms, reason = excluded.reason"
            " WHERE excluded.until_ms > ban.until_ms",
            (venue, until_ms, reason),
        )

    def begin_call(self, key: str, *, now_ms: int, expires_ms: int) -> IdempotentCall | None:
        """Claim `key` for a call; return the call that holds it already, if any.

        Expired keys are cleaned away first; of several claims only one succeeds.
        """
        with self._transaction() as db:
            db.execute("DELETE FROM idempotency WHERE expires_ms <= ?", (now_ms,))
            rows = db.execute(
                "SELECT state, result, expires_ms FROM idempotency WHERE key = ?", (key,)
            ).fetchall()
            if not rows:
                db.execute(
                    "INSERT INTO idempotency VALUES (?, 'in_flight', NULL, ?)", (key, expires_ms)
                )
        return IdempotentCall(*rows[0]) if rows else None

    def finish_call(self, key: str, result: bytes, *, expires_ms: int) -> None:
        """Store the result of the call that holds `key`."""
        self._write(
            "INSERT OR REPLACE INTO idempotency VALUES (?, 'done', ?, ?)",
            (key, result, expires_ms),
        )

    def drop_call(self, key: str) -> None:
        """Release `key`: its call is known to have had no effect."""
        self._write("DELETE FROM idempotency WHERE key = ?", (key,))

    def clean_calls(self, *, now_ms: int) -> None:
        """Remove the keys that have expired."""
        self._write("DELETE FROM idempotency WHERE expires_ms <= ?", (now_ms,))

    def close(self) -> None:
        """Close the file; may be called again."""
        with self._lock:
            self._closed = True
            if self._opened is not None:
                self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> sqlite3.Connection:
        if self._opened is None:
            if self._closed:
                raise StoreError(f"{self.path}: this ledger is closed")
            with self._translated():
                self._opened = self._snapshot() if self.read_only else self._connect()
            try:
                with self._translated():
                    self._prepare()
            except BaseException:
                self._opened.close()
                self._opened = None
                raise
        return self._opened

    def _connect(self) -> sqlite3.Connection:
        target = ":memory:"
        if self.path is not None:
            target = str(self.path)
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # SQLite gives its side files the mode of the main file.
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            except OSError as error:
                raise StoreError(f"{self.path}: cannot be opened: {error.strerror}") from error
        return sqlite3.connect(
            target, check_same_thread=False, timeout=_BUSY_S, isolation_level=None
        )

    def _snapshot(self) -> sqlite3.Connection:
        # A copy in memory, because a reader of the file itself has to make side files
        # (and leaves them behind), or must trust that nobody writes as long as it reads.
        if self.path is None:
            return self._connect()
        before = self._state()
        if not before[0]:
            copy = self._copy("immutable=1")
            if self._state() == before:
                return copy
            copy.close()
        try:
            return self._copy("mode=ro")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
                raise
        copy = self._copy("immutable=1")
        _log.warning(
            "%s: its latest changes, in the -wal file beside it, cannot be read without "
            "permission to write there; going on without them",
            self.path,
        )
        return copy

    def _state(self) -> tuple[bool, int, int]:
        # Changes wait in the -wal file as long as anybody has the ledger open for writing.
        assert self.path is not None
        wal = self.path.with_name(f"{self.path.name}-wal")
        with suppress(OSError):
            status = self.path.stat()
            return wal.exists() and wal.stat().st_size > 0, status.st_mtime_ns, status.st_size
        return False, 0, 0

    def _copy(self, how: str) -> sqlite3.Connection:
        assert self.path is not None
        # as a URI: `?`, `#` and `%` in the name have to be escaped
        uri = f"{self.path.absolute().as_uri()}?{how}"
        copy = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S)) as source:
                source.backup(copy)
        except BaseException:
            copy.close()
            raise
        return copy

    def _prepare(self) -> None:
        if self.read_only:
            db = self._open()
            self._check(db)
            for statement in _SCHEMA:  # in the copy: an older file may lack a table
                db.execute(statement)
            return
        # Looked at before anything is changed: the path may name another program's file.
        with self._transaction() as db:
            self._check(db)
            for statement in _SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        self._open().execute("PRAGMA journal_mode = WAL")
        self._open().execute("PRAGMA synchronous = FULL")

    def _check(self, db: sqlite3.Connection) -> None:
        (owner,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if owner != _APPLICATION_ID and (owner or tables):
            raise StoreError(
                f"{self.path}: belongs to another program; db_path must name a velas ledger or a "
                "new file"
            )
        if version > _SCHEMA_VERSION:
            raise StoreError(
                f"{self.path}: written by a newer velas (schema {version}, this one knows "
                f"{_SCHEMA_VERSION}); upgrade velas or use another db_path"
            )

    def _read(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._lock, self._translated():
            if self._opened is None and not self._closed and not self._exists():
                return []  # nothing is known yet, and asking must not make a file
            return self._open().execute(sql, values).fetchall()

    def _write(self, sql: str, values: tuple[object, ...]) -> None:
        self._refuse_if_read_only()
        with self._lock, self._translated():
            self._open().execute(sql, values)

    def _exists(self) -> bool:
        return self.path is None or self.path.exists()

    def _refuse_if_read_only(self) -> None:
        if self.read_only:
            raise StoreError(f"{self.path}: this ledger is open for reading only")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._refuse_if_read_only()
        with self._lock, self._translated():
            db = self._open()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                # A full disk has rolled back already.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._store_error(error) from error

    def _store_error(self, error: sqlite3.Error) -> StoreError:
        name = getattr(error, "sqlite_errorname", "")
        if self._closed:
            return StoreError(f"{self.path}: this ledger is closed")
        if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            return StoreCorrupt(
                f"{self.path}: damaged, or no velas ledger ({error}); set the file aside and a "
                "new one is made",
                path=str(self.path),
            )
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StoreLocked(f"{self.path}: another process holds it for over {_BUSY_S:g} s")
        if name == "SQLITE_FULL":
            return StoreFull(f"{self.path}: no space left on the device")
        return StoreError(f"{self.path}: {error}")
