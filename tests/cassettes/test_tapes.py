"""The committed tapes played through the live adapters, compared with the venue's truth."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from velas.frames import COLUMNS
from velas.models import BookTicker, Candle, Trade
from velas.status import (
    Connected,
    Disconnected,
    FellBack,
    GapDetected,
    GapFilled,
    Recovered,
    Status,
)
from velas.stream import Stream
from velas.symbols import series_key
from velas.tape import load_tape
from velas.testing import GeneratedCandles, ManualClock, StandInVenue
from velas_replay import ReplayFeed
from velas_replay.record import STAND_IN_MS, STAND_IN_SEED

MINUTE = 60_000
TAPES = ("binance_spot", "binance_futures")
tapes = pytest.mark.parametrize("name", TAPES)


@pytest.fixture
def path(folder: Path, name: str) -> Path:
    return folder / name / "live.tape"


def truth_of(name: str) -> StandInVenue:
    """The venue the tapes were recorded from; not started, only asked."""
    return StandInVenue(
        "spot" if name == "binance_spot" else "futures",
        candles=GeneratedCandles(STAND_IN_SEED),
        clock=ManualClock(STAND_IN_MS + 3_600_000),
    )


def row_of(candle: Candle) -> dict[str, object]:
    return {column: getattr(candle, column) for column in COLUMNS}


def row_at(venue: StandInVenue, symbol: str, open_ms: int) -> dict[str, object]:
    frame = venue.frame(symbol, "1m", start_ms=open_ms, end_ms=open_ms + MINUTE)
    row: dict[str, object] = frame.iloc[0].to_dict()
    return row


async def played(path: Path) -> tuple[list[object], list[Status]]:
    feed, told = ReplayFeed(path), list[Status]()
    feed.on_status = told.append
    return [event async for event in feed.events()], told


@tapes
def test_tape_is_small_and_says_what_it_is(path: Path, name: str) -> None:
    tape = load_tape(path)
    assert path.stat().st_size < 60_000
    assert tape.header.exchange == name
    assert tape.header.source == "the stand-in venue of velas.testing"
    assert {one.id for one in tape.header.markets} == {"BTCUSDT", "ETHUSDT"}
    assert {one.channel for one in tape.header.subscriptions} == {
        "candles", "trades", "book_ticker",
    }  # fmt: skip
    reading = tape.frames()
    kinds = Counter(frame.kind for frame in reading)
    assert reading.lost is None
    assert kinds["open"] == kinds["close"] >= 2


@tapes
async def test_tape_replays_every_message_as_one_event(path: Path) -> None:
    events, told = await played(path)
    texts = sum(frame.kind == "text" for frame in load_tape(path).frames())
    assert len(events) == texts
    assert {type(one) for one in told} == {Connected, Disconnected}


@tapes
async def test_tape_closed_candles_equal_the_venues(path: Path, name: str) -> None:
    events, _ = await played(path)
    closed = [one for one in events if isinstance(one, Candle) and one.is_closed]
    assert len(closed) >= 2
    venue = truth_of(name)
    for candle in closed:
        symbol = series_key(candle.symbol)
        assert row_of(candle) == row_at(venue, symbol, candle.timestamp)
        assert candle.source == "ws"


@tapes
async def test_tape_trades_equal_the_venues_but_for_the_cut(path: Path, name: str) -> None:
    events, _ = await played(path)
    venue = truth_of(name)
    for market in load_tape(path).header.markets:
        trades = [one for one in events if isinstance(one, Trade) and one.symbol == market.symbol]
        first, last = int(trades[0].id), int(trades[-1].id)
        truth = {one.id: one for one in venue.trades(market.id, first_id=first, end_id=last + 1)}
        assert [truth[one.id] for one in trades] == trades
        missing = len(truth) - len(trades)
        assert 0 < missing < len(truth) / 4  # what happened while the line was cut


@tapes
async def test_tape_book_tickers_are_of_both_symbols_and_not_crossed(path: Path) -> None:
    events, _ = await played(path)
    tickers = [one for one in events if isinstance(one, BookTicker)]
    assert len({one.symbol for one in tickers}) == 2
    assert all(one.bid < one.ask for one in tickers)


@tapes
async def test_tape_replays_the_same_every_time(path: Path) -> None:
    assert await played(path) == await played(path)


@tapes
async def test_tape_subscribed_in_part_gives_that_part(path: Path) -> None:
    everything, _ = await played(path)
    feed = ReplayFeed(path)
    feed.subscribe("candles", ["ETHUSDT"], intervals=["1m"])
    symbol = (await feed.exchange.market("ETHUSDT")).symbol
    part = [event async for event in feed.events()]
    assert part == [one for one in everything if isinstance(one, Candle) and one.symbol == symbol]


async def streamed(path: Path) -> list[object]:
    """Consume the tape through a Stream that has nothing but the tape."""
    feed = ReplayFeed(path)
    async with Stream(feed.exchange, feed, clock=feed.clock) as stream:
        stream.subscribe("candles", ["BTCUSDT", "ETHUSDT"], intervals=["1m"])
        stream.subscribe("trades", ["BTCUSDT", "ETHUSDT"])
        return [event async for event in stream.events()]


@tapes
async def test_stream_over_a_tape_fills_the_cut_with_the_venues_own(path: Path, name: str) -> None:
    events = await asyncio.wait_for(streamed(path), 30)
    venue = truth_of(name)
    for market in load_tape(path).header.markets:
        own = [one for one in events if getattr(one, "symbol", "") == market.symbol]
        trades = [one for one in own if isinstance(one, Trade)]
        first, last = int(trades[0].id), int(trades[-1].id)
        assert trades == venue.trades(market.id, first_id=first, end_id=last + 1)
        closed = [one for one in own if isinstance(one, Candle) and one.is_closed]
        assert len(closed) >= 2
        for candle in closed:
            assert row_of(candle) == row_at(venue, market.id, candle.timestamp)
        opens = [one.timestamp for one in closed]
        assert opens == [opens[0] + n * MINUTE for n in range(len(opens))]
    kinds = Counter(type(one) for one in events)
    assert kinds[FellBack] == kinds[Recovered] > 0  # served by REST during the cut
    assert kinds[GapDetected] == kinds[GapFilled]


@tapes
async def test_stream_over_a_tape_is_the_same_every_time(path: Path) -> None:
    first = await asyncio.wait_for(streamed(path), 30)
    assert first == await asyncio.wait_for(streamed(path), 30)


@tapes
async def test_stream_over_a_tape_without_a_subscription_has_all_it_holds(path: Path) -> None:
    feed = ReplayFeed(path)
    kinds: Counter[type] = Counter()
    async with Stream(feed.exchange, feed) as stream:
        async for event in stream.events():
            if isinstance(event, Candle | Trade | BookTicker):
                kinds[type(event)] += 1
    assert set(kinds) == {Candle, Trade, BookTicker}


@tapes
async def test_stream_over_a_tape_has_what_it_subscribed_and_no_more(path: Path) -> None:
    feed = ReplayFeed(path)
    async with Stream(feed.exchange, feed) as stream:
        stream.subscribe("trades", ["BTCUSDT"])
        found = {(type(one), one.symbol) async for one in stream.events() if isinstance(one, Trade)}
    assert len(found) == 1
    assert not stream._core.candles
