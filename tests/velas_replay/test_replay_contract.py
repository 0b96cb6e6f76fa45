"""The shipped contracts, kept by recordings of what they ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from velas.protocols import Exchange, Feed
from velas.testing.contracts.exchange import ExchangeContract
from velas.testing.contracts.feed import FeedContract
from velas_replay import ReplayExchange, ReplayFeed

CASSETTES = Path(__file__).parents[2] / "cassettes"


class TestReplayOfSpot(ExchangeContract):
    @pytest.fixture
    async def exchange(self, contract_tapes: dict[str, Path]) -> AsyncIterator[Exchange]:
        tape = contract_tapes["binance_spot"]
        async with ReplayExchange(tape, exchange="binance_spot") as exchange:
            yield exchange


class TestReplayOfFutures(ExchangeContract):
    @pytest.fixture
    async def exchange(self, contract_tapes: dict[str, Path]) -> AsyncIterator[Exchange]:
        tape = contract_tapes["binance_futures"]
        async with ReplayExchange(tape, exchange="binance_futures") as exchange:
            yield exchange


class TestReplayOfASpotTape(FeedContract):
    @pytest.fixture
    async def feed(self) -> AsyncIterator[Feed]:
        async with ReplayFeed(CASSETTES / "binance_spot" / "live.tape") as feed:
            yield feed


class TestReplayOfATapeAtAPace(FeedContract):
    @pytest.fixture
    async def feed(self) -> AsyncIterator[Feed]:
        path = CASSETTES / "binance_spot" / "live.tape"
        async with ReplayFeed(path, speed=500.0) as feed:
            yield feed
