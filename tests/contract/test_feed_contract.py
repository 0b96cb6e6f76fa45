"""The shipped feed contract, kept by every feed of this project."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from velas.limits import reset_shared_limiters
from velas.polling import PollingFeed
from velas.protocols import Feed
from velas.testing import ScaledClock, StandInVenue
from velas.testing.contracts.feed import FeedContract
from velas_ccxt import BinanceFutures, BinanceSpot
from velas_cryptofeed import BinanceFuturesFeed, BinanceSpotFeed

FACTOR = 120  # a one-minute candle closes every half a second
SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture(autouse=True)
def _own_limiters() -> Iterator[None]:
    yield
    reset_shared_limiters()


@pytest.fixture
def clock() -> ScaledClock:
    return ScaledClock(FACTOR, start_ms=1_700_000_010_000)


class TestPollingFeedOfSpot(FeedContract):
    @pytest.fixture
    async def feed(self, clock: ScaledClock) -> AsyncIterator[Feed]:
        with StandInVenue("spot", clock=clock, symbols=SYMBOLS).in_thread() as venue:
            exchange = BinanceSpot(url=venue.rest_url, clock=clock)
            async with exchange, PollingFeed(exchange) as feed:
                yield feed


class TestPollingFeedOfFutures(FeedContract):
    unified = "BTC/USDT:USDT"

    @pytest.fixture
    async def feed(self, clock: ScaledClock) -> AsyncIterator[Feed]:
        with StandInVenue("futures", clock=clock, symbols=SYMBOLS).in_thread() as venue:
            exchange = BinanceFutures(url=venue.rest_url, clock=clock)
            async with exchange, PollingFeed(exchange) as feed:
                yield feed


class TestBinanceSpotFeed(FeedContract):
    @pytest.fixture
    async def feed(self, clock: ScaledClock) -> AsyncIterator[Feed]:
        with StandInVenue("spot", clock=clock, symbols=SYMBOLS).in_thread() as venue:
            exchange = BinanceSpot(url=venue.rest_url, clock=clock)
            async with exchange, BinanceSpotFeed(exchange, url=venue.ws_url, clock=clock) as feed:
                yield feed


class TestBinanceFuturesFeed(FeedContract):
    unified = "BTC/USDT:USDT"

    @pytest.fixture
    async def feed(self, clock: ScaledClock) -> AsyncIterator[Feed]:
        with StandInVenue("futures", clock=clock, symbols=SYMBOLS).in_thread() as venue:
            exchange = BinanceFutures(url=venue.rest_url, clock=clock)
            feed = BinanceFuturesFeed(exchange, url=venue.ws_url, clock=clock)
            async with exchange, feed:
                yield feed
