"""A backtest with Backtrader: download, run, keep the result, draw the trades.

pip install '.[backtrader,plot]'
python examples/backtest.py                # on a recorded download
python examples/backtest.py my.yaml        # on the venue of your settings
"""
# backtrader has no types
# pyright: reportCallIssue=false

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import backtrader as bt

import velas
from velas.backtests import marks, save_result
from velas.charts import save_chart
from velas.clock import SYSTEM_CLOCK
from velas.dates import parse_when
from velas.history import Wanted, make_plan, run_plan
from velas_backtrader import CandleData, backtest

SETTINGS = Path(__file__).with_suffix(".yaml")
SYMBOL, INTERVAL = "BTC/USDT", "1h"
START = parse_when("2025-04-21", now_ms=SYSTEM_CLOCK.now_ms())
END = parse_when("2025-06-02", now_ms=SYSTEM_CLOCK.now_ms())


class Breakout(bt.Strategy):  # type: ignore[misc]
    """Buy what is dearer than ever in the last `period` candles, sell at a trailing stop."""

    params = (("period", 24), ("trail", 0.02))

    def __init__(self) -> None:
        self.highest = bt.ind.Highest(self.data.high(-1), period=self.p.period)
        self.exit = None

    def next(self) -> None:
        """Look at the candle that has just closed."""
        if not self.position and self.data.close[0] > self.highest[0]:
            self.buy()
        elif self.position and self.exit is None:
            self.exit = self.close(exectype=bt.Order.StopTrail, trailpercent=self.p.trail)

    def notify_trade(self, trade: Any) -> None:
        """Be ready for the next when one is over."""
        if trade.isclosed:
            self.exit = None


async def download(settings: velas.Settings) -> None:
    """Fetch what is not stored yet."""
    wanted = Wanted([SYMBOL], [velas.Interval(INTERVAL)], start_ms=START, end_ms=END)
    store = velas.open_store(settings)
    async with velas.open_exchange(settings) as exchange:
        with velas.open_ledger(settings) as ledger:
            plan = await make_plan(exchange, store, ledger, wanted)
            report = await run_plan(exchange, store, ledger, plan)
    print(f"downloaded {report.series[0].rows_added} candles")


def main(settings_file: Path) -> None:
    """Go from nothing to a picture."""
    settings = velas.load_settings(settings_file)
    asyncio.run(download(settings))
    data = CandleData.from_settings(settings, SYMBOL, INTERVAL, start_ms=START, end_ms=END)
    result = backtest(
        Breakout,
        data,
        analyzers={"drawdown": bt.analyzers.DrawDown},
        prepare=lambda cerebro: cerebro.addsizer(bt.sizers.PercentSizer, percents=90),
    )
    for trade in result.trades:
        print(f"{trade.side} {trade.entry_price} -> {trade.exit_price}: {trade.net:+.2f}")
    print(f"{result.cash:,.2f} -> {result.value:,.2f}, deepest fall {result.drawdown_pct:.2f} %")
    file = save_result(result, settings.data_dir)
    save_chart(data.frame, INTERVAL, file.with_suffix(".png"), title=file.stem, marks=marks(result))
    print(f"result  {file}\npicture {file.with_suffix('.png')}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else SETTINGS)
