"""Integrity: name what is damaged in a series, set it aside, keep what still reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from velas.errors import StoreCorrupt, StoreError
from velas_parquet import _commit
from velas_parquet._files import Part, open_part
from velas_parquet._mapping import SCHEMA, Header, ascending, times
from velas_parquet._merge import EMPTY, Digest, find, overlay
from velas_parquet._series import Series
from velas_parquet._snapshot import Snapshot, counts

__all__ = ["Damage", "Repair", "repair", "verify"]


@attrs.frozen
class Damage:
    """One thing that is wrong with a file."""

    path: Path
    problem: str

    def __str__(self) -> str:
        return self.problem if str(self.path) in self.problem else f"{self.path}: {self.problem}"


@attrs.frozen
class Repair:
    """What a repair did: the damaged files' new names, rows kept of them and rows lost.

    `rows_lost` is None where a file is too damaged to say how many rows it had. Nothing
    was wrong when `moved` is empty.
    """

    moved: tuple[Path, ...] = ()
    rows_kept: int = 0
    rows_lost: int | None = 0


@attrs.frozen
class _Salvage:
    rows: pa.Table = EMPTY
    lost: int | None = 0
    header: Header | None = None


def verify(series: Series) -> list[Damage]:
    """Return what is wrong with a series, reading all of it; changes nothing."""
    try:
        with series.snapshot() as now:
            return [one for part in now.parts for one in _check(part, series)] + _overlap(now)
    except StoreCorrupt as error:
        found = [one for path in _paths(series) for one in _check_file(path, series)]
        return found or [Damage(Path(error.path), str(error))]


def repair(series: Series, *, now_ms: int) -> Repair:
    """Set damaged files aside and publish the rows that still read as the series."""
    if not series.exists():
        return Repair()
    with series.writing():
        found = verify(series)
        if not found:
            return Repair()
        main, tail = (_salvage(path) for path in _paths(series))
        suspects = {one.path for one in found}
        if main.header and tail.header and not counts(tail.header, main.header):
            if main.lost is None:
                # what says so is in a damaged footer, and may itself be what is damaged
                suspects.add(series.tail_path)
            tail = _Salvage()
        rows = overlay(main.rows, tail.rows)
        bad = [path for path in _paths(series) if path in suspects]
        moved = tuple(_aside(path, now_ms) for path in bad if path.exists())
        if rows.num_rows:
            known = next((one.header.exchange for one in (main, tail) if one.header), "")
            header = series.new_header(salvaged=True)
            series.replace(rows, attrs.evolve(header, exchange=known or header.exchange))
        else:
            _commit.remove(series.tail_path)
            _commit.remove(series.main_path)
        lost = None if main.lost is None or tail.lost is None else main.lost + tail.lost
        return Repair(moved, rows.num_rows, lost)


def _paths(series: Series) -> tuple[Path, Path]:
    return series.main_path, series.tail_path


def _check_file(path: Path, series: Series) -> list[Damage]:
    try:
        part = open_part(path)
    except StoreCorrupt as error:
        return [Damage(path, str(error))]
    if part is None:
        return []
    with part:
        return _check(part, series)


def _check(part: Part, series: Series) -> list[Damage]:
    header, found = part.footer.header, []
    if header.symbol != series.folder.name:
        found.append(Damage(part.path, f"is of {header.symbol}, not of {series.folder.name}"))
    digest = Digest()
    for number, (first, last) in enumerate(part.footer.index[:, :2].tolist()):
        try:
            table = digest.add(part.read([number], check_pages=True))
        except StoreCorrupt as error:
            return [*found, Damage(part.path, str(error))]
        stamps = times(table)
        if (first, last) != (stamps[0], stamps[-1]):
            found.append(Damage(part.path, f"row group {number} is not what its index says"))
    if digest.rows != part.footer.rows:
        found.append(Damage(part.path, f"{digest.rows} rows, its footer says {part.footer.rows}"))
    if not digest.ascending:
        found.append(Damage(part.path, "rows out of order or repeated"))
    return found


def _overlap(now: Snapshot) -> list[Damage]:
    if now.main is None or now.tail is None:
        return []
    stored, wanted = times(now.main.read(columns=("timestamp",))), times(now.tail_rows())
    same, said = int(np.count_nonzero(find(stored, wanted)[1])), now.tail.footer.header.replaces
    if same == said:
        return []
    return [Damage(now.tail.path, f"replaces {same} rows of the main file, not {said} as it says")]


def _salvage(path: Path) -> _Salvage:
    try:
        part = open_part(path)
    except StoreCorrupt:
        header, tables = _plain(path)
        return _Salvage(_joined(tables), None, header)
    if part is None:
        return _Salvage()
    tables, lost = [], 0
    with part:
        for number in range(len(part.footer.index)):
            try:
                tables.append(part.read([number], check_pages=True))
            except StoreCorrupt:
                lost += part.footer.metadata.row_group(number).num_rows
    return _Salvage(_joined(tables), lost, part.footer.header)


def _plain(path: Path) -> tuple[Header | None, list[pa.Table]]:
    # footer or index are damaged: trust what Parquet itself still reads with page checksums,
    # if it says that it is ours
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        header = Header.from_metadata(file.metadata.metadata)
        if not file.schema_arrow.equals(SCHEMA):
            return None, []
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return None, []
    with file:
        return header, list(_readable(file))


def _readable(file: pq.ParquetFile) -> Iterator[pa.Table]:
    for number in range(file.num_row_groups):
        try:
            table = file.read_row_group(number).combine_chunks()
            table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError):
            continue
        yield table


def _joined(tables: list[pa.Table]) -> pa.Table:
    return ascending(pa.concat_tables([EMPTY, *tables]).combine_chunks())


def _aside(path: Path, now_ms: int) -> Path:
    stamp = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    target = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    try:
        _commit.link(path, target)
    except OSError as error:
        raise StoreError(f"{path}: cannot be set aside as {target.name}: {error}") from error
    return target
