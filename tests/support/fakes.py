"""A venue and a store in memory, for tests that need no adapter."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Self

import attrs
import numpy as np
import pandas as pd

from velas import frames
from velas.errors import UnknownSymbol
from velas.interval import Interval
from velas.models import AppendResult, Capabilities, Gap, Market, SeriesId, SeriesStats, Usage
from velas.symbols import series_key

HOUR = 3_600_000
NOW = 1_700_000_000_000 // HOUR * HOUR + 60_000


def candles(
    opens: list[int] | np.ndarray, interval: str = "1h", price: float = 100.0
) -> pd.DataFrame:
    """Return plausible candles that open at the given times."""
    at = np.asarray(opens, dtype=np.int64)
    base = price + (at // 60_000 % 997) / 10
    return frames.coerce(
        pd.DataFrame(
            {
                "timestamp": at,
                "open": base,
                "high": base + 2,
                "low": base - 2,
                "close": base + 1,
                "volume": 10.0,
                "close_time": at + Interval(interval).length_ms - 1,
                "quote_volume": 1000.0,
                "trades": 5,
                "taker_buy_base": 4.0,
                "taker_buy_quote": 400.0,
            }
        )
    )


@attrs.frozen
class Ask:
    """One request for candles the fake venue got."""

    symbol: str
    interval: str
    start_ms: int | None
    end_ms: int | None
    limit: int


CAPABILITIES = Capabilities(
    intervals=("1h", "2h", "1d"), page_rows=10, page_weight=2, probe_listing=True
)


@attrs.define(slots=False)
class FakeExchange:
    """An Exchange over series in memory; `fault(ask)` may raise or return an answer."""

    series: dict[tuple[str, str], pd.DataFrame]
    now_ms: int = NOW
    capabilities: Capabilities = CAPABILITIES
    name: str = "fake"
    fault: Callable[[Ask], pd.DataFrame | None] = lambda ask: None
    asks: list[Ask] = attrs.Factory(list)

    @property
    def usage(self) -> Usage:
        return Usage(len(self.asks), 2 * len(self.asks), 0)

    async def markets(self, *, refresh: bool = False) -> Mapping[str, Market]:
        names = {symbol for symbol, _ in self.series}
        return {
            name: Market(symbol=name, id=series_key(name), base="X", quote="Y") for name in names
        }

    async def market(self, symbol: str) -> Market:
        for market in (await self.markets()).values():
            if symbol in (market.symbol, market.id):
                return market
        raise UnknownSymbol(f"no {symbol}")

    async def server_time_ms(self) -> int:
        return self.now_ms

    async def fetch_candles(
        self,
        symbol: str,
        interval: str | Interval,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        most = min(limit or self.capabilities.page_rows, self.capabilities.page_rows)
        ask = Ask(symbol, str(interval), start_ms, end_ms, most)
        self.asks.append(ask)
        await asyncio.sleep(0)
        answer = self.fault(ask)
        if answer is not None:
            return answer
        rows = self.series[symbol, str(interval)]
        opens = rows["timestamp"]
        closed = opens + Interval.of(interval).length_ms <= self.now_ms - 2_000
        inside = closed & (opens >= (start_ms or 0)) & (opens < (end_ms or 1 << 60))
        rows = rows[inside]
        rows = rows.head(most) if start_ms is not None else rows.tail(most)
        return rows.reset_index(drop=True)

    async def aclose(self) -> None:
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    def iter_candles(self, *args: object, **kwargs: object) -> AsyncIterator[pd.DataFrame]:
        raise AssertionError("not used here")


@attrs.define
class FakeStore:
    """A Store in memory; counts its commits."""

    data: dict[tuple[str, str], pd.DataFrame] = attrs.Factory(dict)
    commits: int = 0
    fail: Callable[[str], None] = lambda symbol: None
    lock: threading.Lock = attrs.field(factory=threading.Lock, repr=False, eq=False)

    def append(self, frame: pd.DataFrame, symbol: str, interval: str | Interval) -> AppendResult:
        self.fail(symbol)
        with self.lock:  # a store is safe for several threads
            return self._merge(frame, symbol, interval)

    def _merge(self, frame: pd.DataFrame, symbol: str, interval: str | Interval) -> AppendResult:
        self.commits += 1
        key = (series_key(symbol), str(interval))
        old = self.data.get(key, frames.empty())
        both = pd.concat([old, frame] if len(old) else [frame])
        new = both.drop_duplicates("timestamp", keep="last").sort_values("timestamp")
        self.data[key] = new.reset_index(drop=True)
        opens = self.data[key]["timestamp"]
        return AppendResult(
            len(new) - len(old), 0, len(new), int(opens.iloc[0]), int(opens.iloc[-1])
        )

    def load(
        self,
        symbol: str,
        interval: str | Interval,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        columns: tuple[str, ...] | None = None,
    ) -> pd.DataFrame:
        rows = self.data.get((series_key(symbol), str(interval)), frames.empty())
        opens = rows["timestamp"]
        rows = rows[(opens >= (start_ms or 0)) & (opens < (end_ms or 1 << 60))]
        return rows[list(columns or frames.COLUMNS)].reset_index(drop=True)

    def get_stats(self, symbol: str, interval: str | Interval) -> SeriesStats:
        rows = self.load(symbol, interval)
        opens = [int(open_ms) for open_ms in rows["timestamp"]]
        first, last = (opens[0], opens[-1]) if opens else (None, None)
        return SeriesStats(symbol, str(interval), len(rows), first, last, 0, 0, 0)

    def gaps(self, symbol: str, interval: str | Interval) -> list[Gap]:
        return frames.gaps(self.load(symbol, interval)["timestamp"].to_numpy(), interval)

    def series(self) -> list[SeriesId]:
        return [SeriesId(*key) for key in self.data]

    def save(self, frame: pd.DataFrame, symbol: str, interval: str | Interval) -> None:
        self.data[series_key(symbol), str(interval)] = frame

    def delete(self, symbol: str, interval: str | Interval) -> bool:
        return self.data.pop((series_key(symbol), str(interval)), None) is not None
