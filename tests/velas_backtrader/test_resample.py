from __future__ import annotations

import datetime as dt
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from btkit import DAY, START, Witness, candles, longer

from velas.errors import ConfigError
from velas.interval import Interval
from velas_backtrader import CandleData
from velas_backtrader._grid import Grid
from velas_backtrader._lines import ends_of, timeframe_of

FRAMES = {"1m": candles(2 * 1_440), "1h": candles(24 * 75, "1h"), "1d": candles(800, "1d")}
CASES = [
    ("1m", "5m"),
    ("1m", "15m"),
    ("1m", "1h"),
    ("1m", "4h"),
    ("1m", "1d"),
    ("1h", "8h"),
    ("1h", "1d"),
    ("1h", "3d"),
    ("1h", "1w"),
    ("1h", "1M"),
    ("1d", "1w"),
    ("1d", "1M"),
]
LENGTHS = {"5m": 300_000, "1h": 3_600_000, "1d": DAY}
NAMES = ("timestamp", "open", "high", "low", "close", "trades", "close_time")
SUMS = ("volume", "quote_volume", "taker_buy_base", "taker_buy_quote")


ONE_O_CLOCK = dt.datetime(2024, 1, 1, 1, 30)
MODES: list[dict[str, Any]] = [{}, {"preload": False}, {"runonce": False}, {"exactbars": 1}]


class Bars(bt.Strategy):  # type: ignore[misc]
    """Writes down each new bar of the last data, and when it was new."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.moments: list[tuple[float, float]] = []

    def next(self) -> None:
        data = self.datas[-1]
        if len(data) > len(self.rows):
            self.rows.append({name: getattr(data, name)[0] for name in (*NAMES, *SUMS)})
            self.moments.append((data.datetime[0], self.datas[0].datetime[0]))

    prenext = next


def resampled(frame: pd.DataFrame, short: str, long: str, *, clone: bool, **modes: Any) -> Bars:
    cerebro = bt.Cerebro(stdstats=False, **modes)
    data = CandleData(frame, "BTCUSDT", short, integrity="warn")
    if clone:
        cerebro.adddata(data)
    timeframe, compression = timeframe_of(Interval(long))
    cerebro.resampledata(data, timeframe=timeframe, compression=compression)
    cerebro.addstrategy(Bars)
    strategy: Bars = cerebro.run()[0]
    return strategy


def check(strategy: Bars, expected: pd.DataFrame, long: str) -> None:
    got = pd.DataFrame(strategy.rows)
    assert len(got) == len(expected) > 0
    for name in NAMES:
        assert got[name].tolist() == expected[name].tolist(), name
    for name in SUMS:
        np.testing.assert_allclose(got[name], expected[name])
    ends = ends_of(expected["timestamp"].to_numpy(), Interval(long))
    for end, (label, now) in zip(ends, strategy.moments, strict=True):
        assert bt.num2date(label) == pd.Timestamp(end, unit="ms")
        assert label == now  # neither before it is over nor after


@pytest.mark.parametrize(
    ("clone", "modes"), [(True, {}), (False, {"exactbars": 1})], ids=["clone", "alone"]
)
@pytest.mark.parametrize(("short", "long"), CASES)
def test_resampled_candles_are_those_of_the_venue(
    short: str, long: str, clone: bool, modes: dict[str, Any]
) -> None:
    frame = FRAMES[short] if long != "1w" else FRAMES[short].iloc[: 24 * 40]
    first = Interval(long).ceil(int(frame["timestamp"].iloc[0]))
    frame = frame[frame["timestamp"] >= first].reset_index(drop=True)
    check(resampled(frame, short, long, clone=clone, **modes), longer(frame, long), long)


@pytest.mark.filterwarnings("ignore::velas_backtrader.IntegrityWarning")
@pytest.mark.parametrize("clone", [True, False])
@pytest.mark.parametrize("long", ["5m", "1h", "1d"])
def test_holes_at_the_edges_join_no_candles(long: str, clone: bool) -> None:
    frame = FRAMES["1m"]
    cuts = [58, 59, 60, 118, 119, 1_430, 1_435, 1_439, 1_440, 1_441, 2_878, 2_879]
    cuts += list(range(300, 425))
    holed = frame.drop(index=cuts).reset_index(drop=True)
    got = pd.DataFrame(resampled(holed, "1m", long, clone=clone).rows)
    expected = longer(holed, long)
    assert got["timestamp"].tolist() == expected["timestamp"].tolist()
    assert got["close_time"].tolist() == (expected["timestamp"] + LENGTHS[long] - 1).tolist()
    assert got["open"].tolist() == expected["open"].tolist()
    assert got["close"].tolist() == expected["close"].tolist()
    assert got["trades"].tolist() == expected["trades"].tolist()


def test_candle_that_is_not_over_is_not_delivered() -> None:
    frame = FRAMES["1m"].head(150)
    assert len(resampled(frame, "1m", "1h", clone=True).rows) == 2


@pytest.mark.parametrize("clone", [True, False])
@pytest.mark.parametrize(
    ("short", "long", "first"),
    [("1m", "4h", 181), ("1m", "5m", 4), ("1h", "1d", 7), ("1h", "1w", 25), ("1h", "1M", 1)],
)
def test_candle_that_began_before_the_first_bar_is_not_delivered(
    short: str, long: str, first: int, clone: bool
) -> None:
    frame = FRAMES[short].iloc[first : first + 1_500]
    check(resampled(frame, short, long, clone=clone), longer(frame, long), long)


@pytest.mark.parametrize("modes", MODES[1:], ids=str)
@pytest.mark.parametrize("clone", [True, False])
def test_candle_that_began_before_the_first_bar_is_delivered_in_no_mode(
    clone: bool, modes: dict[str, Any]
) -> None:
    frame = FRAMES["1m"].iloc[44:260]
    check(resampled(frame, "1m", "1h", clone=clone, **modes), longer(frame, "1h"), "1h")


@pytest.mark.parametrize("how", [{"start_ms": START + 3_600_000}, {"fromdate": ONE_O_CLOCK}])
def test_range_that_begins_within_a_candle_does_not_deliver_it(how: dict[str, Any]) -> None:
    cerebro = bt.Cerebro(stdstats=False)
    data = CandleData(FRAMES["1h"].head(20), "BTCUSDT", "1h", **how)
    cerebro.resampledata(data, timeframe=bt.TimeFrame.Minutes, compression=240)
    cerebro.addstrategy(Bars)
    rows = cerebro.run()[0].rows
    assert [int(one["timestamp"] - START) // 3_600_000 for one in rows] == [4, 8, 12, 16]


@pytest.mark.parametrize("modes", MODES, ids=str)
@pytest.mark.parametrize("clone", [True, False])
def test_replay_shows_no_candle_that_began_before_the_first_bar(
    clone: bool, modes: dict[str, Any]
) -> None:
    frame = FRAMES["1m"].iloc[58:123]

    class Shown(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows: list[tuple[float, ...]] = []

        def next(self) -> None:
            data = self.datas[-1]
            if len(data):
                self.rows.append((len(data), data.timestamp[0], data.open[0], data.close_time[0]))

        prenext = next

    cerebro = bt.Cerebro(stdstats=False, **modes)
    data = CandleData(frame, "BTCUSDT", "1m")
    if clone:
        cerebro.adddata(data)
    cerebro.replaydata(data, timeframe=bt.TimeFrame.Minutes, compression=60)
    cerebro.addstrategy(Shown)
    rows = cerebro.run()[0].rows
    hour = 3_600_000
    assert rows == [
        (number, START + number * hour, frame["open"][number * 60], START + (number + 1) * hour - 1)
        for number in (1, 2)
        for _ in range(60 if number == 1 else 3)
    ]


@pytest.mark.parametrize("clone", [True, False])
def test_replay_shows_a_candle_as_it_grows(clone: bool) -> None:
    frame = FRAMES["1m"].head(180)

    class Growing(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows: list[tuple[float, ...]] = []

        def next(self) -> None:
            data = self.datas[-1]
            self.rows.append(
                (len(data), data.open[0], data.high[0], data.low[0], data.close[0], data.trades[0])
            )

    cerebro = bt.Cerebro(stdstats=False)
    data = CandleData(frame, "BTCUSDT", "1m")
    if clone:
        cerebro.adddata(data)
    cerebro.replaydata(data, timeframe=bt.TimeFrame.Minutes, compression=60)
    cerebro.addstrategy(Growing)
    rows = cerebro.run()[0].rows
    assert len(rows) == 180
    for at, (count, *values) in enumerate(rows):
        so_far = frame.iloc[at // 60 * 60 : at + 1]
        assert count == at // 60 + 1
        assert values == [
            so_far["open"].iloc[0],
            so_far["high"].max(),
            so_far["low"].min(),
            so_far["close"].iloc[-1],
            so_far["trades"].sum(),
        ]


def test_bar_that_comes_too_late_for_its_candle_is_part_of_the_next() -> None:
    cerebro = bt.Cerebro(stdstats=False)
    frame = FRAMES["1m"].head(12)
    data = CandleData(frame, "BTCUSDT", "1m")
    data.addfilter(_Late)
    cerebro.resampledata(data, timeframe=bt.TimeFrame.Minutes, compression=5)
    cerebro.addstrategy(Bars)
    rows = cerebro.run()[0].rows
    trades = frame["trades"]
    assert [one["trades"] for one in rows] == [
        trades[[0, 1, 2, 4]].sum(),
        trades[[3, 5, 6, 7, 8, 9]].sum(),
    ]


class _Late:
    """Lets the fourth bar come after the fifth."""

    def __init__(self, data: Any) -> None:
        self.number = 0
        self.held: list[float] = []

    def __call__(self, data: Any) -> bool:
        self.number += 1
        if self.number == 4:
            self.held = [line[0] for line in data.itersize()]
            data.backwards()
            return True
        if self.number == 6:
            new = [line[0] for line in data.itersize()]
            data._updatebar(self.held)
            data._add2stack(new, stash=True)
        return False


def test_grid_has_the_slots_of_intervals() -> None:
    rng = np.random.default_rng(3)
    for name in ("1s", "5m", "1h", "4h", "1d", "3d", "1w", "1M"):
        interval = Interval(name)
        grid = Grid(*timeframe_of(interval))
        for ms in rng.integers(START, START + 900 * DAY, 300) // 1_000 * 1_000:
            end = interval.ceil(int(ms))  # a bar that ends at an edge is of the slot before
            number = bt.date2num(pd.Timestamp(int(ms), unit="ms").to_pydatetime())
            assert bt.num2date(grid.end_of(number)) == pd.Timestamp(end, unit="ms")
    years = Grid(bt.TimeFrame.Years, 1)
    assert bt.num2date(years.end_of(bt.date2num(pd.Timestamp("2024-05-01")))).year == 2025


def test_minutes_of_a_day_are_a_day() -> None:
    day = Grid(bt.TimeFrame.Minutes, 1_440)
    assert day.is_like(Grid(bt.TimeFrame.Days, 1))
    Grid(bt.TimeFrame.Weeks, 1).check_made_of(day)


def test_grid_refuses_ticks() -> None:
    with pytest.raises(ConfigError, match="Tick"):
        Grid(bt.TimeFrame.Ticks, 1)


M, D = bt.TimeFrame.Minutes, bt.TimeFrame.Days


@pytest.mark.parametrize(
    ("timeframe", "compression", "words"),
    [
        (M, 2_880, ["compression=2880", "divides 1440", "timeframe=Days, compression=2"]),
        (M, 2_000, ["compression=2000", "Days, Weeks, Months or Years"]),
        (M, 7, ["Minutes, compression=7", "divides 1440; expected: 6 or 8"]),
        (bt.TimeFrame.Seconds, 7, ["Seconds, compression=7", "divides 86400; expected: 6 or 8"]),
        (M, 0, ["compression=0", "1 or more"]),
        (M, -5, ["compression=-5", "1 or more"]),
        (D, 1.5, ["compression=1.5", "1 or more"]),
    ],
)
def test_grid_refuses_what_no_venue_has(timeframe: int, compression: int, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        Grid(timeframe, compression)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("how", ["resampledata", "replaydata"])
@pytest.mark.parametrize(
    ("short", "timeframe", "compression", "choice"),
    [
        ("1h", M, 15, "Minutes with a multiple of 60 that divides 1440"),
        ("1h", M, 90, "divides 1440"),
        ("1h", M, 80, "a multiple of 60"),
        ("1m", bt.TimeFrame.Seconds, 30, "a multiple of 1 that divides 1440, or"),
        ("1d", M, 60, "timeframe=Days, Weeks, Months or Years"),
        ("3d", D, 4, "a multiple of 3"),
        ("3d", bt.TimeFrame.Weeks, 1, "timeframe=Days with a multiple of 3"),
        ("1w", D, 14, "timeframe=Weeks"),
        ("1w", bt.TimeFrame.Months, 1, "timeframe=Weeks"),
        ("1M", bt.TimeFrame.Weeks, 8, "timeframe=Months with"),
    ],
)
def test_candles_that_whole_ones_do_not_fill_are_refused(
    how: str, short: str, timeframe: int, compression: int, choice: str
) -> None:
    first = Interval(short).ceil(START)
    data = CandleData(candles(9, short, start_ms=first), "BTCUSDT", short)
    cerebro = bt.Cerebro()
    with pytest.raises(ConfigError) as caught:
        getattr(cerebro, how)(data, timeframe=timeframe, compression=compression)
    for word in [f"compression={compression}: ", f"whole candles of {short}", choice]:
        assert word in str(caught.value)


@pytest.mark.parametrize("how", ["resampledata", "replaydata"])
@pytest.mark.parametrize("option", [{"rightedge": False}, {"boundoff": 1}, {"bar2edge": False}])
def test_options_that_would_move_candles_are_refused(how: str, option: dict[str, Any]) -> None:
    data = CandleData(FRAMES["1m"].head(10), "BTCUSDT", "1m")
    with pytest.raises(ConfigError, match=f"{next(iter(option))}=.*venue's grid"):
        getattr(bt.Cerebro(), how)(data, timeframe=M, compression=5, **option)


def test_options_that_are_as_ever_are_none() -> None:
    data = CandleData(FRAMES["1m"].head(10), "BTCUSDT", "1m")
    bt.Cerebro().resampledata(data, timeframe=M, compression=5, rightedge=True, boundoff=0)


def test_candles_of_resampled_ones_are_made_of_whole_ones_too() -> None:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(CandleData(FRAMES["1m"].head(600), "BTCUSDT", "1m"))
    hours = cerebro.resampledata(cerebro.datas[0], timeframe=M, compression=60)
    with pytest.raises(ConfigError, match="whole candles of"):
        cerebro.resampledata(hours, timeframe=M, compression=15)


def test_resampled_candles_can_be_resampled_again() -> None:
    frame = FRAMES["1m"].iloc[30:1_300]
    cerebro = bt.Cerebro(stdstats=False)
    hours = cerebro.resampledata(CandleData(frame, "BTCUSDT", "1m"), timeframe=M, compression=60)
    cerebro.resampledata(hours, timeframe=M, compression=240)
    cerebro.addstrategy(Bars)
    check(cerebro.run()[0], longer(frame, "4h"), "4h")


@pytest.mark.parametrize("modes", [{"preload": False}, {"exactbars": 1}], ids=str)
def test_view_that_is_resampled_bar_by_bar_has_the_same_candles(modes: dict[str, Any]) -> None:
    frame = FRAMES["1m"].head(400)
    check(resampled(frame, "1m", "15m", clone=True, **modes), longer(frame, "15m"), "15m")


@pytest.mark.parametrize("modes", [{}, {"preload": False}], ids=str)
def test_copy_under_another_name_has_the_same_bars(modes: dict[str, Any]) -> None:
    class Both(Witness):
        def __init__(self) -> None:
            super().__init__()
            self.names = [data._name for data in self.datas]

    cerebro = bt.Cerebro(stdstats=False, **modes)
    data = CandleData(FRAMES["1m"].head(50), "BTCUSDT", "1m")
    cerebro.adddata(data)
    cerebro.adddata(data.copyas("the same"))
    cerebro.addstrategy(Both)
    (strategy,) = cerebro.run()
    assert strategy.names == ["BTCUSDT 1m", "the same"]
    assert len(strategy.log) == 50
    assert all(first == second for first, second in strategy.log)
