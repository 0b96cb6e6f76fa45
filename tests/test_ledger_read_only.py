"""The ledger open for reading only: nothing on the disk is changed, made or needed."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from velas.errors import StoreCorrupt, StoreError, StoreLocked
from velas.ledger import Ledger
from velas.models import Gap

SERIES = ("binance_spot", "BTCUSDT", "1h")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger that knows of one ban, under a name that a URI has to escape."""
    path = tmp_path / "shelf" / "100%41 ?mode=rwc#x.db"
    with Ledger(path) as ledger:
        ledger.set_ban("venue", 5, "418")
    return path


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in folder.iterdir()}


def test_read_only_reads_and_leaves_the_folder_as_it_was(path: Path) -> None:
    before = contents(path.parent)
    with Ledger(path, read_only=True) as ledger:
        assert ledger.ban_until_ms("venue") == 5
        assert contents(path.parent) == before
    assert contents(path.parent) == before
    assert list(before) == [path.name]


def test_read_only_missing_file_is_not_made(tmp_path: Path) -> None:
    with Ledger(tmp_path / "deep" / "velas.db", read_only=True) as ledger:
        assert ledger.ban_until_ms("venue") == 0
    assert list(tmp_path.iterdir()) == []


def test_read_only_without_path_knows_nothing() -> None:
    with Ledger(read_only=True) as ledger:
        assert ledger.absent(*SERIES) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda ledger: ledger.set_ban("venue", 6, "x"),
        lambda ledger: ledger.add_absent(*SERIES, [Gap(1, 2, 1)], now_ms=1),
        lambda ledger: ledger.begin_call("k", now_ms=0, expires_ms=1),
    ],
)
def test_read_only_change_is_refused(path: Path, change: Callable[[Ledger], object]) -> None:
    with Ledger(path, read_only=True) as ledger:
        with pytest.raises(StoreError, match="open for reading only"):
            change(ledger)
        assert ledger.ban_until_ms("venue") == 5


def test_read_only_beside_a_writer_sees_what_is_not_folded_in_yet(path: Path) -> None:
    with Ledger(path) as writer:
        writer.set_ban("venue", 9, "418")
        before = contents(path.parent)
        with Ledger(path, read_only=True) as ledger:
            assert ledger.ban_until_ms("venue") == 9
            writer.set_ban("venue", 10, "418")
            assert ledger.ban_until_ms("venue") == 9
        assert set(contents(path.parent)) == set(before)


def test_read_only_file_changed_while_it_was_copied_is_copied_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, ways, writers = Ledger._copy, list[str](), list[Ledger]()

    def copy_while_somebody_writes(self: Ledger, how: str) -> sqlite3.Connection:
        copied = copy(self, how)
        if not ways:
            writers.append(Ledger(path))
            writers[0].set_ban("venue", 9, "418")
        ways.append(how)
        return copied

    monkeypatch.setattr(Ledger, "_copy", copy_while_somebody_writes)
    with Ledger(path, read_only=True) as ledger:
        assert ledger.ban_until_ms("venue") == 9
    assert ways == ["immutable=1", "mode=ro"]
    writers[0].close()


@pytest.fixture
def unfolded(path: Path, tmp_path: Path) -> Path:
    """A copy of a ledger whose writer was killed: with a -wal file, without a -shm file."""
    folder = tmp_path / "copy"
    folder.mkdir()
    with Ledger(path) as writer:
        writer.set_ban("venue", 9, "418")
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", folder / f"velas.db{suffix}")
    return folder / "velas.db"


def test_read_only_side_files_not_to_be_made_gives_what_is_folded_in(
    unfolded: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connect = sqlite3.connect

    def connect_as_on_a_read_only_folder(target: str, **options: object) -> sqlite3.Connection:
        if target.endswith("?mode=ro"):
            target = target.replace("velas.db", "none/velas.db")  # fails with CANTOPEN, too
        return connect(target, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect_as_on_a_read_only_folder)
    before = contents(unfolded.parent)
    with (
        caplog.at_level(logging.WARNING, logger="velas.ledger_file"),
        Ledger(unfolded, read_only=True) as ledger,
    ):
        assert ledger.ban_until_ms("venue") == 5
    assert "without them" in caplog.text
    assert contents(unfolded.parent) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("fixture", ["path", "unfolded"])
def test_read_only_folder_without_permission_to_write_is_read(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    found: Path = request.getfixturevalue(fixture)
    before = contents(found.parent)
    found.chmod(0o400)
    found.parent.chmod(0o500)
    try:
        with Ledger(found, read_only=True) as ledger:
            assert ledger.ban_until_ms("venue") == 5
        assert contents(found.parent) == before
    finally:
        found.parent.chmod(0o700)


def test_read_only_older_file_that_lacks_a_table_knows_nothing_of_it(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.write("DROP TABLE ended", ())
    before = contents(path.parent)
    with Ledger(path, read_only=True) as ledger:
        assert ledger.ended(*SERIES) is None
    assert contents(path.parent) == before


@pytest.mark.parametrize(
    ("pragma", "said"),
    [("application_id = 7", "another program"), ("user_version = 99", "newer velas")],
)
def test_read_only_file_of_others_is_refused(path: Path, pragma: str, said: str) -> None:
    with Ledger(path) as ledger:
        ledger.write(f"PRAGMA {pragma}", ())
    with pytest.raises(StoreError, match=said):
        Ledger(path, read_only=True)


def test_read_only_damaged_file_is_named(path: Path) -> None:
    path.write_bytes(b"no SQLite file at all " * 100)
    with pytest.raises(StoreCorrupt) as caught:
        Ledger(path, read_only=True)
    assert caught.value.path == str(path)


def test_read_only_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open"):
        Ledger(tmp_path, read_only=True)


def test_read_only_damage_found_on_the_way_beside_a_wal_file_is_named(unfolded: Path) -> None:
    Path(f"{unfolded}-wal").write_bytes(b"x")
    unfolded.write_bytes(b"no SQLite file at all " * 500)
    with pytest.raises(StoreError, match=r"velas\.db: "):
        Ledger(unfolded, read_only=True)


def test_read_only_file_held_too_long_is_told(
    unfolded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(self: Ledger, how: str) -> sqlite3.Connection:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorname = "SQLITE_BUSY"
        raise error

    monkeypatch.setattr(Ledger, "_copy", held)
    with pytest.raises(StoreLocked, match="another process holds it"):
        Ledger(unfolded, read_only=True)
