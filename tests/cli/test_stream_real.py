"""`velas stream` as a process of its own, against a venue of this machine with real sockets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from velas import frames
from velas.testing import GeneratedCandles, SocketFault, StandInVenue
from velas_parquet import ParquetStore

SECOND = ("--symbol", "BTCUSDT", "--interval", "1s")


@pytest.fixture
def market() -> Iterator[StandInVenue]:
    with StandInVenue(candles=GeneratedCandles(seed=3)).in_thread() as venue:
        yield venue


@contextmanager
def stream(venue: StandInVenue, *args: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "velas", "stream", *args],
        env={**os.environ, "REST_URL": venue.rest_url, "WS_URL": venue.ws_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        if process.stdout is not None and not process.stdout.closed:
            process.communicate()


def closed(lines: list[str]) -> list[dict[str, object]]:
    events = [json.loads(line) for line in lines]
    return [one for one in events if one["type"] == "candle" and one["is_closed"]]


def read_until_closed(process: subprocess.Popen[str], number: int) -> list[str]:
    """Read lines until so many closed candles came; the stream itself ends the wait."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if len(closed(lines)) >= number:
            break
    return lines


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return what is left; not by `communicate`, which loses what was read ahead."""
    assert process.stdout is not None
    assert process.stderr is not None
    rest, err = process.stdout.read(), process.stderr.read()
    process.wait(30)
    process.stdout.close()
    process.stderr.close()
    return rest, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stream_interrupted_has_stored_what_it_showed_and_says_130(market, number):
    with stream(market, *SECOND, "--store", "--json", "--seconds", "30") as process:
        lines = read_until_closed(process, 2)
        process.send_signal(number)
        rest, err = finish(process)
    assert process.returncode == 130
    assert "stopping, keeping what is here" in err
    assert "velas: stored: BTC/USDT 1s: " in err
    assert "Traceback" not in err
    shown = closed(lines + rest.splitlines())
    assert [one["sequence"] for one in shown] == list(range(1, len(shown) + 1))
    stored = ParquetStore("data/candles/binance_spot").load("BTCUSDT", "1s")
    assert {one["timestamp"] for one in shown} <= set(stored["timestamp"].tolist())
    assert_the_venues(market, stored)


def test_stream_cut_in_the_middle_shows_every_second_and_ends_in_time(market):
    with stream(market, *SECOND, "--json", "--seconds", "6") as process:
        lines = read_until_closed(process, 2)
        market.strike(SocketFault.drop())
        rest, err = finish(process)
    assert_ended_as_it_says(process.returncode, err)
    lines += rest.splitlines()
    opens = [one["timestamp"] for one in closed(lines)]
    assert opens == list(range(opens[0], opens[0] + 1000 * len(opens), 1000)), "".join(lines)
    assert '"status": "Disconnected"' in rest


def test_stream_whose_reader_goes_away_ends_quietly(market):
    with stream(market, *SECOND, "--json", "--seconds", "30") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        read_until_closed(process, 1)
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        assert process.wait(30) == 1
    assert err == ""


def test_stream_that_cannot_reach_the_socket_is_served_by_rest(market):
    market.strike(SocketFault.refuse(60))
    with stream(market, *SECOND, "--seconds", "5") as process:
        out, err = process.communicate(timeout=30)
    assert_ended_as_it_says(process.returncode, err)
    assert "disconnected" in err
    assert out.count("BTC/USDT 1s") >= 2
    assert all(line.endswith(" rest") for line in out.splitlines())


def test_stream_of_an_unknown_symbol_is_2_with_near_matches(market):
    with stream(market, "--symbol", "BTCUSTD", "--interval", "1m") as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert "BTC/USDT" in err


def assert_ended_as_it_says(code: int | None, err: str) -> None:
    # the end may come while the newest second is still being asked for
    assert code == (1 if "a gap was still open at the end" in err else 0), err


def assert_the_venues(venue: StandInVenue, stored) -> None:
    start_ms, end_ms = int(stored["timestamp"].iloc[0]), int(stored["timestamp"].iloc[-1]) + 1000
    theirs = venue.frame("BTCUSDT", "1s", start_ms=start_ms, end_ms=end_ms)
    assert frames.digest(stored) == frames.digest(theirs)
