"""Fetches by REST the trades whose ids the socket left out."""

from __future__ import annotations

import asyncio
import random

from velas.adapter import lane
from velas.errors import TooOld, Unsupported
from velas.limits import RequestType
from velas.models import VENUE, Trade
from velas.stream.desk import Desk
from velas.stream.intake import Intake
from velas.stream.series import Series
from velas.stream.trade_track import TradeTrack

__all__ = ["TradeRepair"]

_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_PATIENCE_S = 0.25  # frames that overtook one another sort themselves out
_CONFIRM_S = 2.0  # two answers this far apart must agree that trades are absent
_PAGE = 1_000
_AT_ONCE = 4


class TradeRepair:
    """Heals the holes in front of trades that wait; in the live lane, by id.

    One task for each series. Ids are declared absent only if two answers in a row name a
    later one and not them, or say that they are too old; whatever else goes wrong makes
    a round that is tried again, ever more slowly.
    """

    def __init__(self, desk: Desk, intake: Intake) -> None:
        self._exchange = desk.exchange
        self._clock = desk.clock
        self._gaps = desk.gaps
        self._trouble = desk.trouble
        self._tasks = desk.tasks
        self._intake = intake
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._random = random.Random()
        self._behind: set[str] = set()  # series of which the newest id is not reached yet
        self._refused: dict[str, int] = {}  # the id that one answer called too old

    def start(self, series: Series[TradeTrack], reason: str) -> None:
        """Heal a series, unless that is under way."""
        if series.healing is None and not series.parked:
            work = self._heal(series, reason)
            series.healing = self._tasks.spawn(work, f"repair of {series.name}")

    async def catch_up(self, series: Series[TradeTrack]) -> None:
        """Deliver what is held, fetch what was not taken while the bot was too slow.

        The newest ids included. Returns when they are reached, or the series is parked again.
        """
        if not series.parked:
            self._intake.release_trades(series)
        if series.parked:
            return
        self._behind.add(series.name)  # a repair that is under way goes on until then
        self.start(series, "the bot was too slow")
        if series.healing is not None:
            await asyncio.wait({series.healing})

    async def _heal(self, series: Series[TradeTrack], reason: str) -> None:
        pause_s = _PAUSE_S
        try:
            await self._clock.sleep(_PATIENCE_S)
            while self._wanted(series):
                held = series.track.next_held_id
                if held is not None:
                    self._gaps.detect(series, held, reason)
                if await self._round(series):
                    pause_s = _PAUSE_S
                    continue
                if series.doubted is not None or series.name in self._refused:
                    pause_s = _CONFIRM_S
                await self._clock.sleep(pause_s * self._random.uniform(1.0, 1.3))
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        finally:
            self._trust(series)
            self._behind.discard(series.name)
            series.healing = None

    def _wanted(self, series: Series[TradeTrack]) -> bool:
        if series.parked or series.track.next_id is None:
            return False
        return series.track.holed or series.name in self._behind

    def _trust(self, series: Series[TradeTrack]) -> None:
        """Forget what the last answer made doubtful."""
        series.doubted = None
        self._refused.pop(series.name, None)

    async def _round(self, series: Series[TradeTrack]) -> bool:
        """Ask once, or search what is too old; say whether the series got on."""
        start_id, held = series.track.next_id or 0, series.track.next_held_id
        behind = held is None or series.name in self._behind
        limit = _PAGE if behind or held is None else min(held - start_id + 1, _PAGE)
        trades: list[Trade] | None = None
        end_id, reason = start_id, ""
        try:
            try:
                trades = await self._ask(series, start_id, limit)
            except TooOld as error:
                reason = f"the venue refuses to look it up: {error}"
                end_id = await self._end_of_refused(series, start_id)
            except Unsupported as error:  # REST will never have it, a recording say
                self._trouble.note(error, f"repair of {series.name}")
                end_id, reason = series.track.next_held_id or start_id, str(error)
        except Exception as error:  # an adapter's bug too: whatever it is, it may pass
            self._trouble.note(error, f"repair of {series.name}")
            self._trust(series)
            return False
        if trades is not None:
            self._take(series, start_id, trades, limit)
        elif end_id > (series.track.next_id or 0) and not series.parked:
            self._skip(series, end_id, reason)
        return series.track.next_id != start_id or not self._wanted(series)

    async def _ask(
        self, series: Series[TradeTrack], from_id: int | None, limit: int
    ) -> list[Trade]:
        async with self._slots:
            with lane(RequestType.LIVE):
                return await self._exchange.fetch_trades(
                    series.track.symbol, from_id=from_id, limit=limit
                )

    def _take(
        self, series: Series[TradeTrack], start_id: int, trades: list[Trade], limit: int
    ) -> None:
        doubted = series.doubted
        self._trust(series)
        for trade in trades:
            self._intake.trade(series, trade)
        if len(trades) < limit and not series.track.holed:
            self._behind.discard(series.name)
        if not trades or series.track.next_id != start_id or series.parked:
            return
        first_id = trades[0].id
        if not isinstance(first_id, int) or first_id <= start_id:
            return
        if doubted != (start_id, first_id):
            series.doubted = (start_id, first_id)  # asked again after a while
        else:
            self._skip(series, first_id, VENUE)

    def _skip(self, series: Series[TradeTrack], end_id: int, reason: str) -> None:
        # what the socket brought while REST was asked is no part of the hole
        held = series.track.next_held_id
        self._intake.skip_trades(series, end_id if held is None else min(end_id, held), reason)

    # -- too old: USDT-M serves aggregate trades of the last 48 hours (binance-facts 1.3) --

    async def _end_of_refused(self, series: Series[TradeTrack], start_id: int) -> int:
        """Return the id before which all are to be given up; `start_id`: none, or not yet."""
        confirmed = self._refused.get(series.name) == start_id
        self._trust(series)
        if not confirmed:
            self._refused[series.name] = start_id  # asked again after a while
            return start_id
        last_id = await self._last_refused(series, start_id)
        if last_id < start_id:
            self._behind.discard(series.name)  # the id that was asked for is yet to come
        elif last_id > start_id:
            await self._clock.sleep(_CONFIRM_S)
            if not await self._refuses(series, last_id):
                return start_id
        return last_id + 1

    async def _last_refused(self, series: Series[TradeTrack], start_id: int) -> int:
        """Return the last id that is too old; below `start_id` if there is no hole."""
        served_id = series.track.next_held_id
        if served_id is None:  # nothing waits: the hole goes up to the newest
            newest = await self._ask(series, None, 1)
            served_id = 1 + max((one.id for one in newest if isinstance(one.id, int)), default=-1)
        last_id = min(start_id, served_id - 1)
        while served_id - last_id > 1:  # halved each time: 20 requests for a million ids
            middle = (last_id + served_id) // 2
            if await self._refuses(series, middle):
                last_id = middle
            else:
                served_id = middle
        return last_id

    async def _refuses(self, series: Series[TradeTrack], number: int) -> bool:
        try:
            await self._ask(series, number, 1)
        except TooOld:
            return True
        return False
