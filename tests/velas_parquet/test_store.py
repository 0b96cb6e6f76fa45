"""The Parquet store beyond the contract: files, folds, readers."""

from __future__ import annotations

import itertools
import os
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from realdata import market_data

from velas import frames
from velas.errors import ConfigError, StoreCorrupt, StoreError
from velas.models import SeriesId
from velas.testing.contracts.store import candles
from velas_parquet import ParquetStore, _encode, _files, _mapping, _snapshot

NAMES = ("BTCUSDT", "1h")


def _files_of(store: ParquetStore) -> list[str]:
    return sorted(path.name for path in (store.root / "BTCUSDT").iterdir())


def test_store_as_built_touches_nothing(tmp_path: Path) -> None:
    store = ParquetStore(str(tmp_path / "a" / "b"))
    assert repr(store) == f"ParquetStore({str(tmp_path / 'a' / 'b')!r})"
    assert store.series() == []
    assert store.load(*NAMES).empty
    assert store.gaps(*NAMES) == []
    assert not store.delete(*NAMES)
    assert store.compact(*NAMES) == 0
    store.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [{"lock_timeout_s": -1}, {"fold_rows": 0}])
def test_store_with_impossible_options_is_refused(tmp_path: Path, bad: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        ParquetStore(tmp_path, **bad)


def test_store_used_alone_gives_the_documented_path(store: ParquetStore) -> None:
    store.save(candles(range(3)), "BTC/USDT", "1h")
    assert (store.root / "BTCUSDT" / "1h.parquet").is_file()


def test_append_small_writes_the_tail_only(store: ParquetStore) -> None:
    store.save(candles(range(30)), *NAMES)
    before = (store.root / "BTCUSDT" / "1h.parquet").stat()
    store.append(candles([30]), *NAMES)
    assert (store.root / "BTCUSDT" / "1h.parquet").stat() == before
    assert _files_of(store) == [".1h.lock", "1h.parquet", "1h.tail.parquet"]


def test_append_big_goes_straight_into_the_main_file(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path, fold_rows=10)
    store.append(candles(range(10)), *NAMES)
    assert _files_of(store) == [".1h.lock", "1h.parquet"]


def test_append_folds_less_often_into_a_longer_series(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path, fold_rows=2)
    store.save(candles(range(200)), *NAMES)
    for slot in range(200, 219):
        store.append(candles([slot]), *NAMES)
    assert store.compact(*NAMES) == 19  # the square root of 2 x 200 was not yet reached
    store.append(candles(range(219, 240)), *NAMES)
    assert store.compact(*NAMES) == 21


def test_append_of_stored_rows_touches_no_file_but_syncs_the_folder(
    disk, store: ParquetStore
) -> None:
    store.append(candles(range(4)), *NAMES)
    before = (store.root / "BTCUSDT" / "1h.tail.parquet").stat()
    disk.steps.clear()
    store.append(candles([1, 2]), *NAMES)
    assert disk.steps == ["sync_folder"]
    assert (store.root / "BTCUSDT" / "1h.tail.parquet").stat() == before


def test_append_to_an_empty_series_is_whole(store: ParquetStore) -> None:
    store.save(candles([]), *NAMES)
    assert store.series() == [SeriesId(*NAMES)]
    store.append(candles([1]), *NAMES)
    assert store.verify(*NAMES) == []
    assert store.get_stats(*NAMES).rows == 1


def test_load_of_one_column_by_its_bare_name(store: ParquetStore) -> None:
    store.save(candles([1]), *NAMES)
    assert list(store.load(*NAMES, columns="close").columns) == ["close"]


def test_file_written_without_an_installed_velas_says_unknown(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    _mapping._version.cache_clear()
    monkeypatch.setattr(_mapping, "version", absent)
    store.save(candles([1]), *NAMES)
    _mapping._version.cache_clear()
    assert store.get_stats(*NAMES).provenance["velas"] == "unknown"


def test_append_of_rows_in_main_and_tail_counts_them_once(store: ParquetStore) -> None:
    store.save(candles(range(6)), *NAMES)
    store.append(candles([3, 6], version=1), *NAMES)
    assert store.append(candles([3], version=2), *NAMES).rows_total == 7
    assert store.append(candles([3]), *NAMES).rows_replaced == 1  # as the main file has it
    assert store.verify(*NAMES) == []
    assert store.get_stats(*NAMES).rows == len(store.load(*NAMES)) == 7
    assert store.compact(*NAMES) == 2


def test_compact_folds_and_counts(store: ParquetStore) -> None:
    store.append(candles(range(4)), *NAMES)
    assert store.compact(*NAMES) == 4
    assert store.compact(*NAMES) == 0
    assert _files_of(store) == [".1h.lock", "1h.parquet"]


def test_close_folds_what_this_store_wrote_only(tmp_path: Path) -> None:
    other = ParquetStore(tmp_path)
    other.append(candles([1]), "ETHUSDT", "1h")
    with ParquetStore(tmp_path) as store:
        store.append(candles([1]), *NAMES)
        store.load("ETHUSDT", "1h")
    assert _files_of(store) == [".1h.lock", "1h.parquet"]
    assert (tmp_path / "ETHUSDT" / "1h.tail.parquet").exists()


def test_close_goes_on_after_an_error_and_raises_it(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.append(candles([1]), "AAAUSDT", "1h")
    store.append(candles([1]), *NAMES)
    (tmp_path / "AAAUSDT" / "1h.tail.parquet").write_bytes(b"")
    with pytest.raises(StoreCorrupt, match="AAAUSDT"):
        store.close()
    assert _files_of(store) == [".1h.lock", "1h.parquet"]


def test_series_ignores_what_is_not_its_own(store: ParquetStore) -> None:
    store.append(candles([1]), "BTC/USDT:USDT-261225", "1M")
    for name in ("x.parquet", "1h.csv", "1h.parquet.damaged-20260101T000000Z", ".1h.parquet.tmp"):
        (store.root / "BTCUSDT_261225" / name).write_bytes(b"")
    for name in ("a b", ".git", "x" * 200):
        (store.root / name).mkdir()
        (store.root / name / "1h.parquet").write_bytes(b"")
    (store.root / "1h.parquet").write_bytes(b"")
    assert store.series() == [SeriesId("BTCUSDT_261225", "1M")]
    assert len(store.load("BTCUSDT_261225", "1M")) == 1


def test_stats_name_files_and_provenance(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path, exchange="binance_spot")
    store.save(candles(range(4)), *NAMES)
    first = store.get_stats(*NAMES).provenance
    store.append(candles([4]), *NAMES)
    stats = store.get_stats(*NAMES)
    assert [Path(name).name for name in stats.files] == ["1h.parquet", "1h.tail.parquet"]
    assert stats.size_bytes == sum(Path(name).stat().st_size for name in stats.files)
    assert stats.provenance["exchange"] == "binance_spot"
    assert stats.provenance["generation"] == first["generation"]
    store.save(candles(range(4)), *NAMES)
    assert store.get_stats(*NAMES).provenance["generation"] != first["generation"]


def test_symlinked_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "candles").symlink_to(tmp_path / "disk")
    ParquetStore(tmp_path / "candles").save(candles([1]), *NAMES)
    assert len(ParquetStore(tmp_path / "disk").load(*NAMES)) == 1


def test_load_of_a_day_reads_a_small_part_of_the_file(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_encode, "ROW_GROUP", 500)
    store.save(candles(range(20_000)), *NAMES)
    size, read = (store.root / "BTCUSDT" / "1h.parquet").stat().st_size, []
    real = os.pread

    def counting(fd: int, length: int, offset: int) -> bytes:
        data = real(fd, length, offset)
        read.append(len(data))
        return data

    store.load(*NAMES, columns=("close",), start_ms=0, end_ms=1)
    monkeypatch.setattr(os, "pread", counting)
    start = int(candles([7_000])["timestamp"][0])
    assert len(store.load(*NAMES, start_ms=start, end_ms=start + 86_400_000)) == 24
    assert sum(read) < size / 30


# -- readers while writers write --------------------------------------------------------


def _between_tail_and_main(monkeypatch: pytest.MonkeyPatch, action) -> None:
    real, calls = _snapshot.open_part, []

    def opened(path: Path, known=None):
        calls.append(path)
        if len(calls) == 2:
            action()
        return real(path, known)

    monkeypatch.setattr(_snapshot, "open_part", opened)


@pytest.mark.parametrize("version", [0, 1])
def test_load_while_a_fold_happens_sees_one_moment(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    writer = ParquetStore(store.root)
    writer.save(candles(range(5)), *NAMES)
    writer.append(candles([5]), *NAMES)

    def action() -> None:
        writer.append(candles([5, 6], version=version), *NAMES)
        writer.compact(*NAMES)

    _between_tail_and_main(monkeypatch, action)
    found = store.load(*NAMES)
    wanted = pd.concat([candles(range(5)), candles([5, 6], version=version)], ignore_index=True)
    pd.testing.assert_frame_equal(found, wanted)


def test_load_while_the_first_fold_happens_sees_one_moment(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ParquetStore(store.root)
    writer.append(candles([5]), *NAMES)
    _between_tail_and_main(monkeypatch, lambda: writer.compact(*NAMES))
    pd.testing.assert_frame_equal(store.load(*NAMES), candles([5]))


def test_load_while_a_series_is_replaced_sees_the_new_one(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ParquetStore(store.root)
    writer.save(candles(range(5)), *NAMES)
    writer.append(candles([9]), *NAMES)
    _between_tail_and_main(monkeypatch, lambda: writer.save(candles([2]), *NAMES))
    pd.testing.assert_frame_equal(store.load(*NAMES), candles([2]))


def test_load_while_a_series_is_deleted_sees_none(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ParquetStore(store.root)
    writer.save(candles(range(5)), *NAMES)
    writer.append(candles([9]), *NAMES)
    _between_tail_and_main(monkeypatch, lambda: writer.delete(*NAMES))
    assert store.load(*NAMES).empty


def test_loaded_file_replaced_meanwhile_is_still_read(store: ParquetStore) -> None:
    store.save(candles(range(5)), *NAMES)
    with store._of(*NAMES).snapshot() as now:
        store.save(candles([7]), *NAMES)
        assert now.read(None, None, ("close",)).num_rows == 5


def test_file_with_the_same_stamp_but_another_checksum_is_read_anew(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # inodes are reused and clocks are coarse: the stamp alone would show the old rows
    real = os.fstat

    class Same:
        st_dev = st_ino = st_mtime_ns = 1

        def __init__(self, fd: int) -> None:
            self.st_size, self.st_mode = real(fd).st_size, real(fd).st_mode

    mine = SimpleNamespace(**vars(os) | {"fstat": Same})
    monkeypatch.setattr(_files, "os", mine)
    path = store.root / "BTCUSDT" / "1h.tail.parquet"
    store.append(candles([1]), *NAMES)
    sizes = []
    for version in range(1, 12):
        ParquetStore(store.root).append(candles([1], version=version), *NAMES)
        pd.testing.assert_frame_equal(store.load(*NAMES), candles([1], version=version))
        sizes.append(path.stat().st_size)
    assert any(one == other for one, other in itertools.pairwise(sizes))


def test_decoder_reading_otherwise_still_gets_checked_bytes(store: ParquetStore) -> None:
    store.save(candles(range(900)), *NAMES)
    part = _files.open_part(store.root / "BTCUSDT" / "1h.parquet")
    assert part is not None
    with part:
        source = _files._Checked(part.path, part._fd, part.footer)
        raw = part.path.read_bytes()
        for start, size in ((10, 5), (4, 300), (50, 1000)):
            source.seek(start)
            assert source.read(size) == raw[start : start + size]
            assert source.tell() == start + size
        source.seek(0)
        with pytest.raises(StoreCorrupt, match="belongs to no column"):
            source.read(2)
    part.close()


def test_prove_of_a_vanished_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreCorrupt, match="gone"):
        _files.read_all(tmp_path / "x")


def test_recorded_series_come_back_equal(store: ParquetStore) -> None:
    path = market_data() / "klines" / "binance_spot_BNBUSDT-1h_2017-2020.csv"
    raw = pd.read_csv(path, header=None).iloc[:, :11]
    raw.columns = [
        "timestamp", "open", "high", "low", "close", "volume", "close_time",
        "quote_volume", "trades", "taker_buy_base", "taker_buy_quote",
    ]  # fmt: skip
    opened = pd.to_datetime(raw["timestamp"], format="ISO8601").astype("datetime64[ms]")
    rows = frames.coerce(raw.assign(timestamp=opened.astype("int64")))
    for part in np.array_split(np.arange(len(rows)), 9):
        store.append(rows.iloc[part], "BNBUSDT", "1h")
    stored = store.load("BNBUSDT", "1h")
    assert frames.digest(stored) == frames.digest(rows)
    assert store.append(rows, "BNBUSDT", "1h").rows_added == 0
    assert store.verify("BNBUSDT", "1h") == []
    stats = store.get_stats("BNBUSDT", "1h")
    assert stats.missing == sum(gap.missing for gap in store.gaps("BNBUSDT", "1h")) > 0


@pytest.mark.parametrize("compacted", [True, False])
def test_append_of_another_exchange_is_refused(tmp_path: Path, compacted: bool) -> None:
    spot = ParquetStore(tmp_path, exchange="binance_spot")
    spot.append(candles([1]), *NAMES)
    if compacted:
        spot.compact(*NAMES)
    with pytest.raises(StoreError, match="of binance_spot, not of binance_futures"):
        ParquetStore(tmp_path, exchange="binance_futures").append(candles([2]), *NAMES)
    assert spot.get_stats(*NAMES).rows == 1
    assert spot.get_stats(*NAMES).provenance["exchange"] == "binance_spot"


@pytest.mark.parametrize(("first", "second"), [("", "kraken"), ("kraken", "")])
def test_append_without_an_exchange_keeps_the_known_one(
    tmp_path: Path, first: str, second: str
) -> None:
    ParquetStore(tmp_path, exchange=first).append(candles([1]), *NAMES)
    store = ParquetStore(tmp_path, exchange=second)
    store.append(candles([2]), *NAMES)
    assert store.get_stats(*NAMES).provenance["exchange"] == "kraken"


def test_append_row_that_says_less_keeps_what_is_known(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    full = candles(range(50))
    store.append(full, "BTCUSDT", "1m")
    store.compact("BTCUSDT", "1m")
    less = full[["timestamp", "open", "high", "low", "close", "volume", "close_time"]].copy()
    less.loc[less.index[7], "close"] += 0.5
    less.loc[less.index[7], "high"] += 0.5
    result = store.append(less, "BTCUSDT", "1m")
    assert result.rows_replaced == 1
    optional = ["quote_volume", "trades", "taker_buy_base", "taker_buy_quote"]
    pd.testing.assert_frame_equal(store.load("BTCUSDT", "1m")[optional], full[optional])


@pytest.mark.parametrize("bound", ["2026-11-01", 1.5, True, pd.Timestamp(0)])
def test_load_bound_that_is_no_whole_number_is_refused(tmp_path: Path, bound: object) -> None:
    for name in ("start_ms", "end_ms"):
        with pytest.raises(ConfigError, match=rf"{name} .*whole milliseconds"):
            ParquetStore(tmp_path).load("BTCUSDT", "1m", **{name: bound})
