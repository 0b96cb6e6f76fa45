"""The Parquet store and what the disk refuses: space, permission, any step of a write."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from velas.errors import StoreError, StoreFull
from velas.testing.contracts.store import candles
from velas_parquet import ParquetStore, _commit

NAMES = ("BTCUSDT", "1h")


def _files_of(store: ParquetStore) -> list[str]:
    return sorted(path.name for path in (store.root / "BTCUSDT").iterdir())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("call", ["append", "save", "compact"])
def test_full_disk_is_a_clear_error_and_the_old_rows_stay(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    store.save(candles(range(9)), *NAMES)
    store.append(candles([9]), *NAMES)
    before = _files_of(store)

    def refuse(fd: int, data: memoryview) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(_commit, "write", refuse)
        with pytest.raises(StoreFull, match=r"1h\.parquet: no space left.*intact"):
            getattr(store, call)(*(() if call == "compact" else (candles([3, 40]),)), *NAMES)
    assert _files_of(store) == before
    pd.testing.assert_frame_equal(store.load(*NAMES), candles(range(10)))
    assert store.append(candles([10]), *NAMES).rows_total == 11


def test_full_disk_does_not_keep_a_series_from_being_deleted(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(candles(range(9)), *NAMES)
    store.append(candles([9]), *NAMES)

    def refuse(fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_commit, "write", refuse)
    assert store.delete(*NAMES)
    assert _files_of(store) == [".1h.lock"]


FILE_SIZE_LIMIT = """
import resource, sys
from velas.errors import StoreFull
from velas.testing.contracts.store import candles
from velas_parquet import ParquetStore
store = ParquetStore(sys.argv[1])
store.append(candles(range(100)), "BTCUSDT", "1h")
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000))
for write in (store.append, store.save):
    try:
        write(candles(range(50, 9000)), "BTCUSDT", "1h")
    except StoreFull as error:
        print(type(error).__name__)
print(len(store.load("BTCUSDT", "1h")))
"""


def test_real_file_size_limit_is_a_clear_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILE_SIZE_LIMIT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["StoreFull", "StoreFull", "100"], done.stderr
    names = sorted(path.name for path in (tmp_path / "BTCUSDT").iterdir())
    assert names == [".1h.lock", "1h.tail.parquet"]


@pytest.mark.parametrize("step", ["create", "sync", "replace", "sync_folder"])
def test_error_in_any_step_names_the_file(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store.save(candles(range(9)), *NAMES)

    def refuse(*args: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(_commit, step, refuse)
        with pytest.raises(StoreError, match=r"1h\.parquet: Input/output error"):
            store.append(candles([9]), *NAMES)
    assert not any(name.endswith(".tmp") for name in _files_of(store))
    assert store.append(candles([9]), *NAMES).rows_total == 10


def test_clean_up_that_fails_does_not_hide_the_error(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(candles(range(9)), *NAMES)
    real = _commit.unlink

    def refuse(*args: object) -> None:
        monkeypatch.setattr(_commit, "unlink", refuse)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_commit, "write", refuse)
    with pytest.raises(StoreFull):
        store.append(candles([9]), *NAMES)
    monkeypatch.setattr(_commit, "unlink", real)


def test_write_that_takes_a_part_goes_on(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = _commit.write
    monkeypatch.setattr(_commit, "write", lambda fd, data: real(fd, data[:100]))
    monkeypatch.setattr(_commit, "_FLUSH_BYTES", 256)
    store.save(candles(range(99)), *NAMES)
    pd.testing.assert_frame_equal(store.load(*NAMES), candles(range(99)))


def test_temp_held_back_or_closed_writes_nothing(tmp_path: Path) -> None:
    with _commit.Temp(tmp_path / "x") as file:
        file.write(b"sent")
        file.hold()
        file.write(b"held")
        file.flush()
        assert (tmp_path / "x").read_bytes() == b"sent"
        assert file.take() == b"held"
        file.write(b"late")
        file.close()
        file.flush()
        file.write(b"later")
    assert (tmp_path / "x").read_bytes() == b"sent"


@pytest.mark.parametrize("where", ["root", "symbol"])
def test_file_in_place_of_a_folder_is_a_clear_error(tmp_path: Path, where: str) -> None:
    root = tmp_path / "candles"
    if where == "symbol":
        root.mkdir()
    (root if where == "root" else root / "BTCUSDT").write_bytes(b"")
    store = ParquetStore(root)
    with pytest.raises(StoreError, match="a folder of this path is a file"):
        store.append(candles([1]), *NAMES)
    with pytest.raises(StoreError, match="a folder of this path is a file"):
        store.load(*NAMES)


def test_series_of_a_root_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(StoreError, match="is a file"):
        ParquetStore(tmp_path / "x").series()


@pytest.mark.parametrize("call", ["append", "load"])
def test_missing_permission_is_a_clear_error(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store.append(candles([1]), *NAMES)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    if call == "append":
        monkeypatch.setattr(_commit, "create", refuse)
    else:
        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match="permission denied"):
        store.append(candles([2]), *NAMES) if call == "append" else store.load(*NAMES)
