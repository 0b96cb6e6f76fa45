"""A run as a result: its trades and worth, what it ran on, and that the same comes again."""

from __future__ import annotations

from typing import Any

import attrs
import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from btkit import START, candles

import velas
from velas import frames
from velas.backtests import BacktestResult, check_data, compare, load_result, save_result
from velas.errors import ConfigError, UnknownSymbol
from velas.ledger import Ledger
from velas.models import Gap
from velas.registry import load
from velas.testing import ManualClock
from velas_backtrader import CandleData, CrossingAverages, LiveCandles, backtest

MINUTE = 60_000


def steps(prices: list[float]) -> pd.DataFrame:
    """Return candles that open and close at given prices, one after the other."""
    frame = candles(len(prices) - 1)
    frame["open"], frame["close"] = prices[:-1], prices[1:]
    frame["high"] = frame[["open", "close"]].max(axis=1)
    frame["low"] = frame[["open", "close"]].min(axis=1)
    return frame


class Plan(bt.Strategy):  # type: ignore[misc]
    """Orders a number of coins at given bars, counted from 1."""

    params: Any = (("orders", {}),)

    def next(self) -> None:
        size = self.p.orders.get(len(self), 0)
        if size > 0:
            self.buy(size=size)
        elif size < 0:
            self.sell(size=-size)


def ran(orders: dict[int, float], prices: list[float], **options: Any) -> BacktestResult:
    data = CandleData(steps(prices), "BTC/USDT", "1m")
    return backtest(Plan, data, parameters={"orders": orders}, cash=1_000.0, **options)


def test_long_trade_has_its_average_prices_times_and_commission() -> None:
    prices = [100.0, 101.0, 102.0, 110.0, 120.0, 130.0, 131.0]
    result = ran({1: 1.0, 2: 3.0, 3: -1.0, 4: -3.0}, prices, commission=0.01)
    (trade,) = result.trades
    assert (trade.symbol, trade.side, trade.quantity) == ("BTCUSDT", "long", 4.0)
    assert trade.entry_price == (1 * 101 + 3 * 102) / 4
    assert trade.exit_price == (1 * 110 + 3 * 120) / 4
    # filled at the open of the next candle; a time is the end of the candle it lies in
    assert (trade.opened_ms, trade.closed_ms) == (START + 2 * MINUTE, START + 5 * MINUTE)
    assert trade.pnl == pytest.approx(110 + 3 * 120 - 101 - 3 * 102)
    assert trade.commission == pytest.approx(0.01 * (101 + 306 + 110 + 360))
    assert result.value == pytest.approx(1_000 + trade.net)


def test_position_that_turns_is_two_trades() -> None:
    result = ran({1: 1.0, 2: -3.0, 3: 2.0}, [100.0, 101.0, 105.0, 103.0, 103.0], commission=0.0)
    assert [(one.side, one.quantity, one.pnl) for one in result.trades] == [
        ("long", 1.0, pytest.approx(4.0)),
        ("short", 2.0, pytest.approx(4.0)),
    ]


def test_worth_is_noted_where_it_changes_and_at_both_ends() -> None:
    prices = [100.0, 100.0, 100.0, 110.0, 105.0, 105.0, 105.0]
    result = ran({1: 1.0, 4: -1.0}, prices, commission=0.0)
    ends = [START + n * MINUTE for n in range(1, 7)]
    assert result.equity == (
        (ends[0], 1_000.0),
        (ends[2], 1_010.0),
        (ends[3], 1_005.0),
        (ends[5], 1_005.0),
    )


def test_worth_is_noted_before_indicators_are_ready() -> None:
    data = CandleData(candles(40), "BTC/USDT", "1m")
    result = backtest(CrossingAverages, data)
    assert result.equity[0] == (START + MINUTE, 10_000.0)
    assert result.equity[-1][0] == START + 40 * MINUTE


def test_result_names_what_it_ran_on_with_what_and_what_came_of_it() -> None:
    first, second = candles(300), candles(60, "5m", seed=2)
    clock = ManualClock(START + 86_400_000)
    result = backtest(
        CrossingAverages,
        CandleData(first, "BTC/USDT", "1m"),
        CandleData(second, "ETH/USDT", "5m"),
        parameters={"slow": 20},
        analyzers={"drawdown": bt.analyzers.DrawDown},
        prepare=lambda cerebro: cerebro.addsizer(bt.sizers.FixedSize, stake=7),
        clock=clock,
    )
    assert result.name == "BTCUSDT_CrossingAverages_1m"
    assert result.created_ms == clock.now_ms()
    assert result.parameters == {"fast": 10, "slow": 20}
    assert result.setup["costs.all.commission"] == 0.001
    assert result.setup["sizer"] == "FixedSize(stake=7, tranches=1)"
    assert result.setup["broker.slip_perc"] == 0.0
    assert result.setup["feed.1"] == "ETH/USDT 5m: Minutes 5"
    assert result.code is not None
    assert [(one.symbol, one.interval, one.rows, one.digest) for one in result.data] == [
        ("BTCUSDT", "1m", 300, frames.digest(first)),
        ("ETHUSDT", "5m", 60, frames.digest(second)),
    ]
    assert result.trades
    assert {one.quantity for one in result.trades} == {7.0}
    assert result.analyzers["drawdown"]["max"]["drawdown"] == pytest.approx(
        result.drawdown_pct, abs=1e-9
    )
    assert set(result.versions) == {"python", "velas", "backtrader", "numpy", "pandas"}


def test_trades_on_a_resampled_view_are_of_its_symbol() -> None:
    class OnTheLonger(Plan):
        def next(self) -> None:
            if len(self.data1) in (2, 4) and self.data1.datetime[0] == self.data.datetime[0]:
                (self.buy if len(self.data1) == 2 else self.sell)(data=self.data1, size=1)

    def prepare(cerebro: Any) -> None:
        timeframe = bt.TimeFrame.Minutes
        cerebro.resampledata(cerebro.datas[0], timeframe=timeframe, compression=5)

    data = CandleData(candles(60), "BTC/USDT", "1m")
    result = backtest(OnTheLonger, data, prepare=prepare)
    assert [one.symbol for one in result.trades] == ["BTCUSDT"]


@pytest.fixture
def stored(tmp_path: Any) -> velas.Settings:
    settings = velas.load_settings(environ={}, data_dir=tmp_path, db_path=tmp_path / "velas.db")
    with velas.open_store(settings) as store:
        store.save(candles(500), "BTC/USDT", "1m")
    return settings


def test_sample_can_be_kept_checked_and_comes_out_the_same_again(
    stored: velas.Settings,
) -> None:
    sample = load("backtesters", "backtrader")
    result = sample(stored, "BTCUSDT", "1m")
    assert len(result.trades) > 3
    kept = load_result(save_result(result, stored.data_dir))
    assert compare(result, kept).same
    assert compare(kept, sample(stored, "BTC/USDT", "1m")).same
    (check,) = check_data(kept, lambda exchange: velas.open_store(stored, exchange_name=exchange))
    assert check.verdict == "same"
    # half of the money, as far as whole steps of it go
    assert {round(one.quantity * one.entry_price / 10_000, 1) for one in result.trades} == {0.5}


def test_sample_takes_the_venues_own_holes(stored: velas.Settings) -> None:
    with velas.open_store(stored) as store:
        store.delete("BTCUSDT", "1m")
        frame = candles(500)
        store.save(frame.drop(index=range(100, 110)), "BTC/USDT", "1m")
    sample = load("backtesters", "backtrader")
    with pytest.raises(velas.errors.FrameError, match="gap"):
        sample(stored, "BTCUSDT", "1m")
    gap = Gap(START + 100 * MINUTE, START + 110 * MINUTE, 10, "venue")
    with Ledger(stored.db_path) as ledger:
        ledger.add_absent("binance_spot", "BTCUSDT", "1m", [gap], now_ms=gap.end_ms)
    assert sample(stored, "BTCUSDT", "1m").data[0].rows == 490


def test_result_with_bars_left_out_can_be_reproduced(stored: velas.Settings) -> None:
    with velas.open_store(stored) as store:
        bad = candles(500)
        bad.loc[7, "low"] = -1.0
        store.save(bad, "BTC/USDT", "1m")
    with pytest.warns(UserWarning, match="left out"):
        data = CandleData.from_settings(stored, "BTC/USDT", "1m", integrity="drop")
    assert (len(data.frame), len(data.read)) == (499, 500)
    result = backtest(CrossingAverages, data)
    assert (result.data[0].rows, result.data[0].integrity) == (500, "drop")
    (check,) = check_data(result, lambda exchange: velas.open_store(stored, exchange_name=exchange))
    assert check.verdict == "same"


def test_sample_of_what_is_not_stored_is_an_error(stored: velas.Settings) -> None:
    with pytest.raises(UnknownSymbol, match="did you mean BTCUSDT"):
        load("backtesters", "backtrader")(stored, "BTCUSTD", "1m")


def test_backtest_of_nothing_of_one_series_twice_or_of_live_candles_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs data"):
        backtest(CrossingAverages)
    twice = [CandleData(candles(50), name, "1m") for name in ("BTC/USDT", "BTCUSDT")]
    with pytest.raises(ConfigError, match="BTCUSDT 1m is played twice"):
        backtest(CrossingAverages, *twice)
    live = CandleData(LiveCandles(velas.load_settings(environ={})), "BTC/USDT", "1m")
    with pytest.raises(ConfigError, match="BTC/USDT 1m is live"):
        backtest(CrossingAverages, live)


def test_results_of_the_same_run_differ_in_nothing_but_the_moment() -> None:
    one, other = (
        backtest(CrossingAverages, CandleData(candles(400), "BTC/USDT", "1m")) for _ in range(2)
    )
    assert attrs.evolve(one, created_ms=0) == attrs.evolve(other, created_ms=0)
    assert np.isfinite(one.value)


def test_orders_are_counted_by_how_they_ended() -> None:
    result = ran({1: 1.0, 3: -1.0, 5: 100.0}, [100.0] * 10)
    assert result.orders == {"Completed": 2, "Margin": 1}


@pytest.mark.parametrize(("size", "pnl"), [(2.0, 2 * 9.0), (-2.0, -2 * 9.0)])
def test_position_that_is_still_held_is_told_apart(size: float, pnl: float) -> None:
    result = ran({1: size}, [100.0, 101.0, 105.0, 110.0], commission=0.01)
    assert result.trades == ()
    (held,) = result.open_trades
    assert (held.symbol, held.quantity, held.entry_price) == ("BTCUSDT", 2.0, 101.0)
    assert held.side == ("long" if size > 0 else "short")
    assert held.pnl == pytest.approx(pnl)
    assert held.commission == pytest.approx(0.01 * 202)
    assert result.net == pytest.approx(held.pnl - held.commission)


@pytest.mark.parametrize(
    ("orders", "side", "quantity"),
    [
        ({1: 3.0, 3: 3.0}, "long", 6.0),
        ({1: 5.0, 3: -3.0}, "long", 2.0),
        ({1: 5.0, 3: -3.0, 5: 2.0}, "long", 4.0),
        ({1: 3.0, 3: -8.0, 5: 2.0}, "short", 3.0),
    ],
    ids=str,
)
def test_held_position_is_what_became_of_it(
    orders: dict[int, float], side: str, quantity: float
) -> None:
    prices = [100.0, 101.0, 99.0, 104.0, 103.0, 106.0, 102.0, 105.0, 107.0]
    result = ran(orders, prices, commission=0.01)
    (held,) = result.open_trades
    assert (held.side, held.quantity) == (side, quantity)
    everything = sum(one.net for one in result.trades) + held.pnl - held.commission
    assert everything == pytest.approx(result.net)


def test_worth_that_is_no_number_is_left_out_and_the_run_is_not_lost(tmp_path: Any) -> None:
    frame = steps([100.0, 101.0, 102.0, 103.0, 104.0])
    frame.loc[2, "close"] = np.nan
    with pytest.warns(UserWarning, match="impossible"):
        data = CandleData(frame, "BTC/USDT", "1m", integrity="warn")
    result = backtest(Plan, data, parameters={"orders": {1: 1.0}}, commission=0.0)
    assert [at_ms for at_ms, _ in result.equity] == [START + n * MINUTE for n in (1, 2, 4)]
    assert load_result(save_result(result, tmp_path)) == result


def test_trade_names_the_interval_of_its_feed() -> None:
    class OnHours(bt.Strategy):  # type: ignore[misc]
        def next(self) -> None:
            if len(self.data1) in (1, 3) and self.data1.datetime[0] == self.datetime[0]:
                (self.buy if len(self.data1) == 1 else self.sell)(self.data1, size=1)

    def prepare(cerebro: Any) -> None:
        timeframe = bt.TimeFrame.Minutes
        cerebro.resampledata(cerebro.datas[0], timeframe=timeframe, compression=60)

    data = CandleData(candles(360), "BTC/USDT", "1m")
    (trade,) = backtest(OnHours, data, prepare=prepare).trades
    assert trade.interval == "1h"
    opened = data.frame["open"][data.frame["timestamp"] == trade.opened_ms - 60 * MINUTE]
    assert trade.entry_price == opened.iloc[0]
