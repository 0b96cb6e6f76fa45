"""Notices silence, proves it, and has REST serve a series until its socket speaks again."""

from __future__ import annotations

import asyncio

from velas.errors import FeedError, Unsupported
from velas.models import Subscription
from velas.polling import PollingFeed
from velas.protocols import Feed, Rotatable
from velas.status import Connected, Disconnected, FellBack, Recovered, Status, StreamMute
from velas.stream.candle_track import CandleTrack
from velas.stream.desk import Desk
from velas.stream.feeding import FEED
from velas.stream.probe import Probe
from velas.stream.series import AnySeries
from velas.stream.trade_track import TradeTrack

__all__ = ["Silence"]

_DOWN_S = 5.0  # with a socket known to be down, this much silence is enough
_SECOND_LOOK_S = 3.0  # a trade of this moment may still be on its way (Spot pushes every 2 s)
_SPREAD_S = 2.0
_LONGEST_PAUSE_S = 1_800.0
_AT_ONCE = 4


class Silence:
    """Decides for each series whether its socket or REST serves it.

    Counted from the subscription on, not from the first frame. With a connection of the
    feed down a silent series falls back at once; with all of them up only after REST has
    shown that the venue had something to say (an illiquid market may be silent rightly),
    and then the feed is asked for a new connection, too.
    """

    def __init__(
        self, desk: Desk, feed: Feed, polling: PollingFeed | None, *, mute_after_s: float
    ) -> None:
        self._clock = desk.clock
        self._say = desk.say
        self._trouble = desk.trouble
        self._tasks = desk.tasks
        self._probe = Probe(desk.exchange, desk.time)
        self._feed = feed
        self._polling = polling
        self._mute_after_s = mute_after_s
        # connections that are down: what they carry (empty: it may be any) and since when
        self._down: dict[str, tuple[frozenset[Subscription], float]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def connection(self, status: Status) -> None:
        """Learn which connections of the feed are up."""
        if isinstance(status, Disconnected):
            self._down[status.connection] = frozenset(status.carries), self._clock.monotonic_s()
        elif isinstance(status, Connected):
            self._down.pop(status.connection, None)
            self._feed_runs()

    def heard(self, series: AnySeries) -> None:
        """The socket of a series that REST serves has spoken."""
        since_s, series.fallen_s, series.mute = series.fallen_s, None, False
        if since_s is None:
            return
        series.rotate_pause_s = 60.0
        self._feed_runs()
        if self._polling is not None:
            self._polling.unwatch(series.subscription)
        self._say(
            Recovered(
                **series.about(self._clock.now_ms()),
                after_s=self._clock.monotonic_s() - since_s,
            )
        )

    def _feed_runs(self) -> None:
        if self._down.pop(FEED, None) is not None:  # again: nothing else would say so
            self._say(Connected(at_ms=self._clock.now_ms(), connection=FEED))

    def look(self, series: AnySeries) -> None:
        """Judge the silence of a series; to be called now and then."""
        if self._polling is None:
            return
        now_s = self._clock.monotonic_s()
        silent_s = now_s - series.heard_s
        if series.fallen_s is not None:
            if series.mute and now_s >= series.rotate_at_s:
                self._rotate_again(series)
        elif series.has_rest and self._down and silent_s >= _DOWN_S and self._is_down(series):
            self._fall_back(series, "the socket is down")
        elif silent_s >= self._patience_s(series) and series.probing is None:
            series.probing = self._tasks.spawn(self._judge(series), f"probe of {series.name}")

    def pause_polling(self, series: AnySeries) -> None:
        """Leave a series to repair for a while."""
        if self._polling is not None:
            self._polling.unwatch(series.subscription)

    def resume_polling(self, series: AnySeries) -> None:
        """Let REST serve a series again from where it is, if it is to."""
        if self._polling is None or series.fallen_s is None:
            return
        from_ms, from_id = _position(series)
        try:
            self._polling.watch(series.subscription, from_ms=from_ms, from_id=from_id)
        except FeedError:  # the stream is closing
            return
        except Unsupported:  # a recording of frames only, say
            series.has_rest, series.fallen_s = False, None

    async def _judge(self, series: AnySeries) -> None:
        heard_s = series.heard_s
        first = not series.spoke and series.baseline is None
        try:
            async with self._slots:
                news = await self._probe.finds_news(series)
            if not news:
                self._be_patient(series, _SECOND_LOOK_S if first else 0.0)
                return
            await self._clock.sleep(_SECOND_LOOK_S)
        except Exception as error:  # also a bug of an adapter: asked again later
            self._trouble.note(error, f"probe of {series.name}")
            self._be_patient(series)
            return
        finally:
            series.probing = None
        if series.heard_s == heard_s and series.fallen_s is None:
            self._be_patient(series)
            if not series.mute:
                self._mute(series)
            elif self._clock.monotonic_s() >= series.rotate_at_s:
                self._rotate(series, "still mute")

    def _patience_s(self, series: AnySeries) -> float:
        # not all series at once, and what an earlier silence has taught does not count
        spread_s = _SPREAD_S * series.phase
        if series.patience_of_s != series.heard_s:
            return self._mute_after_s + spread_s
        return max(self._mute_after_s + spread_s, series.patience_s)

    def _be_patient(self, series: AnySeries, more_s: float = 0.0) -> None:
        silent_s = self._clock.monotonic_s() - series.heard_s
        more_s = more_s or min(max(self._mute_after_s, silent_s / 2), 600.0)
        series.patience_s, series.patience_of_s = silent_s + more_s, series.heard_s

    def _is_down(self, series: AnySeries) -> bool:
        # of a connection that does not say: what spoke since is not carried by it
        return any(
            series.subscription in carries if carries else series.heard_s <= since_s
            for carries, since_s in self._down.values()
        )

    def _mute(self, series: AnySeries) -> None:
        series.mute = True
        self._say(
            StreamMute(
                **series.about(self._clock.now_ms()),
                silent_s=self._clock.monotonic_s() - series.heard_s,
            )
        )
        self._fall_back(series, "the stream is mute")
        self._rotate(series, "mute")

    def _fall_back(self, series: AnySeries, reason: str) -> None:
        series.fallen_s = self._clock.monotonic_s()
        repaired = series.healing is not None and isinstance(series.track, CandleTrack)
        if not repaired:  # else when that is done
            self.resume_polling(series)
        if not series.has_rest:  # a channel that cannot be asked for by REST
            return
        self._say(
            FellBack(
                **series.about(self._clock.now_ms()),
                reason=reason,
            )
        )

    def _rotate_again(self, series: AnySeries) -> None:
        if series.place != _place(series):  # the venue had more to say, and it is mute still
            self._rotate(series, "still mute")

    def _rotate(self, series: AnySeries, reason: str) -> None:
        series.place = _place(series)
        series.rotate_at_s = self._clock.monotonic_s() + series.rotate_pause_s
        series.rotate_pause_s = min(2 * series.rotate_pause_s, _LONGEST_PAUSE_S)
        if isinstance(self._feed, Rotatable):
            self._feed.rotate(series.subscription, reason)


def _place(series: AnySeries) -> object:
    track = series.track
    if isinstance(track, CandleTrack):
        return track.next_ms, track.forming.trades if track.forming is not None else None
    return track.next_id if isinstance(track, TradeTrack) else track.last


def _position(series: AnySeries) -> tuple[int | None, int | None]:
    track = series.track
    if isinstance(track, CandleTrack):
        return track.next_ms, None
    if isinstance(track, TradeTrack):
        return None, track.next_id
    return None, None
