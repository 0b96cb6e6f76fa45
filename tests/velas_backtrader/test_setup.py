"""What a result says is what ran: feeds, costs, sizes, code; what it cannot name is refused."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from typing import Any

import backtrader as bt
import numpy as np
import pytest
from btkit import candles

from velas import frames
from velas.backtests import compare
from velas.errors import ConfigError
from velas_backtrader import CandleData, CrossingAverages, backtest


def test_feeds_cash_and_costs_that_were_added_before_the_run_are_in_the_result() -> None:
    more = candles(60, "5m", seed=2)

    def prepare(cerebro: Any) -> None:
        cerebro.adddata(CandleData(more, "ETH/USDT", "5m", integrity="drop"))
        cerebro.broker.setcash(5_000)
        cerebro.broker.setcommission(commission=0.1)
        cerebro.broker.set_slippage_perc(0.02)

    data = CandleData(candles(300), "BTC/USDT", "1m")
    result = backtest(CrossingAverages, data, prepare=prepare)
    assert [(one.symbol, one.digest, one.integrity) for one in result.data] == [
        ("BTCUSDT", data.digest, "raise"),
        ("ETHUSDT", frames.digest(more), "drop"),
    ]
    assert result.cash == 5_000
    assert result.setup["costs.all.commission"] == 0.1
    assert result.setup["broker.slip_perc"] == 0.02
    plain = backtest(CrossingAverages, CandleData(candles(300), "BTC/USDT", "1m"), cash=5_000)
    names = {name for name, _, _ in compare(result, plain).inputs}
    assert {"setup.costs.all.commission", "setup.broker.slip_perc", "data.1.symbol"} <= names


class Dear(bt.CommInfoBase):  # type: ignore[misc]
    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
        return abs(size) * price * 0.02


def _dearer(data: Any) -> bool:
    data.open[0] *= 1.001
    return False


def _resample(minutes: int) -> Any:
    timeframe = bt.TimeFrame.Minutes
    return lambda one: one.resampledata(one.datas[0], timeframe=timeframe, compression=minutes)


def _replay(minutes: int) -> Any:
    def prepare(cerebro: Any) -> None:
        data = CandleData(candles(300, seed=4), "X/USDT", "1m")
        cerebro.replaydata(data, timeframe=bt.TimeFrame.Minutes, compression=minutes)

    return prepare


def _fill(percent: float) -> Any:
    return lambda one: one.broker.set_filler(bt.broker.fillers.FixedBarPerc(perc=percent))


def _sized(stake: Any) -> Any:
    return lambda one: one.addsizer(bt.sizers.FixedSize, stake=stake)


def _filtered(factor: float) -> Any:
    def dearer(data: Any) -> bool:
        data.open[0] *= factor
        return False

    return lambda one: one.datas[0].addfilter_simple(dearer)


def _session(hour: int) -> Any:
    other = candles(50, seed=5)
    return lambda one: one.adddata(
        CandleData(other, "X/USDT", "1m", sessionend=dt.time(hour), name="x")
    )


def _history(size: int) -> Any:
    orders = [(dt.datetime(2024, 1, 1, 1), size, 100.0)]
    return lambda one: one.add_order_history(orders, notify=False)


@pytest.mark.parametrize(
    ("prepare", "other", "name"),
    [
        (_sized(np.int64(1)), _sized(np.int64(2)), "setup.sizer"),
        (_sized(Fraction(1)), _sized(Fraction(2)), "setup.sizer"),
        (_filtered(1.0), _filtered(1.1), "setup.feed.0"),
        (_session(0), _session(9), "setup.feed.1"),
        (_history(1), _history(6), "setup.order_history"),
        (_resample(60), _resample(30), "setup.feed.1"),
        (_replay(60), _replay(30), "setup.feed.1"),
        (_fill(10), _fill(50), "setup.broker.filler"),
        (None, lambda one: one.broker.addcommissioninfo(Dear()), "setup.costs.all"),
        (None, lambda one: one.datas[0].addfilter_simple(_dearer), "setup.feed.0"),
        (None, lambda one: one.addsizer(bt.sizers.PercentSizer, percents=7), "setup.sizer"),
    ],
)
def test_whatever_decides_is_in_the_result(prepare: Any, other: Any, name: str) -> None:
    one, two = (
        backtest(CrossingAverages, CandleData(candles(300), "BTC/USDT", "1m"), prepare=act)
        for act in (prepare, other)
    )
    assert name in {found for found, _, _ in compare(one, two).inputs}
    assert "0x" not in str(two.setup)  # the address of an object is another each time
    again = backtest(CrossingAverages, CandleData(candles(300), "BTC/USDT", "1m"), prepare=prepare)
    assert compare(one, again).inputs == ()


def test_strategy_that_was_changed_is_told() -> None:
    class Waits(bt.Strategy):  # type: ignore[misc]
        pass

    first = backtest(Waits, CandleData(candles(50), "BTC/USDT", "1m"))

    class Waits(bt.Strategy):  # type: ignore[misc, no-redef]
        def next(self) -> None:
            pass

    second = backtest(Waits, CandleData(candles(50), "BTC/USDT", "1m"))
    found = compare(first, second)
    assert [name for name, _, _ in found.inputs] == ["code"]
    assert found.same


def _strategy(amount: int, price: str) -> type[Any]:
    class Price(bt.Indicator):  # type: ignore[misc]
        lines = ("price",)

        def next(self) -> None:
            self.lines.price[0] = getattr(self.data, price)[0]

    class Buys(bt.Strategy):  # type: ignore[misc]
        SIZE = amount

        def __init__(self) -> None:
            self.price = Price()

        @property
        def half(self) -> float:
            return self.SIZE / 2

    return Buys


@pytest.mark.parametrize(
    ("other", "name"),
    [((2, "close"), "code"), ((1, "open"), "setup.indicator.0")],
)
def test_values_of_a_class_and_indicators_of_ones_own_are_in_the_result(
    other: tuple[int, str], name: str
) -> None:
    one, two, again = (
        backtest(_strategy(*given), CandleData(candles(50), "BTC/USDT", "1m"))
        for given in ((1, "close"), other, (1, "close"))
    )
    assert name in [found for found, _, _ in compare(one, two).inputs]
    assert compare(one, again).inputs == ()


def test_classes_that_know_themselves_have_a_digest() -> None:
    def helper() -> int:
        return 1

    class Knows(bt.Strategy):  # type: ignore[misc]
        def next(self) -> None:
            super().next()
            assert isinstance(self, Knows)
            assert helper() == 1

    result = backtest(Knows, CandleData(candles(50), "BTC/USDT", "1m"))
    assert result.code is not None


def test_function_as_a_parameter_is_told_by_its_source() -> None:
    class Acts(bt.Strategy):  # type: ignore[misc]
        params = (("act", None),)

    one, two = (
        backtest(Acts, CandleData(candles(50), "BTC/USDT", "1m"), parameters={"act": act})
        for act in (
            lambda x: x,
            lambda x: x + 1,
        )
    )
    assert [name for name, _, _ in compare(one, two).inputs] == ["parameters.act"]


class Skips(bt.Strategy):  # type: ignore[misc]
    def __init__(self) -> None:
        raise bt.errors.StrategySkipError


def dated(**params: Any) -> CandleData:
    return CandleData(candles(50), "BTC/USDT", "1m", **params)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: backtest(CrossingAverages, candles(50)), "DataFrame is no CandleData"),
        (lambda: backtest(CrossingAverages, dated(), cash=0), "cash 0: expected an amount"),
        (lambda: backtest(CrossingAverages, dated(), cash=-5.0), "cash -5.0: expected"),
        (lambda: backtest(CrossingAverages, dated(), cash=float("nan")), "cash nan: expected"),
        (lambda: backtest(Skips, dated()), "skipped itself"),
        (
            lambda: backtest(
                CrossingAverages, dated(fromdate=bt.num2date(738_000)), cash=1.0
            ),
            "BTC/USDT 1m: fromdate leaves candles out unsaid; use start_ms",
        ),
        (
            lambda: backtest(
                CrossingAverages, dated(), prepare=lambda one: one.addstrategy(Skips)
            ),
            "2 strategies",
        ),
        (
            lambda: backtest(
                CrossingAverages,
                dated(),
                prepare=lambda one: one.adddata(
                    bt.feeds.PandasData(dataname=candles(5)), name="theirs"
                ),
            ),
            "a feed of PandasData",
        ),
    ],
)  # fmt: skip
def test_what_a_result_could_not_name_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_analyzers_that_need_an_observer_and_arrays_as_parameters_do_not_lose_a_run() -> None:
    class Weighted(CrossingAverages):
        params = (("weights", None),)

    result = backtest(
        Weighted,
        dated(),
        parameters={"weights": np.array([1.0, 2.0])},
        analyzers={"years": bt.analyzers.AnnualReturn},
    )
    assert result.parameters["weights"] == [1.0, 2.0]
    assert list(result.analyzers["years"]) == ["2024"]
