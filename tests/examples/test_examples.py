"""The examples as a user runs them: on recordings, and on a stand-in by one setting."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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


def test_tour_downloads_checks_and_streams() -> None:
    out = output(start("tour.py"))
    assert "downloaded 168 candles; gaps: none" in out
    assert "checked 168 rows; findings: none" in out
    assert "live #3: BTC/USDT closed at" in out


def test_moving_average_runs_on_the_recorded_session() -> None:
    out = output(start("moving_average.py"))
    assert CROSSING.match(out)
    assert len(out.splitlines()) == 3


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
