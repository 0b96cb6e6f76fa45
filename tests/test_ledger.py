"""The ledger: absences, listings, bans, keys; durable, shared, and clear when it cannot be."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

import velas.ledger_file
from velas.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked
from velas.ledger import IdempotentCall, Ledger
from velas.models import Gap

SERIES = ("binance_spot", "BTCUSDT", "1h")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "velas.db"


def test_absent_is_given_back_oldest_first_after_reopening(path: Path) -> None:
    gaps = [Gap(50, 60, 1, "venue"), Gap(10, 30, 2, "venue")]
    with Ledger(path) as ledger:
        ledger.add_absent(*SERIES, gaps, now_ms=1)
    with Ledger(path) as ledger:
        assert ledger.absent(*SERIES) == sorted(gaps, key=lambda gap: gap.start_ms)
        assert ledger.absent("binance_spot", "BTCUSDT", "2h") == []


def test_absent_longer_from_same_start_stays() -> None:
    with Ledger() as ledger:
        for gap in (Gap(10, 30, 2), Gap(10, 50, 4, "venue"), Gap(10, 20, 1)):
            ledger.add_absent(*SERIES, [gap], now_ms=1)
        assert ledger.absent(*SERIES) == [Gap(10, 50, 4, "venue")]


def test_absent_all_or_none_are_added() -> None:
    def failing() -> object:
        yield Gap(10, 20, 1)
        raise KeyError("source")

    with Ledger() as ledger:
        with pytest.raises(KeyError):
            ledger.add_absent(*SERIES, failing(), now_ms=1)  # type: ignore[arg-type]
        assert ledger.absent(*SERIES) == []


def test_absent_forgotten_is_gone() -> None:
    with Ledger() as ledger:
        ledger.add_absent(*SERIES, [Gap(10, 20, 1)], now_ms=1)
        ledger.forget_absent(*SERIES)
        assert ledger.absent(*SERIES) == []


def test_listing_is_remembered_and_replaced() -> None:
    with Ledger() as ledger:
        assert ledger.listing_ms(*SERIES) is None
        ledger.set_listing_ms(*SERIES, 5, now_ms=1)
        ledger.set_listing_ms(*SERIES, 4, now_ms=2)
        assert ledger.listing_ms(*SERIES) == 4


def test_ban_later_end_stays() -> None:
    with Ledger() as ledger:
        assert ledger.ban_until_ms("venue") == 0
        ledger.set_ban("venue", 100, "418")
        ledger.set_ban("venue", 50, "418")
        assert ledger.ban_until_ms("venue") == 100


def test_call_is_claimed_once_then_given_back() -> None:
    with Ledger() as ledger:
        assert ledger.begin_call("k", now_ms=0, expires_ms=10) is None
        second = ledger.begin_call("k", now_ms=0, expires_ms=20)
        assert second == IdempotentCall("in_flight", None, 10)
        ledger.finish_call("k", b"1", expires_ms=10)
        third = ledger.begin_call("k", now_ms=0, expires_ms=20)
        assert third == IdempotentCall("done", b"1", 10)


def test_call_dropped_or_expired_can_be_claimed_again() -> None:
    with Ledger() as ledger:
        ledger.begin_call("k", now_ms=0, expires_ms=10)
        ledger.drop_call("k")
        assert ledger.begin_call("k", now_ms=0, expires_ms=10) is None
        assert ledger.begin_call("k", now_ms=10, expires_ms=20) is None
        ledger.clean_calls(now_ms=20)
        assert ledger.begin_call("k", now_ms=11, expires_ms=30) is None


def test_file_is_its_owners_only(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.set_ban("venue", 1, "x")
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {0o600}


def test_file_is_written_durably(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.set_ban("venue", 1, "x")
        assert ledger.read("PRAGMA journal_mode", ()) == [("wal",)]
        assert ledger.read("PRAGMA synchronous", ()) == [(2,)]


def test_close_again_is_harmless_and_use_after_it_is_told(path: Path) -> None:
    ledger = Ledger(path)
    closed_at_first = ledger.closed
    assert not closed_at_first
    ledger.close()
    ledger.close()
    assert ledger.closed
    with pytest.raises(StoreError, match="this ledger is closed"):
        ledger.ban_until_ms("venue")


def test_open_text_file_is_refused_and_untouched(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious " * 500)
    with pytest.raises(StoreCorrupt, match=r"velas.db: damaged, or no velas ledger") as raised:
        Ledger(path)
    assert raised.value.path == str(path)
    assert path.read_text() == "precious " * 500
    assert [file.name for file in path.parent.iterdir()] == ["velas.db"]


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE theirs (a)", "PRAGMA application_id = 77"], ids=["table", "id"]
)
def test_open_other_programs_database_is_refused_and_untouched(path: Path, statement: str) -> None:
    path.parent.mkdir()
    theirs = sqlite3.connect(path)
    theirs.execute(statement)
    theirs.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="belongs to another program"):
        Ledger(path)
    assert path.read_bytes() == before


def test_open_newer_schema_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(velas.ledger_file, "_SCHEMA_VERSION", 7)
    with Ledger(path) as ledger:
        ledger.set_ban("venue", 1, "x")
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"newer velas \(schema 7, this one knows 1\)"):
        Ledger(path)


def test_open_folder_or_below_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened: Is a directory"):
        Ledger(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened"):
        Ledger(tmp_path / "file" / "velas.db").set_ban("venue", 1, "x")


def test_reading_what_is_not_there_makes_no_file(path: Path) -> None:
    with Ledger(path) as ledger:
        assert ledger.absent(*SERIES) == []
        assert ledger.listing_ms(*SERIES) is None
        assert ledger.extent(*SERIES) is None
        assert ledger.settled(*SERIES, now_ms=0) == []
        assert ledger.ban_until_ms("venue") == 0
    assert not path.exists()


def test_absences_that_follow_one_another_are_kept_as_one(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.add_absent(*SERIES, [Gap(1, 3, 2, "venue")], now_ms=1)
        ledger.add_absent(*SERIES, [Gap(3, 4, 1, "venue"), Gap(4, 5, 1, "other")], now_ms=2)
        assert ledger.absent(*SERIES) == [Gap(1, 4, 3, "venue"), Gap(4, 5, 1, "other")]


def test_damaged_page_is_named(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.add_absent(*SERIES, [Gap(2 * n, 2 * n + 1, 1) for n in range(2000)], now_ms=1)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match=r"velas\.db: damaged"), Ledger(path) as ledger:
        ledger.absent(*SERIES)


def test_full_disk_is_told_and_what_was_there_stays(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.add_absent(*SERIES, [Gap(1, 2, 1)], now_ms=1)
        ledger.write("PRAGMA max_page_count = 12", ())
        many = [Gap(2 * n + 5, 2 * n + 6, 1) for n in range(9999)]
        with pytest.raises(StoreFull, match="no space left"):
            ledger.add_absent(*SERIES, many, now_ms=1)
        assert ledger.absent(*SERIES) == [Gap(1, 2, 1)]
        ledger.set_ban("venue", 1, "x")


def test_read_only_file_is_told(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.set_ban("venue", 0, "x")
        ledger.write("PRAGMA query_only = 1", ())
        with pytest.raises(StoreError, match="readonly"):
            ledger.set_ban("venue", 1, "x")


def test_held_by_another_process_too_long_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(velas.ledger_file, "_BUSY_S", 0.01)
    with Ledger(path) as ledger, Ledger(path) as other:
        other.write("BEGIN IMMEDIATE", ())
        with pytest.raises(StoreLocked, match="another process holds it"):
            ledger.set_ban("venue", 1, "x")
        with pytest.raises(StoreLocked):
            ledger.begin_call("k", now_ms=0, expires_ms=1)
        other.write("ROLLBACK", ())


def test_threads_claim_each_key_once(path: Path) -> None:
    claimed: list[str] = []

    def claim() -> None:
        for number in range(20):
            if ledger.begin_call(str(number), now_ms=0, expires_ms=10) is None:
                claimed.append(str(number))

    with Ledger(path) as ledger:
        threads = [threading.Thread(target=claim) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(claimed, key=int) == [str(number) for number in range(20)]


def test_processes_open_a_new_file_at_once_and_claim_each_key_once(path: Path) -> None:
    claim_all = """
        for number in range(20):
            if ledger.begin_call(str(number), now_ms=0, expires_ms=10) is None:
                print(number)
        """
    processes = [_start(path, claim_all) for _ in range(4)]
    claims = [process.communicate(timeout=30)[0].split() for process in processes]
    assert sorted(int(key) for claimed in claims for key in claimed) == list(range(20))


def test_killed_process_leaves_what_it_had_reported(path: Path) -> None:
    write_and_die = """
        for number in range(100):
            ledger.set_ban("venue", number, "x")
        os._exit(9)
        """
    process = _start(path, write_and_die)
    process.communicate(timeout=30)
    assert process.returncode == 9
    with Ledger(path) as ledger:
        assert ledger.ban_until_ms("venue") == 99


def _start(path: Path, work: str) -> subprocess.Popen[str]:
    head = "import os, sys\nfrom velas.ledger import Ledger\nwith Ledger(sys.argv[1]) as ledger:"
    code = head + textwrap.indent(textwrap.dedent(work), "    ")
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )


def test_extent_never_shrinks(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.add_extent(*SERIES, 10, 20)
        ledger.add_extent(*SERIES, 12, 30)
        ledger.add_extent(*SERIES, 5, 15)
        assert ledger.extent(*SERIES) == (5, 30)


def test_absence_confirmed_while_young_is_asked_about_again(path: Path) -> None:
    hour, day = 3_600_000, 86_400_000
    young, old = Gap(10 * day, 10 * day + hour, 1, "venue"), Gap(hour, 2 * hour, 1, "venue")
    with Ledger(path) as ledger:
        ledger.add_absent(*SERIES, [young, old], now_ms=10 * day + 2 * hour)
        at_once = ledger.settled(*SERIES, now_ms=10 * day + 2 * hour)
        assert at_once == [old, young]
        assert ledger.settled(*SERIES, now_ms=10 * day + 4 * hour) == [old]
        ledger.add_absent(*SERIES, [young], now_ms=12 * day)
        assert ledger.settled(*SERIES, now_ms=99 * day) == [old, young]
        assert ledger.absent(*SERIES) == [old, young]


def test_unchecked_ranges_are_kept_by_series_and_removed_together() -> None:
    one, other = ("BTCUSDT", "1m"), ("ETHUSDT", "1h")
    with Ledger(None) as ledger:
        ledger.set_unchecked("binance_spot", {one: (5, 9), other: (1, 2)})
        assert ledger.unchecked("binance_spot") == {one: (5, 9), other: (1, 2)}
        assert ledger.unchecked("kraken") == {}
        ledger.set_unchecked("binance_spot", {one: (7, 9), other: None})
        assert ledger.unchecked("binance_spot") == {one: (7, 9)}
