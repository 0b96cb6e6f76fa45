from __future__ import annotations

import asyncio
import importlib
import json
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
from fastforward import run_fast

from velas.backtests import load_result
from velas.cli.demo_live import LiveTold, live_document, play_live
from velas.config import load_settings
from velas.errors import MissingDependency, StoreError
from velas.history import Plan, Report
from velas.models import Candle, Usage
from velas.stream import Stream
from velas.testing import LoopClock
from velas_parquet import ParquetStore

LIVE = LiveTold(
    series=3,
    candles=18,
    by_rest=3,
    differing=(),
    reconnects=1,
    gaps_filled=0,
    statuses={"Connected": 2},
)


@pytest.fixture
def no_live(monkeypatch):
    """Leave out the live part, which takes seconds and has tests of its own."""
    monkeypatch.setattr("velas.cli.demo_live.play_live", lambda *args: LIVE)


@pytest.fixture(autouse=True)
def temporary(monkeypatch, tmp_path):
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_demo_shows_every_step_and_leaves_nothing_behind(velas, temporary, monkeypatch):
    # nothing of the user's environment may reach the demo
    monkeypatch.setenv("REST_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("EXCHANGE", "kraken")
    monkeypatch.setenv("DATA_DIR", "elsewhere")
    monkeypatch.setenv("BINANCE_API_KEY", "abcdef0123456789")
    monkeypatch.setenv("VELAS_CONFIG", "nowhere.yaml")
    result = velas("demo", "--no-keep")
    assert result.exit_code == 0, result.output
    for word in ("misbehaved 4 times", "3 (14)", "all equal", "are gone", "All is well"):
        assert word in result.stdout
    for word in ("cuts every socket", "served by REST", "18 closed candles of 3 series"):
        assert word in result.stdout
    for word in ("LOT_SIZE: quantity 0.0123456, but must be", "order 1, open", "has 1 order:"):
        assert word in result.stdout
    assert re.search(r"CrossingAverages on BTCUSDT 1h, made-up prices: \d+ trades", result.stdout)
    assert "they are stored as then" in result.stdout
    assert list(temporary.iterdir()) == []
    assert not Path("elsewhere").exists()
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_demo_json_into_a_folder_keeps_the_files(velas, no_live):
    result = velas("--data-dir", "kept", "demo", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["ok"] is True
    assert found["data_dir"] == "kept"
    assert found["faults"] == ["reset", "server_error", "too_many", "cut_off"]
    assert found["live"] == {
        "ok": True, "series": 3, "candles": 18, "by_rest": 3, "equal": True, "differing": [],
        "reconnects": 1, "gaps_filled": 0, "statuses": {"Connected": 2},
    }  # fmt: skip
    orders = found["orders"]
    assert [one.split(":")[0] for one in orders.pop("violations")] == ["PRICE_FILTER", "LOT_SIZE"]
    assert orders == {
        "ok": True, "order": "1", "again": "1", "intent": "the demo's one order", "orders": 1,
    }  # fmt: skip
    backtest = found["backtest"]
    assert (backtest["ok"], backtest["reproducible"], backtest["left_out"]) == (True, True, [])
    assert len(load_result(backtest["file"]).trades) == backtest["trades"] > 3
    chart, coverage = map(Path, backtest["pictures"])
    assert (chart.parts[0], coverage.parts[0]) == ("kept", "kept")
    assert chart.read_bytes().startswith(b"\x89PNG")
    assert "BTCUSDT" in coverage.read_text()
    assert found["update"]["requests"] <= 2  # the clock and the listing, no candles
    assert found["rows_equal"] == sum(one["present"] for one in found["verify"]["series"])
    store = ParquetStore("kept/candles/binance_spot")
    assert (
        sum(len(store.load(one.symbol, one.interval)) for one in store.series())
        == (found["rows_equal"])
    )


def test_demo_plays_futures_too_and_says_where_everything_is(velas, temporary, no_live):
    result = velas("--exchange", "binance_futures", "demo")
    assert result.exit_code == 0, result.output
    (folder,) = temporary.iterdir()
    named = [Path(line) for line in result.stdout.split() if line.startswith(str(folder))]
    assert {path.name for path in named[:4]} == {
        "binance_futures", "BTCUSDT_CrossingAverages_1h.json", "BTCUSDT_1h.png", "coverage.html",
    }  # fmt: skip
    assert all(path.exists() for path in named)


@pytest.mark.parametrize("missing", ["backtrader", "matplotlib"])
def test_demo_without_an_extra_says_how_to_get_it(velas, monkeypatch, no_live, missing):
    def lacking(*args, **options):
        raise MissingDependency(f"needs {missing!r}: pip install 'velas[{missing}]'")

    place = {"backtrader": "velas.registry.load", "matplotlib": "velas.charts.save_chart"}[missing]
    real = importlib.import_module("velas.registry").load
    if missing == "backtrader":
        monkeypatch.setattr(
            place, lambda kind, name: lacking() if kind == "backtesters" else real(kind, name)
        )
    else:
        monkeypatch.setattr(place, lacking)
    result = velas("demo", "--no-keep")
    assert result.exit_code == 0, result.output
    assert f"Left out: needs '{missing}': pip install" in result.stdout
    assert ("CrossingAverages on" in result.stdout) == (missing != "backtrader")
    assert "All is well" in result.stdout


def test_demo_whose_result_cannot_be_reproduced_fails(velas, monkeypatch, no_live):
    checks = [SimpleNamespace(verdict="changed")]
    monkeypatch.setattr("velas.backtests.check_data", lambda *args: checks)
    result = velas("demo", "--no-keep")
    assert result.exit_code == 1
    assert "they are NOT STORED as then" in result.stdout
    assert "SOMETHING IS WRONG" in result.stdout


@pytest.mark.parametrize("content", ["a file", "a folder"])
def test_demo_refuses_a_place_where_something_is(velas, content):
    if content == "a file":
        Path("mine").write_text("precious")
    else:
        Path("mine/candles").mkdir(parents=True)
    result = velas("--data-dir", "mine", "demo")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "must be an empty folder" in result.stderr


@pytest.mark.parametrize("args", [("--exchange", "kraken"), ("--config", "c.yaml")])
def test_demo_refuses_what_it_cannot_play(velas, args):
    result = velas(*args, "demo")
    assert (result.exit_code, result.stdout) == (2, "")


def test_demo_without_the_shipped_settings_says_so(velas, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("velas.cli.demo.resources.files", missing)
    result = velas("demo")
    assert result.exit_code == 2
    assert "not installed" in result.stderr


@pytest.mark.parametrize("stop_at", [1, 2])
def test_demo_stopped_is_130_and_leaves_nothing_behind(velas, monkeypatch, temporary, stop_at):
    calls: list[bool] = []
    done = (Plan("binance_spot", ()), Report((), Usage(), 0.0))

    def download(settings, tell, *, update):
        calls.append(update)
        return None if len(calls) == stop_at else done

    monkeypatch.setattr("velas.cli.demo._download", download)
    result = velas("demo", "--json")
    assert (result.exit_code, result.stdout) == (130, "")
    assert list(temporary.iterdir()) == []


def test_demo_that_finds_a_difference_fails_and_names_it(velas, monkeypatch, no_live):
    from velas import frames

    real = frames.digest
    digests: list[str] = []

    def digest(frame):
        digests.append(real(frame))
        return f"other {digests[-1]}" if len(digests) == 2 else digests[-1]

    monkeypatch.setattr("velas.frames.digest", digest)
    result = velas("demo")
    assert result.exit_code == 1
    assert "DIFFERENT: BTCUSDT 30m" in result.stdout
    assert "SOMETHING IS WRONG" in result.stdout


def test_demo_store_that_fails_on_closing_is_an_error(velas, monkeypatch, no_live):
    def close(self):
        raise StoreError("cannot fold")

    monkeypatch.setattr("velas_parquet.ParquetStore.close", close)
    result = velas("demo", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "velas: error: cannot fold" in result.stderr


def test_demo_interrupted_while_planning_is_130(velas, monkeypatch):
    @contextmanager
    def stop_on_signals():
        stop = asyncio.Event()
        stop.set()
        yield stop

    monkeypatch.setattr("velas.cli.fetching.stop_on_signals", stop_on_signals)
    assert velas("demo", "--json").exit_code == 130


def test_demo_whose_intent_got_two_orders_fails(velas, monkeypatch, no_live):
    monkeypatch.setattr("velas.testing.StandInVenue.orders", lambda self: [1, 2])
    result = velas("demo", "--no-keep")
    assert result.exit_code == 1
    assert "The exchange has 2 orders" in result.stdout
    assert "SOMETHING IS WRONG" in result.stdout


# --- the live part


@pytest.mark.parametrize(
    "wrong", [{"differing": ("BTC/USDT",)}, {"reconnects": 0}, {"by_rest": 0}, {"candles": 0}]
)
def test_live_part_is_not_ok_where_it_differs_or_nothing_was_healed(wrong):
    assert LIVE.ok
    assert not attrs.evolve(LIVE, **wrong).ok


def test_demo_whose_live_part_is_not_right_fails(velas, monkeypatch):
    told = attrs.evolve(LIVE, differing=("BTC/USDT",))
    monkeypatch.setattr("velas.cli.demo_live.play_live", lambda *args: told)
    result = velas("demo")
    assert result.exit_code == 1
    assert "DIFFERENT from the exchange's own: BTC/USDT" in result.stdout
    assert "SOMETHING IS WRONG" in result.stdout


def test_demo_stopped_in_the_live_part_is_130(velas, monkeypatch, temporary):
    monkeypatch.setattr("velas.cli.demo_live.play_live", lambda *args: None)
    result = velas("demo", "--json")
    assert (result.exit_code, result.stdout) == (130, "")
    assert list(temporary.iterdir()) == []


def live(monkeypatch, market="spot", patience_s=3_600.0):
    monkeypatch.setattr("asyncio.run", run_fast)
    monkeypatch.setattr("velas.testing.ScaledClock", lambda _: LoopClock(), raising=False)
    monkeypatch.setattr("velas.cli.demo_live._PATIENCE_S", patience_s)
    monkeypatch.setattr("velas.cli.demo_live._MINUTES", 4)
    monkeypatch.setattr("velas.cli.demo_live._CUT_AFTER", 1)
    told: list[str] = []
    settings = load_settings(
        environ={}, exchange=f"binance_{market}", history={"symbols": ["BTC/USDT"]}
    )
    return play_live(settings, market, told.append), told


@pytest.mark.parametrize("market", ["spot", "futures"])
def test_live_part_is_cut_and_healed_and_compared(monkeypatch, market):
    found, told = live(monkeypatch, market)
    document = live_document(found)
    assert document["ok"], told
    assert document["candles"] == 4
    assert document["statuses"]["FellBack"] == document["statuses"]["Recovered"] == 1
    assert sum("disconnected" in line for line in told) == 1  # each further failure is no news


def test_live_part_sees_a_candle_that_is_not_the_venues(monkeypatch):
    real = Stream.events

    async def events(self):
        async for event in real(self):
            if isinstance(event, Candle) and event.is_closed and event.sequence == 3:
                event = attrs.evolve(event, trades=event.trades + 1)
            yield event

    monkeypatch.setattr(Stream, "events", events)
    found, told = live(monkeypatch)
    assert found.differing == ("BTC/USDT",), told
    assert not found.ok


def test_live_part_that_does_not_get_on_in_time_is_told_as_different(monkeypatch):
    found, told = live(monkeypatch, patience_s=12.0)
    assert found.differing == ("BTC/USDT",)
    assert "   Not all of it came in time." in told


def test_live_part_stopped_is_none(monkeypatch):
    @contextmanager
    def stop_on_signals():
        stop = asyncio.Event()
        stop.set()
        yield stop

    monkeypatch.setattr("velas.cli.demo_live.stop_on_signals", stop_on_signals)
    assert live(monkeypatch)[0] is None
