"""A store or a bot that is behind: what is held back, for whom, and in which order it comes."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fakes import FakeStore
from storekit import Threads
from streamkit import MINUTE, START, Live, LiveVenue, live, name_of

from velas.errors import StoreFull, Unavailable
from velas.mailbox import Mailbox
from velas.models import Candle, Trade
from velas.status import (
    BadFrame,
    CandleRevised,
    ConsumerSlow,
    Disconnected,
    FellBack,
    GapAbsent,
    StoreFailed,
    StoreRecovered,
)
from velas.stream import outlet
from velas.stream.outlet import Outlet
from velas.testing import ManualClock

FIRST = START // MINUTE * MINUTE
BTC, ETH = "BTC/USDT", "ETH/USDT"
BOTH = {"channel": "candles", "symbols": [BTC, ETH], "intervals": ["1m"]}
TRADES = {"channel": "trades", "symbols": [ETH]}


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    made = Threads()
    monkeypatch.setattr(outlet, "ThreadPoolExecutor", made)
    return made


class BrokenStore(FakeStore):
    """A store that cannot write the series of some symbols, for now."""

    def __init__(self, *broken: str) -> None:
        self.broken = set(broken)
        super().__init__(fail=self._refuse)

    def _refuse(self, symbol: str) -> None:
        if symbol in self.broken:
            raise StoreFull("no space left on the device")


async def begin(at: Live) -> None:
    """Return when the stream listens: what is stored is read by threads of its own."""
    await at.settle()
    assert at.feed.runs
    await at.run(0.5)


async def close(at: Live, minute: int, *symbols: str) -> None:
    """Let a minute end, say its close and the first of the next one."""
    await at.run((FIRST + (minute + 1) * MINUTE - at.clock.now_ms()) / 1000 + 0.5)
    for symbol in symbols or (BTC,):
        at.feed.say(
            at.venue.candle(FIRST + minute * MINUTE, symbol),
            at.venue.forming(FIRST + (minute + 1) * MINUTE, 1, symbol),
        )
    await at.run(0.1)


def minutes(events: list[Any], symbol: str = BTC) -> list[int]:
    return [
        name_of(one.timestamp)
        for one in events
        if isinstance(one, Candle) and one.is_closed and one.symbol == symbol
    ]


# -- a store that is behind --------------------------------------------------------------


async def test_series_whose_store_fails_leaves_the_others_all_the_room(threads: Threads) -> None:
    async with live(store=BrokenStore(BTC), subscribe=(BOTH, TRADES), queue_size=20) as at:
        await begin(at)
        for minute in range(60):
            await close(at, minute, BTC, ETH)
            at.feed.say(at.venue.trade(1000 + minute, ETH))
        await at.run(1.0)
        assert minutes(at.heard, ETH) == list(range(60))
        assert [one.id for one in at.trades()] == list(range(1000, 1060))
        assert at.told(ConsumerSlow) == []
        assert {one.symbol for one in at.told(StoreFailed)} == {BTC}
        assert minutes(at.heard, BTC) == []


async def test_series_whose_store_hangs_leaves_the_others_all_the_room(threads: Threads) -> None:
    async with live(store=FakeStore(), subscribe=(BOTH, TRADES), queue_size=20) as at:
        await begin(at)
        threads.hung = {BTC}
        for minute in range(60):
            await close(at, minute, BTC, ETH)
            at.feed.say(at.venue.trade(1000 + minute, ETH))
        await at.run(1.0)
        heard = list(at.heard)
        threads.go_on()  # also when something is wrong, or the end waits for it
        await at.run(5.0)
        assert minutes(heard, ETH) == list(range(60))
        assert [one.id for one in heard if isinstance(one, Trade)] == list(range(1000, 1060))
        assert at.told(ConsumerSlow) == []
        assert minutes(at.heard, BTC) == list(range(60))


async def test_series_too_far_ahead_of_its_store_is_parked_and_all_of_it_comes_later(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlet, "_BACKLOG", 10)
    store = BrokenStore()
    async with live(store=store, mute_after_s=3600.0) as at:
        await begin(at)
        store.broken = {BTC}
        for minute in range(12):
            await close(at, minute)
        asked = len(at.venue.asked)
        for minute in range(12, 40):
            await close(at, minute)
        assert len(at.stream._core._outlet._boxes[BTC, "1m"].items) == 10
        assert len(at.venue.asked) - asked <= 40  # checks of what was said, nothing else
        store.broken.clear()
        await at.run(59.0)
        assert minutes(at.heard) == list(range(40))
        assert [one.sequence for one in at.closed()] == list(range(1, 41))
        assert at.told(ConsumerSlow) == at.told(GapAbsent) == []
        assert len(at.told(StoreFailed)) == len(at.told(StoreRecovered)) == 1
        assert store.gaps(BTC, "1m") == []


async def test_forming_candle_does_not_follow_its_own_close_that_waited_for_the_store(
    threads: Threads,
) -> None:
    store = BrokenStore()
    async with live(store=store) as at:
        await begin(at)
        store.broken = {BTC}
        await close(at, 0)
        await at.run(50.0)
        at.feed.say(at.venue.forming(FIRST + MINUTE, 40))
        await at.run(9.9)
        at.feed.say(at.venue.candle(FIRST + MINUTE))  # and nobody trades in the next minute
        await at.run(0.5)
        store.broken.clear()
        await at.run(15.0)
        got = [(name_of(one.timestamp), one.is_closed) for one in at.told(Candle)]
        assert got == [(0, True), (1, True)]


@pytest.mark.parametrize("seed", range(20))
async def test_forming_candle_follows_no_close_as_late_whatever_the_store_does(
    threads: Threads, seed: int
) -> None:
    draw = random.Random(seed)
    store = BrokenStore()
    venue = LiveVenue(clock := ManualClock(START))
    mailbox: Mailbox[Any] = Mailbox(1_000)
    out = Outlet(mailbox, store, clock, Counter())
    key, minute = (BTC, "1m"), 0
    for count in range(200):
        action = draw.random()
        if action < 0.4:
            out.forming(venue.forming(FIRST + minute * MINUTE, count), key)
        elif action < 0.6:
            out.candle(venue.candle(FIRST + minute * MINUTE), key)
            minute += 1
        elif action < 0.8:
            store.broken ^= {BTC}
        else:
            await clock.run_for(draw.uniform(0.0, 5.0))
    store.broken.clear()
    await clock.run_for(60.0)
    await out.finish()
    got = [event async for event in mailbox.drain() if isinstance(event, Candle)]
    assert minutes(got) == list(range(minute)), f"seed {seed}"
    closed = -1
    for one in got:
        name = name_of(one.timestamp)
        assert name > closed, f"seed {seed}"
        closed = name if one.is_closed else closed


async def test_backlog_of_a_store_that_works_again_keeps_to_the_room_of_the_bot(
    threads: Threads,
) -> None:
    store = BrokenStore()
    async with waiting(store=store, subscribe=(BOTH,), queue_size=10) as (at, go):
        store.broken = {BTC}
        for minute in range(40):
            await close(at, minute, BTC)
        store.broken.clear()
        await at.run(60.0)
        assert 0 < at.stream._mailbox.kept <= 10
        go()
        await at.run(30.0)
        assert minutes(at.heard)[:40] == list(range(40))


async def test_aclose_waits_for_the_page_of_history_that_is_being_stored() -> None:
    entered, go = threading.Event(), threading.Event()
    inside: list[str] = []

    def append(symbol: str) -> None:
        inside.append(symbol)
        entered.set()
        go.wait(60.0)
        inside.pop()

    async with live(store=FakeStore(fail=append), settled=False) as at:
        assert await asyncio.to_thread(entered.wait, 10.0)
        closing = asyncio.ensure_future(at.stream.aclose())
        await at.run(1.0)
        assert not closing.done()
        go.set()
        await closing
        assert inside == []


# -- a bot that is behind ----------------------------------------------------------------


@asynccontextmanager
async def waiting(**arguments: Any) -> AsyncIterator[tuple[Live, Any]]:
    """Run a stream whose bot takes one event, and the others once it is let."""
    go = asyncio.Event()
    async with live(consume=False, **arguments) as at:

        async def listen() -> None:
            async for event in at.stream.events():
                at.heard.append(event)
                await go.wait()

        task = asyncio.ensure_future(listen())
        await begin(at)
        yield at, go.set
        go.set()
        await at.stream.aclose()
        await asyncio.wait_for(task, 30)


async def test_trades_behind_a_hole_that_is_filled_keep_to_the_room_and_need_no_rest() -> None:
    def fault(what: str) -> None:
        if what == "trades" and (down or len(at.venue.asked) > 20):
            raise Unavailable("down")

    down = True
    async with waiting(subscribe=(TRADES,), queue_size=100) as (at, go):
        at.venue.fault, at.venue.first_trade_id = fault, 1_999
        at.feed.say(
            *(at.venue.trade(number, ETH) for number in range(1000, 2000) if number != 1001)
        )
        await at.run(3.0)
        down = False
        await at.run(30.0)
        assert at.stream._mailbox.kept == 100
        at.venue.asked += ["enough"] * 20  # from here on REST is down for trades again
        go()
        await at.run(5.0)
        assert [one.id for one in at.trades()] == list(range(1000, 2000))
        assert len(at.told(ConsumerSlow)) >= 1
        assert at.told(GapAbsent) == []


async def test_trades_behind_a_hole_that_stays_one_keep_to_the_room() -> None:
    async with waiting(subscribe=(TRADES,), queue_size=100) as (at, go):
        at.venue.first_trade_id, at.venue.gone_ids = 1_999, {1001}
        at.feed.say(
            *(at.venue.trade(number, ETH) for number in range(1000, 2000) if number != 1001)
        )
        await at.run(30.0)
        assert at.stream._mailbox.kept == 100
        go()
        await at.run(15.0)
        assert [one.id for one in at.trades()] == [1000, *range(1002, 2000)]


async def test_closed_candles_behind_a_hole_keep_to_the_room_and_all_come_later() -> None:
    def fault(what: str) -> None:
        if what == "candles" and down:
            raise Unavailable("down")

    down = True
    async with waiting(queue_size=5, mute_after_s=3600.0) as (at, go):
        at.venue.fault = fault
        await close(at, 0)
        for minute in range(2, 30):
            await close(at, minute)
        down = False
        await at.run(31.0)
        assert at.stream._mailbox.kept == 5
        down = True  # what is held needs no REST
        go()
        await at.run(5.0)
        assert minutes(at.heard) == list(range(30))
        assert at.told(GapAbsent) == []


# -- statuses ----------------------------------------------------------------------------


async def test_statuses_of_many_series_at_once_all_come_though_the_queue_is_short() -> None:
    symbols = tuple(f"C{number:04}/USDT" for number in range(1_100))
    subscribe = ({"channel": "book_ticker", "symbols": list(symbols)},)
    async with live(
        venue=lambda clock: LiveVenue(clock, symbols=symbols),
        subscribe=subscribe,
        queue_size=10,
        mute_after_s=3600.0,
    ) as at:
        for symbol in symbols:
            at.feed.say(await at.venue.fetch_book_ticker(symbol))
        await at.run(1.0)
        at.feed.drop()
        await at.run(10.0)
        assert [one.symbol for one in at.told(FellBack)] == list(symbols)
        assert at.stream.counters.get("statuses_conflated", 0) == 0


async def test_statuses_leave_the_room_to_data() -> None:
    async with waiting(subscribe=(TRADES,), queue_size=10) as (at, go):
        for number in range(100):
            report = BadFrame(at_ms=START, connection=f"socket {number}", reason="no JSON")
            at.feed.report(report)
        at.feed.say(*(at.venue.trade(number, ETH) for number in range(1000, 1010)))
        await at.run(1.0)
        go()
        await at.run(1.0)
        assert len(at.told(BadFrame)) == 100
        assert [one.id for one in at.trades()] == list(range(1000, 1010))
        assert at.told(ConsumerSlow) == []


async def test_statuses_for_a_bot_that_takes_none_are_the_newest_of_each_kind() -> None:
    async with waiting(subscribe=(TRADES,)) as (at, go):
        for number in range(1_000):
            for connection in ("one", "other"):
                told = Disconnected(at_ms=START + number, connection=connection, reason="gone")
                at.feed.report(told)
        assert len(at.stream._mailbox) == 20
        go()
        await at.run(0.1)
        newest = [START + number for number in range(990, 1_000)]
        for connection in ("one", "other"):
            mine = [one.at_ms for one in at.told(Disconnected) if one.connection == connection]
            assert mine == newest
        assert at.stream.counters["statuses_conflated"] == 2 * 990


async def test_revisions_of_many_candles_stand_for_one_another_never() -> None:
    clock = ManualClock(START)
    venue = LiveVenue(clock)
    mailbox: Mailbox[Any] = Mailbox(1)
    out = Outlet(mailbox, None, clock, counters := Counter())
    for number in range(1_500):
        candle = venue.candle(FIRST + number * MINUTE)
        about: dict[str, Any] = {"channel": "candles", "symbol": BTC, "interval": "1m"}
        out.say(CandleRevised(at_ms=START, before=candle, after=candle, **about))
    await out.finish()
    got = [event.before.timestamp async for event in mailbox.drain()]
    assert [name_of(open_ms) for open_ms in got] == list(range(1_500))
    assert counters == {}
