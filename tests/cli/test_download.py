from __future__ import annotations

import asyncio
import errno
import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import HOUR

from velas.errors import BadResponse, RestrictedLocation, StoreFull, Unavailable

BOTH = ("--symbol", "BTC/USDT", "--symbol", "ETHUSDT", "--interval", "1h")
FIELDS = [
    "exchange", "symbol", "interval", "rows_added", "rows_total", "first_ms", "last_ms",
    "gaps", "error",
]  # fmt: skip


def document(result):
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def without(venue, symbol, *positions):
    rows = venue.series[symbol, "1h"]
    venue.series[symbol, "1h"] = rows.drop(index=list(positions)).reset_index(drop=True)


def test_download_json_is_the_documented_document(velas, venue):
    result = velas("download", *BOTH, "--json")
    assert result.exit_code == 0
    found = document(result)
    assert list(found) == ["series", "requests", "weight", "retries", "elapsed_s"]
    assert [list(one) for one in found["series"]] == [FIELDS, FIELDS]
    assert [(one["symbol"], one["rows_added"], one["rows_total"]) for one in found["series"]] == [
        ("BTCUSDT", 30, 30),
        ("ETHUSDT", 30, 30),
    ]


def test_download_table_fits_80_columns_and_sums_up(velas, venue):
    result = velas("download", *BOTH)
    assert result.exit_code == 0
    assert "60 candles added to 2 series" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert not Path("data/candles/binance_spot/BTCUSDT/1h.tail.parquet").exists()
    assert Path("data/candles/binance_spot/BTCUSDT/1h.parquet").exists()


def test_download_update_asks_for_nothing_it_knows(velas, venue):
    velas("download", *BOTH)
    asked = len(venue.asks)
    result = velas("download", *BOTH, "--update", "--json")
    assert result.exit_code == 0
    assert len(venue.asks) == asked
    assert [one["rows_added"] for one in document(result)["series"]] == [0, 0]
    assert "nothing to fetch" in result.stderr


def test_download_gap_of_the_venue_is_named_and_no_failure(velas, venue):
    without(venue, "BTC/USDT", 10, 11)
    result = velas("download", *BOTH)
    assert result.exit_code == 0
    assert "1 (2)" in result.stdout
    found = document(velas("download", *BOTH, "--json"))
    (gap,) = found["series"][0]["gaps"]
    assert list(gap) == ["start_ms", "end_ms", "missing", "reason"]
    assert (gap["missing"], gap["reason"]) == (2, "venue")


def test_download_failing_symbol_is_named_and_stops_no_other(velas, venue):
    def fault(ask):
        if ask.symbol == "ETH/USDT" and ask.limit > 1:
            raise BadResponse("nonsense came")

    venue.fault = fault
    result = velas("download", *BOTH)
    assert result.exit_code == 1
    assert "velas: failed: ETHUSDT 1h: nonsense came" in result.stderr
    assert "30 candles added" in result.stdout
    assert "1 series failed" in result.stdout


def test_download_symbols_of_the_file_that_are_unknown_fail_alone(velas, venue):
    Path("c.yaml").write_text("history: {symbols: [BTC/USDT, XYZ/USDT], intervals: [1h]}\n")
    result = velas("--config", "c.yaml", "download", "--json")
    assert result.exit_code == 1
    assert [one["error"] is None for one in document(result)["series"]] == [True, False]


@pytest.mark.parametrize("error", [Unavailable("no way"), RestrictedLocation("not you")])
def test_download_venue_not_reachable_is_3_and_nothing_on_stdout(velas, venue, monkeypatch, error):
    async def fail():
        raise error

    monkeypatch.setattr(type(venue), "server_time_ms", lambda self: fail())
    result = velas("download", *BOTH, "--json")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == f"velas: error: {error}\n"


def test_download_plan_names_ranges_and_fetches_nothing(velas, venue):
    result = velas("download", *BOTH, "--plan")
    assert result.exit_code == 0
    assert "tail" in result.stdout
    assert "Nothing was fetched" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert not Path("data/candles").exists()


def test_download_plan_json_adds_up(velas, venue):
    result = velas("download", *BOTH, "--plan", "--json")
    found = document(result)
    assert found["candles"] == 60
    assert found["requests"] == sum(one["requests"] for one in found["series"])
    assert found["weight"] == 2 * found["requests"]
    (part,) = found["series"][0]["ranges"]
    assert (part["kind"], part["candles"], part["requests"]) == ("tail", 30, part["weight"] // 2)


def test_download_plan_when_all_is_there_says_so(velas, venue):
    velas("download", *BOTH)
    result = velas("download", *BOTH, "--plan", "--update")
    assert "2 of 2 series lack nothing" in result.stdout


def test_download_plan_that_fails_for_a_symbol_is_1_and_named(velas, venue):
    Path("c.yaml").write_text("history: {symbols: [BTC/USDT, XYZ/USDT], intervals: [1h]}\n")
    result = velas("--config", "c.yaml", "download", "--plan")
    assert result.exit_code == 1
    assert "cannot be planned: XYZ/USDT 1h" in result.stderr


def test_download_start_and_end_are_half_open(velas, venue):
    first = int(venue.series["BTC/USDT", "1h"]["timestamp"].iloc[3])
    span = ("--start", str(first), "--end", str(first + 5 * HOUR))
    one = ("--symbol", "BTCUSDT", "--interval", "1h")
    found = document(velas("download", *one, *span, "--json"))
    (one,) = found["series"]
    assert (one["first_ms"], one["last_ms"]) == (first, first + 4 * HOUR)


def test_download_repeated_names_count_once(velas, venue):
    found = document(velas("download", *BOTH, *BOTH, "--months", "1", "--parallel", "1", "--json"))
    assert len(found["series"]) == 2


def test_download_options_before_and_after_the_command_are_the_same(velas, venue):
    before = document(velas("--json", "--data-dir", "a", "download", *BOTH))
    after = document(velas("download", *BOTH, "--json", "--data-dir", "b"))
    assert before["series"] == after["series"]
    assert sorted(path.name for path in Path().iterdir()) == ["a", "b"]


def test_download_store_that_fails_on_closing_still_reports(velas, venue, monkeypatch):
    def close(self):
        raise StoreFull(errno.ENOSPC, "no space left to fold BTCUSDT")

    monkeypatch.setattr("velas_parquet.ParquetStore.close", close)
    result = velas("download", *BOTH, "--json")
    assert result.exit_code == 1
    assert len(document(result)["series"]) == 2
    assert "no space left to fold" in result.stderr


def test_download_bug_in_the_planner_is_one_message(velas, venue, monkeypatch):
    monkeypatch.setattr(type(venue), "markets", lambda self: None)
    result = velas("download", *BOTH)
    assert result.exit_code == 1
    assert "this is a bug in velas: TypeError" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def pressed(monkeypatch):
    """Press Ctrl-C before the first request."""

    @contextmanager
    def stop_on_signals():
        stop = asyncio.Event()
        stop.set()
        yield stop

    monkeypatch.setattr("velas.cli.fetching.stop_on_signals", stop_on_signals)


def test_download_interrupted_before_the_plan_is_130_and_stores_nothing(velas, venue, pressed):
    result = velas("download", *BOTH, "--json")
    assert result.exit_code == 130
    assert document(result)["series"] == []
    assert "interrupted" in result.stderr
    assert not Path("data/candles").exists()


def test_repair_interrupted_is_130_and_says_what_is_left(velas, venue, store_with, pressed):
    store_with({("BTCUSDT", "1h"): 3})
    path = Path("data/candles/binance_spot/BTCUSDT/1h.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    result = velas("verify", "--repair")
    assert result.exit_code == 130
    assert "left to do" in result.stderr
