from __future__ import annotations

import _thread
import asyncio
import gc
import math
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pytest
from btkit import Witness, played
from btlive import START, Venue, live

import velas
from velas.errors import ConfigError, FeedError, Unavailable, UnknownSymbol
from velas.interval import Interval
from velas_backtrader import CandleData, IntegrityWarning, LiveCandles
from velas_parquet import ParquetStore

MINUTE = 60_000
NOW = START // MINUTE * MINUTE
TAPE = Path(__file__).parents[2] / "cassettes" / "binance_spot" / "live.tape"


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("velas")]


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Any:
    yield
    assert threads() == []


def opens(data: Any) -> list[int]:
    return [int(one) for one in data.lines.timestamp.array]


def replayed(**options: Any) -> LiveCandles:
    settings = velas.load_settings(environ={}, exchange="replay", replay={"tape": TAPE})
    return LiveCandles(settings, **options)


# -- what is played ------------------------------------------------------------------------


def test_live_feed_begins_with_the_stream_where_no_start_is_named() -> None:
    venue = Venue(seconds=200)
    data = CandleData(live(venue), "BTCUSDT", "1m")
    assert data.islive()
    played([data])
    assert opens(data) == [NOW, NOW + MINUTE, NOW + 2 * MINUTE]
    truth = venue.frame("BTCUSDT", "1m", NOW, NOW + 3 * MINUTE)
    for name in velas.frames.COLUMNS:
        assert list(getattr(data.lines, name).array) == truth[name].tolist()
    ends = [bt.num2date(one).timestamp() for one in data.lines.datetime.array]
    assert len(ends) == 3
    assert np.isnan(data.lines.openinterest.array).all()


def test_history_by_rest_and_live_candles_are_one_series() -> None:
    start = NOW - 2_500 * MINUTE  # more than a page, and than the stream remembers
    data = CandleData(live(Venue(seconds=130)), "BTCUSDT", "1m", start_ms=start + 1)
    played([data])
    assert opens(data) == list(range(start + MINUTE, NOW + 2 * MINUTE, MINUTE))


@pytest.mark.parametrize("behind", [5, 1, 0])
def test_history_of_a_store_and_live_candles_are_one_series(tmp_path: Path, behind: int) -> None:
    store = ParquetStore(tmp_path)
    venue = Venue(seconds=130, store=store)
    start = NOW - 400 * MINUTE
    played([CandleData(live(venue), "BTCUSDT", "1m", start_ms=start)])  # fills the store
    store.save(venue.frame("BTCUSDT", "1m", start, NOW - behind * MINUTE), "BTC/USDT", "1m")
    data = CandleData(live(venue, store=store), "BTC/USDT", "1m", start_ms=start)
    asked = venue.requests("/api/v3/klines")
    played([data])
    assert opens(data) == list(range(start, NOW + 2 * MINUTE, MINUTE))
    assert venue.requests("/api/v3/klines") - asked < 12


def test_hole_in_the_store_is_filled_by_the_stream(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    venue = Venue(seconds=70)
    start = NOW - 50 * MINUTE
    played([CandleData(live(venue), "BTCUSDT", "1m", start_ms=NOW)])
    stored = venue.frame("BTCUSDT", "1m", start + MINUTE, NOW)
    store.save(stored.drop(index=[20, 21]), "BTC/USDT", "1m")
    data = CandleData(live(venue, store=store), "BTCUSDT", "1m", start_ms=start)
    played([data])
    assert opens(data) == list(range(start, NOW + MINUTE, MINUTE))


def test_stored_bars_that_are_impossible_follow_the_policy(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    venue = Venue(seconds=70)
    start = NOW - 20 * MINUTE
    played([CandleData(live(venue), "BTCUSDT", "1m", start_ms=NOW)])
    bad = venue.frame("BTCUSDT", "1m", start, NOW)
    bad.loc[7, "low"] = -1.0
    store.save(bad, "BTC/USDT", "1m")
    with pytest.raises(velas.FrameError, match="1 impossible bar"):
        played([CandleData(live(venue, store=store), "BTCUSDT", "1m", start_ms=start)])
    source = live(venue, store=store)
    data = CandleData(source, "BTCUSDT", "1m", start_ms=start, integrity="drop")
    with warnings.catch_warnings(record=True) as caught:  # backtrader warns of things of its own
        warnings.simplefilter("always")
        played([data])
    mine = [one for one in caught if one.category is IntegrityWarning]
    assert ["left out" in str(one.message) for one in mine] == [True]
    assert opens(data) == [
        one for one in range(start, NOW + MINUTE, MINUTE) if one != start + 7 * MINUTE
    ]


def test_several_feeds_of_one_series_each_have_their_own_start() -> None:
    source = live(Venue(seconds=70))
    start = NOW - 20 * MINUTE
    one = CandleData(source, "BTCUSDT", "1m", start_ms=start)
    other = CandleData(source, "BTC/USDT", "1m", start_ms=start + 10 * MINUTE)
    played([one, other])
    assert opens(other) == opens(one)[10:]


@pytest.mark.parametrize("late", [0, 2])  # minutes after one of five has begun
@pytest.mark.parametrize("clone", [True, False])
def test_resampled_live_candles_are_those_of_the_venue(clone: bool, late: int) -> None:
    venue = Venue(seconds=10 * 60 + 5)
    source = live(venue)
    start = Interval("5m").floor(NOW - 60 * MINUTE) + late * MINUTE
    cerebro = bt.Cerebro(stdstats=False)
    datas = [CandleData(source, symbol, "1m", start_ms=start) for symbol in ("BTCUSDT", "ETHUSDT")]
    if clone:
        for data in datas:
            cerebro.adddata(data)
    made = [
        cerebro.resampledata(data, timeframe=bt.TimeFrame.Minutes, compression=5) for data in datas
    ]
    cerebro.addstrategy(Witness)
    cerebro.run()
    for data, symbol in zip(made, venue.symbols, strict=True):
        truth = venue.frame(symbol, "5m", Interval("5m").ceil(start), NOW + 10 * MINUTE)
        assert opens(data) == truth["timestamp"].tolist()
        assert list(data.lines.close.array) == truth["close"].tolist()
        assert list(data.lines.trades.array) == truth["trades"].tolist()


# -- how it ends ---------------------------------------------------------------------------


class Stopper(Witness):
    """Does something at its third bar."""

    params = (("act", None),)

    def next(self) -> None:
        super().next()
        if len(self) == 3:
            self.p.act(self)


def endless(act: Any, **options: Any) -> tuple[Venue, bt.Cerebro, LiveCandles]:
    venue = Venue(seconds=1e7, **options)
    source = live(venue)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(CandleData(source, "BTCUSDT", "1m", start_ms=NOW - 2 * MINUTE))
    cerebro.adddata(CandleData(source, "ETHUSDT", "1m", start_ms=NOW - 2 * MINUTE))
    cerebro.addstrategy(Stopper, act=act)
    return venue, cerebro, source


def gone(venue: Venue) -> None:
    assert threads() == []
    assert (venue.opened, venue.closed, venue.left_open) == (1, 1, 0)


def test_runstop_leaves_nothing() -> None:
    venue, cerebro, source = endless(lambda strategy: strategy.env.runstop())
    assert len(cerebro.run()[0].log) == 3
    gone(venue)
    source.stop()  # once more


def test_stop_ends_the_run() -> None:
    venue, cerebro, source = endless(lambda strategy: source.stop())
    assert len(cerebro.run()[0].log) == 3
    gone(venue)


def test_stop_by_another_thread_ends_the_run() -> None:
    stopping: list[threading.Thread] = []

    def stop(strategy: Any) -> None:
        stopping.append(threading.Thread(target=source.stop))
        stopping[0].start()

    venue, cerebro, source = endless(stop)
    assert len(cerebro.run()[0].log) >= 3
    stopping[0].join()
    gone(venue)


def test_error_of_the_strategy_leaves_nothing() -> None:
    venue, cerebro, _ = endless(lambda strategy: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cerebro.run()
    gone(venue)


def test_ctrl_c_leaves_nothing() -> None:
    venue, cerebro, _ = endless(lambda strategy: _thread.interrupt_main())
    with pytest.raises(KeyboardInterrupt):
        cerebro.run()
    gone(venue)


def test_what_nobody_holds_any_more_is_stopped() -> None:
    venue, cerebro, source = endless(None)
    for data in cerebro.datas:
        data.reset()
        data._start()
    cerebro.datas[0]._qcheck = 30
    assert cerebro.datas[0].next()
    assert threads() == ["velas-live"]
    running = source._threads[0]
    del cerebro, source, data
    gc.collect()
    running.join(10)
    gone(venue)


def test_context_ends_what_was_begun() -> None:
    _venue, cerebro, source = endless(None)
    with source:
        for data in cerebro.datas:
            data.reset()
            data._start()
    assert threads() == []


def test_stream_that_is_cancelled_by_somebody_else_is_an_error_of_the_run() -> None:
    @asynccontextmanager
    async def cancelled() -> AsyncIterator[velas.Stream]:
        raise asyncio.CancelledError
        yield

    with pytest.raises(FeedError, match="cancelled from within"):
        played([CandleData(LiveCandles(cancelled), "BTCUSDT", "1m")])


def test_error_of_the_stream_reaches_the_run() -> None:
    with pytest.raises(UnknownSymbol, match="BTCUSTD"):
        played([CandleData(live(Venue()), "BTCUSTD", "1m")])

    @asynccontextmanager
    async def closed() -> Any:
        raise Unavailable("no venue today")
        yield

    with pytest.raises(Unavailable, match="no venue today"):
        played([CandleData(LiveCandles(closed), "BTCUSDT", "1m")])


def test_error_comes_after_what_came_before_it() -> None:
    @asynccontextmanager
    async def failing() -> Any:
        async with Venue(seconds=130)() as stream:
            yield stream
        raise Unavailable("gone")

    from fastforward import fast_loop

    source = LiveCandles(failing, loop_factory=fast_loop)
    data = CandleData(source, "BTCUSDT", "1m")
    with pytest.raises(Unavailable, match="gone"):
        played([data])
    assert np.isfinite(data.lines.close.array).sum() == 2


def test_live_candles_are_for_one_run() -> None:
    source = replayed()
    data = CandleData(source, "BTCUSDT", "1m")
    played([data])
    for again in (lambda: played([data]), lambda: CandleData(source, "ETHUSDT", "1m")):
        with pytest.raises(FeedError, match="have been run already"):
            again()


def test_old_way_of_cerebro_works_too() -> None:
    source = replayed()
    datas = [CandleData(source, "ETHUSDT", "1m"), CandleData(source, "BTCUSDT", "1m")]
    assert len(played(datas, oldsync=True).log) == 3


def test_feeds_of_one_stream_share_its_thread() -> None:
    from velas_replay import ReplayFeed

    feed = ReplayFeed(TAPE)
    stream = velas.Stream(feed.exchange, feed)
    datas = [CandleData(stream, name, "1m") for name in ("BTCUSDT", "ETHUSDT")]
    assert datas[0]._live is datas[1]._live
    assert len(played(datas).log) == 3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CandleData(replayed(), "BTCUSDT", "1m", end_ms=NOW), "todate has"),
        (lambda: LiveCandles("binance_spot"), "source str: expected settings"),  # type: ignore[arg-type]
        (lambda: replayed(patience_s=0), "patience_s 0"),
        (lambda: replayed(patience_s=-1.0), "patience_s -1.0: expected seconds above 0, or None"),
        (lambda: replayed(patience_s=math.nan), "patience_s nan"),
        (lambda: replayed(patience_s=math.inf), "patience_s inf"),
        (lambda: replayed(patience_s="30"), "patience_s '30'"),
        (lambda: replayed(patience_s=True), "patience_s True"),
        (lambda: LiveCandles(Venue(), clock=velas.clock.SYSTEM_CLOCK), "clock: only"),
    ],
)
def test_arguments_that_are_none(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


@pytest.mark.parametrize("first", ["data", "strategy"])
def test_optimization_with_live_feeds_is_refused(first: str) -> None:
    cerebro = bt.Cerebro(stdstats=False)

    def optimize() -> None:
        cerebro.optstrategy(Stopper, act=[1, 2])

    def add() -> None:
        cerebro.adddata(CandleData(replayed(), "BTCUSDT", "1m"))

    before, after = (add, optimize) if first == "data" else (optimize, add)
    before()
    with pytest.raises(ConfigError, match="optstrategy: live candles are for one run"):
        after()


def test_settings_of_a_recording_store_nothing(tmp_path: Path) -> None:
    settings = velas.load_settings(
        environ={}, exchange="replay", replay={"tape": TAPE}, data_dir=tmp_path / "data"
    )
    played([CandleData(LiveCandles(settings), "BTCUSDT", "1m")])
    assert not (tmp_path / "data").exists()
