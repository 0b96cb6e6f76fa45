"""The shipped exchange contract, kept by every adapter of this project."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from ccxt_dialects import Bybit, Kraken

from velas.limits import reset_shared_limiters
from velas.protocols import Exchange
from velas.testing import ManualClock, StandInVenue
from velas.testing.contracts.exchange import ExchangeContract
from velas_ccxt import BinanceFutures, BinanceSpot, CcxtExchange

NOW_MS = 1_700_000_123_456


@pytest.fixture(autouse=True)
def _own_limiters() -> Iterator[None]:
    yield
    reset_shared_limiters()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS, auto=True)


class TestBinanceSpot(ExchangeContract):
    @pytest.fixture
    async def exchange(self, clock: ManualClock) -> AsyncIterator[Exchange]:
        venue = StandInVenue("spot", clock=clock, symbols=["BTCUSDT", "ETHUSDT"])
        async with venue, BinanceSpot(url=venue.rest_url, clock=clock) as exchange:
            yield exchange


class TestBinanceFutures(ExchangeContract):
    @pytest.fixture
    async def exchange(self, clock: ManualClock) -> AsyncIterator[Exchange]:
        venue = StandInVenue("futures", clock=clock, symbols=["BTCUSDT", "ETHUSDT"])
        async with venue, BinanceFutures(url=venue.rest_url, clock=clock) as exchange:
            yield exchange


class TestKraken(ExchangeContract):
    @pytest.fixture
    async def exchange(self, clock: ManualClock) -> AsyncIterator[Exchange]:
        venue = Kraken(clock)
        async with venue, CcxtExchange("kraken", url=venue.url, clock=clock) as exchange:
            yield exchange


class TestBybit(ExchangeContract):
    @pytest.fixture
    async def exchange(self, clock: ManualClock) -> AsyncIterator[Exchange]:
        venue = Bybit(clock)
        async with venue, CcxtExchange("bybit", url=venue.url, clock=clock) as exchange:
            yield exchange
