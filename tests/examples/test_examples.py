"""The examples as a user runs them: on recordings, and on a stand-in by one setting."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from velas.backtests import load_result
from velas.testing import StandInVenue

ROOT = Path(__file__).parents[2]
VARIABLES = ("EXCHANGE", "REST_URL", "WS_URL", "DATA_DIR", "DB_PATH", "VELAS_CONFIG")
CROSSING = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d BTC/USDT\S* [\d.]+: unknown -> (long|flat)\n")
MINUTE = 60_000


def start(name: str, *args: str, **environment: str) -> subprocess.Popen[str]:
    """Run an example in the checkout, as a user does."""
    mine = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    return subprocess.Popen(
        [sys.executable, f"examples/{name}", *args],
        cwd=ROOT,
        env={**mine, **environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def test_tour_downloads_checks_judges_and_streams() -> None:
    out = output(start("tour.py"))
    assert "downloaded 168 candles; gaps: none" in out
    assert "checked 168 rows; findings: none" in out
    assert "FAIL       LOT_SIZE: quantity 0.012345678: must be a multiple of 0.00001" in out
    order = re.search(r"asked 0\.012345678 at (\S+); legal 0\.01234 at (\S+)", out)
    assert order is not None
    asked, legal = map(Decimal, order.groups())
    assert legal == asked.quantize(Decimal("0.01"), ROUND_DOWN)
    assert "live #3: BTC/USDT closed at" in out


def test_order_once_finds_its_one_order_after_a_kill_and_leaves_nothing(tmp_path: Path) -> None:
    out = output(start("order_once.py", TMPDIR=str(tmp_path), EXCHANGE="kraken"))
    killed, again = out.split("The bot starts again")
    assert "'first buy of BTC' is 'sent' after 1 request(s)" in killed
    assert "order 1 is open, for the intent 'first buy of BTC'" in again
    assert "'first buy of BTC' is 'placed' after 1 request(s)" in again
    assert out.count("venue: 1 order, asked for 1 time(s)") == 2
    assert list(tmp_path.iterdir()) == []


def test_moving_average_runs_on_the_recorded_session() -> None:
    out = output(start("moving_average.py"))
    assert CROSSING.match(out)
    assert len(out.splitlines()) == 3


def test_backtest_keeps_its_result_and_draws_the_trades(tmp_path: Path) -> None:
    first = output(start("backtest.py", DATA_DIR=str(tmp_path), DB_PATH=str(tmp_path / "v.db")))
    assert first.startswith("downloaded 1008 candles\n")
    lines = first.splitlines()
    file, picture = (Path(line.split()[-1]) for line in lines[-2:])
    result = load_result(file)
    assert (result.strategy, result.symbol, result.interval) == ("Breakout", "BTCUSDT", "1h")
    assert len(result.trades) == len([line for line in lines if line.startswith("long ")]) > 3
    colours = np.unique(np.round(imread(picture)[:, :, :3] * 255).reshape(-1, 3), axis=0)
    assert len(colours) > 50  # not an empty sheet
    again = output(start("backtest.py", DATA_DIR=str(tmp_path), DB_PATH=str(tmp_path / "v.db")))
    assert again.splitlines()[1:] == lines[1:]  # the same, and nothing fetched
    assert again.startswith("downloaded 0 candles\n")
    assert list(file.parent.glob("*.json")) == [file]


def test_live_session_of_backtrader_begins_with_history_and_goes_on_live() -> None:
    out = output(start("live_backtrader.py"))
    states = [line.rpartition(" ")[2] for line in out.splitlines() if line.startswith("BTC/USDT")]
    assert {"CONNECTED", "DELAYED", "LIVE"} <= set(states)  # in turns, where the machine is slow
    live = [line[:5] for line in out.splitlines() if "closed at" in line]
    assert len(live) == 5
    assert len(set(live)) == 5
    assert out.splitlines()[-1].startswith("worth ")


@pytest.mark.parametrize(
    ("exchange", "market"),
    [("binance_spot", "spot"), ("binance_futures", "futures"), ("binanceus", "spot")],
)
def test_moving_average_runs_unchanged_on_other_venues(exchange: str, market: str) -> None:
    skew_ms = MINUTE - 3_000 - time.time_ns() // 1_000_000 % MINUTE  # a candle ends at once
    venue = StandInVenue(market, clock_skew_ms=skew_ms)  # type: ignore[arg-type]
    with venue.in_thread():
        process = start(
            "moving_average.py", EXCHANGE=exchange, REST_URL=venue.rest_url, WS_URL=venue.ws_url
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert CROSSING.fullmatch(line), err
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
