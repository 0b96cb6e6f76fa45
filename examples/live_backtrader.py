"""A live session of Backtrader: history first, then each candle as it closes.

pip install '.[backtrader]'
python examples/live_backtrader.py             # on a stand-in venue: a minute is a second
python examples/live_backtrader.py my.yaml     # on the venue of your settings; Ctrl-C ends it
"""
# backtrader has no types
# pyright: reportCallIssue=false

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import backtrader as bt

import velas
from velas.clock import SYSTEM_CLOCK, Clock
from velas.testing import ScaledClock, StandInVenue
from velas_backtrader import CandleData, LiveCandles

SYMBOL, INTERVAL = "BTC/USDT", "1m"
HISTORY_MS = 60 * 60_000
LIVE = 5


class Crossing(bt.Strategy):  # type: ignore[misc]
    """Buy and sell (on paper) as two averages cross; end after some live candles."""

    params = (("live", 0),)

    def __init__(self) -> None:
        self.cross = bt.ind.CrossOver(bt.ind.EMA(period=5), bt.ind.EMA(period=20))
        self.seen = 0
        self.state: int | None = None

    def notify_data(self, data: Any, status: int, *_: object, **__: object) -> None:
        """Hear whether candles are old ones or the newest, and whether any come."""
        if status != self.state:
            self.state = status
            print(f"{data._name}: {data._getstatusname(status)}")

    def notify_order(self, order: Any) -> None:
        """Hear of what was bought and sold."""
        if order.status == order.Completed:
            when = bt.num2date(order.executed.dt)
            print(f"{when:%H:%M} {order.ordtypename()} at {order.executed.price:.2f}")

    def next(self) -> None:
        """Look at the candle that has just closed."""
        if self.cross > 0:
            self.buy()
        elif self.cross < 0:
            self.close()
        if self.state != self.data.LIVE:
            return
        self.seen += 1
        print(f"{self.data.datetime.datetime(0):%H:%M} closed at {self.data.close[0]}")
        if self.seen == self.p.live:
            self.env.runstop()


def main() -> None:
    """Run on the stand-in unless settings are given."""
    with ExitStack() as stack:
        clock: Clock = SYSTEM_CLOCK
        if sys.argv[1:]:
            settings = velas.load_settings(sys.argv[1])
        else:
            clock = ScaledClock(60)
            venue = stack.enter_context(StandInVenue("spot", clock=clock).in_thread())
            settings = velas.load_settings(
                exchange="binance_spot",
                data_dir=Path(stack.enter_context(tempfile.TemporaryDirectory())),
                rest={"url": venue.rest_url},
                ws={"url": venue.ws_url},
            )
        live = stack.enter_context(LiveCandles(settings, clock=clock))
        cerebro = bt.Cerebro(stdstats=False)
        start_ms = clock.now_ms() - HISTORY_MS
        cerebro.adddata(CandleData(live, SYMBOL, INTERVAL, start_ms=start_ms))
        cerebro.addsizer(bt.sizers.PercentSizer, percents=90)
        cerebro.addstrategy(Crossing, live=0 if sys.argv[1:] else LIVE)
        cerebro.run()
        print(f"worth {cerebro.broker.getvalue():,.2f}")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
