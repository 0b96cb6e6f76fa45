"""No order is filled at a price of before it was made, whatever feed it is for."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import backtrader as bt
import pandas as pd
import pytest
from btkit import candles, longer

from velas_backtrader import CandleData
from velas_backtrader._dates import ms_of

MINUTE, HOUR = 60_000, 3_600_000
SHORT = candles(48 * 60)
LONG = longer(SHORT, "1h")
MODES: list[dict[str, Any]] = [{}, {"runonce": False}, {"exactbars": 1}]


class Deals(bt.Strategy):  # type: ignore[misc]
    """Writes down when orders were made, and when and at which price they were filled."""

    def __init__(self) -> None:
        self.made: dict[int, int] = {}
        self.fills: list[tuple[int, int, float, float]] = []

    def note(self, *orders: Any) -> None:
        for order in orders:
            self.made[order.ref] = self.now_ms()

    def now_ms(self) -> int:
        return ms_of(self.datetime[0])

    def notify_order(self, order: Any) -> None:
        if order.status == order.Completed:
            done = order.executed
            self.fills.append((self.made[order.ref], ms_of(done.dt), done.price, done.size))


class Hindsight(Deals):
    """A minute before the hour is over, goes along with it, as if it had just begun."""

    began = 0.0

    def next(self) -> None:
        if self.now_ms() % HOUR == MINUTE:
            self.began = self.data0.open[0]
        elif self.now_ms() % HOUR == 59 * MINUTE:
            risen = self.data0.close[0] > self.began
            order = self.order_target_size(self.data1, 1 if risen else -1)
            if order is not None:
                self.note(order)


def run(
    strategy: type[Deals],
    *,
    resampled: bool = False,
    broker: Any = None,
    prepare: Callable[[Any], object] = bool,
    **modes: Any,
) -> Any:
    cerebro = bt.Cerebro(stdstats=False, **modes)
    if broker is not None:
        cerebro.broker = broker
    data = CandleData(SHORT, "BTCUSDT", "1m")
    cerebro.adddata(data)
    if resampled:
        cerebro.resampledata(data, timeframe=bt.TimeFrame.Minutes, compression=60)
    else:
        cerebro.adddata(CandleData(LONG, "BTCUSDT", "1h"))
    cerebro.addstrategy(strategy)
    prepare(cerebro)
    return cerebro.run()[0]


def open_at(ms: int) -> float:
    return float(SHORT["open"][SHORT["timestamp"] == ms].iloc[0])


@pytest.mark.parametrize("modes", MODES, ids=str)
@pytest.mark.parametrize("resampled", [False, True])
def test_order_for_a_longer_feed_waits_for_the_bar_that_begins_after_it(
    resampled: bool, modes: dict[str, Any]
) -> None:
    fills = run(Hindsight, resampled=resampled, **modes).fills
    assert len(fills) > 10
    for made_ms, filled_ms, price, _ in fills:
        assert filled_ms == made_ms + MINUTE + HOUR  # the end of the bar it was filled in
        assert price == open_at(made_ms + MINUTE)


def test_order_made_as_the_longer_bar_ends_is_filled_in_the_next_one() -> None:
    class OnTime(Deals):
        def next(self) -> None:
            if self.now_ms() % HOUR == 0 and len(self.data1) % 4 == 0:
                self.note(self.order_target_size(self.data1, len(self.data1) % 8 - 2))

    fills = run(OnTime).fills
    assert len(fills) > 5
    for made_ms, filled_ms, price, _ in fills:
        assert (filled_ms, price) == (made_ms + HOUR, open_at(made_ms))


def test_limit_is_not_met_by_the_past_of_a_longer_bar() -> None:
    class Bargain(Deals):
        """Bids, in the middle of the hour, what it has been at its lowest until then."""

        def next(self) -> None:
            if self.now_ms() % HOUR == 30 * MINUTE:
                lowest = min(self.data0.low.get(size=30))
                valid = bt.num2date(self.datetime[0]) + pd.Timedelta(hours=3)
                self.note(self.buy(self.data1, exectype=bt.Order.Limit, price=lowest, valid=valid))

    strategy = run(Bargain)
    assert strategy.fills
    for made_ms, filled_ms, price, _ in strategy.fills:
        hour = SHORT[SHORT["timestamp"].between(filled_ms - HOUR, filled_ms - 1)]
        assert filled_ms - HOUR >= made_ms
        assert hour["low"].min() <= price


def test_stop_of_a_bracket_is_not_met_by_the_bar_that_filled_its_entry() -> None:
    class Bracket(Deals):
        def next(self) -> None:
            if self.now_ms() % (4 * HOUR) == 59 * MINUTE and not self.getposition(self.data1):
                price = self.data0.close[0]
                self.note(
                    *self.buy_bracket(
                        data=self.data1,
                        exectype=bt.Order.Market,
                        stopprice=price * 0.9999,
                        limitprice=price * 1.5,
                    )
                )

    fills = run(Bracket).fills
    stops = [one for one in fills if one[3] < 0]
    assert len(stops) > 3
    for made_ms, filled_ms, _, _ in stops:
        assert filled_ms >= made_ms + MINUTE + 2 * HOUR  # the entry's bar, and another


@pytest.mark.parametrize("cheat", ["coc", "coo"])
def test_cheating_that_is_asked_for_is_as_ever(cheat: str) -> None:
    fills = run(Hindsight, broker=bt.brokers.BackBroker(**{cheat: True})).fills
    assert fills
    assert all(filled_ms <= made_ms + MINUTE for made_ms, filled_ms, _, _ in fills)


class InTimer(Deals):
    """Orders by a timer: the strategy's own time is that of the bar before, then."""

    def start(self) -> None:
        every = dt.timedelta(minutes=30)
        self.add_timer(when=dt.time(0, 0), offset=dt.timedelta(0), repeat=every)
        self.turn = 0

    def notify_timer(self, timer: Any, when: Any, *args: Any, **kwargs: Any) -> None:
        self.turn += 1
        if not len(self.data1):
            return
        order = self.order_target_size(self.data1, 1 if self.turn % 4 < 2 else -1)
        if order is not None:
            self.made[order.ref] = ms_of(self.data0.datetime[0])


@pytest.mark.parametrize("modes", MODES, ids=str)
def test_order_of_a_timer_is_as_old_as_what_was_seen(modes: dict[str, Any]) -> None:
    fills = run(InTimer, **modes).fills
    assert len(fills) > 10
    for made_ms, filled_ms, price, _ in fills:
        assert filled_ms - HOUR >= made_ms
        assert price == pytest.approx(open_at(filled_ms - HOUR))


class Waiting(Deals):
    """Leaves stops of all kinds on the longer feed."""

    kinds: tuple[Any, ...] = (
        {"exectype": bt.Order.StopTrail, "trailpercent": 0.004},
        {"exectype": bt.Order.StopLimit, "price": 1.002, "plimit": 1.001},
        {"exectype": bt.Order.Stop, "price": 1.003},
    )

    def next(self) -> None:
        longer = self.datas[-1]
        if self.now_ms() % (3 * HOUR) == 0 and longer.datetime[0] == self.datetime[0]:
            kind = dict(self.kinds[self.now_ms() // (3 * HOUR) % 3])
            for name in {"price", "plimit"} & kind.keys():
                kind[name] *= longer.close[0]
            trade = self.sell if kind["exectype"] == bt.Order.StopTrail else self.buy
            self.note(trade(longer, **kind))


@pytest.mark.parametrize("resampled", [False, True])
def test_order_that_waits_sees_each_longer_bar_once(resampled: bool) -> None:
    alone = bt.Cerebro(stdstats=False)
    alone.adddata(CandleData(LONG, "BTCUSDT", "1h"))
    alone.addstrategy(Waiting)
    (expected,) = alone.run()
    assert len(expected.fills) > 8
    # bars of minutes beside those of hours change nothing for orders on the hours
    assert run(Waiting, resampled=resampled).fills == expected.fills


def test_partial_fills_take_their_share_of_each_bar_once() -> None:
    class Big(Deals):
        def next(self) -> None:
            if len(self.data1) == 3 and self.now_ms() % HOUR == 0:
                self.parts: list[tuple[int, float]] = []
                self.buy(self.data1, size=10**6)

        def notify_order(self, order: Any) -> None:
            if order.status == order.Partial:
                bit = order.executed.exbits[-1]
                self.parts.append((ms_of(bit.dt), bit.size))

    filler = bt.broker.fillers.FixedBarPerc(perc=10)
    strategy = run(
        Big,
        prepare=lambda cerebro: (cerebro.broker.set_filler(filler), cerebro.broker.setcash(1e12)),
    )
    assert len(strategy.parts) > 20
    for (first_ms, _), (second_ms, _) in pairwise(strategy.parts):
        assert second_ms == first_ms + HOUR


def test_order_for_the_close_gets_that_of_the_bar_it_was_made_in() -> None:
    class AtTheClose(Deals):
        def next(self) -> None:
            if self.now_ms() % (24 * HOUR) == 23 * HOUR + 30 * MINUTE:
                self.note(self.buy(self.data1, exectype=bt.Order.Close))

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(CandleData(SHORT, "BTCUSDT", "1m"))
    cerebro.adddata(CandleData(LONG, "BTCUSDT", "1h", sessionend=dt.time(0)))
    cerebro.addstrategy(AtTheClose)
    (strategy,) = cerebro.run()
    ((made_ms, filled_ms, price, _),) = strategy.fills[:1]
    assert filled_ms == made_ms + 30 * MINUTE
    assert price == LONG["close"][LONG["timestamp"] == filled_ms - HOUR].iloc[0]


def test_order_for_a_replayed_feed_waits_for_a_step_that_begins_after_it() -> None:
    five = longer(SHORT, "5m")

    class OnReplay(Deals):
        def next(self) -> None:
            if self.now_ms() % (5 * MINUTE) == 4 * MINUTE:
                self.note(self.order_target_size(self.data1, len(self) // 5 % 2))

        def note(self, *orders: Any) -> None:
            super().note(*filter(None, orders))

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(CandleData(SHORT.head(600), "BTCUSDT", "1m"))
    cerebro.replaydata(
        CandleData(five.head(120), "BTCUSDT", "5m"), timeframe=bt.TimeFrame.Minutes, compression=60
    )
    cerebro.addstrategy(OnReplay)
    fills = cerebro.run()[0].fills
    assert len(fills) > 20
    for made_ms, filled_ms, price, _ in fills:
        assert filled_ms == made_ms + 6 * MINUTE
        assert price == open_at(made_ms + MINUTE)


@pytest.mark.parametrize("modes", [{}, {"exactbars": 1}], ids=str)
def test_step_of_a_candle_that_was_resampled_before_is_as_long_as_it_is(
    modes: dict[str, Any],
) -> None:
    class OnReplay(Deals):
        def next(self) -> None:
            if self.now_ms() % (30 * MINUTE) == 29 * MINUTE:
                order = self.order_target_size(self.datas[-1], len(self) // 30 % 2)
                if order is not None:
                    self.note(order)

    cerebro = bt.Cerebro(stdstats=False, **modes)
    data = CandleData(SHORT, "BTCUSDT", "1m")
    cerebro.adddata(data)
    minutes = bt.TimeFrame.Minutes
    halves = cerebro.resampledata(data, timeframe=minutes, compression=30)
    cerebro.replaydata(halves, timeframe=minutes, compression=120)
    cerebro.addstrategy(OnReplay)
    fills = cerebro.run()[0].fills
    assert len(fills) > 20
    for made_ms, filled_ms, price, _ in fills:
        assert filled_ms == made_ms + 31 * MINUTE
        assert price == pytest.approx(open_at(made_ms + MINUTE))


def test_broker_that_is_used_again_fills_again() -> None:
    broker = bt.brokers.BackBroker()
    assert run(Waiting, broker=broker).fills == run(Waiting, broker=broker).fills != []


OPTIMIZING = """
import backtrader as bt
from btkit import candles
from velas_backtrader import CandleData

if __name__ == "__main__":
    cerebro = bt.Cerebro(stdstats=False, maxcpus=2)
    cerebro.adddata(CandleData(candles(48, "1h"), "BTCUSDT", "1h"))
    cerebro.optstrategy(bt.strategies.MA_CrossOver, fast=[3, 5])
    print([one[0].params.fast for one in cerebro.run()])
"""


def test_cerebro_that_optimizes_in_processes_runs() -> None:
    # in a process of its own: one with threads is not to be forked
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OPTIMIZING],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "support")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.stdout.strip() == "[3, 5]", found.stderr


def test_orders_without_a_strategy_and_of_a_history_are_filled() -> None:
    class Foreign(bt.Strategy):  # type: ignore[misc]
        def next(self) -> None:
            if len(self) == 3:
                self.broker.buy(None, self.data, 1.0)

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(CandleData(LONG, "BTCUSDT", "1h"))
    cerebro.addstrategy(Foreign)
    cerebro.add_order_history([(dt.datetime(2024, 1, 1, 5), 1, 100.0)], notify=False)
    (strategy,) = cerebro.run()
    assert strategy.broker.getposition(strategy.data).size == 2


class Busy(Deals):
    """All kinds of orders on one feed."""

    def next(self) -> None:
        price, kind = self.data.close[0], len(self) % 7
        if kind == 0 and not self.position:
            self.note(
                *self.buy_bracket(price=price, stopprice=price * 0.998, limitprice=price * 1.003)
            )
        elif kind == 3:
            self.note(self.sell(exectype=bt.Order.StopTrail, trailamount=0.2))
        elif kind == 5 and self.position:
            self.note(self.close())


def test_fills_of_a_single_feed_are_those_of_backtrader() -> None:
    ends = pd.DatetimeIndex(pd.to_datetime(SHORT["timestamp"] + MINUTE, unit="ms"))
    theirs = bt.feeds.PandasData(
        dataname=SHORT.set_index(ends), timeframe=bt.TimeFrame.Minutes, compression=1
    )
    found = []
    for data in (CandleData(SHORT, "BTCUSDT", "1m"), theirs):
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(data)
        cerebro.addstrategy(Busy)
        found.append(cerebro.run()[0].fills)
    assert len(found[0]) > 100
    assert found[0] == found[1]
