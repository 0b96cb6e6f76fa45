"""What velas must remember beside the candles, in SQLite: absences, listings, bans, keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from velas.ledger_file import LedgerFile
from velas.models import Gap

__all__ = ["IdempotentCall", "Ledger"]

_SETTLE_MS = 24 * 3_600_000
_AGAIN_MS = 3_600_000

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


class Ledger(LedgerFile):
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

    def absent(self, exchange: str, symbol: str, interval: str) -> list[Gap]:
        """Return the ranges the venue proved to have no candles in, oldest first."""
        rows = self.read(
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
        with self.transaction() as db:
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
        self.write(
            "DELETE FROM absent WHERE exchange = ? AND symbol = ? AND interval = ?",
            (exchange, symbol, interval),
        )

    def settled(self, exchange: str, symbol: str, interval: str, *, now_ms: int) -> list[Gap]:
        """Return the absences that need not be asked about again, oldest first.

        One that was young when it was confirmed may have been filled since (venues do,
        after an outage): it counts for an hour, then the venue is asked once more.
        """
        rows = self.read(
            "SELECT start_ms, end_ms, missing, reason FROM absent"
            " WHERE exchange = ? AND symbol = ? AND interval = ?"
            " AND (confirmed_ms >= end_ms + ? OR ? < confirmed_ms + ?) ORDER BY start_ms",
            (exchange, symbol, interval, _SETTLE_MS, now_ms, _AGAIN_MS),
        )
        return [Gap(start, end, missing, reason) for start, end, missing, reason in rows]

    def listing_ms(self, exchange: str, symbol: str, interval: str) -> int | None:
        """Return the open time of the venue's first candle of a series, None if unknown."""
        rows = self.read(
            "SELECT first_ms FROM listing WHERE exchange = ? AND symbol = ? AND interval = ?",
            (exchange, symbol, interval),
        )
        return int(rows[0][0]) if rows else None

    def set_listing_ms(
        self, exchange: str, symbol: str, interval: str, first_ms: int, *, now_ms: int
    ) -> None:
        """Remember the open time of the venue's first candle of a series."""
        self.write(
            "INSERT OR REPLACE INTO listing VALUES (?, ?, ?, ?, ?)",
            (exchange, symbol, interval, first_ms, now_ms),
        )

    def extent(self, exchange: str, symbol: str, interval: str) -> tuple[int, int] | None:
        """Return the first and last open time a series ever had in the store."""
        rows = self.read(
            "SELECT first_ms, last_ms FROM extent"
            " WHERE exchange = ? AND symbol = ? AND interval = ?",
            (exchange, symbol, interval),
        )
        return (int(rows[0][0]), int(rows[0][1])) if rows else None

    def add_extent(
        self, exchange: str, symbol: str, interval: str, first_ms: int, last_ms: int
    ) -> None:
        """Remember that a series reached from `first_ms` to `last_ms`; it never shrinks."""
        self.write(
            "INSERT INTO extent VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " first_ms = min(extent.first_ms, excluded.first_ms),"
            " last_ms = max(extent.last_ms, excluded.last_ms)",
            (exchange, symbol, interval, first_ms, last_ms),
        )

    def ended(self, exchange: str, symbol: str, interval: str) -> tuple[int, int] | None:
        """Return the venue's newest open time of a series that seems over, and when asked."""
        rows = self.read(
            "SELECT last_ms, asked_ms FROM ended"
            " WHERE exchange = ? AND symbol = ? AND interval = ?",
            (exchange, symbol, interval),
        )
        return (int(rows[0][0]), int(rows[0][1])) if rows else None

    def set_ended(
        self, exchange: str, symbol: str, interval: str, last_ms: int, *, asked_ms: int
    ) -> None:
        """Remember that at `asked_ms` the venue had no candle after `last_ms`."""
        self.write(
            "INSERT OR REPLACE INTO ended VALUES (?, ?, ?, ?, ?)",
            (exchange, symbol, interval, last_ms, asked_ms),
        )

    def unchecked(self, exchange: str) -> dict[tuple[str, str], tuple[int, int]]:
        """Return, by symbol and interval, where candles lie that a stream stored unchecked.

        As ``[start_ms, end_ms)`` of open times; REST has not been compared with them yet.
        """
        rows = self.read(
            "SELECT symbol, interval, start_ms, end_ms FROM unchecked WHERE exchange = ?",
            (exchange,),
        )
        return {(symbol, interval): (start, end) for symbol, interval, start, end in rows}

    def set_unchecked(
        self, exchange: str, ranges: Mapping[tuple[str, str], tuple[int, int] | None]
    ) -> None:
        """Remember where unchecked candles lie, None for nowhere; all of it or nothing."""
        with self.transaction() as db:
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
        rows = self.read("SELECT until_ms FROM ban WHERE venue = ?", (venue,))
        return int(rows[0][0]) if rows else 0

    def set_ban(self, venue: str, until_ms: int, reason: str) -> None:
        """Remember a ban, so that a restart does not run into it; the later end stays."""
        self.write(
            "INSERT INTO ban VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
            " until_ms = excluded.until_ms, reason = excluded.reason"
            " WHERE excluded.until_ms > ban.until_ms",
            (venue, until_ms, reason),
        )

    def begin_call(self, key: str, *, now_ms: int, expires_ms: int) -> IdempotentCall | None:
        """Claim `key` for a call; return the call that holds it already, if any.

        Expired keys are cleaned away first; of several claims only one succeeds.
        """
        with self.transaction() as db:
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
        self.write(
            "INSERT OR REPLACE INTO idempotency VALUES (?, 'done', ?, ?)",
            (key, result, expires_ms),
        )

    def drop_call(self, key: str) -> None:
        """Release `key`: its call is known to have had no effect."""
        self.write("DELETE FROM idempotency WHERE key = ?", (key,))

    def clean_calls(self, *, now_ms: int) -> None:
        """Remove the keys that have expired."""
        self.write("DELETE FROM idempotency WHERE expires_ms <= ?", (now_ms,))
