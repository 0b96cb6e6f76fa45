"""What velas must remember beside the candles, in SQLite: absences, listings, bans, keys."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from velas.errors import StoreError, StoreFull
from velas.models import Gap

__all__ = ["IdempotentCall", "Ledger"]

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS absent (
    exchange TEXT, symbol TEXT, interval TEXT, start_ms INTEGER, end_ms INTEGER,
    missing INTEGER, reason TEXT, confirmed_ms INTEGER,
    PRIMARY KEY (exchange, symbol, interval, start_ms)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS listing (
    exchange TEXT, symbol TEXT, first_ms INTEGER, probed_ms INTEGER,
    PRIMARY KEY (exchange, symbol)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ban (
    venue TEXT PRIMARY KEY, until_ms INTEGER, reason TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY, state TEXT, result BLOB, expires_ms INTEGER
) WITHOUT ROWID;
"""


@attrs.frozen
class IdempotentCall:
    """A call made under a key: `state` is ``in_flight`` or ``done``, `result` JSON."""

    state: str
    result: bytes | None
    expires_ms: int


class Ledger:
    """SQLite at `path` (`db_path` of the settings); in memory when None.

    Safe for several threads and processes; every change is durable when the call
    returns. A context manager; `close` may be called again.

    Raises:
        StoreError: the file is no velas ledger, locked for long, or damaged.
        StoreFull: no space left; what was written before is intact.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._lock = threading.RLock()
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            self.path or ":memory:", check_same_thread=False, timeout=30, isolation_level=None
        )
        self._prepare()

    def absent(self, exchange: str, symbol: str, interval: str) -> list[Gap]:
        """Return the ranges the venue proved to have no candles in, oldest first."""
        rows = self._run(
            "SELECT start_ms, end_ms, missing, reason FROM absent"
            " WHERE exchange = ? AND symbol = ? AND interval = ? ORDER BY start_ms",
            (exchange, symbol, interval),
        )
        return [Gap(*row) for row in rows]

    def add_absent(
        self, exchange: str, symbol: str, interval: str, gaps: Iterable[Gap], *, now_ms: int
    ) -> None:
        """Remember ranges the venue has no candles in; a longer one from the same start wins."""
        with self._lock:
            for gap in gaps:
                self._run(
                    "INSERT INTO absent VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET end_ms = excluded.end_ms,"
                    " missing = excluded.missing, confirmed_ms = excluded.confirmed_ms"
                    " WHERE excluded.end_ms > absent.end_ms",
                    (exchange, symbol, interval, gap.start_ms, gap.end_ms, gap.missing)
                    + (gap.reason, now_ms),
                )

    def forget_absent(self, exchange: str, symbol: str, interval: str) -> None:
        """Forget the absences of a series, so that the venue is asked again."""
        self._run(
            "DELETE FROM absent WHERE exchange = ? AND symbol = ? AND interval = ?",
            (exchange, symbol, interval),
        )

    def listing_ms(self, exchange: str, symbol: str) -> int | None:
        """Return the open time of the venue's first candle of a symbol, None if unknown."""
        rows = self._run(
            "SELECT first_ms FROM listing WHERE exchange = ? AND symbol = ?", (exchange, symbol)
        )
        return int(rows[0][0]) if rows else None

    def set_listing_ms(self, exchange: str, symbol: str, first_ms: int, *, now_ms: int) -> None:
        """Remember the open time of the venue's first candle of a symbol."""
        self._run(
            "INSERT OR REPLACE INTO listing VALUES (?, ?, ?, ?)",
            (exchange, symbol, first_ms, now_ms),
        )

    def ban_until_ms(self, venue: str) -> int:
        """Return when the ban of this address at `venue` ends, 0 if there is none."""
        rows = self._run("SELECT until_ms FROM ban WHERE venue = ?", (venue,))
        return int(rows[0][0]) if rows else 0

    def set_ban(self, venue: str, until_ms: int, reason: str) -> None:
        """Remember a ban, so that a restart does not run into it."""
        self._run("INSERT OR REPLACE INTO ban VALUES (?, ?, ?)", (venue, until_ms, reason))

    def begin_call(self, key: str, *, now_ms: int, expires_ms: int) -> IdempotentCall | None:
        """Claim `key` for a call; return the call that holds it already, if any.

        Expired keys are cleaned away first; of several claims only one succeeds.
        """
        with self._lock:
            self.clean_calls(now_ms=now_ms)
            claimed = self._db.execute(
                "INSERT OR IGNORE INTO idempotency VALUES (?, 'in_flight', NULL, ?)",
                (key, expires_ms),
            ).rowcount
            if claimed:
                return None
            rows = self._run(
                "SELECT state, result, expires_ms FROM idempotency WHERE key = ?", (key,)
            )
            return IdempotentCall(*rows[0])

    def finish_call(self, key: str, result: bytes) -> None:
        """Store the result of the call that holds `key`."""
        self._run("UPDATE idempotency SET state = 'done', result = ? WHERE key = ?", (result, key))

    def drop_call(self, key: str) -> None:
        """Release `key`: its call is known to have had no effect."""
        self._run("DELETE FROM idempotency WHERE key = ?", (key,))

    def clean_calls(self, *, now_ms: int) -> None:
        """Remove the keys that have expired."""
        self._run("DELETE FROM idempotency WHERE expires_ms <= ?", (now_ms,))

    def close(self) -> None:
        """Close the file; may be called again."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = FULL")
        version = self._run("PRAGMA user_version")[0][0]
        if version > _SCHEMA_VERSION:
            self._db.close()
            raise StoreError(
                f"{self.path}: written by a newer velas (schema {version}, this one knows "
                f"{_SCHEMA_VERSION}); upgrade velas or use another db_path"
            )
        with self._lock:
            try:
                self._db.executescript(_SCHEMA)
            except sqlite3.Error as error:
                raise self._translated(error) from error
        self._run(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def _run(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise self._translated(error) from error

    def _translated(self, error: sqlite3.Error) -> StoreError:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            return StoreFull(f"{self.path}: no space left on the device")
        return StoreError(f"{self.path}: {error} (db_path must be a velas ledger)")
