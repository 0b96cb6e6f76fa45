"""What the tests of the command share: a runner, a clean environment, a venue in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes import HOUR, NOW, FakeExchange, candles

from velas.cli import cli
from velas.interval import Interval
from velas_parquet import ParquetStore

Velas = Callable[..., Result]
_VARIABLES = (
    "EXCHANGE", "REST_URL", "WS_URL", "DATA_DIR", "DB_PATH", "VELAS_CONFIG",
    "BINANCE_API_KEY", "BINANCE_API_SECRET", "VELAS_CREDENTIALS", "NO_COLOR", "FORCE_COLOR",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    names = (None, "velas", "velas_ccxt", "velas_cryptofeed", "velas_parquet", "velas_replay")
    handlers = list(root.handlers)
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def velas() -> Velas:
    """Run a command line in this process."""

    def run(*args: str) -> Result:
        return CliRunner().invoke(cli, list(args))

    return run


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> FakeExchange:
    """A venue in memory, with two symbols of 30 hours, that commands open."""
    opens = [NOW // HOUR * HOUR - n * HOUR for n in range(30, 0, -1)]
    series = {(name, "1h"): candles(opens) for name in ("BTC/USDT", "ETH/USDT")}
    fake = FakeExchange(series, name="binance_spot")
    monkeypatch.setattr("velas.registry.open_exchange", lambda settings, *, ledger=None: fake)
    return fake


@pytest.fixture
def store_with(tmp_path: Path) -> Callable[[dict[tuple[str, str], int]], ParquetStore]:
    """Store so many hourly candles (every second one for 2h) of each series, without gaps."""

    def fill(series: dict[tuple[str, str], int]) -> ParquetStore:
        store = ParquetStore(tmp_path / "data" / "candles" / "binance_spot")
        for (symbol, interval), rows in series.items():
            step = Interval(interval).length_ms
            first = Interval(interval).floor(NOW - 40 * step)
            frame = candles([first + n * step for n in range(rows)], interval)
            store.save(frame, symbol, interval)
        return store

    return fill
