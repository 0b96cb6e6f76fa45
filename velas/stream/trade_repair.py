"""Fetches by REST the trades whose ids the socket left out."""

from __future__ import annotations

import asyncio
import random

from velas.adapter import lane
from velas.clock import Clock
from velas.errors import BadRequest, ExchangeError, Unsupported
from velas.limits import RequestType
from velas.models import VENUE, Trade
from velas.protocols import Exchange
from velas.stream.gaps import Gaps
from velas.stream.intake import Intake
from velas.stream.series import Series
from velas.stream.tasks import Tasks
from velas.stream.trade_track import TradeTrack
from velas.stream.trouble import Trouble

__all__ = ["TradeRepair"]

_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_PATIENCE_S = 0.25  # frames that overtook one another sort themselves out
_CONFIRM_S = 2.0
_PAGE = 1_000
_AT_ONCE = 4


class TradeRepair:
    """Heals the holes in front of trades that wait; in the live lane, by id."""

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock,
        intake: Intake,
        gaps: Gaps,
        trouble: Trouble,
        tasks: Tasks,
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._intake = intake
        self._gaps = gaps
        self._trouble = trouble
        self._tasks = tasks
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._random = random.Random()

    def start(self, series: Series[TradeTrack], reason: str) -> None:
        """Heal a series, unless that is under way."""
        if series.healing is None and not series.parked:
            work = self._heal(series, reason)
            series.healing = self._tasks.spawn(work, f"repair of {series.name}")

    async def catch_up(self, series: Series[TradeTrack]) -> None:
        """Fetch what was not taken while the bot was too slow; the newest ids included."""
        while not series.parked and series.track.next_id is not None:
            before = series.track.next_id
            await self._round(series, _PAGE)
            if series.track.next_id == before:
                return

    async def _heal(self, series: Series[TradeTrack], reason: str) -> None:
        pause_s = _PAUSE_S
        try:
            await self._clock.sleep(_PATIENCE_S)
            while (held := series.track.next_held_id) is not None and not series.parked:
                self._gaps.detect(series, held, reason)
                before = series.track.next_id
                await self._round(series, held - (before or 0) + 1)
                if series.track.next_id != before:
                    pause_s = _PAUSE_S
                    continue
                if series.doubted is not None:
                    pause_s = max(pause_s, _CONFIRM_S)
                await self._clock.sleep(pause_s * self._random.uniform(1.0, 1.3))
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        finally:
            series.healing = None

    async def _round(self, series: Series[TradeTrack], missing: int) -> None:
        start_id = series.track.next_id
        if start_id is None:
            return
        try:
            async with self._slots:
                with lane(RequestType.LIVE):
                    trades = await self._exchange.fetch_trades(
                        series.track.symbol, from_id=start_id, limit=min(missing, _PAGE)
                    )
        except BadRequest as error:
            self._too_old(series, error)
        except (ExchangeError, Unsupported) as error:
            self._trouble.note(error, f"repair of {series.name}")
        else:
            self._take(series, start_id, trades)

    def _take(self, series: Series[TradeTrack], start_id: int, trades: list[Trade]) -> None:
        for trade in trades:
            self._intake.trade(series, trade)
        if not trades or series.track.next_id != start_id or series.parked:
            return
        first_id = trades[0].id
        if not isinstance(first_id, int) or first_id <= start_id:
            return
        if series.doubted != (start_id, first_id):
            series.doubted = (start_id, first_id)  # asked again after a while
        else:
            series.doubted = None
            self._intake.skip_trades(series, first_id, VENUE)

    def _too_old(self, series: Series[TradeTrack], error: BadRequest) -> None:
        # USDT-M serves aggregate trades of the last 48 hours only (binance-facts 1.3)
        held = series.track.next_held_id
        if held is not None:
            self._intake.skip_trades(series, held, f"the venue refuses to look it up: {error}")
