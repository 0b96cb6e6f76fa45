"""Ctrl-C, on real processes against a venue that is slow."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from velas.cli.signals import Stopped, stop_on_signals, until_stopped
from velas.testing import Fault, FaultPlan, StandInVenue
from velas_parquet import ParquetStore

YEAR = ("--interval", "1h", "--months", "12", "--json")
YEARS = ("--interval", "1h", "--months", "60", "--json")


@contextmanager
def download(venue: StandInVenue, *args: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "velas", "download", "--symbol", "BTCUSDT", *args],
        env={**os.environ, "REST_URL": venue.rest_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(venue: StandInVenue, path: str, number: int) -> None:
    """Return once the venue was asked so often; the venue itself tells, nothing is polled."""
    enough = threading.Event()
    take = venue.faults.take

    def counting(asked: str, query: str) -> Fault | None:
        fault = take(asked, query)
        if venue.count(path) >= number:
            enough.set()
        return fault

    venue.faults.take = counting  # type: ignore[method-assign]
    if venue.count(path) < number:
        assert enough.wait(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_download_interrupted_keeps_what_arrived_and_says_130(tmp_path, number):
    stall = [None] * 5 + [Fault.latency(60)] * 60
    plan = FaultPlan.script(stall, path="klines")
    with StandInVenue(faults=plan).in_thread() as venue, download(venue, *YEAR) as process:
        wait_for(venue, "klines", 8)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopping, keeping what is here" in err
    (series,) = json.loads(out)["series"]
    stored = ParquetStore("data/candles/binance_spot").load("BTCUSDT", "1h")
    assert series["rows_total"] == len(stored)
    assert series["rows_added"] > 0
    assert "Traceback" not in err


def test_download_interrupted_goes_on_where_it_stopped(tmp_path):
    stall = [None] * 5 + [Fault.latency(60)] * 60
    plan = FaultPlan.script(stall, path="klines")
    with StandInVenue(faults=plan).in_thread() as venue, download(venue, *YEAR) as process:
        wait_for(venue, "klines", 8)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    stored = len(ParquetStore("data/candles/binance_spot").load("BTCUSDT", "1h"))
    with StandInVenue().in_thread() as venue, download(venue, *YEAR) as process:
        out, _ = process.communicate(timeout=60)
    (series,) = json.loads(out)["series"]
    assert process.returncode == 0
    assert series["rows_added"] == series["rows_total"] - stored


def test_download_interrupted_with_every_place_in_flight_taken_does_not_wait_for_answers(tmp_path):
    stall = [None] * 5 + [Fault.latency(60)] * 60
    plan = FaultPlan.script(stall, path="klines")
    with StandInVenue(faults=plan).in_thread() as venue, download(venue, *YEARS) as process:
        wait_for(venue, "klines", 24)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=9)  # less than one request's time-out
    assert process.returncode == 130


def test_download_interrupted_while_planning_is_130_and_valid_json(tmp_path):
    plan = FaultPlan.script([Fault.latency(60)] * 5, path="exchangeInfo")
    with StandInVenue(faults=plan).in_thread() as venue, download(venue, *YEARS) as process:
        wait_for(venue, "exchangeInfo", 1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["series"] == []
    assert "Traceback" not in err


def test_download_interrupted_twice_aborts(tmp_path):
    # the second signal may come while the first is still being obeyed, or after it: both 130
    plan = FaultPlan.script([Fault.latency(60)] * 60, path="klines")
    with StandInVenue(faults=plan).in_thread() as venue, download(venue, *YEARS) as process:
        wait_for(venue, "klines", 1)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
async def test_first_signal_sets_the_event_and_second_aborts(monkeypatch, capsys, terminal, shown):
    ended: list[int] = []
    over = asyncio.Event()

    def end(code: int) -> None:
        ended.append(code)
        over.set()

    monkeypatch.setattr("velas.cli.signals.os._exit", end)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 30)
        assert ended == []
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(over.wait(), 30)
    assert ended == [130]
    assert ("\x1b[?25h" in capsys.readouterr().err) is shown


async def test_signals_in_another_thread_are_left_alone():
    def work() -> bool:
        async def inner() -> bool:
            with stop_on_signals() as stop:
                return stop.is_set()

        return asyncio.run(inner())

    assert await asyncio.to_thread(work) is False


async def test_until_stopped_gives_the_result_or_the_error_of_the_work():
    async def work() -> int:
        return 5

    async def fail() -> int:
        raise ZeroDivisionError

    assert await until_stopped(work(), asyncio.Event()) == 5
    with pytest.raises(ZeroDivisionError):
        await until_stopped(fail(), asyncio.Event())


async def test_until_stopped_cancels_the_work_on_stop():
    cancelled: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    stop = asyncio.Event()
    asyncio.get_running_loop().call_soon(stop.set)
    with pytest.raises(Stopped):
        await until_stopped(work(), stop)
    assert cancelled == [True]
