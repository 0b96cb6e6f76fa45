"""Notices silence, proves it, and has REST serve a series until its socket speaks again."""

from __future__ import annotations

import asyncio
import math

from velas.errors import FeedError, Unsupported
from velas.models import BookTicker, Candle, Subscription
from velas.polling import PollingFeed
from velas.protocols import Event, Feed, Rotatable
from velas.status import (
    Connected,
    Disconnected,
    FellBack,
    Recovered,
    Rotated,
    Status,
    StreamMute,
)
from velas.stream.candle_track import CandleTrack
from velas.stream.desk import Desk
from velas.stream.feeding import FEED
from velas.stream.probe import Probe, is_news, traded
from velas.stream.series import FIRST_ROTATE_PAUSE_S, AnySeries
from velas.stream.share import Share
from velas.stream.trade_track import TradeTrack

__all__ = ["Silence"]

_DOWN_S = 5.0  # with a socket known to be down, this much silence is enough
_SECOND_LOOK_S = 3.0  # a trade of this moment may still be on its way (Spot pushes every 2 s)
_SPREAD_S = 2.0
_LONGEST_PAUSE_S = 1_800.0
_LONGEST_LOOK_S = 600.0
_AT_ONCE = 4
_SHARE = 0.05  # of the venue's request budget, at most, for proofs
_USUAL, _MOST_USUAL = 1.5, 4.0  # times the usual lull, and of those how long at most
_FORGET_S = 120.0  # of chatter, until a long lull is not what is usual any more


class Silence:
    """Decides for each series whether its socket or REST serves it.

    Counted from the subscription or the latest connection on, not from the first frame.
    With a connection of the feed down a silent series falls back at once; with all of them
    up only after REST has shown that the venue had something to say (an illiquid market
    may be silent rightly), and then the feed is asked for a new connection, too. What
    polling and repair see is such a proof as well; requests made for nothing but proof
    have a small share of the budget, and series that often are silent are asked for later.
    """

    def __init__(
        self, desk: Desk, feed: Feed, polling: PollingFeed | None, *, mute_after_s: float
    ) -> None:
        self._clock = desk.clock
        self._say = desk.say
        self._trouble = desk.trouble
        self._tasks = desk.tasks
        self._by_id = desk.exchange.capabilities.trades_by_id
        self._probe = Probe(desk.exchange, desk.time)
        self._share = Share(desk.exchange.capabilities, desk.clock, _SHARE)
        self._feed = feed
        self._polling = polling
        self._mute_after_s = mute_after_s
        self.lull_s = mute_after_s / 2  # gaps of a series that are worth to be told of
        self._series: dict[Subscription, AnySeries] = {}
        self._carries: dict[str, frozenset[Subscription]] = {}  # of connections that say it
        # connections that are down: what they carry (empty: it may be any) and since when
        self._down: dict[str, tuple[frozenset[Subscription], float]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def add(self, series: AnySeries) -> None:
        """Watch over a series from now on."""
        self._series[series.subscription] = series

    # -- what is heard ---------------------------------------------------------------

    def connection(self, status: Status) -> None:
        """Learn which connections of the feed are up."""
        if isinstance(status, Disconnected):
            self._down[status.connection] = frozenset(status.carries), self._clock.monotonic_s()
        elif isinstance(status, Connected):
            self._down.pop(status.connection, None)
            for series in self._carried(status):
                self._listen_anew(series)
            self._feed_runs()
        elif isinstance(status, Rotated):
            for series in self._carried(status):
                if series.mute:
                    self._listen_anew(series)

    def heard(self, series: AnySeries) -> None:
        """The socket of a series that REST serves has spoken."""
        since_s, series.fallen_s, series.mute = series.fallen_s, None, False
        series.rotate_pause_s, series.judge_at_s = FIRST_ROTATE_PAUSE_S, 0.0
        if since_s is None:
            return
        if self._polling is not None:
            self._polling.unwatch(series.subscription)
        after_s = self._clock.monotonic_s() - since_s
        self._say(Recovered(**series.about(self._clock.now_ms()), after_s=after_s))

    def lull(self, series: AnySeries, now_s: float) -> None:
        """Learn that a series was silent until now; before it is noted as heard."""
        series.judge_at_s = 0.0
        if series.fallen_s is None and not series.mute:
            longest_s = max(now_s - series.since_s, _faded_s(series))
            series.usual_s = min(longest_s, _MOST_USUAL * self._mute_after_s)
            series.usual_at_s = now_s

    def show(self, series: AnySeries, event: Event | None) -> None:
        """Note what REST shows of a series."""
        if event is None or (isinstance(event, Candle) and not traded(event)):
            return
        before = series.shown
        ordered = not isinstance(event, BookTicker)
        if ordered and before is not None and is_news(before, event, by_id=self._by_id):
            return  # it is of something older
        series.shown, series.shown_s = event, self._clock.monotonic_s()

    # -- looking ---------------------------------------------------------------------

    def look(self, series: AnySeries) -> None:
        """Judge the silence of a series; to be called now and then."""
        if self._polling is None:
            return
        now_s = self._clock.monotonic_s()
        if FEED in self._down and series.heard_s > self._down[FEED][1]:
            self._feed_runs()
        silent_s = now_s - series.since_s
        if self._down and self._is_down(series):
            if series.fallen_s is None and series.has_rest and silent_s >= _DOWN_S:
                self._fall_back(series, "the socket is down")
        elif (
            series.probing is None
            and now_s >= series.judge_at_s
            and silent_s >= self._patience_s(series)
            # polling looks for proof already
            and (series.fallen_s is None or self._proven(series))
        ):
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

    # -- judging ---------------------------------------------------------------------

    async def _judge(self, series: AnySeries) -> None:
        since_s, mute = series.since_s, series.mute
        try:
            if not self._proven(series) and not await self._asked(series):
                return
            await self._clock.sleep(_SECOND_LOOK_S)
        except Exception as error:  # also a bug of an adapter: asked again later
            self._trouble.note(error, f"probe of {series.name}")
            self._look_later(series)
            return
        finally:
            series.probing = None
        changed = series.since_s != since_s or series.mute != mute  # it spoke, or is judged
        if not changed and not self._is_down(series):
            self._prove(series)

    async def _asked(self, series: AnySeries) -> bool:
        """Ask REST; say whether that proves the silence wrong."""
        if not self._share.take(series.subscription):
            series.judge_at_s = self._clock.monotonic_s() + _SPREAD_S * (1 + series.phase)
            return False
        async with self._slots:
            self.show(series, await self._probe.newest(series, series.heard or series.baseline))
        if not series.looked and series.heard is None:
            self._take_bearings(series)
            self._look_later(series, _SECOND_LOOK_S)
            return False
        proven = self._proven(series)
        if not proven:
            self._look_later(series)
        return proven

    def _proven(self, series: AnySeries) -> bool:
        shown, known = series.shown, series.heard or series.baseline
        if shown is None or series.shown_s <= series.since_s:
            return False
        if known is None:  # not even REST had anything before
            return series.looked
        return is_news(shown, known, by_id=self._by_id)

    def _take_bearings(self, series: AnySeries) -> None:
        # what was so when it began to listen is no reason to speak
        series.heard, series.baseline, series.looked = None, series.shown, True

    def _prove(self, series: AnySeries) -> None:
        reason = "still mute" if series.mute else "mute"
        if not series.mute:
            self._mute(series)
            for other in self._fellows(series):
                self._mute(other)
                self._wait_for_socket(other)
        self._wait_for_socket(series)
        if isinstance(self._feed, Rotatable):
            self._feed.rotate(series.subscription, reason)

    def _mute(self, series: AnySeries) -> None:
        series.mute = True
        now_s = self._clock.monotonic_s()
        silent_s = now_s - series.since_s
        self._say(StreamMute(**series.about(self._clock.now_ms()), silent_s=silent_s))
        if series.fallen_s is None:
            self._fall_back(series, "the stream is mute")

    def _fellows(self, series: AnySeries) -> list[AnySeries]:
        """Return the others of a connection that says nothing at all any more."""
        now_s = self._clock.monotonic_s()
        for carries in self._carries.values():
            if series.subscription in carries:
                all_of_it = [one for name, one in self._series.items() if name in carries]
                if any(now_s - one.since_s < self._mute_after_s for one in all_of_it):
                    return []
                return [one for one in all_of_it if one is not series and not one.mute]
        return []

    # -- who serves it ---------------------------------------------------------------

    def _carried(self, status: Connected | Rotated) -> list[AnySeries]:
        if not status.carries:  # it may be any: those that wait for one
            return [one for one in self._series.values() if one.fallen_s is not None]
        self._carries[status.connection] = frozenset(status.carries)
        return [self._series[one] for one in status.carries if one in self._series]

    def _listen_anew(self, series: AnySeries) -> None:
        series.listening_s = self._clock.monotonic_s()
        self._take_bearings(series)
        series.looked = series.fallen_s is not None  # else REST was not looked at for long

    def _feed_runs(self) -> None:
        if self._down.pop(FEED, None) is not None:  # again: nothing else would say so
            self._say(Connected(at_ms=self._clock.now_ms(), connection=FEED))

    def _is_down(self, series: AnySeries) -> bool:
        # of a connection that does not say: what spoke since is not carried by it
        return any(
            series.subscription in carries if carries else series.heard_s <= since_s
            for carries, since_s in self._down.values()
        )

    def _fall_back(self, series: AnySeries, reason: str) -> None:
        series.fallen_s = self._clock.monotonic_s()
        repaired = series.healing is not None and isinstance(series.track, CandleTrack)
        if not repaired:  # else when that is done
            self.resume_polling(series)
        if series.has_rest:  # else a channel that cannot be asked for by REST
            self._say(FellBack(**series.about(self._clock.now_ms()), reason=reason))

    # -- when to look ----------------------------------------------------------------

    def _patience_s(self, series: AnySeries) -> float:
        # not all series at once
        spread_s = self._mute_after_s + _SPREAD_S * series.phase
        return max(spread_s, _USUAL * _faded_s(series)) if series.usual_s else spread_s

    def _look_later(self, series: AnySeries, more_s: float = 0.0) -> None:
        silent_s = self._clock.monotonic_s() - series.since_s
        more_s = more_s or min(max(self._mute_after_s, silent_s / 2), _LONGEST_LOOK_S)
        series.judge_at_s = self._clock.monotonic_s() + more_s

    def _wait_for_socket(self, series: AnySeries) -> None:
        self._take_bearings(series)
        series.judge_at_s = self._clock.monotonic_s() + series.rotate_pause_s
        series.rotate_pause_s = min(2 * series.rotate_pause_s, _LONGEST_PAUSE_S)


def _faded_s(series: AnySeries) -> float:
    """Return the lull that is usual for a series; chatter makes it forget long ones."""
    chatter_s = max(0.0, series.heard_s - series.usual_at_s)
    return series.usual_s * math.exp(-chatter_s / _FORGET_S)


def _position(series: AnySeries) -> tuple[int | None, int | None]:
    track = series.track
    if isinstance(track, CandleTrack):
        return track.next_ms, None
    if isinstance(track, TradeTrack):
        return None, track.next_id
    return None, None
