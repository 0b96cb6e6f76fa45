"""Compares what was delivered with what REST says later."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs

from velas.adapter import lane
from velas.candles import candles_of, same_row
from velas.limits import RequestType
from velas.models import Candle
from velas.status import CandleRevised, CandleUnconfirmed
from velas.stream.candle_track import CandleTrack
from velas.stream.desk import Desk
from velas.stream.series import Series

__all__ = ["Revision"]

_SETTLED_MS = 10_000  # after its end a candle is final at REST, too
_EVERY_S = 60.0
_AT_ONCE = 4
_SHARE = 0.05  # of the venue's request budget, at most


class Revision:
    """Checks every delivered candle once against REST, many with one request."""

    def __init__(self, desk: Desk) -> None:
        self._exchange = desk.exchange
        self._time = desk.time
        self._clock = desk.clock
        self._say = desk.say
        self._trouble = desk.trouble
        self._tasks = desk.tasks
        self._counters = desk.counters
        self._busy: set[tuple[str, str]] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def look(self, series: Series[CandleTrack], count: int) -> None:
        """Start a check if one is due; `count` series share the budget."""
        track = series.track
        now_s = self._clock.monotonic_s()
        if not track.unchecked or track.key in self._busy or series.healing is not None:
            return
        period_s = self._period_s(count)
        if not series.checked_s:  # the first checks of many series are spread over a period
            series.checked_s = now_s - period_s * series.phase
        if now_s < series.checked_s + period_s and not track.contradicted:
            return
        if self._end(track) > track.unchecked[0].timestamp:
            series.checked_s = now_s
            track.contradicted = False
            self._busy.add(track.key)
            self._tasks.spawn(self._check(series), f"check of {series.name}")

    def _period_s(self, count: int) -> float:
        able = self._exchange.capabilities
        if able.weight_per_minute is not None:
            per_minute = _SHARE * able.weight_per_minute / max(1, able.page_weight)
        else:
            per_minute = _SHARE * 60 * (able.requests_per_second or 1.0)
        return max(_EVERY_S, 60.0 * count / per_minute)

    def _end(self, track: CandleTrack) -> int:
        return track.interval.floor(self._time.now_ms() - _SETTLED_MS)

    async def _check(self, series: Series[CandleTrack]) -> None:
        track = series.track
        rows = self._exchange.capabilities.page_rows
        end_ms = self._end(track)
        told = [one for one in track.unchecked if one.timestamp < end_ms][:rows]
        try:
            async with self._slots:
                with lane(RequestType.LIVE):
                    frame = await self._exchange.fetch_candles(
                        track.symbol,
                        track.interval,
                        start_ms=told[0].timestamp,
                        end_ms=told[-1].timestamp + 1,
                        limit=min(rows, track.interval.count(told[0].timestamp, end_ms)),
                    )
            self._compare(track, told, candles_of(frame, track.symbol, track.interval.name))
        except Exception as error:  # also a bug of an adapter: checked again later
            self._trouble.note(error, f"check of {series.name}")
        finally:
            self._busy.discard(track.key)

    def _compare(self, track: CandleTrack, told: Sequence[Candle], said: Sequence[Candle]) -> None:
        rows = {candle.timestamp: candle for candle in said}
        if not rows:
            return
        newest_ms = max(rows)
        while track.unchecked and track.unchecked[0].timestamp <= newest_ms:
            before = track.unchecked.popleft()
            after = rows.get(before.timestamp)
            if after is None:
                self._unconfirmed(track, before)
            elif not same_row(before, after):
                self._revise(track, before, after)
            self._counters["checked"] += 1

    def _unconfirmed(self, track: CandleTrack, candle: Candle) -> None:
        self._counters["unconfirmed"] += 1
        self._say(
            CandleUnconfirmed(
                at_ms=self._clock.now_ms(),
                channel="candles",
                symbol=track.symbol,
                interval=track.interval.name,
                candle=candle,
            )
        )

    def _revise(self, track: CandleTrack, before: Candle, after: Candle) -> None:
        after = attrs.evolve(after, sequence=before.sequence)
        track.revise(before, after)
        self._counters["revised"] += 1
        self._say(
            CandleRevised(
                at_ms=self._clock.now_ms(),
                channel="candles",
                symbol=track.symbol,
                interval=track.interval.name,
                before=before,
                after=after,
            )
        )
