"""Holes as the bot is told of them: detected, then filled or absent, in place."""

from __future__ import annotations

from collections.abc import Callable

from velas.clock import Clock
from velas.status import GapAbsent, GapDetected, GapEvent, GapFilled, Status
from velas.stream.candle_track import CandleTrack
from velas.stream.series import OpenGap, Series
from velas.stream.trade_track import TradeTrack

__all__ = ["Gaps", "Holed"]

Holed = Series[CandleTrack] | Series[TradeTrack]


class Gaps:
    """Keeps one open hole for each series and says what becomes of it."""

    def __init__(self, clock: Clock, say: Callable[[Status], None]) -> None:
        self._clock = clock
        self._say = say

    def detect(self, series: Holed, end: int, reason: str) -> None:
        """Note that everything up to `end` is due; say so if that is new."""
        start = _next(series)
        if end <= start:
            return
        if series.gap is not None:  # it grows; how far is told when it is over
            series.gap.end = max(series.gap.end, end)
            return
        series.gap = OpenGap(start, end, reason)
        self._tell(GapDetected, series, start, end, _count(series, start, end), reason)

    def settle(self, series: Holed) -> None:
        """Close the hole if nothing of it is missing any more."""
        gap = series.gap
        if gap is None or _next(series) < gap.end:
            return
        series.gap = series.doubted = None
        filled = _count(series, gap.start, gap.end) - gap.absent
        if filled > 0:
            self._tell(GapFilled, series, gap.start, gap.end, filled, gap.reason)

    def give_up(self, series: Holed, end: int, reason: str) -> None:
        """Say that what is missing up to `end` will not come; call before skipping it."""
        start = _next(series)
        self.detect(series, end, reason)
        missing = _count(series, start, end)
        if series.gap is not None:
            series.gap.absent += missing
        self._tell(GapAbsent, series, start, end, missing, reason)

    def tell_history(
        self,
        series: Series[CandleTrack],
        start_ms: int,
        end_ms: int,
        filled: int | None = None,
    ) -> None:
        """Say that what lies before the first live candle is missing still, or no more.

        `filled` is how many candles that were; a young market has fewer than slots.
        """
        kind = GapDetected if filled is None else GapFilled
        missing = _count(series, start_ms, end_ms) if filled is None else filled
        self._tell(kind, series, start_ms, end_ms, missing, "history")

    def _tell(
        self,
        kind: type[GapEvent],
        series: Holed,
        start: int,
        end: int,
        missing: int,
        reason: str,
    ) -> None:
        self._say(
            kind(
                **series.about(self._clock.now_ms()),
                start_ms=start,
                end_ms=end,
                missing=missing,
                reason=reason,
            )
        )


def _next(series: Holed) -> int:
    track = series.track
    return track.next_ms if isinstance(track, CandleTrack) else track.next_id or 0


def _count(series: Holed, start: int, end: int) -> int:
    track = series.track
    return track.interval.count(start, end) if isinstance(track, CandleTrack) else end - start
