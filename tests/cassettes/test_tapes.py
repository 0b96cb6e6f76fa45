"""The committed tapes played through the live adapters, compared with the venue's truth."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from velas.adapter import ExchangeAdapter
from velas.clock import Clock
from velas.frames import COLUMNS
from velas.interval import Interval
from velas.limits import RateLimiter
from velas.models import BookTicker, Candle, Capabilities, Market, Trade
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


def truth_of(name: str, clock: Clock | None = None) -> StandInVenue:
    """The venue the tapes were recorded from; not started, only asked."""
    return StandInVenue(
        "spot" if name == "binance_spot" else "futures",
        candles=GeneratedCandles(STAND_IN_SEED),
        clock=clock or ManualClock(STAND_IN_MS + 3_600_000),
    )


def row_of(candle: Candle) -> dict[str, object]:
    return {column: getattr(candle, column) for column in COLUMNS}


async def played(path: Path) -> tuple[list[object], list[Status]]:
    feed, told = ReplayFeed(path), list[Status]()
    feed.on_status = told.append
    return [event async for event in feed.events()], told


class Truth(ExchangeAdapter):
    """The stand-in's own series by the tape's clock, without a socket in between."""

    def __init__(self, name: str, markets: tuple[Market, ...], clock: Clock) -> None:
        capabilities = Capabilities(
            intervals=("1m",), page_rows=1000, full_candles=True, trades=True, trades_by_id=True
        )
        super().__init__(name, capabilities, RateLimiter(clock=clock), clock=clock)
        self.venue = truth_of(name, clock)
        self._known = {market.symbol: market for market in markets}

    async def _ask_markets(self) -> Mapping[str, Market]:
        return self._known

    async def _ask_time_ms(self) -> tuple[int, float]:
        return self.venue.now_ms(), 0.0

    async def _ask_candles(
        self, market: Market, interval: Interval, start_ms: int | None, end_ms: int, rows: int
    ) -> pd.DataFrame:
        start = start_ms if start_ms is not None else end_ms - rows * interval.length_ms
        frame = self.venue.frame(market.id, interval.name, start_ms=start, end_ms=end_ms)
        return frame.head(rows) if start_ms is not None else frame.tail(rows)

    async def _ask_trades(
        self, market: Market, from_id: int | None, limit: int | None
    ) -> list[Trade]:
        assert from_id is not None
        return self.venue.trades(market.id, first_id=from_id, end_id=from_id + (limit or 500))

    async def _close(self) -> None:
        return None


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
    assert len(closed) >= 4
    venue = truth_of(name)
    for candle in closed:
        frame = venue.frame(
            candle.symbol.partition(":")[0].replace("/", ""),
            "1m",
            start_ms=candle.timestamp,
            end_ms=candle.timestamp + MINUTE,
        )
        assert row_of(candle) == frame.iloc[0].to_dict()
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


async def streamed(path: Path, name: str) -> list[object]:
    """Consume the tape through a Stream whose REST side is the venue's truth."""
    feed = ReplayFeed(path)
    exchange = Truth(name, load_tape(path).header.markets, feed.clock)
    async with Stream(exchange, feed, clock=feed.clock) as stream:
        stream.subscribe("candles", ["BTCUSDT", "ETHUSDT"], intervals=["1m"])
        stream.subscribe("trades", ["BTCUSDT", "ETHUSDT"])
        return [event async for event in stream.events()]


@tapes
async def test_stream_over_a_tape_fills_the_cut_and_is_the_same_every_time(
    path: Path, name: str
) -> None:
    events = await asyncio.wait_for(streamed(path, name), 30)
    trades = [one for one in events if isinstance(one, Trade)]
    for symbol in {one.symbol for one in trades}:
        ids = [int(one.id) for one in trades if one.symbol == symbol]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    closed = [one for one in events if isinstance(one, Candle) and one.is_closed]
    assert len(closed) >= 4
    for symbol in {one.symbol for one in closed}:
        opens = [one.timestamp for one in closed if one.symbol == symbol]
        assert opens == [opens[0] + n * MINUTE for n in range(len(opens))]
    kinds = Counter(type(one) for one in events)
    assert kinds[FellBack] == kinds[Recovered] > 0  # served by REST during the cut
    assert kinds[GapDetected] == kinds[GapFilled]
    assert events == await asyncio.wait_for(streamed(path, name), 30)
