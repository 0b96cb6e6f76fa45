"""The shipped exchange contract, kept by a recording of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from velas.protocols import Exchange
from velas.testing.contracts.exchange import ExchangeContract
from velas_replay import ReplayExchange


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
