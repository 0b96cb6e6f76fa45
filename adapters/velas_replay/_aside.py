"""The exchange beside a tape: its markets, and what REST had to say, by the tape's time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from velas import frames
from velas.adapter import ExchangeAdapter
from velas.clock import SYSTEM_CLOCK, Clock
from velas.interval import Interval
from velas.models import Capabilities, Market, Trade
from velas_replay._still import FreeLimiter

if TYPE_CHECKING:
    import pandas as pd

    from velas.tape import Tape
    from velas.tape_rest import RestSide

__all__ = ["TapeExchange"]

_PAGE = 1000


class TapeExchange(ExchangeAdapter):
    """Answers from a tape, up to the moment its `clock` shows; a feed sets that to its own.

    It has candles and trades if the tape was recorded with them.
    """

    def __init__(self, tape: Callable[[], Tape], clock: Clock = SYSTEM_CLOCK) -> None:
        self._tape = tape
        self._rest: RestSide | None = None
        super().__init__("replay", Capabilities(intervals=()), FreeLimiter(), clock=clock)

    @property
    def capabilities(self) -> Capabilities:
        """What the tape was recorded with; its header is read at first use."""
        header = self._tape().header
        subscribed = header.subscriptions if header.rest else ()
        trades = any(one.channel == "trades" for one in subscribed)
        intervals = dict.fromkeys(one.interval for one in subscribed if one.interval)
        return Capabilities(
            intervals=tuple(intervals),
            page_rows=_PAGE,
            full_candles=True,
            trades=trades,
            trades_by_id=trades,
        )

    @capabilities.setter
    def capabilities(self, value: Capabilities) -> None:
        pass  # the tape says it

    async def _ask_markets(self) -> Mapping[str, Market]:
        from velas.tape_rest import load_rest

        tape = self._tape()
        markets = tape.header.markets
        self.linear_settle = any(market.type in ("swap", "future") for market in markets)
        self._rest = load_rest(tape)
        return {market.symbol: market for market in markets}

    async def _ask_time_ms(self) -> tuple[int, float] | None:
        return self.clock.now_ms(), 0.0

    async def _ask_candles(
        self, market: Market, interval: Interval, start_ms: int | None, end_ms: int, rows: int
    ) -> pd.DataFrame:
        assert self._rest is not None
        frame = self._rest.candles.get((market.symbol, interval.name))
        if frame is None:
            return frames.empty()
        opens = frame["timestamp"]
        frame = frame[(opens >= (start_ms or 0)) & (opens < end_ms)]
        frame = frame.tail(rows) if start_ms is None else frame.head(rows)
        return frame.reset_index(drop=True)

    async def _ask_trades(
        self, market: Market, from_id: int | None, limit: int | None
    ) -> list[Trade]:
        assert self._rest is not None
        now_ms, most = self.clock.now_ms(), limit or _PAGE
        there = [
            trade
            for trade in self._rest.trades.get(market.symbol, ())
            if trade.timestamp <= now_ms and (from_id is None or int(trade.id) >= from_id)
        ]
        return there[-most:] if from_id is None else there[:most]

    async def _close(self) -> None:
        return None
