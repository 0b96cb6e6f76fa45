"""The real path - ccxt, HTTP, limiter, history, Parquet - under random faults of the venue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pandas as pd
import pytest

import velas
from velas.clock import Clock
from velas.history import Report, Wanted, make_plan, run_plan
from velas.testing import Fault, FaultPlan, GeneratedCandles, ScaledClock, StandInVenue

HOUR = 3_600_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
INTERVALS = ("30m", "1h")
HOURS = 1_200

MARKETS = {"spot": "binance_spot", "futures": "binance_futures"}
RATES = {
    "latency": 0.05,
    "reset": 0.05,
    "reset_midway": 0.05,
    "cut_off": 0.05,
    "cut_json": 0.05,
    "server_error": 0.05,
    "too_many": 0.01,
    "banned": 0.005,
    "wrong": 0.06,
    "empty": 0.10,
    "duplicated": 0.02,
    "shuffled": 0.02,
    "skew": 0.01,
}


@asynccontextmanager
async def fault_run(market: str, faults: FaultPlan, **options) -> AsyncIterator[StandInVenue]:
    clock = ScaledClock(40)
    now = clock.now_ms()
    outage = (now - 700 * HOUR, now - 650 * HOUR)
    candles = GeneratedCandles(7, first_ms=now - 2_000 * HOUR, outages={"SOLUSDT": [outage]})
    # 10 s of this clock are a quarter of a real second: what is on its way by then
    venue = StandInVenue(
        market, candles=candles, faults=faults, clock=clock, in_flight_s=10.0, **options
    )
    async with venue:
        yield venue


async def download(venue: StandInVenue, folder: Path, clock: Clock) -> Report:
    settings = velas.load_settings(
        exchange=MARKETS[venue.market], data_dir=folder, rest={"url": venue.rest_url}
    )
    end = clock.now_ms() // HOUR * HOUR - 24 * HOUR
    wanted = Wanted(
        SYMBOLS, tuple(map(velas.Interval, INTERVALS)), end - HOURS * HOUR, end, strict=True
    )
    with velas.open_store(settings) as store, velas.open_ledger(settings) as ledger:
        async with velas.open_exchange(settings, ledger=ledger, clock=clock) as exchange:
            plan = await make_plan(exchange, store, ledger, wanted)
            return await run_plan(exchange, store, ledger, plan, parallel=3, pages_in_flight=6)


def assert_same(venue: StandInVenue, folder: Path, report: Report) -> None:
    settings = velas.load_settings(exchange=MARKETS[venue.market], data_dir=folder)
    for series in report.series:
        assert series.error is None
        assert {gap.reason for gap in series.gaps} <= {"venue"}
        stored = velas.open_store(settings).load(series.symbol, series.interval)
        own = venue.frame(
            series.symbol,
            series.interval,
            start_ms=int(stored.timestamp.iloc[0]),
            end_ms=int(stored.timestamp.iloc[-1]) + 1,
        )
        pd.testing.assert_frame_equal(stored, own)
        step = velas.Interval(series.interval).length_ms
        outage = 50 * HOUR // step if series.symbol == "SOLUSDT" else 0
        assert len(stored) in (HOURS * HOUR // step - outage, HOURS * HOUR // step - outage + 1)


async def random_faults(market: str, seed: int, folder: Path) -> None:
    faults = FaultPlan.random(seed, rates=RATES, max_in_a_row=3)
    async with fault_run(market, faults) as venue:
        report = await download(venue, folder, venue.clock)
        assert_same(venue, folder, report)
        assert venue.refused == 0
        assert venue.bans == 0
        assert venue.ignored_retry_after == 0
        assert venue.ignored_bans == 0


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("seed", range(2))
async def test_download_random_faults_series_equal_the_venues(market, seed, tmp_path):
    await random_faults(market, seed, tmp_path)


@pytest.mark.faults
@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("seed", range(100, 200))
async def test_download_many_random_faults_series_equal_the_venues(market, seed, tmp_path):
    await random_faults(market, seed, tmp_path)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.latency(1.0),
        Fault.reset(),
        Fault.reset(midway=True),
        Fault.truncated(),
        Fault.truncated(honest_length=True),
        Fault.server_error(500),
        Fault.server_error(503),
        Fault.too_many(3.0),
        Fault.too_many(None),
        Fault.banned(30.0),
        Fault.wrong("html"),
        Fault.wrong("object"),
        Fault.wrong("scalars"),
        Fault.wrong("short_row"),
        Fault.wrong("error"),
        Fault.empty(),
        Fault.duplicated(),
        Fault.shuffled(),
        Fault.skew(-90_000),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.shape}",
)
async def test_download_each_fault_alone_series_equal_the_venues(fault, tmp_path):
    faults = FaultPlan.script([None, None, None, None, fault, None, fault], path="klines")
    async with fault_run("spot", faults) as venue:
        report = await download(venue, tmp_path, venue.clock)
        assert_same(venue, tmp_path, report)
        assert venue.ignored_retry_after == venue.ignored_bans == venue.bans == 0


@pytest.mark.parametrize("fault", [Fault.forbidden(), Fault.restricted()])
async def test_download_refused_for_good_is_not_repeated(fault, tmp_path):
    faults = FaultPlan.script([None] * 6 + [fault] * 99, path="klines")
    async with fault_run("spot", faults) as venue:
        report = await download(venue, tmp_path, venue.clock)
        assert not report.ok
        refused = sum(record.status in (403, 451) for record in venue.requests)
        assert 1 <= refused <= 6  # what was in flight, and no request more


async def test_download_small_budget_is_used_up_and_never_passed(tmp_path):
    async with fault_run("spot", FaultPlan(), weight_limit=40) as venue:
        report = await download(venue, tmp_path, venue.clock)
        assert_same(venue, tmp_path, report)
        assert venue.refused == 0
        assert venue.max_used_weight <= 40
