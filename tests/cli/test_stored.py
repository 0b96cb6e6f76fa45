"""`stats`, `gaps` and `verify` on what is stored, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import HOUR, NOW, candles

from velas.ledger import Ledger
from velas.models import Gap

FIRST = NOW // HOUR * HOUR - 100 * HOUR
GAP_FIELDS = ["start_ms", "end_ms", "missing", "reason"]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a reading command opened the venue")

    monkeypatch.setattr("velas.registry.open_exchange", refuse)


@pytest.fixture
def holes(store_with):
    """Two stored series, one with a hole of two hours that the venue explains, one of three."""
    store = store_with({})
    hours = [n for n in range(50) if n not in (10, 11, 30, 31, 32)]
    store.save(candles([FIRST + n * HOUR for n in hours]), "BTCUSDT", "1h")
    store.save(candles([FIRST + n * HOUR for n in range(50)]), "ETHUSDT", "1h")
    with Ledger("data/velas.db") as ledger:
        known = Gap(FIRST + 10 * HOUR, FIRST + 12 * HOUR, 2, "venue")
        ledger.add_absent("binance_spot", "BTCUSDT", "1h", [known], now_ms=NOW)
    return store


@pytest.mark.parametrize("command", ["stats", "gaps", "verify"])
def test_empty_store_is_friendly_and_creates_nothing(velas, command):
    result = velas(command)
    assert result.exit_code == 0
    assert "`velas download`" in result.stdout
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("command", ["stats", "gaps", "verify"])
def test_empty_store_as_json_has_no_series(velas, command):
    result = velas(command, "--json", "--symbol", "BTCUSDT")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["series"] == []


@pytest.mark.parametrize("command", ["stats", "gaps", "verify"])
def test_reading_changes_and_leaves_no_file(velas, holes, command):
    before = {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")}
    velas(command)
    assert {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")} == before


@pytest.mark.parametrize("command", ["stats", "gaps", "verify"])
def test_reading_opens_the_ledger_for_reading_only(velas, holes, monkeypatch, command):
    def refuse(self):
        raise AssertionError("a reading command opened the ledger for writing")

    monkeypatch.setattr(Ledger, "_connect", refuse)
    assert velas(command, "--symbol", "ETHUSDT").exit_code == 0


def test_stats_shows_extent_and_sums(velas, holes):
    result = velas("stats")
    assert result.exit_code == 0
    assert "2 series, 95 candles" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_stats_json_has_every_figure(velas, holes):
    btc, eth = json.loads(velas("stats", "--json").stdout)["series"]
    assert (btc["rows"], btc["expected"], btc["missing"]) == (45, 50, 5)
    assert (eth["first_ms"], eth["last_ms"]) == (FIRST, FIRST + 49 * HOUR)
    assert eth["size_bytes"] == Path(eth["files"][0]).stat().st_size


def test_stats_of_millions_of_rows_fits_80_columns(capsys, monkeypatch):
    from velas.cli.stats import show_stats
    from velas.models import SeriesStats

    show_stats([SeriesStats("1000SHIBUSDT", "1m", 999_999, FIRST, NOW, 999_999, 9_999, 10**8)])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize("args", [("--symbol", "BTC/USDT"), ("--symbol", "BTCUSDT:USDT")])
def test_stats_filter_takes_any_spelling_or_refuses(velas, holes, args):
    result = velas("stats", *args, "--json")
    if result.exit_code == 0:
        assert [one["symbol"] for one in json.loads(result.stdout)["series"]] == ["BTCUSDT"]
    else:
        assert "cannot name a series" in result.stderr


def test_stats_filter_by_interval(velas, store_with):
    store_with({("BTCUSDT", "1h"): 3, ("BTCUSDT", "2h"): 4})
    (one,) = json.loads(velas("stats", "--interval", "2h", "--json").stdout)["series"]
    assert one["rows"] == 4


def test_gaps_names_each_with_its_reason(velas, holes):
    result = velas("gaps")
    assert result.exit_code == 0
    assert result.stdout.count("BTCUSDT") == 2
    assert "Gaps (candles missing) in 2 series: 2 (5), of them the venue's own: 1 (2)" in (
        result.stdout
    )


def test_gaps_json_is_the_documented_shape(velas, holes):
    btc, eth = json.loads(velas("gaps", "--json").stdout)["series"]
    assert [list(gap) for gap in btc["gaps"]] == [GAP_FIELDS, GAP_FIELDS]
    assert [(gap["missing"], gap["reason"]) for gap in btc["gaps"]] == [
        (2, "venue"),
        (3, "not downloaded"),
    ]
    assert eth["gaps"] == []


def test_gaps_none_says_so(velas, store_with):
    store_with({("BTCUSDT", "1h"): 3})
    assert velas("gaps").stdout == "No gaps in 1 series.\n"


def test_verify_gap_of_our_own_fails(velas, holes):
    result = velas("verify")
    assert result.exit_code == 1
    assert "not whole" in result.stdout
    assert "1 of 2 series are not whole" in result.stdout


def test_verify_gap_of_the_venue_is_fine(velas, holes):
    with Ledger("data/velas.db") as ledger:
        known = Gap(FIRST + 30 * HOUR, FIRST + 33 * HOUR, 3, "venue")
        ledger.add_absent("binance_spot", "BTCUSDT", "1h", [known], now_ms=NOW)
    result = velas("verify")
    assert result.exit_code == 0
    assert "All 2 series are whole: 95 candles" in result.stdout


def test_verify_json_is_the_documented_document(velas, holes):
    result = velas("verify", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert list(found) == ["ok", "series"]
    assert found["ok"] is False
    btc = found["series"][0]
    assert list(btc) == [
        "exchange", "symbol", "interval", "expected", "present", "gaps", "digest", "findings",
        "error",
    ]  # fmt: skip
    assert (btc["expected"], btc["present"], len(btc["digest"])) == (50, 45, 64)


def test_verify_odd_data_is_reported_and_no_failure(velas, store_with):
    store = store_with({})
    frame = candles([FIRST + n * HOUR for n in range(20)])
    frame.loc[[3, 5, 7, 9, 11, 13], "close_time"] -= 60_000
    frame.loc[15, "high"] = 1.0
    store.save(frame, "BTCUSDT", "1h")
    result = velas("verify")
    assert result.exit_code == 0
    assert "6 cut short" in result.stdout
    assert "and 1 more" in result.stdout
    assert "1 impossible" in result.stdout
    findings = json.loads(velas("verify", "--json").stdout)["series"][0]["findings"]
    assert list(findings[0]) == ["kind", "timestamp", "count", "message"]
    assert sum(one["count"] for one in findings if one["kind"] == "cut_short") == 6


def test_verify_damage_is_named_with_its_file(velas, holes):
    path = Path("data/candles/binance_spot/ETHUSDT/1h.parquet")
    spoil(path)
    result = velas("verify", "--symbol", "ETHUSDT")
    assert result.exit_code == 1
    assert "DAMAGED" in result.stdout
    assert str(path) in result.stdout.replace("\n", "")
    found = json.loads(velas("verify", "--json").stdout)
    assert found["series"][1]["error"] is not None


def test_verify_store_that_cannot_be_read_is_an_error_of_the_series(velas, holes, monkeypatch):
    def fail(self, *args, **kwargs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("velas_parquet.ParquetStore.load", fail)
    result = velas("verify", "--symbol", "ETHUSDT", "--json")
    assert result.exit_code == 1
    assert "Input/output error" in json.loads(result.stdout)["series"][0]["error"]


def test_verify_repeated_rows_fail(velas, holes, monkeypatch):
    twice = candles([FIRST, FIRST, FIRST + HOUR])
    monkeypatch.setattr("velas_parquet.ParquetStore.load", lambda self, *args, **kw: twice)
    assert velas("verify", "--symbol", "ETHUSDT").exit_code == 1


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)
