from __future__ import annotations

import json
from pathlib import Path

import pytest

from velas.config import load_settings


def test_config_names_value_and_source_of_every_key(velas, monkeypatch):
    Path("c.yaml").write_text("history: {months: 3}\n")
    monkeypatch.setenv("EXCHANGE", "binance_futures")
    result = velas("--config", "c.yaml", "--data-dir", "elsewhere", "config", "--json")
    found = json.loads(result.stdout)
    assert found["history.months"] == {"value": 3, "source": "file"}
    assert found["exchange"] == {"value": "binance_futures", "source": "environment"}
    assert found["data_dir"] == {"value": "elsewhere", "source": "argument"}
    assert found["history.intervals"] == {"value": ["30m", "1h", "2h"], "source": "default"}


def test_config_table_fits_80_columns(velas):
    result = velas("config")
    assert result.exit_code == 0
    assert "30m, 1h, 2h" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("args", [(), ("--json",), ("-vv",)])
def test_config_never_shows_a_secret(velas, monkeypatch, args):
    monkeypatch.setenv("BINANCE_API_KEY", "abcdef0123456789")
    monkeypatch.setenv("BINANCE_API_SECRET", "fedcba9876543210")
    result = velas("config", *args)
    assert result.exit_code == 0
    assert "abcdef" not in result.output
    assert "fedcba" not in result.output
    assert "set" in result.stdout


def test_config_example_is_a_file_that_loads(velas):
    result = velas("config", "--example")
    assert result.exit_code == 0
    Path("config.yaml").write_text(result.stdout)
    load_settings("config.yaml", environ={})


def test_config_example_that_is_not_installed_says_so(velas, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("velas.cli.config.resources.files", missing)
    result = velas("config", "--example")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "not installed" in result.stderr
