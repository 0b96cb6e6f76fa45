"""Results on disk: whole or not at all, none lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from backtested import CREATED_MS, a_result

from velas.backtests import load_result, results, save_result
from velas.errors import ConfigError, StoreCorrupt, StoreError


def test_saved_result_is_at_its_place_and_loads_the_same(tmp_path: Path) -> None:
    path = save_result(a_result(), tmp_path)
    assert path == tmp_path / "backtests" / "2025-11-26" / "BTCUSDT_Cross_1h.json"
    assert load_result(path) == a_result()
    assert list(results(tmp_path)) == [path]


def test_same_result_once_more_replaces_it(tmp_path: Path) -> None:
    save_result(a_result(), tmp_path)
    later = a_result(created_ms=CREATED_MS + 5_000, versions={"velas": "0.2.0"})
    path = save_result(later, tmp_path)
    assert list(results(tmp_path)) == [path]
    assert load_result(path).created_ms == CREATED_MS + 5_000


def test_another_result_of_the_same_name_and_day_is_kept_beside_it(tmp_path: Path) -> None:
    save_result(a_result(), tmp_path)
    other = a_result(created_ms=CREATED_MS + 5_000, parameters={"fast": 6, "slow": 20})
    path = save_result(other, tmp_path)
    assert load_result(path) == other
    (aside,) = (one for one in results(tmp_path) if one != path)
    assert aside.name == f"BTCUSDT_Cross_1h.{CREATED_MS}.json"
    assert load_result(aside) == a_result()


def test_damaged_result_in_its_place_is_kept_too(tmp_path: Path) -> None:
    path = save_result(a_result(), tmp_path)
    path.write_text("{")
    save_result(a_result(), tmp_path)
    assert load_result(path) == a_result()
    assert path.with_name("BTCUSDT_Cross_1h.damaged.json").read_text() == "{"


def test_failure_while_writing_leaves_the_old_result_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_result(a_result(), tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("velas.files.os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        save_result(a_result(value=1.0, created_ms=CREATED_MS + 1), tmp_path)
    assert load_result(path) == a_result()
    names = {one.name for one in path.parent.iterdir()}
    assert names == {path.name, f"BTCUSDT_Cross_1h.{CREATED_MS}.json"}


def test_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "backtests").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        save_result(a_result(), tmp_path)


def test_missing_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json"):
        load_result(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "no JSON"),
        ("[]", "no backtest result"),
        ("null", "no backtest result"),
        ('{"schema": 1}', "strategy"),
        ('{"schema": 1, "strategy": 3}', "no backtest result"),
    ],
)
def test_file_that_is_no_result_is_corrupt(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(StoreCorrupt, match=why):
        load_result(path)


@pytest.mark.parametrize("change", [{"extra": 1}, {"data": []}, {"interval": "7m"}, {"cash": "a"}])
def test_result_with_an_impossible_field_is_corrupt(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = save_result(a_result(), tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(StoreCorrupt):
        load_result(path)


def test_result_of_a_newer_velas_is_refused_as_such(tmp_path: Path) -> None:
    path = save_result(a_result(), tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))
    with pytest.raises(StoreError, match="newer velas"):
        load_result(path)


def test_results_of_nothing_are_none_and_other_files_are_passed_over(tmp_path: Path) -> None:
    assert list(results(tmp_path)) == []
    save_result(a_result(), tmp_path)
    (tmp_path / "backtests" / "notes").mkdir()
    (tmp_path / "backtests" / "notes" / "x.json").write_text("{}")
    assert len(list(results(tmp_path))) == 1


SAVER = """
import sys
from backtested import CREATED_MS, a_result, a_trade
from velas.backtests import save_result

for number in range(int(sys.argv[2]), 12, 2):
    trades = tuple(a_trade(one) for one in range(number))
    save_result(a_result(trades=trades, created_ms=CREATED_MS + number), sys.argv[1])
"""


def test_results_of_two_processes_are_all_kept(tmp_path: Path) -> None:
    support = str(Path(__file__).parents[1] / "support")
    savers = [
        subprocess.Popen(
            [sys.executable, "-c", SAVER, str(tmp_path), str(number)],
            env={**os.environ, "PYTHONPATH": support},
        )
        for number in range(2)
    ]
    assert [saver.wait(60) for saver in savers] == [0, 0]
    found = {len(load_result(path).trades) for path in results(tmp_path)}
    assert found == set(range(12))


def test_no_result_is_lost_however_many_are_of_one_moment(tmp_path: Path) -> None:
    for number in range(4):
        path = save_result(a_result(value=1_000.0 + number), tmp_path)
    assert sorted(load_result(one).value for one in results(tmp_path)) == [
        1_000.0, 1_001.0, 1_002.0, 1_003.0,
    ]  # fmt: skip
    assert load_result(path).value == 1_003.0


def test_no_damaged_file_is_lost_either(tmp_path: Path) -> None:
    for number in range(3):
        path = save_result(a_result(), tmp_path)
        path.write_text(f"broken {number}")
    save_result(a_result(), tmp_path)
    kept = [one.read_text() for one in results(tmp_path) if "damaged" in one.name]
    assert sorted(kept) == ["broken 0", "broken 1", "broken 2"]


def test_result_put_aside_before_an_interruption_is_put_aside_once(tmp_path: Path) -> None:
    path = save_result(a_result(value=1.0), tmp_path)
    aside = path.with_name(f"{path.stem}.{a_result().created_ms}.json")
    os.link(path, aside)  # and then it was killed
    save_result(a_result(value=2.0), tmp_path)
    assert [load_result(one).value for one in results(tmp_path)] == [1.0, 2.0]


@pytest.mark.parametrize(
    "change",
    [
        {"schema": None},
        {"schema": "x"},
        {"schema": True},
        {"created_ms": 10**18},
        {"created_ms": -1},
        {"cash": float("nan")},
        {"interval": "9h"},
    ],
    ids=str,
)
def test_file_that_is_no_result_is_damaged(tmp_path: Path, change: dict[str, object]) -> None:
    path = save_result(a_result(), tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(StoreCorrupt, match=r"BTCUSDT_Cross_1h.json.* (no backtest|damaged)"):
        load_result(path)


def test_data_of_an_unknown_interval_are_damaged(tmp_path: Path) -> None:
    path = save_result(a_result(), tmp_path)
    whole = json.loads(path.read_text())
    whole["data"][0]["interval"] = "9h"
    path.write_text(json.dumps(whole))
    with pytest.raises(StoreCorrupt):
        load_result(path)
