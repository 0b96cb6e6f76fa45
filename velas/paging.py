"""Every candle of a range, page by page: a page that lacks rows proves nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import attrs

from velas.errors import BadResponse
from velas.interval import Interval
from velas.protocols import Exchange

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CandlePages"]

_TRIES = 4
_Window = tuple[int, int]


@attrs.frozen
class _Found:
    pages: list[pd.DataFrame]
    next_ms: int  # where to go on: the window's end, or the candle the venue named beyond it


@attrs.frozen
class CandlePages:
    """Walks over a series of `exchange` in windows, `ahead` of them under way at a time.

    Where a window's rows end early the venue is asked, without an end, for the candle
    that comes next: so a fault loses nothing, and years without candles are jumped over.
    The series is over when its newest candle lies before what is being asked for.

    `reaches` says that a page asked with one bound only comes however long the hole
    behind that bound is. Where it does not, nothing can be proven, and a window that
    stayed empty when asked again is passed.
    """

    exchange: Exchange
    symbol: str
    grid: Interval
    end_ms: int
    ahead: int
    reaches: bool = True

    async def walk(self, start_ms: int) -> AsyncGenerator[pd.DataFrame, None]:
        """Iterate over the non-empty pages from `start_ms` on, ascending.

        Raises:
            BadResponse: the venue's answers contradict one another.
        """
        if self.exchange.capabilities.probe_listing:
            # this page begins where the series does, however long before that the range begins
            first = await self._found(start_ms, self.end_ms, most_pages=1)
            for page in first.pages:
                yield page
            start_ms = first.next_ms
        windows = self._windows(start_ms)
        under_way: deque[asyncio.Task[_Found]] = deque()
        try:
            while windows:
                for window in itertools.islice(windows, len(under_way), self.ahead):
                    under_way.append(asyncio.create_task(self._found(*window)))
                found = await under_way[0]
                for page in found.pages:
                    yield page
                under_way.popleft()
                windows.popleft()
                if windows and found.next_ms >= windows[0][1]:
                    await _cancelled(under_way)
                    windows = self._windows(found.next_ms)
        finally:
            await _cancelled(under_way)

    def _windows(self, start_ms: int) -> deque[_Window]:
        # one slot less than a page has rows: then a page that is not full is complete, also
        # where bars off the grid share a slot with others
        slots = max(1, self.exchange.capabilities.page_rows - 1)
        cuts = [start_ms]
        while cuts[-1] < self.end_ms:
            last = self.grid.slot(self.grid.ceil(cuts[-1])) + slots
            cuts.append(min(self.grid.open_of(last), self.end_ms))
        return deque(itertools.pairwise(cuts))

    async def _found(self, start_ms: int, end_ms: int, *, most_pages: int | None = None) -> _Found:
        pages: list[pd.DataFrame] = []
        tries = 0
        while start_ms < end_ms and len(pages) != most_pages:
            page = await self._page(start_ms, end_ms)
            if not page.empty:
                tries = 0
                pages.append(page)
                start_ms = _last_ms(page) + 1
                if len(page) >= self.exchange.capabilities.page_rows:
                    continue
                if self.grid.slot(start_ms - 1) == self.grid.slot(end_ms - 1):
                    return _Found(pages, end_ms)
            tries += 1
            next_ms = await self._next_ms(start_ms)
            if next_ms is not None:
                start_ms = next_ms
            if tries >= (_TRIES if self.reaches else 2) and start_ms < end_ms:
                start_ms = self._passed(start_ms, end_ms)
        return _Found(pages, max(start_ms, end_ms) if most_pages is None else start_ms)

    async def _page(
        self, start_ms: int | None, end_ms: int | None, limit: int | None = None
    ) -> pd.DataFrame:
        return await self.exchange.fetch_candles(
            self.symbol, self.grid, start_ms=start_ms, end_ms=end_ms, limit=limit
        )

    async def _next_ms(self, start_ms: int) -> int | None:
        # None: the answers prove nothing. A venue that ends a page `limit` slots after its
        # start sees further with more rows.
        for limit in (1, None):
            rows = await self._page(start_ms, None, limit)
            if not rows.empty:
                return min(self.end_ms, int(rows["timestamp"].iloc[0]))
        # two, as one off the grid may not be closed yet, and is left out
        most = min(2, self.exchange.capabilities.page_rows) if self.reaches else None
        newest = await self._page(None, self.end_ms, most)
        return self.end_ms if not newest.empty and _last_ms(newest) < start_ms else None

    def _passed(self, start_ms: int, end_ms: int) -> int:
        if not self.reaches:
            return end_ms
        raise BadResponse(
            f"{self.exchange.name}: {self.symbol} {self.grid}: the venue's answers contradict one "
            f"another: asked {_TRIES} times for candles from {start_ms} on it gave none, and yet "
            f"none that ends the series before {self.end_ms}"
        )


async def _cancelled(tasks: deque[asyncio.Task[_Found]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    tasks.clear()


def _last_ms(frame: pd.DataFrame) -> int:
    return int(frame["timestamp"].iloc[-1])
