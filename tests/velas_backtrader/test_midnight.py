"""Bars that end at midnight belong to the next day, unless what the feed advises is done."""

from __future__ import annotations

import datetime as dt
from typing import Any

import backtrader as bt
import pandas as pd
import pytest
from btkit import candles

from velas_backtrader import CandleData

EARLIER = dt.timezone(-dt.timedelta(milliseconds=1))
MONTHS = [dt.datetime(2024, 1, 31), dt.datetime(2024, 2, 29)]


class AtTheClose(bt.Strategy):  # type: ignore[misc]
    """Buys, in the morning of the second day, at the day's close."""

    def __init__(self) -> None:
        self.price = 0.0

    def notify_order(self, order: Any) -> None:
        if order.status == order.Completed:
            self.price = order.executed.price

    def next(self) -> None:
        if len(self) == 30:
            self.buy(exectype=bt.Order.Close)


def run(frame: pd.DataFrame, interval: str, *, tz: Any = None, **options: Any) -> Any:
    cerebro = bt.Cerebro(stdstats=False, tz=tz)
    cerebro.adddata(CandleData(frame, "BTCUSDT", interval, **options))
    cerebro.addstrategy(AtTheClose)
    cerebro.addanalyzer(bt.analyzers.TimeReturn, timeframe=bt.TimeFrame.Months, _name="months")
    return cerebro.run()[0]


@pytest.mark.parametrize("interval", ["1d", "1h"])
def test_zone_a_trifle_behind_keeps_months_to_themselves(interval: str) -> None:
    count = 60 if interval == "1d" else 60 * 24  # to the end of February
    frame = candles(count, interval)
    plain = list(run(frame, interval).analyzers.months.get_analysis())
    assert plain == [*MONTHS, dt.datetime(2024, 3, 31)]
    assert list(run(frame, interval, tz=EARLIER).analyzers.months.get_analysis()) == MONTHS


def test_session_that_ends_at_midnight_closes_at_the_close() -> None:
    frame = candles(72, "1h")
    assert run(frame, "1h").price == frame["close"][46]  # the bar before the last of the day
    assert run(frame, "1h", sessionend=dt.time(0)).price == frame["close"][47]
