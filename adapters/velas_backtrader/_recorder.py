"""An analyzer that notes what a `BacktestResult` is made of: trades and the account's worth."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Literal

from velas.backtests import ClosedTrade, OpenTrade
from velas.interval import INTERVALS, Interval
from velas_backtrader._dates import ms_of
from velas_backtrader._library import Analyzer
from velas_backtrader._lines import timeframe_of

__all__ = ["Recorder"]

_NAMES = {timeframe_of(Interval(name)): name for name in INTERVALS}


class Recorder(Analyzer):  # type: ignore[misc]
    """Needs ``Cerebro(tradehistory=True)``, which says at which prices a trade was filled.

    `trades` are those that are over, `open_trades` those still held at the end, `orders`
    how many ended how. `equity` has a step ``(ms, worth)`` for the first bar, for each at
    which the account's worth changed, and for the last; none where it is no number.
    """

    def start(self) -> None:
        """Begin with nothing."""
        self.trades: list[ClosedTrade] = []
        self.open_trades: list[OpenTrade] = []
        self.equity: list[tuple[int, float]] = []
        self.orders: Counter[str] = Counter()
        self._now_ms = 0

    def notify_order(self, order: Any) -> None:
        """Count an order that is over."""
        if not order.alive():
            self.orders[order.getstatusname()] += 1

    def notify_trade(self, trade: Any) -> None:
        """Note a trade that is over."""
        if trade.isclosed:
            self.trades.append(_closed(trade))

    def prenext(self) -> None:
        """Note the account's worth while indicators are not ready, too."""
        self.next()

    def next(self) -> None:
        """Note the account's worth if it changed."""
        self._now_ms = ms_of(self.strategy.datetime[0])
        worth = float(self.strategy.broker.getvalue())
        if not math.isfinite(worth):
            return
        if self.equity and self.equity[-1][0] == self._now_ms:
            self.equity[-1] = (self._now_ms, worth)
        elif not self.equity or self.equity[-1][1] != worth:
            self.equity.append((self._now_ms, worth))

    def stop(self) -> None:
        """Note the end."""
        if self.equity and self.equity[-1][0] != self._now_ms:
            self.equity.append((self._now_ms, self.equity[-1][1]))
        # what is notified is a copy of when a trade began; these go on
        going = (one for by_id in self.strategy._trades.values() for one in by_id.values())
        last = (trades[-1] for trades in going if trades)
        self.open_trades = [_open(one, self.strategy.broker) for one in last if one.isopen]


def _closed(trade: Any) -> ClosedTrade:
    entries, exits = _fills(trade)
    return ClosedTrade(
        symbol=_symbol(trade.data),
        side=_side(trade),
        quantity=sum(size for size, _ in entries),
        opened_ms=ms_of(trade.dtopen),
        closed_ms=ms_of(trade.dtclose),
        entry_price=_average(entries),
        exit_price=_average(exits),
        pnl=float(trade.pnl),
        commission=float(trade.commission),
        interval=_NAMES.get((trade.data._timeframe, trade.data._compression)),
    )


def _open(trade: Any, broker: Any) -> OpenTrade:
    entries, _ = _fills(trade)
    costs = broker.getcommissioninfo(trade.data)
    last = _last_price(trade.data)
    return OpenTrade(
        symbol=_symbol(trade.data),
        side=_side(trade),
        quantity=abs(float(trade.size)),
        opened_ms=ms_of(trade.dtopen),
        entry_price=_average(entries),
        pnl=float(trade.pnl + costs.profitandloss(trade.size, trade.price, last)),
        commission=float(trade.commission),
    )


def _fills(trade: Any) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return size and price of what was filled: going in, and out."""
    sign = 1 if trade.long else -1
    fills = [(sign * float(one.event.size), float(one.event.price)) for one in trade.history]
    entries = [(size, price) for size, price in fills if size > 0]
    return entries, [(-size, price) for size, price in fills if size < 0]


def _side(trade: Any) -> Literal["long", "short"]:
    return "long" if trade.long else "short"


def _symbol(data: Any) -> str:
    while not hasattr(data, "symbol"):  # a view of a feed, resampled perhaps
        data = data.data
    return str(data.symbol)


def _last_price(data: Any) -> float:
    closes = (float(data.close[-ago]) for ago in range(len(data)))
    return next(filter(math.isfinite, closes))


def _average(fills: list[tuple[float, float]]) -> float:
    return sum(size * price for size, price in fills) / sum(size for size, _ in fills)
