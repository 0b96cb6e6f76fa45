"""From a stream to backtrader's thread: its closed candles, and how it is connected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING

import attrs

from velas.clock import Clock
from velas.interval import Interval
from velas.models import Candle
from velas.status import CandleRevised, Connected, Disconnected, GapAbsent, Status
from velas.symbols import series_key
from velas_backtrader._align import Alignment, Bar, Key
from velas_backtrader._handover import Handover, State
from velas_backtrader._lines import LINES, row_of

if TYPE_CHECKING:
    from velas.stream import Stream

__all__ = ["Opener", "Want", "key_of", "pump"]

Opener = Callable[[], AbstractAsyncContextManager["Stream"]]
_Held = tuple[object, ...]  # a moment, who is waited for, and how far each of those is
_LOG = logging.getLogger(__name__)
_LOOKS = 8  # how often within the patience it is looked who is late


@attrs.frozen
class Want:
    """A series that is wanted, with all candles that open from `since_ms` on."""

    symbol: str
    interval: Interval
    since_ms: int | None


def key_of(symbol: str, interval: str) -> Key:
    """Return what a series is known by, however its symbol is spelled."""
    return series_key(symbol), interval


async def pump(
    opener: Opener, wants: Sequence[Want], handover: Handover, patience_s: float | None
) -> None:
    """Run the stream until it ends; raises what it does."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def cancel() -> None:
        loop.call_soon_threadsafe(task.cancel)

    if not handover.open(cancel):
        return
    async with opener() as stream:
        for want in wants:
            stream.subscribe(
                "candles",
                [want.symbol],
                intervals=[want.interval.name],
                since_ms=want.since_ms,
            )
        begun_ms = stream.clock.now_ms()
        handover.update(lambda alignment: alignment.began(begun_ms))
        ear = _Ear(handover, stream.clock, begun_ms)
        watch = asyncio.ensure_future(ear.watch(patience_s))
        try:
            async for event in stream.events():
                ear.hear(event)
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch


class _Ear:
    def __init__(self, handover: Handover, clock: Clock, begun_ms: int) -> None:
        self._handover = handover
        self._clock = clock
        self._begun_ms = begun_ms
        self._links: dict[str, bool] = {}  # sockets, and whether each is open
        self._carried: dict[str, frozenset[Key]] = {}  # what comes by each; none: any
        self._late: dict[Key, State] = {}

    def hear(self, event: object) -> None:
        """Pass on what concerns closed candles."""
        if isinstance(event, Candle):
            if event.is_closed:
                self._candle(event)
        elif isinstance(event, Connected | Disconnected):
            self._link(event)
        elif isinstance(event, GapAbsent) and event.interval is not None:
            key, end_ms = key_of(event.symbol, event.interval), event.end_ms
            self._handover.update(lambda alignment: alignment.absent(key, end_ms))
        elif isinstance(event, CandleRevised):
            _LOG.warning(
                "%s %s: the venue has revised a candle that was played: %s -> %s",
                event.symbol,
                event.interval,
                event.before,
                event.after,
            )
        elif isinstance(event, Status):
            _LOG.debug("%s", event)

    async def watch(self, patience_s: float | None) -> None:
        """Give up on a series that is late, again and again; without patience, on none."""
        if patience_s is None:
            return
        held: _Held = ()
        since_s = 0.0
        while True:
            await self._clock.sleep(patience_s / _LOOKS)
            self._tell_late(int(patience_s * 1000))
            now_s, before = self._clock.monotonic_s(), held
            held = self._handover.update(self._held)
            if held != before:
                since_s = now_s
            elif held and now_s - since_s >= patience_s:
                self._handover.update(lambda alignment: alignment.force(alignment.next_end_ms))

    def _held(self, alignment: Alignment) -> _Held:
        # what ended before the stream began is history: all of it is waited for
        late = alignment.laggards() if alignment.next_end_ms > self._begun_ms else {}
        return (alignment.next_end_ms, *sorted(late.items())) if late else ()

    def _tell_late(self, patience_ms: int) -> None:
        latest_ms = self._clock.now_ms() - patience_ms
        is_starting = latest_ms <= self._begun_ms  # links may be to come
        for key, interval, reached_ms in self._handover.update(lambda one: list(one.reached())):
            if interval.next_open(reached_ms) > latest_ms:
                self._late.pop(key, None)
                continue
            links = self._links_of(key)
            is_linked = any(links) or (is_starting and not links)
            state: State = "delayed" if is_linked else "disconnected"
            if self._late.get(key) != state:
                self._late[key] = state
                self._handover.tell(key, state)

    def _candle(self, candle: Candle) -> None:
        interval = Interval.of(candle.interval)
        end_ms = interval.end_of(candle.timestamp)
        values = row_of(candle, end_ms)
        bar = Bar(
            key_of(candle.symbol, candle.interval),
            candle.timestamp,
            end_ms,
            [values[name] for name in LINES],
            newest=self._clock.now_ms() < interval.end_of(end_ms),
        )
        self._handover.update(lambda alignment: alignment.put(bar))

    def _link(self, event: Connected | Disconnected) -> None:
        is_up = isinstance(event, Connected)
        self._links[event.connection] = is_up
        carried = frozenset(
            key_of(one.symbol, one.interval) for one in event.carries if one.interval is not None
        )
        if carried or event.connection not in self._carried:
            self._carried[event.connection] = carried
        if is_up:
            self._handover.connected(carried)

    def _links_of(self, key: Key) -> Sequence[bool]:
        return [
            is_up
            for name, is_up in self._links.items()
            if not self._carried[name] or key in self._carried[name]
        ]
