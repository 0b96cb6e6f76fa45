"""Bad input of every kind: one message, code 2, no traceback, nothing written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

ONE = ("--symbol", "BTCUSDT", "--interval", "1h")
SOON = ("--seconds", "0.1")


def refused(result, *words):
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("velas: error:") == 1
    assert "Traceback" not in result.stderr
    assert not list(Path().rglob("*.parquet"))
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("--interval", "7m"), "unknown interval '7m'"),
        (("--interval", "1H"), "case matters"),
        (("--start", "2025-02-01", "--end", "2025-01-01"), "is not before --end"),
        (("--start", "2025-02-01", "--end", "2025-02-01"), "is not before --end"),
        (("--start", "2099-01-01"), "in the future"),
        (("--start", "yesterday"), "cannot read the date 'yesterday'"),
        (("--start", "2025-02-30"), "cannot read the date"),
        (("--end", "2025-01-01"), "--end needs --start"),
        (("--months", "3", "--start", "2025-01-01"), "exclude each other"),
        (("--months", "0"), "--months"),
        (("--parallel", "0"), "--parallel"),
        (("--symbol", "../x"), "'../x' cannot name a series"),
        (("--symbol", "/etc/passwd"), "cannot name a series"),
        (("--symbol", "a\\b"), "cannot name a series"),
        (("--symbol", ""), "cannot name a series"),
        (("--symbol", "BTC/../../USDT"), "cannot name a series"),
        (("surplus",), "surplus"),
    ],
)
def test_download_option_that_cannot_be_is_refused(velas, venue, args, word):
    refused(velas("download", *args), word)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("command", ["download", "config", "stats", "gaps", "verify", "exchanges"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exchange: [unclosed", ("broken YAML", "line")),
        ("- a\n- b\n", ("expected a mapping",)),
        ("exchnge: kraken", ("unknown key 'exchnge'", "did you mean 'exchange'")),
        ("history: {month: 3}", ("unknown key 'month'", "$.history.month")),
        ("history: {months: many}", ("$.history.months", "'many'")),
        ("history: {months: 0}", ("$.history.months",)),
        ("data_dir: 5", ("$.data_dir",)),
    ],
)
def test_settings_file_that_cannot_be_is_refused(velas, venue, command, text, words):
    Path("bad.yaml").write_text(text)
    refused(velas("--config", "bad.yaml", command), *words)
    assert [path.name for path in Path().iterdir()] == ["bad.yaml"]


def test_settings_file_that_is_not_there_is_refused(velas):
    refused(velas("--config", "nowhere.yaml", "stats"), "nowhere.yaml")


def test_environment_that_cannot_be_is_refused_without_showing_a_secret(velas, monkeypatch):
    monkeypatch.setenv("BINANCE_API_SECRET", "se cret")
    result = velas("config")
    refused(result, "credentials.api_secret")
    assert "se cret" not in result.output


def test_exchange_unknown_names_the_nearest(velas):
    refused(velas("--exchange", "binance_spt", "download", *ONE), "binance_spot")


def test_symbol_unknown_to_the_venue_is_refused(velas, venue):
    refused(velas("download", "--symbol", "XYZUSDT", "--interval", "1h"), "XYZUSDT")


def test_interval_the_venue_lacks_is_refused(velas, venue):
    refused(velas("download", "--symbol", "BTCUSDT", "--interval", "1m"), "no interval 1m")


def test_start_after_the_venues_clock_is_refused(velas, venue):
    late = str(venue.now_ms + 1)
    refused(velas("download", *ONE, "--start", late), "lies in the future")


def refuse_files(monkeypatch, number):
    def refuse(**_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("velas.cli.session.NamedTemporaryFile", refuse)


def test_data_dir_below_a_file_is_refused_before_anything_is_fetched(velas, venue):
    Path("file").write_text("x")
    refused(velas("--data-dir", "file/data", "download", *ONE), "'file' is a file")
    assert venue.asks == []


def test_data_dir_without_permission_is_refused_before_anything_is_fetched(
    velas, venue, monkeypatch
):
    refuse_files(monkeypatch, errno.EACCES)
    refused(velas("download", *ONE), "data_dir: no permission to write")
    assert venue.asks == []


def test_data_dir_that_cannot_be_written_for_another_reason_says_which(velas, venue, monkeypatch):
    refuse_files(monkeypatch, errno.EDQUOT)
    refused(velas("download", *ONE), "data_dir: '", "cannot be written to: Disk quota exceeded")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a file system of the Linux kernel")
@pytest.mark.parametrize("args", [("download", *ONE), ("stream", *ONE, "--store", *SOON)])
def test_data_dir_where_not_even_root_makes_files_is_refused(velas, venue, args):
    result = velas("--data-dir", "/proc/x", *args)
    refused(result, "data_dir: no permission to write to '/proc'")
    assert venue.asks == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a file system of the Linux kernel")
def test_db_path_where_not_even_root_makes_files_is_refused(velas, venue):
    Path("c.yaml").write_text("db_path: /proc/velas.db")
    words = "db_path: no permission to write to '/proc'"
    refused(velas("--config", "c.yaml", "stream", *ONE, "--store", *SOON), words)
    assert [path.name for path in Path().iterdir()] == ["c.yaml"]


def test_db_path_below_a_file_is_refused(velas, venue):
    Path("file").write_text("x")
    Path("c.yaml").write_text("db_path: file/velas.db")
    refused(velas("--config", "c.yaml", "download", *ONE), "db_path: 'file' is a file")


@pytest.mark.parametrize("command", ["stats", "gaps", "verify"])
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--symbol", "BTCUSD"), ("'BTCUSD'", "BTCUSDT")),
        (("--symbol", "../x"), ("cannot name a series",)),
        (("--interval", "2h"), ("'2h'", "1h")),
        (("--interval", "7m"), ("unknown interval",)),
    ],
)
def test_filter_that_matches_nothing_names_what_is_stored(velas, venue, command, args, words):
    velas("download", *ONE)
    result = velas(command, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert all(word in result.stderr for word in words)


def test_filters_that_match_only_apart_are_refused(velas, venue, store_with):
    store_with({("BTCUSDT", "1h"): 3, ("ETHUSDT", "2h"): 3})
    result = velas("stats", "--symbol", "BTCUSDT", "--interval", "2h")
    assert result.exit_code == 2
    assert "nothing stored for BTCUSDT at 2h" in result.stderr
