"""Recordings made on the spot, against a stand-in on loopback."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from velas.limits import reset_shared_limiters
from velas.protocols import Exchange
from velas.testing import GeneratedCandles, ManualClock, StandInVenue
from velas.testing.contracts.exchange import ExchangeContract
from velas_replay._session import Session
from velas_replay.record import STAND_IN_MS, record

Recorder = Callable[..., int]
MARKETS = {"binance_spot": "spot", "binance_futures": "futures"}


@pytest.fixture(autouse=True)
def _own_limiters() -> Iterator[None]:
    yield
    reset_shared_limiters()


def record_now(exchange: str, path: Path, session: Session, **options: object) -> int:
    """Record a session at the stand-in, in an event loop and thread of its own."""

    async def work() -> int:
        venue = StandInVenue(
            "spot" if exchange == "binance_spot" else "futures",
            symbols=["BTCUSDT", "ETHUSDT"],
            candles=GeneratedCandles(1),
            clock=ManualClock(STAND_IN_MS),
        )
        async with venue:
            return await record(
                exchange, path, session, symbols=["BTC/USDT"], rest_url=venue.rest_url, **options
            )

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work()).result()


async def small(exchange: Exchange, symbols: Sequence[str]) -> None:
    """Ask for the markets, the time and three candles."""
    await exchange.fetch_candles(symbols[0], "1h", limit=3)


async def contract(exchange: Exchange, symbols: Sequence[str]) -> None:
    """Ask all that the shipped contract asks."""
    suite = ExchangeContract()
    for name in dir(ExchangeContract):
        test = getattr(suite, name)
        if not name.startswith("test_") or "aclose" in name:
            continue
        if list(inspect.signature(test).parameters) == ["exchange"]:
            with suppress(pytest.skip.Exception):
                await test(exchange)


@pytest.fixture(scope="session")
def spot_tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small recording of spot."""
    path = tmp_path_factory.mktemp("tapes") / "spot.yaml"
    record_now("binance_spot", path, small)
    return path


@pytest.fixture(scope="session")
def futures_tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small recording of futures."""
    path = tmp_path_factory.mktemp("tapes") / "futures.yaml"
    record_now("binance_futures", path, small)
    return path


@pytest.fixture(scope="session")
def contract_tapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A recording of everything the contract asks, by exchange."""
    folder = tmp_path_factory.mktemp("contract")
    for exchange in MARKETS:
        record_now(exchange, folder / f"{exchange}.yaml", contract)
    return {exchange: folder / f"{exchange}.yaml" for exchange in MARKETS}


@pytest.fixture
def recorder() -> Recorder:
    """Record a session at the stand-in."""
    return record_now
