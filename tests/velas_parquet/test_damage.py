"""Damaged files: an error that names the file, or the right rows; never anything else."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from velas.errors import StoreCorrupt, StoreError
from velas.testing import ManualClock
from velas.testing.contracts.store import candles
from velas_parquet import ParquetStore, _encode
from velas_parquet._files import Footer
from velas_parquet._merge import Comparison

MAIN, TAIL = "1h.parquet", "1h.tail.parquet"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A series of a main file of four row groups and a tail over the end of it."""
    monkeypatch.setattr(_encode, "ROW_GROUP", 10)
    store = ParquetStore(tmp_path)
    store.save(candles(range(40)), "BTCUSDT", "1h")
    store.append(candles(range(38, 50), version=1), "BTCUSDT", "1h")
    return tmp_path / "BTCUSDT"


WHOLE = pd.concat([candles(range(38)), candles(range(38, 50), version=1)], ignore_index=True)


def _load(folder: Path) -> pd.DataFrame:
    return ParquetStore(folder.parent).load("BTCUSDT", "1h")


def _assert_error_or_truth(folder: Path, name: str, what: str) -> bool:
    found: pd.DataFrame | StoreCorrupt
    try:
        found = _load(folder)
    except StoreCorrupt as error:
        found = error
    if isinstance(found, StoreCorrupt):
        assert name in str(found), what
        assert "velas verify --repair" in str(found), what
        assert Path(found.path).name == name, what
        return True
    pd.testing.assert_frame_equal(found, WHOLE, obj=what)
    return False


def _flipped(folder: Path, name: str, places: list[int], rng: random.Random) -> int:
    path = folder / name
    sound = path.read_bytes()
    noticed = 0
    for place in places:
        data = bytearray(sound)
        data[place] ^= rng.randrange(1, 256)
        path.write_bytes(data)
        noticed += _assert_error_or_truth(folder, name, f"byte {place} of {len(sound)}")
    path.write_bytes(sound)
    return noticed


@pytest.mark.parametrize("name", [MAIN, TAIL])
def test_load_with_a_flipped_byte_is_never_wrong(folder: Path, name: str) -> None:
    size = (folder / name).stat().st_size
    places = random.Random(7).sample(range(4, size), 250)
    assert _flipped(folder, name, places, random.Random(8)) == len(places)
    pd.testing.assert_frame_equal(_load(folder), WHOLE)


@pytest.mark.faults
@pytest.mark.parametrize("name", [MAIN, TAIL])
@pytest.mark.parametrize("seed", range(6))
def test_load_with_any_flipped_byte_is_never_wrong(folder: Path, name: str, seed: int) -> None:
    size = (folder / name).stat().st_size
    _flipped(folder, name, list(range(size)), random.Random(seed))


@pytest.mark.parametrize("name", [MAIN, TAIL])
def test_load_of_a_truncated_or_grown_file_is_an_error(folder: Path, name: str) -> None:
    sound = (folder / name).read_bytes()
    for size in [*range(0, 40), *range(40, len(sound), 97), *range(len(sound) - 40, len(sound))]:
        (folder / name).write_bytes(sound[:size])
        assert _assert_error_or_truth(folder, name, f"{size} of {len(sound)} bytes")
    for more in (b"\0", b"PAR1", sound):
        (folder / name).write_bytes(sound + more)
        assert _assert_error_or_truth(folder, name, f"{len(more)} bytes more")


def _foreign(path: Path) -> None:
    candles(range(5)).to_parquet(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _huge_footer(path: Path) -> None:
    path.write_bytes(b"PAR1" + b"x" * 100 + (2**31).to_bytes(4, "little") + b"PAR1")


def _bad_group_count(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.rindex(b"VELASIX1") - 8
    data[at : at + 4] = (2**30).to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize("how", [_foreign, _directory, _huge_footer, _bad_group_count])
def test_load_of_a_file_that_is_no_series_is_an_error(folder: Path, how) -> None:
    how(folder / MAIN)
    with pytest.raises(StoreCorrupt, match=r"1h\.parquet.*repair"):
        _load(folder)


def test_load_of_a_newer_schema_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("velas_parquet._mapping.SCHEMA_VERSION", 2)
        ParquetStore(folder.parent).save(candles([1]), "BTCUSDT", "1h")
    with pytest.raises(StoreCorrupt, match=r"newer velas.*upgrade"):
        _load(folder)


def test_load_of_other_columns_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = _encode.SCHEMA
    names = [{"volume": "size"}.get(name, name) for name in schema.names]
    other = pa.schema([field.with_name(n) for field, n in zip(schema, names, strict=True)])
    with monkeypatch.context() as patch:
        patch.setattr(_encode, "SCHEMA", other)
        patch.setattr("velas_parquet._encode._ENCODINGS", {})
        patch.setattr(
            "velas_parquet._series.regroup",
            lambda ts: [t.cast(schema).rename_columns(names) for t in ts],
        )
        patch.setattr("velas_parquet._series._prove", lambda temp, **known: None)
        patch.setattr("velas_parquet._merge.Digest.add", lambda self, table: table)
        ParquetStore(folder.parent).save(candles([1]), "BTCUSDT", "1h")
    with pytest.raises(StoreCorrupt, match="columns are not timestamp, open"):
        _load(folder)


def test_load_without_the_main_file_is_an_error_not_a_short_series(folder: Path) -> None:
    (folder / MAIN).unlink()
    with pytest.raises(StoreCorrupt, match=r"1h\.parquet: missing, though 1h\.tail"):
        _load(folder)
    with pytest.raises(StoreCorrupt):
        ParquetStore(folder.parent).append(candles([60]), "BTCUSDT", "1h")


@pytest.mark.parametrize("call", ["load", "append"])
def test_file_of_another_interval_is_refused(folder: Path, call: str) -> None:
    (folder / MAIN).rename(folder / "2h.parquet")
    store = ParquetStore(folder.parent)
    with pytest.raises(StoreError, match="candles of 1h, not of 2h"):
        store.load("BTCUSDT", "2h") if call == "load" else store.save(candles([1]), "BTCUSDT", "2h")
    assert (folder / "2h.parquet").exists()


def test_load_whose_decoder_fails_names_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **known: object) -> None:
        raise pa.ArrowInvalid("no such encoding")

    monkeypatch.setattr(pq, "ParquetFile", fail)
    with pytest.raises(StoreCorrupt, match=r"cannot be read \(no such encoding\)"):
        _load(folder)


def test_damaged_main_does_not_leak_files(folder: Path) -> None:
    (folder / MAIN).write_bytes(b"")
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    for _ in range(5):
        with pytest.raises(StoreCorrupt):
            _load(folder)
    after = len(list(Path("/proc/self/fd").iterdir())) if before else 0
    assert after == before


def test_save_over_a_damaged_series_replaces_it(folder: Path) -> None:
    (folder / MAIN).write_bytes(b"")
    ParquetStore(folder.parent).save(candles([3]), "BTCUSDT", "1h")
    pd.testing.assert_frame_equal(_load(folder), candles([3]))


def test_delete_of_a_damaged_series_removes_it(folder: Path) -> None:
    (folder / TAIL).write_bytes(b"")
    assert ParquetStore(folder.parent).delete("BTCUSDT", "1h")
    assert _load(folder).empty


def test_other_parquet_readers_see_the_series(folder: Path) -> None:
    ParquetStore(folder.parent).compact("BTCUSDT", "1h")
    pd.testing.assert_frame_equal(pd.read_parquet(folder / MAIN), WHOLE)


# -- verify and set aside ---------------------------------------------------------------


def _spoil(path: Path, group: int, column: int = 4) -> None:
    chunk = pq.read_metadata(path).row_group(group).column(column)
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size - 1] ^= 1
    path.write_bytes(data)


def _store(folder: Path) -> ParquetStore:
    return ParquetStore(folder.parent, clock=ManualClock(1_795_000_000_000))


def test_verify_of_a_sound_series_finds_nothing_and_set_aside_does_nothing(folder: Path) -> None:
    store = _store(folder)
    assert store.verify("BTCUSDT", "1h") == []
    assert store.set_aside("BTCUSDT", "1h").moved == ()
    assert store.set_aside("ETHUSDT", "1h").moved == ()
    assert not (folder.parent / "ETHUSDT").exists()


def test_set_aside_keeps_the_row_groups_that_read(folder: Path) -> None:
    _spoil(folder / MAIN, 1)
    store = _store(folder)
    assert [one.path.name for one in store.verify("BTCUSDT", "1h")] == [MAIN]
    assert "close" in str(store.verify("BTCUSDT", "1h")[0])
    repair = store.set_aside("BTCUSDT", "1h")
    assert (repair.rows_kept, repair.rows_lost) == (40, 10)
    assert [path.name for path in repair.moved] == ["1h.parquet.damaged-20261118T110640Z"]
    wanted = WHOLE.drop(index=range(10, 20)).reset_index(drop=True)
    pd.testing.assert_frame_equal(_load(folder), wanted)
    assert store.verify("BTCUSDT", "1h") == []
    assert store.get_stats("BTCUSDT", "1h").provenance["salvaged"] == "True"
    assert store.gaps("BTCUSDT", "1h")[0].missing == 10


def test_set_aside_keeps_a_good_tail_of_a_main_file_beyond_reading(folder: Path) -> None:
    (folder / MAIN).write_bytes((folder / MAIN).read_bytes()[:-7])
    repair = _store(folder).set_aside("BTCUSDT", "1h")
    assert (repair.rows_kept, repair.rows_lost) == (12, None)
    pd.testing.assert_frame_equal(_load(folder), candles(range(38, 50), version=1))


def test_set_aside_of_a_damaged_footer_trusts_page_checksums(folder: Path) -> None:
    data = bytearray((folder / MAIN).read_bytes())
    data[data.rindex(b"VELASIX1")] ^= 1
    (folder / MAIN).write_bytes(data)
    repair = _store(folder).set_aside("BTCUSDT", "1h")
    assert repair.rows_kept == 50
    pd.testing.assert_frame_equal(_load(folder), WHOLE)


def test_set_aside_of_a_damaged_footer_and_page_drops_the_row_group(folder: Path) -> None:
    _spoil(folder / MAIN, 2)
    data = bytearray((folder / MAIN).read_bytes())
    data[data.rindex(b"VELASIX1")] ^= 1
    (folder / MAIN).write_bytes(data)
    assert _store(folder).set_aside("BTCUSDT", "1h").rows_kept == 40


def test_set_aside_of_a_damaged_tail_keeps_the_main_file(folder: Path) -> None:
    _spoil(folder / TAIL, 0)
    repair = _store(folder).set_aside("BTCUSDT", "1h")
    assert (repair.rows_kept, repair.rows_lost) == (40, 12)
    pd.testing.assert_frame_equal(_load(folder), candles(range(40)))


def test_set_aside_of_nothing_readable_leaves_an_empty_series(folder: Path) -> None:
    _foreign(folder / MAIN)
    (folder / TAIL).write_bytes(b"")
    repair = _store(folder).set_aside("BTCUSDT", "1h")
    assert len(repair.moved) == 2
    assert _store(folder).series() == []


def test_set_aside_twice_in_a_second_keeps_both_files(folder: Path) -> None:
    store = _store(folder)
    names = []
    for _ in range(2):
        (folder / MAIN).write_bytes(b"")
        names += [path.name for path in store.set_aside("BTCUSDT", "1h").moved]
        store.save(candles(range(4)), "BTCUSDT", "1h")
    assert len(set(names)) == 2


def test_set_aside_of_an_orphan_tail_makes_it_the_series(folder: Path) -> None:
    (folder / MAIN).unlink()
    store = _store(folder)
    assert [one.path.name for one in store.verify("BTCUSDT", "1h")] == [MAIN]
    store.set_aside("BTCUSDT", "1h")
    pd.testing.assert_frame_equal(_load(folder), candles(range(38, 50), version=1))


def test_set_aside_ignores_a_tail_the_main_file_has_taken_in(folder: Path) -> None:
    stale = (folder / TAIL).read_bytes()
    store = _store(folder)
    store.compact("BTCUSDT", "1h")
    store.append(candles([49], version=2), "BTCUSDT", "1h")
    store.compact("BTCUSDT", "1h")
    (folder / TAIL).write_bytes(stale)
    _spoil(folder / MAIN, 0)
    store.set_aside("BTCUSDT", "1h")
    assert _load(folder).iloc[-1]["open"] == candles([49], version=2)["open"][0]


def test_set_aside_of_a_damaged_footer_ignores_the_tail_of_a_replaced_series(
    folder: Path,
) -> None:
    void = (folder / TAIL).read_bytes()
    store = _store(folder)
    store.save(candles(range(40), version=2), "BTCUSDT", "1h")
    (folder / TAIL).write_bytes(void)  # as a crash between the two steps leaves it
    data = bytearray((folder / MAIN).read_bytes())
    data[data.rindex(b"VELASIX1")] ^= 1
    (folder / MAIN).write_bytes(data)
    moved = store.set_aside("BTCUSDT", "1h").moved
    pd.testing.assert_frame_equal(_load(folder), candles(range(40), version=2))
    # the damaged footer may be wrong about that, so the rows are not thrown away
    assert [path.name.partition(".damaged")[0] for path in moved] == [MAIN, TAIL]
    assert moved[1].read_bytes() == void


def test_set_aside_keeps_the_name_of_the_exchange(folder: Path) -> None:
    ParquetStore(folder.parent, exchange="kraken").append(candles([50]), "BTCUSDT", "1h")
    ParquetStore(folder.parent).compact("BTCUSDT", "1h")
    _spoil(folder / MAIN, 1)
    store = _store(folder)
    store.set_aside("BTCUSDT", "1h")
    assert store.get_stats("BTCUSDT", "1h").provenance["exchange"] == "kraken"


def test_set_aside_without_links_copies(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    _spoil(folder / MAIN, 1)
    moved = _store(folder).set_aside("BTCUSDT", "1h").moved
    assert moved[0].stat().st_size > 0


def test_set_aside_on_a_full_disk_is_an_error_and_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    monkeypatch.setattr(shutil, "copy2", refuse)
    _spoil(folder / MAIN, 1)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(StoreError, match="No space"):
        _store(folder).set_aside("BTCUSDT", "1h")
    assert sorted({path.name for path in folder.iterdir()} - {".1h.lock"}) == sorted(
        set(before) - {".1h.lock"}
    )


def test_verify_names_a_series_of_another_symbol(folder: Path) -> None:
    folder.rename(folder.with_name("ETHUSDT"))
    found = ParquetStore(folder.parent).verify("ETHUSDT", "1h")
    assert "is of BTCUSDT, not of ETHUSDT" in str(found[0])


def test_verify_finds_what_checksums_cannot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # files written by a velas with a mistake in it: all checksums hold
    real = _encode.times
    with monkeypatch.context() as patch:
        patch.setattr("velas_parquet._series._prove", lambda temp, **known: None)
        patch.setattr(
            "velas_parquet._series.regroup",
            lambda tables: [t.take(pa.array([2, 1, 1])) for t in tables],
        )
        patch.setattr(_encode, "times", lambda table: real(table) - 5)
        ParquetStore(folder.parent).save(candles(range(3)), "BTCUSDT", "1h")
    text = " ".join(one.problem for one in ParquetStore(folder.parent).verify("BTCUSDT", "1h"))
    assert "out of order" in text
    assert "row group 0 is not what its index says" in text


def test_verify_finds_a_wrong_row_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Footer, "rows", property(lambda self: 7))
    found = ParquetStore(folder.parent).verify("BTCUSDT", "1h")
    assert "40 rows, its footer says 7" in found[0].problem


def test_verify_finds_a_wrong_overlap(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Comparison, "replaced_in_main", property(lambda self: 7))
        ParquetStore(folder.parent).append(candles([60]), "BTCUSDT", "1h")
    found = ParquetStore(folder.parent).verify("BTCUSDT", "1h")
    assert "replaces 2 rows of the main file, not 9" in found[0].problem


def test_salvage_of_a_wrong_schema_keeps_nothing(folder: Path) -> None:
    table = pa.table({"timestamp": np.arange(3)}).replace_schema_metadata()
    header = dict.fromkeys(("velas.schema", "velas.sequence", "velas.replaces"), "1")
    text = ("symbol", "interval", "generation", "standalone", "exchange", "salvaged", "velas")
    header |= {f"velas.{name}": "1h" for name in text}
    pq.write_table(table.replace_schema_metadata(header), folder / MAIN)
    assert _store(folder).set_aside("BTCUSDT", "1h").rows_kept == 12
