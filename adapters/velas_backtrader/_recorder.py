"""An analyzer that notes what a `BacktestResult` is made of: trades and the account's worth."""

from __future__ import annotations

from typing import Any, Literal

from velas.backtests import ClosedTrade
from velas_backtrader._dates import ms_of
from velas_backtrader._library import Analyzer

__all__ = ["Recorder"]


class Recorder(Analyzer):  # type: ignore[misc]
    """Needs ``Cerebro(tradehistory=True)``, which says at which prices a trade was filled.

    `trades` holds those that are over, `equity` a step ``(ms, worth)`` for the first bar,
    for each at which the account's worth changed, and for the last.
    """

    def start(self) -> None:
        """Begin with nothing."""
        self.trades: list[ClosedTrade] = []
        self.equity: list[tuple[int, float]] = []
        self._now_ms = 0

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
        if self.equity and self.equity[-1][0] == self._now_ms:
            self.equity[-1] = (self._now_ms, worth)
        elif not self.equity or self.equity[-1][1] != worth:
            self.equity.append((self._now_ms, worth))

    def stop(self) -> None:
        """Note the end."""
        if self.equity and self.equity[-1][0] != self._now_ms:
            self.equity.append((self._now_ms, self.equity[-1][1]))


def _closed(trade: Any) -> ClosedTrade:
    fills = [(float(entry.event.size), float(entry.event.price)) for entry in trade.history]
    side: Literal["long", "short"] = "long" if trade.long else "short"
    sign = 1 if trade.long else -1
    entries = [(size, price) for size, price in fills if size * sign > 0]
    exits = [(size, price) for size, price in fills if size * sign < 0]
    return ClosedTrade(
        symbol=_symbol(trade.data),
        side=side,
        quantity=abs(sum(size for size, _ in entries)),
        opened_ms=ms_of(trade.dtopen),
        closed_ms=ms_of(trade.dtclose),
        entry_price=_average(entries),
        exit_price=_average(exits),
        pnl=float(trade.pnl),
        commission=float(trade.commission),
    )


def _symbol(data: Any) -> str:
    while not hasattr(data, "symbol"):  # a view of a feed, resampled perhaps
        data = data.data
    return str(data.symbol)


def _average(fills: list[tuple[float, float]]) -> float:
    return sum(size * price for size, price in fills) / sum(size for size, _ in fills)
