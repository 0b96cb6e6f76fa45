"""A series as of one moment: its open files, read without a lock.

The tail is opened before the main file. A fold publishes the main file first and removes
the tail then, so no row is ever in neither; a tail the main file has already taken in, or
one of a replaced series, is told by generation and sequence and ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs
import pyarrow as pa

from velas.errors import StoreError
from velas_parquet._errors import damaged
from velas_parquet._files import Footer, Part, open_part
from velas_parquet._mapping import Header, Times, times
from velas_parquet._merge import EMPTY, overlay

__all__ = ["Cache", "Snapshot", "counts", "take"]

_TRIES = 20


@attrs.define(eq=False)
class Cache:
    """What was parsed last, valid as long as the files' stamps and checksums say so."""

    main: Footer | None = None
    tail: Footer | None = None
    tail_rows: tuple[Footer, pa.Table] | None = None


class Snapshot:
    """The main file and the tail that counts over it; either may be missing."""

    def __init__(self, main: Part | None, tail: Part | None, cache: Cache) -> None:
        self.main = main
        self.tail = tail
        self._cache = cache

    @property
    def rows(self) -> int:
        """Number of rows of the series."""
        main = self.main.footer.rows if self.main else 0
        tail = self.tail.footer.rows - self.tail.footer.header.replaces if self.tail else 0
        return main + tail

    @property
    def first_ms(self) -> int | None:
        """Open time of the first row, None without rows."""
        return min((at for part in self.footers if (at := part.first_ms) is not None), default=None)

    @property
    def last_ms(self) -> int | None:
        """Open time of the last row, None without rows."""
        return max((at for part in self.footers if (at := part.last_ms) is not None), default=None)

    @property
    def footers(self) -> list[Footer]:
        """The footers of the files that count."""
        return [part.footer for part in self.parts]

    @property
    def parts(self) -> list[Part]:
        """The files that count."""
        return [part for part in (self.main, self.tail) if part is not None]

    def tail_rows(self) -> pa.Table:
        """Return the tail's rows; kept in memory while the file is the same."""
        if self.tail is None:
            return EMPTY
        kept = self._cache.tail_rows
        if kept is None or kept[0] is not self.tail.footer:
            kept = self._cache.tail_rows = (self.tail.footer, self.tail.read().combine_chunks())
        return kept[1]

    def remember_tail(self, rows: pa.Table) -> None:
        """Keep the rows just written, or the next append would read them back."""
        self._cache.tail_rows = (self.footers[-1], rows)

    def main_tables(self) -> Iterator[pa.Table]:
        """Read the main file, a row group at a time."""
        if self.main is not None:
            for number in range(len(self.main.footer.index)):
                yield self.main.read([number])

    def read(self, start_ms: int | None, end_ms: int | None, columns: tuple[str, ...]) -> pa.Table:
        """Return some columns of the rows that open in ``[start_ms, end_ms)``."""
        tail = _between(self.tail_rows(), start_ms, end_ms)
        if self.main is None:
            return tail.select(columns)
        groups = self.main.footer.groups(start_ms, end_ms)
        whole = start_ms is None and end_ms is None
        if whole and not tail.num_rows:
            return self.main.read(groups, columns)
        names = columns if "timestamp" in columns else ("timestamp", *columns)
        rows = _between(self.main.read(groups, names), start_ms, end_ms)
        return overlay(rows, tail.select(names)).select(columns)

    def close(self) -> None:
        """Close the files."""
        for part in self.parts:
            part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def take(main_path: Path, tail_path: Path, interval: str, cache: Cache) -> Snapshot:
    """Open a series as of one moment.

    Raises:
        StoreCorrupt: a file is damaged, or the main file a tail was written over is gone.
        StoreError: the file belongs to another interval.
    """
    for _ in range(_TRIES):
        tail = _opened(tail_path, interval, cache.tail)
        try:
            main = _opened(main_path, interval, cache.main)
        except BaseException:
            if tail is not None:
                tail.close()
            raise
        cache.main = main.footer if main else None
        cache.tail = tail.footer if tail else None
        if tail is None:
            cache.tail_rows = None
            return Snapshot(main, None, cache)
        if main is None and tail.footer.header.standalone:
            return Snapshot(None, tail, cache)
        if main is not None and counts(tail.footer.header, main.footer.header):
            return Snapshot(main, tail, cache)
        tail.close()
        if main is not None:
            return Snapshot(main, None, cache)
        # no main file under a tail that needs one: deleted just now, or lost
    raise damaged(main_path, f"missing, though {tail_path.name} holds rows appended to it")


def counts(tail: Header, main: Header) -> bool:
    """Say whether a tail holds rows the main file has not taken in."""
    return tail.generation == main.generation and tail.sequence > main.sequence


def _opened(path: Path, interval: str, known: Footer | None) -> Part | None:
    part = open_part(path, known)
    if part is not None and part.footer.header.interval != interval:
        found = part.footer.header.interval
        part.close()
        raise StoreError(
            f"{path}: holds candles of {found}, not of {interval}; was it renamed, or can this "
            "file system not tell 1m from 1M?"
        )
    return part


def _between(table: pa.Table, start_ms: int | None, end_ms: int | None) -> pa.Table:
    if (start_ms is None and end_ms is None) or not table.num_rows:
        return table
    stamps: Times = times(table)
    low = 0 if start_ms is None else int(stamps.searchsorted(start_ms))
    high = len(stamps) if end_ms is None else int(stamps.searchsorted(end_ms))
    return table.slice(low, max(0, high - low))
