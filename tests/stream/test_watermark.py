"""What is stored unchecked is known after a restart, whatever came between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes import FakeStore
from streamkit import MINUTE, START, LiveVenue, live
from watched import FIRST, Watched, close, close_at, opened, revised, until

from velas.candles import frame_of
from velas.errors import StoreLocked
from velas.ledger import Ledger
from velas.testing import ManualClock

BTC = ("BTCUSDT", "1m")


def later(minute: int) -> Any:
    """A venue whose socket closes a minute otherwise than REST."""
    return lambda clock: Watched(clock, later={FIRST + minute * MINUTE})


def downloaded(store: FakeStore, *minutes: int) -> None:
    shop = LiveVenue(ManualClock(START))
    rows = [shop.at_rest(FIRST + n * MINUTE, "BTC/USDT", "1m") for n in minutes]
    store.append(frame_of(rows), "BTC/USDT", "1m")


@pytest.mark.parametrize("kind", ["ledger", "path"])
async def test_wrong_close_of_an_earlier_run_is_revised_though_a_download_came_between(
    kind: str, tmp_path: Path
) -> None:
    store = FakeStore()
    ledger = Ledger(tmp_path / "velas.db")
    given = ledger if kind == "ledger" else tmp_path / "velas.db"
    async with live(store=store, ledger=given, venue=later(1), memory_candles=5) as at:
        await opened(at)
        await close(at, 0, 1)
        await until(at, lambda: len(at.closed()) == 2)
        wrong = at.closed()[1].close
    start_ms, end_ms = ledger.unchecked("live")[BTC]
    assert start_ms <= FIRST + MINUTE
    assert end_ms == FIRST + 2 * MINUTE
    downloaded(store, *range(2, 300))
    assert close_at(store.load("BTC/USDT", "1m"), 1) == wrong
    begins_ms = START + 300 * MINUTE
    async with live(store=store, ledger=given, venue=later(1), start_ms=begins_ms) as at:
        await opened(at)
        await at.run(70.0)
        await until(at, lambda: revised(at) == [1])
        assert close_at(store.load("BTC/USDT", "1m"), 1) == wrong + 0.5
    ledger.close()


async def test_mark_is_written_before_the_first_candle_is_and_moves_on() -> None:
    ledger = Ledger(None)
    async with live(store=FakeStore(), ledger=ledger, venue=Watched, memory_candles=5) as at:
        await until(at, lambda: BTC in ledger.unchecked("live"))
        start_ms, end_ms = ledger.unchecked("live")[BTC]
        assert start_ms <= FIRST
        assert end_ms >= at.venue.now_ms() + 150_000
        await opened(at)
        await close(at, 0, 1, 2, 3)
        await at.run(61.0)  # they are checked, then the mark is written
        await until(at, lambda: ledger.unchecked("live")[BTC][0] > FIRST)
    ledger.close()


async def test_stream_that_stored_nothing_leaves_no_mark() -> None:
    ledger = Ledger(None)
    store = FakeStore()
    async with live(store=store, ledger=ledger, venue=Watched, memory_candles=1) as at:
        await opened(at)
        await at.run(12.0)
        await until(at, lambda: not len(at.stream._core.candles["BTC/USDT", "1m"].track.unchecked))
    assert ledger.unchecked("live") == {}
    ledger.close()


async def test_mark_stays_while_a_correction_is_not_stored_yet() -> None:
    class Sometimes(FakeStore):
        held = False

        def append(self, *given: Any) -> Any:
            if self.held:
                raise StoreLocked("held by another process")
            return super().append(*given)

    ledger = Ledger(None)
    store = Sometimes()
    async with live(store=store, ledger=ledger, venue=later(1), memory_candles=5) as at:
        await opened(at)
        await close(at, 0, 1)
        await until(at, lambda: len(at.closed()) == 2)
        store.held = True
        await at.run(200.0)
        await at.settle()
        await at.run(61.0)
        await until(at, lambda: at.stream.counters["revised"] == 1)
        await at.run(130.0)
        await at.settle()
        assert ledger.unchecked("live")[BTC][0] <= FIRST + MINUTE
        store.held = False
        await at.run(40.0)
        await until(at, lambda: revised(at) == [1])
    ledger.close()


async def test_ledger_that_fails_costs_no_candle() -> None:
    class Locked(Ledger):
        def unchecked(self, exchange: str) -> Any:
            raise StoreLocked("held")

        def set_unchecked(self, exchange: str, ranges: Any) -> None:
            raise StoreLocked("held")

    ledger = Locked(None)
    async with live(store=FakeStore(), ledger=ledger, venue=Watched) as at:
        await opened(at)
        await close(at, 0, 1)
        await until(at, lambda: len(at.closed()) == 2)
    ledger.close()
