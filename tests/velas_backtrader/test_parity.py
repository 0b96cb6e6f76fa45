"""The same strategy over the same candles makes the same trades, offline and live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import backtrader as bt
import pandas as pd
import pytest
from btlive import START, Venue, live, record
from fastforward import run_fast

import velas
from velas.tape import load_tape
from velas.tape_rest import load_rest
from velas_backtrader import CandleData, LiveCandles
from velas_replay import ReplayFeed

MINUTE = 60_000
MINUTES = 15
FIRST = START // (5 * MINUTE) * 5 * MINUTE - 95 * MINUTE  # history, on both grids
END = START // MINUTE * MINUTE + MINUTES * MINUTE
SERIES = [("BTC/USDT", "1m"), ("ETH/USDT", "1m"), ("BTC/USDT", "5m"), ("ETH/USDT", "5m")]
TAPES = sorted((Path(__file__).parents[2] / "cassettes").glob("*/live.tape"))


class Crosses(bt.Strategy):  # type: ignore[misc]
    """Two averages cross, the longer candles agree: a bracket; the other way: out."""

    params = (("fast", 3), ("slow", 8))

    def __init__(self) -> None:
        self.bars: list[tuple[Any, ...]] = []
        self.deals: list[tuple[Any, ...]] = []
        half = len(self.datas) // 2
        self.pairs = list(zip(self.datas[:half], self.datas[half:], strict=True))
        self.cross = {
            data: bt.ind.CrossOver(
                bt.ind.SMA(data, period=self.p.fast), bt.ind.SMA(data, period=self.p.slow)
            )
            for data, _ in self.pairs
        }

    def notify_order(self, order: Any) -> None:
        self.deals.append((order.data._name, order.getstatusname(), self.datetime[0]))
        if order.status == order.Completed:
            done = order.executed
            self.deals.append(
                (order.data._name, done.dt, done.price, done.size, order.getordername())
            )

    def notify_trade(self, trade: Any) -> None:
        if trade.isclosed:
            self.deals.append((trade.data._name, trade.dtclose, trade.pnl, trade.pnlcomm))

    def next(self) -> None:
        newest = [(len(one), one.datetime[0], one.close[0], one.volume[0]) for one in self.datas]
        self.bars.append((*newest, self.broker.getvalue()))
        for data, longer in self.pairs:
            if self.cross[data] > 0 and not self.getposition(data) and longer.close[0] > 0:
                self.buy_bracket(
                    data=data,
                    exectype=bt.Order.Market,
                    stopprice=data.close[0] * 0.999,
                    limitprice=data.close[0] * 1.002,
                )
            elif self.cross[data] < 0 and self.getposition(data):
                self.close(data=data)


def run(datas: list[CandleData], **modes: Any) -> tuple[list[Any], list[Any]]:
    cerebro = bt.Cerebro(stdstats=False, **modes)
    for data in datas:
        cerebro.adddata(data)
    cerebro.broker.setcommission(0.0005)
    cerebro.addsizer(bt.sizers.PercentSizer, percents=20)
    cerebro.addstrategy(Crosses)
    strategy = cerebro.run()[0]
    return strategy.bars, strategy.deals


def feeds(source: Callable[[str, str], Any], **options: Any) -> list[CandleData]:
    return [CandleData(source(*one), *one, **options) for one in SERIES]


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tapes") / "long.tape"
    run_fast(record(path, MINUTES * 60 + 5))
    return path


@pytest.fixture(scope="module")
def closed(tape: Path) -> dict[tuple[str, str], pd.DataFrame]:
    """The candles of the tape that are over, as the venue has them."""
    candles = load_rest(load_tape(tape)).candles
    return {
        series: frame[(frame["timestamp"] >= FIRST) & (frame["close_time"] < END)].reset_index(
            drop=True
        )
        for series, frame in candles.items()
    }


@pytest.fixture(scope="module")
def offline(closed: dict[tuple[str, str], pd.DataFrame]) -> tuple[list[Any], list[Any]]:
    bars, deals = run(feeds(lambda *one: closed[one]))
    assert len(bars) > 90
    assert len(deals) > 15
    assert {one[4] for one in deals if len(one) == 5} >= {"Market", "Stop", "Limit"}
    return bars, deals


@pytest.mark.parametrize("modes", [{"runonce": False}, {"preload": False}, {"exactbars": 1}])
def test_backtest_is_the_same_in_every_mode(
    modes: dict[str, Any],
    closed: dict[tuple[str, str], pd.DataFrame],
    offline: tuple[list[Any], list[Any]],
) -> None:
    assert run(feeds(lambda *one: closed[one]), **modes) == offline


@pytest.mark.parametrize("modes", [{}, {"exactbars": 1}])
def test_tape_gives_the_trades_of_the_backtest(
    modes: dict[str, Any], tape: Path, offline: tuple[list[Any], list[Any]]
) -> None:
    settings = velas.load_settings(environ={}, exchange="replay", replay={"tape": tape})
    with LiveCandles(settings) as source:
        assert run(feeds(lambda *_: source, start_ms=FIRST), **modes) == offline


def test_stream_over_a_tape_gives_the_trades_of_the_backtest(
    tape: Path, offline: tuple[list[Any], list[Any]]
) -> None:
    feed = ReplayFeed(tape)
    stream = velas.Stream(feed.exchange, feed)
    assert run(feeds(lambda *_: stream, start_ms=FIRST)) == offline


@pytest.mark.parametrize("qcheck", [0.5, 0.001])  # the shorter, the more rounds without a bar
def test_venue_gives_the_trades_of_the_backtest(
    qcheck: float, offline: tuple[list[Any], list[Any]]
) -> None:
    venue = Venue(seconds=MINUTES * 60 + 5)
    with live(venue) as source:
        assert run(feeds(lambda *_: source, start_ms=FIRST, qcheck=qcheck)) == offline


@pytest.mark.parametrize("path", TAPES, ids=lambda path: path.parent.name)
def test_committed_tape_gives_the_bars_of_the_backtest(path: Path) -> None:
    class Short(Crosses):
        params = (("fast", 1), ("slow", 2))

    exchange = path.parent.name
    settings = velas.load_settings(
        environ={}, exchange="replay", replay={"tape": path, "exchange": exchange}
    )
    rest = load_rest(load_tape(path)).candles
    names = [symbol for symbol, interval in rest if interval == "1m"]
    first = load_tape(path).header.started_ms // MINUTE * MINUTE - 50 * MINUTE
    with LiveCandles(settings) as source:
        ours = run([CandleData(source, name, "1m", start_ms=first) for name in names])
    last = ours[0][-1][0][1]
    frames = [rest[name, "1m"] for name in names]
    theirs = [
        CandleData(frame, name, "1m", start_ms=first, todate=bt.num2date(last))
        for name, frame in zip(names, frames, strict=True)
    ]
    assert run(theirs) == ours
    assert len(ours[0]) > 40
    assert ours[1]
