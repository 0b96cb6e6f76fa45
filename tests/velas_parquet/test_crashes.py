"""A crash before or within every single step of the commit path loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from velas.errors import StoreCorrupt, StoreError
from velas.testing.contracts.store import candles
from velas_parquet import ParquetStore, _series

Rows = dict[int, int]  # slot -> version
Op = tuple[str, list[int], int]

WORK: dict[str, list[Op]] = {
    "append_and_fold": [
        ("append", [0, 1, 2], 0),
        ("append", [3], 0),
        ("append", [1, 4], 1),
        ("compact", [], 0),
        ("append", [2, 9], 2),
        ("append", [10, 11, 12, 13, 14, 15], 0),
        ("append", [5], 3),
        ("append", [5], 3),
    ],
    "save_and_delete": [
        ("save", [0, 1, 2], 0),
        ("append", [3, 1], 1),
        ("save", [2, 7], 2),
        ("append", [8], 0),
        ("delete", [], 0),
        ("append", [4], 0),
        ("delete", [], 0),
        ("save", [6], 0),
        ("delete", [], 0),
    ],
}


def _after(rows: Rows, op: Op) -> Rows:
    kind, slots, version = op
    if kind == "compact":
        return rows
    new = dict.fromkeys(slots, version)
    return rows | new if kind == "append" else new


def _run(store: ParquetStore, op: Op) -> None:
    kind, slots, version = op
    if kind in ("append", "save"):
        getattr(store, kind)(candles(slots, version=version), "BTCUSDT", "1h")
    else:
        getattr(store, kind)("BTCUSDT", "1h")


def _frame(rows: Rows) -> pd.DataFrame:
    parts = [candles([slot], version=rows[slot]) for slot in sorted(rows)]
    return pd.concat(parts, ignore_index=True) if parts else candles([])


def _assert_is_one_of(root: Path, allowed: list[Rows], what: str) -> None:
    store = ParquetStore(root, fold_rows=6)
    found = store.load("BTCUSDT", "1h")
    assert any(found.equals(_frame(rows)) for rows in allowed), f"{what}: {found}"
    assert store.verify("BTCUSDT", "1h") == [], what
    assert store.get_stats("BTCUSDT", "1h").rows == len(found), what
    result = store.append(candles([40]), "BTCUSDT", "1h")
    assert (result.rows_added, result.rows_total) == (1, len(found) + 1), what
    assert len(store.load("BTCUSDT", "1h")) == len(found) + 1, what
    store.compact("BTCUSDT", "1h")
    assert len(store.load("BTCUSDT", "1h")) == len(found) + 1, what
    names = {path.name for path in (root / "BTCUSDT").iterdir()}
    assert names == {"1h.parquet", ".1h.lock"}, what


def _crash(disk, root: Path, ops: list[Op], at: int, *, torn: bool) -> list[Rows]:
    """Run until the crash; return what may be stored then: before or after the last op."""
    disk.crash_at, disk.torn = at, torn
    store, rows, wanted = ParquetStore(root, fold_rows=6), {}, {}
    try:
        for op in ops:
            wanted = _after(rows, op)
            _run(store, op)
            rows = wanted
    except BaseException as crash:
        if type(crash).__name__ != "SimulatedCrash":
            raise
    disk.revive()
    return [rows, wanted]


def _count_steps(disk, root: Path, ops: list[Op]) -> list[str]:
    _crash(disk, root, ops, -1, torn=False)
    steps = list(disk.steps)
    disk.steps.clear()
    return steps


@pytest.mark.parametrize("work", WORK)
def test_crash_at_every_step_keeps_every_acknowledged_row(disk, tmp_path: Path, work: str) -> None:
    steps = _count_steps(disk, tmp_path / "count", WORK[work])
    assert len(steps) > 40
    for at, name in enumerate(steps):
        for torn in {False, name == "write"}:
            root = tmp_path / f"{at}-{torn}"
            disk.steps.clear()
            allowed = _crash(disk, root, WORK[work], at, torn=torn)
            _assert_is_one_of(root, allowed, f"{work}, step {at} {name}, torn {torn}")


@pytest.mark.parametrize("work", WORK)
def test_power_cut_at_every_step_keeps_every_acknowledged_row(
    disk, tmp_path: Path, work: str
) -> None:
    steps = _count_steps(disk, tmp_path / "count", WORK[work])
    for at, name in enumerate([*steps, "end"]):
        root, left = tmp_path / f"{at}", tmp_path / "left" / f"{at}"
        disk.steps.clear()
        allowed = _crash(disk, root, WORK[work], at, torn=False)
        disk.power_cut(root, left)
        _assert_is_one_of(left, allowed, f"{work}, power cut at step {at} {name}")


def test_crash_simulation_would_notice_a_missing_sync(
    disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("velas_parquet._commit.sync", lambda fd: None)
    with pytest.raises(StoreCorrupt, match="truncated"):
        test_power_cut_at_every_step_keeps_every_acknowledged_row(disk, tmp_path, "append_and_fold")


def test_next_writer_sweeps_what_a_killed_one_left(store: ParquetStore, tmp_path: Path) -> None:
    store.append(candles([1]), "BTCUSDT", "1h")
    folder = tmp_path / "candles" / "BTCUSDT"
    (folder / ".1h.tail.parquet.tmp").write_bytes(b"half")
    (folder / ".1h.parquet.tmp").write_bytes(b"half")
    store.append(candles([2]), "BTCUSDT", "1h")
    store.compact("BTCUSDT", "1h")
    assert sorted(path.name for path in folder.iterdir()) == [".1h.lock", "1h.parquet"]


Break = Callable[[Path], None]


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x40
    path.write_bytes(data)


@pytest.mark.parametrize("how", [_flip, lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_fold_whose_file_reads_back_wrong_is_refused(
    store: ParquetStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Break
) -> None:
    store.save(candles(range(50)), "BTCUSDT", "1h")
    store.append(candles(range(40, 60), version=1), "BTCUSDT", "1h")
    wanted = store.load("BTCUSDT", "1h")
    real = _series._prove

    def broken(temp: Path, **known) -> None:
        how(temp)
        real(temp, **known)

    monkeypatch.setattr(_series, "_prove", broken)
    with pytest.raises(StoreError, match="old files are untouched"):
        store.compact("BTCUSDT", "1h")
    assert store.load("BTCUSDT", "1h").equals(wanted)
    names = sorted(path.name for path in (tmp_path / "candles" / "BTCUSDT").iterdir())
    assert names == [".1h.lock", "1h.parquet", "1h.tail.parquet"]


def test_fold_that_would_lose_a_row_is_refused(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = _series.overlay_stream
    store.save(candles(range(50)), "BTCUSDT", "1h")
    store.append(candles([55]), "BTCUSDT", "1h")
    monkeypatch.setattr(
        _series, "overlay_stream", lambda older, newer: (t.slice(1) for t in real(older, newer))
    )
    with pytest.raises(StoreError, match="51 rows were to be stored"):
        store.close()
    assert len(store.load("BTCUSDT", "1h")) == 51


def test_fold_with_other_values_is_refused(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(candles(range(50)), "BTCUSDT", "1h")
    store.append(candles([55]), "BTCUSDT", "1h")
    real = _series.encode

    def other(file, tables, header, *, compression):
        bent = (t.set_column(4, t.schema.field(4), t.column(1).combine_chunks()) for t in tables)
        real(file, bent, header, compression=compression)

    monkeypatch.setattr(_series, "encode", other)
    with pytest.raises(StoreError, match="with other values"):
        store.compact("BTCUSDT", "1h")
