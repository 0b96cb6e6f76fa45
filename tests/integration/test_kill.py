"""`kill -9` in the middle of downloads: nothing acknowledged is lost, the rest is resumed."""

from __future__ import annotations

import multiprocessing
import random
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import victim

import velas
from velas.history import Wanted
from velas.testing import GeneratedCandles, StandInVenue

HOUR = 3_600_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
DAYS = 300


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Processes that start in milliseconds, because everything is imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["victim", "velas_ccxt", "velas_parquet", "velas.config"])
    return context


def killed_downloads(
    processes: multiprocessing.context.ForkServerContext, folder: Path, seed: int, kills: int
) -> None:
    rng = random.Random(seed)
    with StandInVenue(candles=GeneratedCandles(seed), latency_s=0.004).in_thread() as venue:
        end = venue.now_ms() // HOUR * HOUR - 48 * HOUR
        wanted = Wanted(
            SYMBOLS, (velas.Interval("15m"), velas.Interval("1h")), end - DAYS * 24 * HOUR, end
        )
        store = velas.open_store(velas.load_settings(data_dir=folder))
        log = folder / "acknowledged"
        for at in range(kills + 1):
            child = processes.Process(
                target=victim.download, args=(venue.rest_url, folder, log, wanted)
            )
            child.start()
            child.join(timeout=None if at == kills else rng.uniform(0.05, 0.6))
            child.kill()
            child.join()
            code = child.exitcode
            child.close()
            assert code in (0, -9), f"seed {seed}, kill {at}: exit code {code}"
            _check_acknowledged(store, log, f"seed {seed}, kill {at}")
            if at < kills and rng.random() < 0.3:
                store.delete(rng.choice(SYMBOLS), "1h")  # so that there is always work left
                _forget(log)
        for series in store.series():
            own = venue.frame(
                series.symbol, series.interval, start_ms=end - DAYS * 24 * HOUR, end_ms=end
            )
            pd.testing.assert_frame_equal(store.load(series.symbol, series.interval), own)
        assert len(store.series()) == 4


def _check_acknowledged(store, log: Path, when: str) -> None:
    said: Counter[tuple[str, str]] = Counter()
    for line in log.read_text().splitlines() if log.exists() else ():
        symbol, interval, rows = line.split()
        said[symbol, interval] += int(rows)
    for (symbol, interval), rows in said.items():
        there = store.load(symbol, interval)
        assert len(there) >= rows, f"{when}: {symbol} {interval} lost acknowledged rows"
        assert there["timestamp"].is_monotonic_increasing
        assert there["timestamp"].is_unique
        assert store.verify(symbol, interval) == []


def _forget(log: Path) -> None:
    log.unlink(missing_ok=True)


@pytest.mark.parametrize("seed", [1])
def test_download_killed_again_and_again_loses_nothing(processes, tmp_path, seed):
    killed_downloads(processes, tmp_path, seed, kills=8)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(10, 30))
def test_download_killed_hundreds_of_times_loses_nothing(processes, tmp_path, seed):
    killed_downloads(processes, tmp_path, seed, kills=25)
