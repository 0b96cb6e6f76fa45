"""A venue in memory for the live benchmarks: markets, the time and candles, no requests."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import pandas as pd

from benchmarks.live_frames import MINUTE_MS, START_MS, SYMBOLS
from velas import frames
from velas.adapter import ExchangeAdapter
from velas.clock import SYSTEM_CLOCK, Clock
from velas.interval import Interval
from velas.limits import RateLimiter
from velas.models import Capabilities, Market

__all__ = ["LocalVenue", "StillClock"]

_CAPABILITIES = Capabilities(
    intervals=("1m",), page_rows=1_000, weight_per_minute=240, page_weight=2, full_candles=True,
    trades=True, trades_by_id=True,
)  # fmt: skip


class StillClock:
    """A clock whose wall time stands in the first minute that is played.

    However fast minutes are played, no candle is overdue then, and REST is not asked.
    """

    def now_ms(self) -> int:
        return START_MS + 10_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await SYSTEM_CLOCK.sleep(seconds)


class LocalVenue(ExchangeAdapter):
    """An Exchange that answers from memory; `asked` counts pages of candles."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("local", _CAPABILITIES, RateLimiter(), clock=clock)
        self.asked = 0

    async def _ask_markets(self) -> Mapping[str, Market]:
        return {
            symbol: Market(symbol, symbol.replace("/", ""), base=symbol[:3], quote=symbol[4:])
            for symbol in SYMBOLS
        }

    async def _ask_time_ms(self) -> tuple[int, float] | None:
        return None

    async def _ask_candles(
        self, market: Market, interval: Interval, start_ms: int | None, end_ms: int, rows: int
    ) -> pd.DataFrame:
        self.asked += 1
        first_ms = end_ms - rows * MINUTE_MS if start_ms is None else start_ms
        opens = np.arange(interval.ceil(first_ms), end_ms, MINUTE_MS, dtype=np.int64)[:rows]
        columns = {name: np.full(len(opens), 1.0) for name in frames.COLUMNS}
        columns |= {"timestamp": opens, "close_time": opens + MINUTE_MS - 1}
        columns["trades"] = np.full(len(opens), 40, dtype=np.int64)
        return frames.coerce(pd.DataFrame(columns)[list(frames.COLUMNS)])

    async def _close(self) -> None:
        return None
