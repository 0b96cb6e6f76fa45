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


@pytest.fixture
def keys():
    """Write keys.env, with a key that is usable or not, and return the text of the key."""

    def write(line="KRAKEN_API_SECRET=hunter2hunter2\n", mode=0o600):
        Path("keys.env").write_text(line)
        Path("keys.env").chmod(mode)
        return "hunter2"

    return write


def test_config_names_the_source_of_a_secret_and_not_the_secret(velas, monkeypatch, keys):
    secret = keys()
    monkeypatch.setenv("KRAKEN_API_KEY", secret)
    monkeypatch.setenv("VELAS_CREDENTIALS", "keys.env")
    monkeypatch.setenv("BINANCE_API_SECRET", secret)
    result = velas("--exchange", "kraken", "config", "--json")
    found = json.loads(result.stdout)
    assert found["credentials.api_key"] == {"value": "set", "source": "environment KRAKEN_API_KEY"}
    assert found["credentials.api_secret"] == {"value": "set", "source": "file keys.env"}
    assert found["credentials.password"] == {"value": "not set", "source": "default"}
    shown = velas("--exchange", "kraken", "config", "-vv")
    assert "environment set (KRAKEN_API_KEY)" in shown.stdout
    assert "set (keys.env)" in shown.stdout
    assert secret not in result.output + shown.output


@pytest.mark.parametrize(
    ("line", "mode", "said"),
    [
        ("BINANCE_API_SECRET=hunter2", 0o644, "chmod 600 keys.env"),
        ("BINANCE_API_SECRET='hunter2", 0o600, "line 1: "),
        ("hunter2", 0o600, "line 1: "),
        ("BINANCE_API_SECRET=hunter2\u00e9", 0o600, "line 1: "),
        ("BINANCE_API_SECRET='hunter2 x'", 0o600, "line 1: "),
    ],
)
def test_config_file_of_keys_that_cannot_be_is_refused_unseen(
    velas, monkeypatch, keys, line, mode, said
):
    secret = keys(line, mode)
    monkeypatch.setenv("VELAS_CREDENTIALS", "keys.env")
    result = velas("config", "-vv")
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "Traceback" in result.stderr
    assert secret not in result.output


@pytest.mark.parametrize("text", ["api_secret: *hunter2", "api_secret: 'hunter2", "hunter2: !x y"])
def test_config_key_in_a_broken_settings_file_is_not_in_the_traceback(velas, text):
    Path("c.yaml").write_text(text)
    result = velas("--config", "c.yaml", "config", "-vv")
    assert "Traceback" in result.stderr
    assert "hunter2" not in result.output


def test_config_trading_without_keys_is_refused(velas):
    Path("c.yaml").write_text("trading: {mode: live}")
    result = velas("--config", "c.yaml", "config")
    assert result.exit_code == 2
    assert "BINANCE_API_KEY and BINANCE_API_SECRET, and neither is set" in result.stderr


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
