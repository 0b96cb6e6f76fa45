"""`stats` and `gaps` beside a damaged series: the others are shown, the damaged one is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SERIES = {("BTCUSDT", "1h"): 5, ("ETHUSDT", "1h"): 4, ("XRPUSDT", "1h"): 3}


@pytest.fixture
def damaged(store_with) -> Path:
    """Three stored series, of which the second cannot be read."""
    store_with(SERIES)
    path = Path("data/candles/binance_spot/ETHUSDT/1h.parquet")
    path.write_bytes(b"no parquet file")
    return path


@pytest.mark.parametrize("command", ["stats", "gaps"])
def test_damaged_series_is_named_on_stderr_and_fails(velas, damaged, command):
    result = velas(command)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("velas: error: ")
    assert "ETHUSDT" in line
    assert str(damaged) in line


@pytest.mark.parametrize(
    ("command", "said"), [("stats", "2 series, 8 candles"), ("gaps", "No gaps in 2 series.")]
)
def test_damaged_series_does_not_hide_the_others(velas, damaged, command, said):
    assert said in velas(command).stdout


@pytest.mark.parametrize("command", ["stats", "gaps"])
def test_only_damaged_series_shows_the_error_alone(velas, damaged, command):
    result = velas(command, "--symbol", "ETHUSDT")
    assert (result.exit_code, result.stdout) == (1, "")


@pytest.mark.parametrize("command", ["stats", "gaps"])
def test_damaged_series_in_json_has_its_error(velas, damaged, command):
    result = velas(command, "--json")
    assert result.exit_code == 1
    btc, eth, xrp = json.loads(result.stdout)["series"]
    assert (btc["error"], xrp["error"]) == (None, None)
    assert str(damaged) in eth["error"]


def test_damaged_series_in_json_has_no_invented_figures(velas, damaged):
    (stats,) = json.loads(velas("stats", "--json", "--symbol", "ETHUSDT").stdout)["series"]
    figures = set(stats) - {"exchange", "symbol", "interval", "error"}
    assert {stats[name] for name in figures} == {None}
    (gaps,) = json.loads(velas("gaps", "--json", "--symbol", "ETHUSDT").stdout)["series"]
    assert gaps["gaps"] is None


def test_system_error_of_one_series_is_named(velas, damaged, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied", "1h.parquet")

    monkeypatch.setattr("velas_parquet.ParquetStore.get_stats", refuse)
    result = velas("stats", "--symbol", "BTCUSDT")
    assert result.exit_code == 1
    assert "1h.parquet: Permission denied" in result.stderr
