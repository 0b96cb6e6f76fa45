"""One question to REST about closed candles that are due, dropped when it is outdated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from velas.adapter import lane
from velas.candles import candles_of
from velas.limits import RequestType
from velas.models import Candle
from velas.stream.candle_track import CandleTrack
from velas.stream.desk import Desk
from velas.stream.series import Series

__all__ = ["Asking", "Search"]

_SLICE_S = 1.0
_STALE_S = 5.0  # younger requests are only slow, whatever else is being repeated
_BEYOND_MS = 10_000  # after its end REST has a candle or never will


@attrs.define
class Search:
    """How far the search for the candle that is due next has got.

    `at_ms` is where the next question begins, None at that candle itself. Up to the first
    candle that waits behind the hole is enough, and with it: its presence in an answer
    proves that one in front of it is absent. REST may not have that one either; then
    `beyond` it.
    """

    at_ms: int | None = None
    beyond: bool = False

    def restart(self) -> None:
        """Begin at the candle that is due next again."""
        self.at_ms = None

    def start_ms(self, track: CandleTrack) -> int:
        """Return where to begin."""
        return track.next_ms if self.at_ms is None else max(self.at_ms, track.next_ms)

    def end_ms(self, track: CandleTrack, served_ms: int) -> int:
        """Return where to end."""
        end_ms, held_ms = track.interval.floor(served_ms), track.next_held_ms
        if held_ms is None or self.beyond:
            return end_ms
        return min(end_ms, track.interval.next_open(held_ms))

    def found_nothing(self, track: CandleTrack, end_ms: int, rows: int, served_ms: int) -> bool:
        """Note an answer without rows; say whether to ask on at once.

        At some venues a page ends so many slots after its start, whatever there is.
        """
        grid = track.interval
        asked_ms = grid.open_of(grid.slot(self.start_ms(track)) + rows)
        if asked_ms < end_ms:
            self.at_ms = asked_ms
            return True
        held_ms = track.next_held_ms
        if held_ms is not None and served_ms >= grid.end_of(held_ms) + _BEYOND_MS:
            self.beyond = True
        self.restart()
        return False


class Asking:
    """Asks in the live lane; a question that has become the wrong one is put anew.

    The exchange repeats what fails, ever more slowly, and with the range of back then.
    """

    def __init__(self, desk: Desk, signs: Callable[[], int]) -> None:
        self._exchange = desk.exchange
        self._clock = desk.clock
        self._time = desk.time
        self._signs = signs  # of life that the venue gave, counted

    async def answer(self, series: Series[CandleTrack], search: Search) -> list[Candle]:
        """Return the candles REST has from where the search is on; notes if there are none."""
        while True:
            request = asyncio.create_task(
                self._ask(series, search), name=f"repair of {series.name}"
            )
            try:
                if not await self._outdated(request, series.track, search):
                    return await request
            finally:
                request.cancel()
                await asyncio.gather(request, return_exceptions=True)

    def rows(self, track: CandleTrack, search: Search) -> int:
        """Return how many rows the next question is for."""
        end_ms = search.end_ms(track, self._time.served_ms())
        missing = track.interval.count(search.start_ms(track), end_ms)
        return max(1, min(missing, self._exchange.capabilities.page_rows))

    async def _ask(self, series: Series[CandleTrack], search: Search) -> list[Candle]:
        track, start_ms = series.track, search.start_ms(series.track)
        with lane(RequestType.LIVE):
            frame = await self._exchange.fetch_candles(
                track.symbol,
                track.interval,
                start_ms=start_ms,
                end_ms=search.end_ms(track, self._time.served_ms()),
                limit=self.rows(track, search),
            )
        candles = candles_of(frame, track.symbol, track.interval.name)
        return [candle for candle in candles if candle.timestamp >= start_ms]

    async def _outdated(
        self, request: asyncio.Task[list[Candle]], track: CandleTrack, search: Search
    ) -> bool:
        """Wait for an answer; True if by now another question is better than trying on."""
        end_ms, signs = search.end_ms(track, self._time.served_ms()), self._signs()
        retries = self._exchange.usage.retries
        stale_s = self._clock.monotonic_s() + _STALE_S
        while not request.done():
            pause = asyncio.ensure_future(self._clock.sleep(_SLICE_S))
            try:
                await asyncio.wait({request, pause}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                pause.cancel()
            now_end_ms = search.end_ms(track, self._time.served_ms())
            moved = now_end_ms != end_ms or self._signs() != signs
            stuck = self._exchange.usage.retries != retries
            if moved and stuck and not request.done() and self._clock.monotonic_s() >= stale_s:
                return True
        return False
