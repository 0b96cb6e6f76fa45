"""`ParquetStore`: the `Store` contract over one folder of Parquet files."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from velas import frames
from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import ConfigError, StoreError
from velas.interval import INTERVALS, Interval
from velas.models import AppendResult, Gap, SeriesId, SeriesStats
from velas.symbols import series_key
from velas_parquet._errors import translated
from velas_parquet._mapping import Times, check_ms, choose_columns, to_frame, to_table
from velas_parquet._repair import Damage, Repair, repair, verify
from velas_parquet._series import Series
from velas_parquet._snapshot import Snapshot

if TYPE_CHECKING:
    import pandas as pd

    from velas.config import Settings

__all__ = ["ParquetStore"]


class ParquetStore:
    """Candle series as Parquet files below `root`: ``<root>/BTCUSDT/1h.parquet``.

    Rows appended go into ``1h.tail.parquet`` first, a small file that is folded into the
    main one when it has grown to `fold_rows` rows or the square root of the series, by
    `compact` and by `close`. Until then nothing is lost either: both are the series.
    Every change is written beside, forced to the disk and renamed; every byte read is
    compared with a checksum. One lock file per series lets several threads, stores and
    processes write; `lock_timeout_s` is how long to wait for it. Readers need no lock.

    A context manager; the constructor does no I/O. `exchange` is noted in the files;
    rows of another exchange are not appended to a series.

    Raises:
        StoreCorrupt: a file is damaged, is no candle file, or was written by a newer velas.
        StoreLocked: the lock was held by another for `lock_timeout_s`.
        StoreFull: no space left; what was stored before is intact.
        StoreError: the folder cannot be read or written, or holds another exchange's candles.
        ConfigError: an unknown interval, or a symbol that could leave its folder.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        exchange: str = "",
        lock_timeout_s: float = 30.0,
        fold_rows: int = 4096,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if lock_timeout_s < 0 or fold_rows < 1:
            raise ConfigError(
                f"lock_timeout_s {lock_timeout_s!r} must not be negative, "
                f"fold_rows {fold_rows!r} must be positive"
            )
        self.root = Path(root)
        self.exchange = exchange
        self._lock_timeout_s = lock_timeout_s
        self._fold_rows = fold_rows
        self._clock = clock
        self._series: dict[SeriesId, Series] = {}
        self._mutex = threading.Lock()

    @classmethod
    def from_settings(cls, settings: Settings, *, exchange: str) -> Self:
        """Return the store of an exchange's candles, below the settings' `data_dir`."""
        return cls(Path(settings.data_dir) / "candles" / exchange, exchange=exchange)

    def __repr__(self) -> str:
        return f"ParquetStore({str(self.root)!r})"

    def save(self, frame: pd.DataFrame, symbol: str, interval: str | Interval) -> None:
        """Replace the series by `frame`; rows may come unsorted, of equal times the last counts."""
        series = self._of(symbol, interval)
        series.save(to_table(frame, Interval.of(interval)))

    def append(self, frame: pd.DataFrame, symbol: str, interval: str | Interval) -> AppendResult:
        """Merge rows in by open time; a newer row wins; rows stored already are not written.

        Where a newer row says nothing (a null volume or count), the known value stays.
        """
        series = self._of(symbol, interval)
        return series.append(to_table(frame, Interval.of(interval)))

    def load(
        self,
        symbol: str,
        interval: str | Interval,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        columns: tuple[str, ...] | None = None,
    ) -> pd.DataFrame:
        """Return the candles that open in ``[start_ms, end_ms)``, ascending and unique.

        `columns` come in the order they are named. No series, no rows; a range that ends
        before it starts, or a bound that is no whole number, is a `ConfigError`.
        """
        names = choose_columns(columns)
        check_ms("start_ms", start_ms)
        check_ms("end_ms", end_ms)
        if start_ms is not None and end_ms is not None and end_ms < start_ms:
            raise ConfigError(f"end_ms {end_ms} lies before start_ms {start_ms}")
        with self._of(symbol, interval).snapshot() as now:
            return to_frame(now.read(start_ms, end_ms, names))

    def get_stats(self, symbol: str, interval: str | Interval) -> SeriesStats:
        """Return size and extent; `missing` counts empty slots between first and last row."""
        grid = Interval.of(interval)
        series = self._of(symbol, interval)
        with series.snapshot() as now:
            slots = grid.slot(_times(now))
            expected = int(slots[-1] - slots[0]) + 1 if len(slots) else 0
            filled = int(np.count_nonzero(np.diff(slots))) + 1 if len(slots) else 0
            provenance = now.footers[-1].header.provenance() if now.footers else {}
            return SeriesStats(
                symbol=series.folder.name,
                interval=grid.name,
                rows=now.rows,
                first_ms=now.first_ms,
                last_ms=now.last_ms,
                expected=expected,
                missing=expected - filled,
                size_bytes=sum(part.footer.stamp[2] for part in now.parts),
                files=tuple(str(part.path) for part in now.parts),
                provenance=provenance,
            )

    def gaps(self, symbol: str, interval: str | Interval) -> list[Gap]:
        """Return the slots without a candle between the first and the last row."""
        with self._of(symbol, interval).snapshot() as now:
            return frames.gaps(_times(now), interval)

    def series(self) -> list[SeriesId]:
        """Return what is stored, by symbol and interval length; other files are ignored."""
        with translated(self.root):
            try:
                folders = [path for path in self.root.iterdir() if path.is_dir()]
            except FileNotFoundError:
                return []
            return [
                SeriesId(folder.name, interval)
                for folder in sorted(folders)
                if _is_key(folder.name)
                for interval in _intervals({path.name for path in folder.iterdir()})
            ]

    def delete(self, symbol: str, interval: str | Interval) -> bool:
        """Remove a series; say whether there was one."""
        return self._of(symbol, interval).delete()

    def compact(self, symbol: str, interval: str | Interval) -> int:
        """Fold the tail into the main file now; return how many rows it had."""
        return self._of(symbol, interval).compact()

    def verify(self, symbol: str, interval: str | Interval) -> list[Damage]:
        """Read every byte of a series and return what is wrong with it; changes nothing.

        Checks all checksums, the order and uniqueness of rows, the row counts, and that
        the files are of this series.
        """
        return verify(self._of(symbol, interval))

    def set_aside(self, symbol: str, interval: str | Interval) -> Repair:
        """Move damaged files to ``<name>.damaged-<time>``; keep every row that still reads.

        A sound series is left alone.
        """
        return repair(self._of(symbol, interval), now_ms=self._clock.now_ms())

    def close(self) -> None:
        """Fold the tails this store has written; it may be used and closed again.

        A series that cannot be folded keeps its tail, which is as safe; the first such
        error is raised once all others are done.
        """
        failed: list[StoreError] = []
        for series in list(self._series.values()):
            if series.has_written_tail:
                try:
                    series.compact()
                except StoreError as error:
                    failed.append(error)
        if failed:
            raise failed[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _of(self, symbol: str, interval: str | Interval) -> Series:
        name = SeriesId(series_key(symbol), Interval.of(interval).name)
        with self._mutex:
            if name not in self._series:
                self._series[name] = Series(
                    self.root / name.symbol,
                    name.interval,
                    exchange=self.exchange,
                    lock_timeout_s=self._lock_timeout_s,
                    fold_rows=self._fold_rows,
                )
            return self._series[name]


def _times(now: Snapshot) -> Times:
    stamps: Times = now.read(None, None, ("timestamp",)).column(0).to_numpy()
    return stamps


def _is_key(name: str) -> bool:
    try:
        return series_key(name) == name
    except ConfigError:
        return False


def _intervals(names: set[str]) -> list[str]:
    return [
        interval
        for interval in INTERVALS
        if f"{interval}.parquet" in names or f"{interval}.tail.parquet" in names
    ]
