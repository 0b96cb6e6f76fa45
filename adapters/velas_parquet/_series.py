"""The write side of one series: append, fold, save, delete, under its lock."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
import numpy as np
import pyarrow as pa

from velas.errors import StoreCorrupt, StoreError, StoreFull
from velas.models import AppendResult
from velas_parquet import _commit
from velas_parquet._encode import encode, regroup
from velas_parquet._errors import translated
from velas_parquet._files import read_all
from velas_parquet._lock import SeriesLock
from velas_parquet._mapping import Header
from velas_parquet._merge import EMPTY, Comparison, Digest, overlay, overlay_stream
from velas_parquet._snapshot import Cache, Snapshot, take

__all__ = ["Series"]


class Series:
    """The files of one symbol and interval in `folder`."""

    def __init__(
        self,
        folder: Path,
        interval: str,
        *,
        exchange: str,
        lock_timeout_s: float,
        fold_rows: int,
    ) -> None:
        self.folder = folder
        self.interval = interval
        self.main_path = folder / f"{interval}.parquet"
        self.tail_path = folder / f"{interval}.tail.parquet"
        self.exchange = exchange
        self.has_written_tail = False
        self._fold_rows = fold_rows
        self._settled = False
        self._cache = Cache()
        self._lock = SeriesLock(folder / f".{interval}.lock", timeout_s=lock_timeout_s)

    def snapshot(self) -> Snapshot:
        """Open the series as of now."""
        return take(self.main_path, self.tail_path, self.interval, self._cache)

    def exists(self) -> bool:
        """Say whether there is a file of the series."""
        return self.main_path.exists() or self.tail_path.exists()

    def append(self, new: pa.Table) -> AppendResult:
        """Merge rows in."""
        if not new.num_rows:
            with self.snapshot() as now:
                return AppendResult(0, 0, now.rows, now.first_ms, now.last_ms)
        with self.writing(), self.snapshot() as now:
            self._refuse_other_exchange(now)
            compared = _compare(new, now)
            result = _result(compared, now)
            if compared.fresh.num_rows:
                self._store(now, compared)
            else:
                # a writer killed after its rename may have left these rows without it
                _commit.sync_folder(self.folder)
            return result

    def compact(self) -> int:
        """Fold the tail in; return how many rows it had."""
        if not self.exists():
            return 0
        with self.writing(), self.snapshot() as now:
            if now.tail is None:
                self._remove_tail()  # one that was folded, or whose series was replaced
                return 0
            tail = now.tail_rows()
            self._fold(now, tail, now.tail.footer.header, now.rows)
            return int(tail.num_rows)

    def save(self, table: pa.Table) -> None:
        """Replace the series."""
        with self.writing():
            # a damaged series may be replaced, a series of another interval may not
            with suppress(StoreCorrupt):
                self.snapshot().close()
            self.replace(table, self.new_header())

    def replace(self, table: pa.Table, header: Header) -> None:
        """Publish `table` as the whole series; its new generation voids the tail at once."""
        self._publish_main([table], header, table.num_rows)
        self._remove_tail()

    def delete(self) -> bool:
        """Remove the series; a crash in between leaves it whole, empty or gone."""
        if not self.exists():
            return False
        with self.writing():
            with suppress(StoreCorrupt), self.snapshot() as now:
                if now.main is not None and now.tail is not None:
                    # neither file alone may pass for the series; should the disk be full,
                    # the tail still says that it needs a main file
                    with suppress(StoreFull), translated(self.main_path):
                        self.replace(EMPTY, self.new_header())
                elif now.main is not None:
                    self._remove_tail()
            existed = self.exists()
            _commit.remove(self.main_path)
            self._remove_tail()
            return existed

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the series' lock; what the system says is about the series."""
        with self._lock.hold(), translated(self.main_path):
            if not self._settled:
                # a writer killed after it made the folder may have left it without this
                _commit.sync_folder(self.folder.parent)
                self._settled = True
            yield

    def new_header(self, *, salvaged: bool = False) -> Header:
        """Return the header of a new generation."""
        return Header(
            symbol=self.folder.name,
            interval=self.interval,
            generation=uuid.uuid4().hex,
            sequence=1,
            exchange=self.exchange,
            salvaged=salvaged,
        )

    def _refuse_other_exchange(self, now: Snapshot) -> None:
        known = now.footers[-1].header.exchange if now.footers else ""
        if known and self.exchange and known != self.exchange:
            raise StoreError(
                f"{self.folder / self.interval}: holds candles of {known}, not of {self.exchange}: "
                f"nothing was stored; keep each exchange below a folder of its own"
            )

    def _store(self, now: Snapshot, compared: Comparison) -> None:
        before = now.footers[-1].header if now.footers else self.new_header()
        replaces = compared.replaced_in_main + (now.tail.footer.header.replaces if now.tail else 0)
        merged = overlay(now.tail_rows(), compared.fresh)
        header = attrs.evolve(
            before,
            sequence=before.sequence + 1,
            standalone=now.main is None,
            replaces=replaces,
            exchange=self.exchange or before.exchange,
        )
        if merged.num_rows >= self._fold_at(now, compared.new.num_rows):
            self._fold(now, merged, header, now.rows + compared.added)
            return
        _commit.publish(
            self.tail_path, partial(encode, tables=[merged], header=header, compression="none")
        )
        self.has_written_tail = True
        with self.snapshot() as written:
            written.remember_tail(merged)

    def _fold_at(self, now: Snapshot, appended: int) -> int:
        # a fold rewrites the main file (n rows), every append the tail (t rows): with b rows
        # an append, n / t + t / 2b is least at t = sqrt(2bn)
        main = now.main.footer.rows if now.main else 0
        return max(self._fold_rows, math.isqrt(2 * appended * main))

    def _fold(self, now: Snapshot, tail: pa.Table, header: Header, rows: int) -> None:
        header = attrs.evolve(header, replaces=0, standalone=True)
        self._publish_main(overlay_stream(now.main_tables(), tail), header, rows)
        self._remove_tail()

    def _publish_main(self, tables: Iterable[pa.Table], header: Header, rows: int) -> None:
        meant = Digest()
        # 2 of 7 ms for a year of 30m; with nothing stored yet there is nothing to lose
        prove = partial(_prove, meant=meant, rows=rows) if self.exists() else None

        def build(file: _commit.Temp) -> None:
            groups = regroup(tables)
            encode(file, map(meant.add, groups) if prove else groups, header, compression="zstd")

        _commit.publish(self.main_path, build, prove)

    def _remove_tail(self) -> None:
        if self.tail_path.exists():
            _commit.remove(self.tail_path)
        self.has_written_tail = False


def _compare(new: pa.Table, now: Snapshot) -> Comparison:
    compared = Comparison(new)
    if now.tail is not None:
        compared.with_tail(now.tail_rows())
    if now.main is not None:
        index = now.main.footer.index
        low = np.searchsorted(compared.stamps, index[:, 0])
        high = np.searchsorted(compared.stamps, index[:, 1], side="right")
        for number in np.flatnonzero(low < high):
            compared.with_main(now.main.read([int(number)]))
    return compared


def _result(compared: Comparison, now: Snapshot) -> AppendResult:
    stamps = compared.stamps
    firsts = [int(stamps[0]), *([] if now.first_ms is None else [now.first_ms])]
    lasts = [int(stamps[-1]), *([] if now.last_ms is None else [now.last_ms])]
    return AppendResult(
        rows_added=compared.added,
        rows_replaced=compared.replaced,
        rows_total=now.rows + compared.added,
        first_ms=min(firsts),
        last_ms=max(lasts),
    )


def _prove(temp: Path, *, meant: Digest, rows: int) -> None:
    try:
        found = read_all(temp)
    except StoreCorrupt as error:
        raise StoreError(f"not published, the old files are untouched: {error}") from error
    if found != meant or not found.ascending or found.rows != rows:
        raise StoreError(
            f"{temp}: not published, the old files are untouched: {rows} rows were to be stored, "
            f"{found.rows} were read back{'' if found.ascending else ' in disorder'}"
            f"{' with other values' if found != meant else ''}"
        )
