"""`velas coverage` on what is stored, without a network."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes import candles

from velas.cli.coverage_lines import show_lines
from velas.coverage import DAY_MS, count_days
from velas.ledger import Ledger
from velas.models import Gap

HOUR = 3_600_000
FIRST = 19_660  # 2023-10-30, a Monday
START = FIRST * DAY_MS
DAYS = 14
LACKING = {*range(24, 48), 50, *range(100, 110)}


@pytest.fixture
def stored(store_with):
    """Two series of two weeks: a day and an hour missing, ten hours the venue's own; whole."""
    store = store_with({})
    hours = [n for n in range(DAYS * 24) if n not in LACKING]
    store.save(candles([START + n * HOUR for n in hours]), "BTCUSDT", "1h")
    store.save(candles([START + n * DAY_MS for n in range(3, DAYS)], "1d"), "ETHUSDT", "1d")
    with Ledger("data/velas.db") as ledger:
        known = Gap(START + 100 * HOUR, START + 110 * HOUR, 10, "venue")
        ledger.add_absent("binance_spot", "BTCUSDT", "1h", [known], now_ms=START)
    return store


@pytest.fixture
def damaged(stored) -> Path:
    path = Path("data/candles/binance_spot/ETHUSDT/1d.parquet")
    path.write_bytes(b"no parquet file")
    return path


def series(first: int, days: int, *holes: int):
    times = [(first + n) * DAY_MS for n in range(days) if n not in holes]
    return count_days(np.array(times), "1d")


def test_coverage_draws_a_line_for_each_series(velas, stored):
    result = velas("coverage")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "           2023-10",
        "BTCUSDT 1h █×▓█v█████████  92.3%",
        "ETHUSDT 1d    ███████████   100%",
        "",
        "One sign is a day:  █ complete  ▓ 90% or more  ▒ half or more  ░ less  × none",
        "v all that the venue has",
        "",
        "2 series: 312 candles, 25 missing, 10 that the venue does not have.",
    ]


def test_coverage_json_is_the_documented_shape(velas, stored):
    btc, eth = json.loads(velas("coverage", "--json").stdout)["series"]
    assert list(btc) == [
        "exchange", "symbol", "interval", "first_ms", "last_ms", "days", "error",
    ]  # fmt: skip
    assert (btc["exchange"], btc["symbol"], btc["interval"]) == ("binance_spot", "BTCUSDT", "1h")
    assert (btc["first_ms"], btc["last_ms"]) == (START, START + (DAYS * 24 - 1) * HOUR)
    assert btc["days"][1] == {"day": "2023-10-31", "expected": 24, "present": 0, "absent": 0}
    assert btc["days"][4] == {"day": "2023-11-03", "expected": 24, "present": 14, "absent": 10}
    assert len(btc["days"]) == DAYS
    assert [day["expected"] for day in eth["days"]] == [1] * 11


def test_coverage_json_of_long_candles_has_the_days_they_open_on(velas, store_with):
    weeks = [START + n * 7 * DAY_MS for n in (0, 1, 3)]
    store_with({}).save(candles(weeks, "1w"), "BTCUSDT", "1w")
    (one,) = json.loads(velas("coverage", "--json").stdout)["series"]
    assert [(day["day"], day["present"]) for day in one["days"]] == [
        ("2023-10-30", 1),
        ("2023-11-06", 1),
        ("2023-11-13", 0),
        ("2023-11-20", 1),
    ]


def test_coverage_out_writes_one_page_and_says_where(velas, stored):
    result = velas("coverage", "--out", "new/coverage.html", "--symbol", "BTC/USDT")
    assert result.exit_code == 0
    assert result.stdout == (
        "1 series: 301 candles, 25 missing, 10 that the venue does not have.\n"
        "The days are in new/coverage.html; a browser shows it.\n"
    )
    assert [path.name for path in Path("new").iterdir()] == ["coverage.html"]
    text = Path("new/coverage.html").read_text("utf-8")
    assert "BTCUSDT" in text
    assert "ETHUSDT" not in text


def test_coverage_out_with_json_does_both(velas, stored):
    result = velas("coverage", "--out", "coverage.html", "--json")
    assert len(json.loads(result.stdout)["series"]) == 2
    assert Path("coverage.html").is_file()


@pytest.mark.parametrize("out", ["coverage.png", "data"])
def test_coverage_out_of_another_kind_is_refused(velas, stored, out):
    result = velas("coverage", "--out", out)
    assert (result.exit_code, result.stdout) == (2, "")
    assert ".html or .htm" in result.stderr


def test_coverage_of_nothing_stored_is_friendly_and_creates_nothing(velas):
    result = velas("coverage")
    assert result.exit_code == 0
    assert "`velas download`" in result.stdout
    assert json.loads(velas("coverage", "--json").stdout) == {"series": []}
    assert list(Path().iterdir()) == []


def test_coverage_changes_nothing_and_opens_the_ledger_for_reading_only(velas, stored, monkeypatch):
    def refuse(self):
        raise AssertionError("a reading command opened the ledger for writing")

    monkeypatch.setattr(Ledger, "_connect", refuse)
    before = {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")}
    assert velas("coverage").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")} == before


def test_coverage_reads_timestamps_only(velas, stored, monkeypatch):
    asked = []
    load = type(stored).load

    def watched(self, *args, columns=None, **kwargs):
        asked.append(columns)
        return load(self, *args, columns=columns, **kwargs)

    monkeypatch.setattr(type(stored), "load", watched)
    velas("coverage", "--out", "coverage.html")
    assert asked == [("timestamp",)] * 2


def test_coverage_damaged_series_is_named_and_the_others_are_shown(velas, damaged):
    result = velas("coverage")
    assert result.exit_code == 1
    assert "BTCUSDT 1h █×▓█v█████████  92.3%" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("velas: error: ETHUSDT 1d")
    assert str(damaged) in line


def test_coverage_damaged_series_in_json_has_no_invented_figures(velas, damaged):
    result = velas("coverage", "--json")
    assert result.exit_code == 1
    btc, eth = json.loads(result.stdout)["series"]
    assert btc["error"] is None
    assert str(damaged) in eth["error"]
    assert (eth["first_ms"], eth["last_ms"], eth["days"]) == (None, None, None)


def test_coverage_damaged_series_is_named_on_the_page(velas, damaged):
    assert velas("coverage", "--out", "coverage.html").exit_code == 1
    text = Path("coverage.html").read_text("utf-8")
    assert "<b>ETHUSDT 1d</b> cannot be read" in text
    assert "<b>BTCUSDT</b> <span>1h</span>" in text


def test_coverage_only_damaged_series_shows_the_error_alone(velas, damaged):
    result = velas("coverage", "--symbol", "ETHUSDT")
    assert (result.exit_code, result.stdout) == (1, "")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--symbol", "BTCUSD"), ("'BTCUSD'", "BTCUSDT")),
        (("--interval", "7m"), ("unknown interval",)),
    ],
)
def test_coverage_filter_that_matches_nothing_is_refused(velas, stored, args, words):
    result = velas("coverage", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert all(word in result.stderr for word in words)


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("days", [1, 20, 200, 900, 5 * 365, 12 * 365])
def test_lines_fit_the_terminal(capsys, monkeypatch, columns, days):
    monkeypatch.setenv("COLUMNS", str(columns))
    named = [("1000SHIBUSDT 30m", series(FIRST - days, days)), ("BTCUSDT 1h", series(FIRST - 1, 1))]
    show_lines(named)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[1].startswith("1000SHIBUSDT 30m █")
    assert lines[2].endswith("█   100%")


@pytest.mark.parametrize(
    ("days", "holes", "unit", "cells"),
    [
        (16, (3, 4, 5, 14), "day", "███×××████████×█"),
        (80, (8, 9, 10, 30), "week", "█▒██▒███████"),
        (300, (8, 9, 10, 40), "month", "█▓▓████████"),
    ],
)
def test_lines_take_the_shortest_unit_that_fits(capsys, monkeypatch, days, holes, unit, cells):
    monkeypatch.setenv("COLUMNS", "35")
    show_lines([("BTCUSDT 1d", series(FIRST, days, *holes))])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["BTCUSDT", "1d", cells, f"{(days - 4) * 1000 // days / 10}%"]
    assert f"One sign is a {unit}:" in lines[3]


def test_lines_name_the_months_and_years_they_begin(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    show_lines([("X 1d", series(FIRST, 75))])
    show_lines([("X 1d", series(FIRST, 900))])
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0].index(text) - 5 for text in ("2023-10", "Dec", "2024")] == [0, 32, 63]
    assert "2025" in lines[5]
    assert "Feb" not in lines[5]


def test_lines_without_unicode_have_signs_of_their_own(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", "60")
    show_lines([("BTCUSDT 1d", series(FIRST, 10, 4))])
    out.seek(0)
    text = out.read()
    assert "BTCUSDT 1d ####x#####  90.0%" in text
    assert "# complete" in text


def test_lines_cut_a_name_that_leaves_no_room(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    show_lines([("VERYLONGNAMEOFACOINUSDT_261225 30m", series(FIRST, 5))])
    assert "VERYLONGNAMEOFACOI.. █████   100%" in capsys.readouterr().out


def test_coverage_page_of_nothing_stored_is_an_error(velas):
    result = velas("coverage", "--out", "page.html")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Nothing is stored for binance_spot" in result.stderr
    assert not Path("page.html").exists()
