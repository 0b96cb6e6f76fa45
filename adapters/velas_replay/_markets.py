"""The markets a tape names, where there is no exchange to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from velas.adapter import ExchangeAdapter
from velas.clock import Clock
from velas.errors import Unsupported
from velas.interval import Interval
from velas.models import Capabilities, Market
from velas_replay._still import FreeLimiter

if TYPE_CHECKING:
    import pandas as pd

    from velas.tape import Tape

__all__ = ["TapeMarkets"]


class TapeMarkets(ExchangeAdapter):
    """An Exchange that knows a tape's markets and time, and nothing else."""

    def __init__(self, tape: Callable[[], Tape], clock: Clock) -> None:
        super().__init__("replay", Capabilities(intervals=()), FreeLimiter(), clock=clock)
        self._read = tape

    async def _ask_markets(self) -> Mapping[str, Market]:
        markets = self._read().header.markets
        self.linear_settle = any(market.type in ("swap", "future") for market in markets)
        return {market.symbol: market for market in markets}

    async def _ask_time_ms(self) -> tuple[int, float] | None:
        return None

    async def _ask_candles(
        self, market: Market, interval: Interval, start_ms: int | None, end_ms: int, rows: int
    ) -> pd.DataFrame:
        raise Unsupported("a tape has no candles to fetch; give its feed an exchange")

    async def _close(self) -> None:
        pass
