"""The past of a series, joined to its live candles without a seam."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING

from velas.candles import candles_of
from velas.clock import Clock
from velas.errors import BadRequest, ExchangeError, StoreError, Unsupported
from velas.models import Candle
from velas.protocols import Exchange
from velas.stream.candle_track import CandleTrack
from velas.stream.outlet import Outlet
from velas.stream.series import Series
from velas.stream.trouble import Trouble

if TYPE_CHECKING:
    import pandas as pd

    from velas.protocols import Store

__all__ = ["Warmth"]

_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_AT_ONCE = 4


class Warmth:
    """Fills the memory of a series before its first live candle is delivered.

    From the store comes what is there; from REST what is missing since, all of it, and
    it is stored first. Without a store, or with an empty one, REST gives the memory's
    length. Until that is done live candles wait.
    """

    def __init__(
        self,
        exchange: Exchange,
        store: Store | None,
        outlet: Outlet,
        clock: Clock,
        trouble: Trouble,
        *,
        memory: int,
    ) -> None:
        self._exchange = exchange
        self._store = store
        self._outlet = outlet
        self._clock = clock
        self._trouble = trouble
        self._memory = memory
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def load(self, series: Series[CandleTrack]) -> None:
        """Remember what the store has in front of `next_ms`; does nothing without a store.

        Raises:
            StoreError: the series cannot be read; a damaged one is no reason to go on.
        """
        if self._store is not None:
            series.track.remember(await self._stored(self._store, series.track))

    async def fetch(self, series: Series[CandleTrack]) -> None:
        """Remember, and store, what is missing since; tries until the venue answers."""
        track = series.track
        at_ms = self._first_missing(track)
        pause_s = _PAUSE_S
        while at_ms < track.next_ms:
            try:
                async with self._slots, aclosing(self._pages(track, at_ms)) as pages:
                    async for page in pages:
                        await self._outlet.append(page, track.key)
                        track.remember(page)
                        at_ms = track.interval.next_open(page[-1].timestamp)
                return
            except (Unsupported, BadRequest) as error:  # a recording, say, that has no more
                self._trouble.note(error, f"history of {series.name}")
                return
            except (ExchangeError, StoreError, OSError) as error:
                self._trouble.note(error, f"history of {series.name}")
                await self._clock.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _stored(self, store: Store, track: CandleTrack) -> list[Candle]:
        start_ms = self._back(track)

        def load() -> pd.DataFrame:
            last_ms = store.get_stats(track.symbol, track.interval).last_ms
            first_ms = start_ms if last_ms is None else min(start_ms, last_ms)
            return store.load(track.symbol, track.interval, start_ms=first_ms, end_ms=track.next_ms)

        frame = await asyncio.to_thread(load)
        return candles_of(frame, track.symbol, track.interval.name)

    def _first_missing(self, track: CandleTrack) -> int:
        if track.memory:
            return track.interval.next_open(track.memory[-1].timestamp)
        return self._back(track)

    def _back(self, track: CandleTrack) -> int:
        slot = track.interval.slot(track.next_ms) - self._memory
        return max(0, track.interval.open_of(slot))

    async def _pages(self, track: CandleTrack, start_ms: int) -> AsyncGenerator[list[Candle], None]:
        pages = self._exchange.iter_candles(
            track.symbol, track.interval, start_ms=start_ms, end_ms=track.next_ms
        )
        closing = aclosing(pages) if isinstance(pages, AsyncGenerator) else nullcontext()
        async with closing:
            async for frame in pages:
                page = candles_of(frame, track.symbol, track.interval.name)
                if page:
                    yield page
