"""What the tests of the command share: a runner, a clean environment, fakes to open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes import FakeExchange, FakeStore, candles

from velas.cli import cli
from velas.ledger import Ledger

Velas = Callable[..., Result]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("EXCHANGE", "REST_URL", "WS_URL", "DATA_DIR", "DB_PATH", "VELAS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def velas() -> Velas:
    """Run a command line in this process."""

    def run(*args: str) -> Result:
        return CliRunner().invoke(cli, list(args))

    return run


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> FakeExchange:
    """A venue in memory that the command opens instead of a real one."""
    hour = 3_600_000
    now = FakeExchange({}).now_ms
    opens = [now // hour * hour - n * hour for n in range(30, 0, -1)]
    fake = FakeExchange({("BTC/USDT", "1h"): candles(opens), ("ETH/USDT", "1h"): candles(opens)})
    monkeypatch.setattr("velas.registry.open_exchange", lambda settings, *, ledger=None: fake)
    return fake


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """A store in memory that the command opens instead of files."""
    fake = FakeStore()
    monkeypatch.setattr("velas.registry.open_store", lambda settings: fake)
    return fake


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger in memory that outlives the command."""

    class Lasting(Ledger):
        def close(self) -> None:
            return None

    fake = Lasting()
    monkeypatch.setattr("velas.registry.open_ledger", lambda settings: fake)
    monkeypatch.setattr("velas.ledger.Ledger", lambda path: fake)
    return fake
