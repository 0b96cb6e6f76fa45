"""What the series of one download share: places in flight, the stop, the venue's health."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pandas as pd

from velas.errors import (
    AuthError,
    Banned,
    Forbidden,
    RateLimited,
    RequestTimeout,
    RestrictedLocation,
    Unavailable,
    VelasError,
)
from velas.history.disk import Disk
from velas.history.report import Stored
from velas.history.windows import Window
from velas.interval import Interval
from velas.ledger import Ledger
from velas.protocols import Exchange, Store

__all__ = ["VENUE_FAILS", "VENUE_REFUSES", "Progress", "Traffic", "cancelled"]

# refusals that concern the whole venue: going on with the next symbol is pointless
VENUE_REFUSES = (AuthError, Banned, Forbidden, RestrictedLocation)
_VENUE_SILENT = (Unavailable, RequestTimeout)
VENUE_FAILS = (*VENUE_REFUSES, *_VENUE_SILENT, RateLimited)

Progress = Callable[[Stored], None]
T = TypeVar("T")


class Traffic:
    """Requests of one download: so many in flight, until stopped or the venue fails."""

    def __init__(
        self,
        exchange: Exchange,
        store: Store,
        ledger: Ledger,
        disk: Disk,
        pages_in_flight: int,
        on_stored: Progress,
        stop: asyncio.Event,
        *,
        symbols: int = 1,
    ) -> None:
        self.exchange = exchange
        self.store = store
        self.ledger = ledger
        self.disk = disk
        self.on_stored = on_stored
        self.stop = stop
        self.answers = 0
        self.venue_error: VelasError | None = None
        self._places = pages_in_flight
        self._silent: set[str] = set()
        self._enough_silent = min(2, symbols)  # one symbol's trouble is not the venue's
        self._listeners: set[asyncio.Event] = set()

    def take_place(self) -> bool:
        """Take one of the places for requests in flight, if one is free."""
        if self.venue_error is not None:
            raise self.venue_error
        if not self._places:
            return False
        self._places -= 1
        return True

    def free_place(self) -> None:
        """Give a place back and tell every listener."""
        self._places += 1
        self._tell()

    @contextmanager
    def listener(self) -> Iterator[asyncio.Event]:
        """Lend an event that is set whenever a page has come or gone, and on `stop`."""
        news = asyncio.Event()
        self._listeners.add(news)
        try:
            yield news
        finally:
            self._listeners.discard(news)

    async def watch_stop(self) -> None:
        """Tell every listener when `stop` is set."""
        await self.stop.wait()
        self._tell()

    def _tell(self) -> None:
        for news in self._listeners:
            news.set()

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what `work` returns; when `stop` comes first, cancel it and return None."""
        task = asyncio.create_task(work)
        stopping = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            await cancelled(task, stopping)

    async def page(self, symbol: str, interval: Interval, window: Window) -> pd.DataFrame:
        """Fetch one window whole, whatever number of pages that takes."""
        parts: list[pd.DataFrame] = []
        start_ms, most = window.start_ms, self.exchange.capabilities.page_rows
        limit = min(most, window.slots + 1)
        while True:
            answers = self.answers
            try:
                rows = await self.exchange.fetch_candles(
                    symbol, interval, start_ms=start_ms, end_ms=window.end_ms, limit=limit
                )
            except VelasError as error:
                self._judge(symbol, error, silent_since=answers)
                raise
            self.answers += 1
            self._silent.clear()
            parts.append(rows)
            if len(rows) < limit:
                return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
            start_ms, limit = int(rows["timestamp"].iloc[-1]) + 1, most

    def _judge(self, symbol: str, error: VelasError, *, silent_since: int) -> None:
        """Give up on the venue when it refuses us, or answers about no symbol any more."""
        if isinstance(error, VENUE_REFUSES):
            self.venue_error = self.venue_error or error
        if isinstance(error, _VENUE_SILENT) and self.answers == silent_since:
            self._silent.add(symbol)
            if len(self._silent) >= self._enough_silent:
                self.venue_error = self.venue_error or error


async def cancelled(*tasks: asyncio.Task[Any]) -> list[Any]:
    """Cancel tasks and return, in their order, what each ended with."""
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)
