from __future__ import annotations

import datetime as dt
import pickle
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from btkit import START, Witness, candles, played

from velas.interval import Interval
from velas_backtrader import CandleData
from velas_backtrader._lines import MORE_LINES

FRAME = candles(3_000).astype({"trades": "Int64"})
FRAME.loc[7, "trades"] = pd.NA
FRAME.loc[8, "quote_volume"] = np.nan
MODES: list[dict[str, Any]] = [
    {},
    {"runonce": False},
    {"preload": False},
    {"exactbars": 1},
    {"exactbars": -1},
    {"exactbars": -2},
]


class TheirData(bt.feeds.PandasData):  # type: ignore[misc]
    lines = MORE_LINES
    params = tuple((name, -1) for name in MORE_LINES)


class Lines(bt.Strategy):  # type: ignore[misc]
    """Writes down every line of every bar."""

    def __init__(self) -> None:
        self.rows: list[list[float]] = []

    def next(self) -> None:
        lines = self.data.lines
        self.rows.append([getattr(lines, name)[0] for name in self.data.getlinealiases()])


def theirs(frame: pd.DataFrame) -> TheirData:
    end = pd.to_datetime(frame["timestamp"] + 60_000, unit="ms")
    floats = frame.astype("float64").set_index(pd.DatetimeIndex(end))
    return TheirData(dataname=floats, timeframe=bt.TimeFrame.Minutes)


def rows(data: Any, **modes: Any) -> np.ndarray:
    return np.array(played([data], Lines, **modes).rows)


@pytest.mark.parametrize("modes", MODES, ids=str)
def test_every_line_of_every_bar_is_that_of_pandas_data_to_the_last_bit(
    modes: dict[str, Any],
) -> None:
    frame = FRAME if not modes else FRAME.head(400)
    ours = rows(CandleData(frame, "BTCUSDT", "1m"), **modes)
    assert ours.shape == (len(frame), 13)
    assert np.array_equal(ours.view(np.int64), rows(theirs(frame)).view(np.int64))


def test_lines_in_bulk_are_the_arrays_that_rows_make() -> None:
    bulk, single = (CandleData(FRAME, "BTCUSDT", "1m") for _ in range(2))
    played([bulk])
    single.addfilter(lambda data: False)  # one that wants to see each bar
    played([single])
    for name in bulk.getlinealiases():
        ours = np.array(getattr(bulk.lines, name).array)[: bulk.buflen()]
        assert np.array_equal(ours, np.array(getattr(single.lines, name).array), equal_nan=True)


def test_nulls_and_open_interest_are_nan() -> None:
    got = pd.DataFrame(
        rows(CandleData(FRAME, "BTCUSDT", "1m")),
        columns=CandleData.lines._getlines(),
    )
    assert got["openinterest"].isna().all()
    assert np.flatnonzero(got["trades"].isna()).tolist() == [7]
    assert np.flatnonzero(got["quote_volume"].isna()).tolist() == [8]
    assert got["timestamp"].tolist() == FRAME["timestamp"].tolist()


@pytest.mark.parametrize(
    ("interval", "timeframe", "compression", "end"),
    [
        ("1s", bt.TimeFrame.Seconds, 1, "2024-01-01 00:00:01"),
        ("15m", bt.TimeFrame.Minutes, 15, "2024-01-01 00:15"),
        ("4h", bt.TimeFrame.Minutes, 240, "2024-01-01 04:00"),
        ("1d", bt.TimeFrame.Days, 1, "2024-01-02"),
        ("3d", bt.TimeFrame.Days, 3, "2024-01-04"),
        ("1w", bt.TimeFrame.Weeks, 1, "2024-01-08"),
        ("1M", bt.TimeFrame.Months, 1, "2024-02-01"),
    ],
)
def test_interval_gives_timeframe_and_the_time_of_a_bar(
    interval: str, timeframe: int, compression: int, end: str
) -> None:
    grid = Interval(interval)
    first = START if interval != "3d" else grid.ceil(START)
    data = CandleData(candles(3, interval, start_ms=first), "BTCUSDT", interval)
    strategy = played([data])
    assert (data._timeframe, data._compression) == (timeframe, compression)
    moment = data.num2date(strategy.log[0][0][1])
    assert moment == pd.Timestamp(end) + dt.timedelta(milliseconds=first - START)


def test_names_are_the_series_or_the_users() -> None:
    frame = candles(3)
    assert CandleData(frame, "BTCUSDT", "1m")._name == "BTCUSDT 1m"
    assert CandleData(frame, "BTCUSDT", "1m", name="mine")._name == "mine"
    cerebro = bt.Cerebro()
    cerebro.adddata(CandleData(frame, "BTCUSDT", "1m"), name="other")
    assert cerebro.datas[0]._name == "other"


def test_timeframe_of_the_user_stays() -> None:
    data = CandleData(candles(3), "B", "1m", timeframe=bt.TimeFrame.Seconds, compression=60)
    assert (data._timeframe, data._compression) == (bt.TimeFrame.Seconds, 60)


@pytest.mark.parametrize("modes", MODES, ids=str)
def test_dates_of_backtrader_bound_the_bars(modes: dict[str, Any]) -> None:
    data = CandleData(
        candles(300),
        "BTCUSDT",
        "1m",
        fromdate=dt.datetime(2024, 1, 1, 1),
        todate=dt.datetime(2024, 1, 1, 2),
    )
    moments = [data.num2date(row[0][1]) for row in played([data], **modes).log]
    assert len(moments) == 61  # both ends count, as ever
    assert (moments[0], moments[-1]) == (dt.datetime(2024, 1, 1, 1), dt.datetime(2024, 1, 1, 2))


@pytest.mark.parametrize("modes", MODES, ids=str)
def test_time_zone_of_the_user_shows_the_same_moments(modes: dict[str, Any]) -> None:
    class Clock(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self.shown: list[Any] = []

        def next(self) -> None:
            self.shown.append((self.data.datetime.datetime(), self.data.datetime[0]))

    class Zone(dt.tzinfo):
        def utcoffset(self, _moment: Any) -> dt.timedelta:
            return dt.timedelta(hours=2)

        def dst(self, _moment: Any) -> dt.timedelta:
            return dt.timedelta(0)

    shown = played([CandleData(candles(3), "BTCUSDT", "1m", tz=Zone())], Clock, **modes).shown
    plain = played([CandleData(candles(3), "BTCUSDT", "1m")], Clock, **modes).shown
    assert [one[1] for one in shown] == [one[1] for one in plain]
    assert shown[0][0] == dt.datetime(2024, 1, 1, 2, 1)


def test_no_price_is_there_before_the_first_bar() -> None:
    class Early(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self.early: list[float] = []

        def prenext(self) -> None:
            self.early.append(self.data1.close[0])

    strategy = played(
        [CandleData(candles(120), "B", "1m"), CandleData(candles(2, "1h"), "B", "1h")], Early
    )
    assert len(strategy.early) == 59
    assert np.isnan(strategy.early).all()


@pytest.mark.parametrize("modes", MODES, ids=str)
def test_feed_can_be_run_again(modes: dict[str, Any]) -> None:
    cerebro = bt.Cerebro(stdstats=False, maxcpus=1, **modes)
    data = CandleData(candles(130), "BTCUSDT", "1m")
    cerebro.adddata(data)
    cerebro.resampledata(data, timeframe=bt.TimeFrame.Minutes, compression=60)
    cerebro.optstrategy(Counting, factor=[1, 2, 3])
    runs = cerebro.run(optreturn=False)
    assert [run[0].bars for run in runs] == [(130, 2)] * 3


class Counting(bt.Strategy):  # type: ignore[misc]
    params = (("factor", 1),)

    def __init__(self) -> None:
        self.bars = (0, 0)

    def next(self) -> None:
        self.bars = (len(self.data0), len(self.data1))


def test_feed_goes_to_other_processes() -> None:
    data = pickle.loads(pickle.dumps(CandleData(candles(30), "BTCUSDT", "1m")))
    assert len(played([data], Witness).log) == 30
