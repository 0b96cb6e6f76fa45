"""The SQLite file behind the ledger: made late, changed whole, read without a trace."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from velas.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked

__all__ = ["LedgerFile"]

_log = logging.getLogger(__name__)

_APPLICATION_ID = 0x76656C61  # "vela": tells our file from another program's SQLite file
_SCHEMA_VERSION = 1
_BUSY_S = 10.0
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
    """CREATE TABLE IF NOT EXISTS intent (
        account TEXT, intent TEXT, client_id TEXT, request BLOB, state TEXT, attempt INTEGER,
        expires_ms INTEGER, window_ms INTEGER, result BLOB, changed_ms INTEGER,
        PRIMARY KEY (account, intent), UNIQUE (account, client_id)
    ) WITHOUT ROWID""",
)


class LedgerFile:
    """Reads and transactions on the ledger's file at `path`; in memory when None.

    `velas.ledger.Ledger` says what it guarantees and what it raises.
    """

    def __init__(self, path: str | Path | None = None, *, read_only: bool = False) -> None:
        self.path = None if path is None else Path(path)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._closed = False
        self._opened: sqlite3.Connection | None = None
        self._identity: tuple[int, int] = (0, 0)
        if self.path is None or self.path.exists():
            self._open()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def check_in_place(self) -> None:
        """Refuse to go on with a file that is no longer where it was opened.

        Raises:
            StoreError: it was removed, renamed or replaced meanwhile: what is written to it
                nobody would find after a restart.
        """
        if self.path is None or self.read_only:
            return
        with self._lock, self._translated():
            self._open()
        try:
            found = self.path.stat()
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            raise StoreError(
                f"{self.path}: removed or replaced while it was open; nothing was sent. Put it "
                "back, or look at the venue's orders, then start again"
            )

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
        opened = sqlite3.connect(
            target, check_same_thread=False, timeout=_BUSY_S, isolation_level=None
        )
        if self.path is not None:
            status = self.path.stat()
            self._identity = (status.st_dev, status.st_ino)
        return opened

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
        with self.transaction() as db:
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

    def read(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """Return all rows of a query; a file that is not there yet has none."""
        with self._lock, self._translated():
            if self._opened is None and not self._closed and not self._exists():
                return []  # nothing is known yet, and asking must not make a file
            return self._open().execute(sql, values).fetchall()

    def write(self, sql: str, values: tuple[object, ...]) -> None:
        """Make one change, durable when this returns."""
        self._refuse_if_read_only()
        with self._lock, self._translated():
            self._open().execute(sql, values)

    def _exists(self) -> bool:
        return self.path is None or self.path.exists()

    def _refuse_if_read_only(self) -> None:
        if self.read_only:
            raise StoreError(f"{self.path}: this ledger is open for reading only")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Make several changes, all or none of them, with nobody else writing meanwhile."""
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
                "new one is made. Order intents in it are forgotten then: look at the venue's "
                "open and recent orders first, and use new intent keys",
                path=str(self.path),
            )
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StoreLocked(f"{self.path}: another process holds it for over {_BUSY_S:g} s")
        if name == "SQLITE_FULL":
            return StoreFull(f"{self.path}: no space left on the device")
        return StoreError(f"{self.path}: {error}")
