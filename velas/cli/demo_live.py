"""The live part of `velas demo`: minutes in seconds, over a real socket that is cut."""

from __future__ import annotations

import asyncio
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import attrs

from velas.cli.live_board import Board
from velas.cli.live_words import status_text
from velas.cli.output import count, many, moment
from velas.cli.signals import Stopped, stop_on_signals, until_stopped
from velas.models import Candle
from velas.status import Connected, Disconnected, Reconnecting, Status

if TYPE_CHECKING:
    from velas.clock import Clock
    from velas.settings import Settings
    from velas.stream import Stream
    from velas.testing import StandInVenue

__all__ = ["LiveTold", "live_document", "play_live", "tell_live"]

Tell = Callable[[str], None]
_MINUTE_MS = 60_000
_FACTOR = 60.0  # a minute of the venue is a second of yours
_MINUTES = 6
_CUT_AFTER = 2  # candles of each series
_REFUSED_S = 75.0  # after the cut: a candle closes meanwhile, which only REST can tell
_PATIENCE_S = 12.0  # of yours, for what takes 7 when all is well


@attrs.frozen
class LiveTold:
    """What the live part has to tell; `differing` names series that are not the venue's."""

    series: int
    candles: int
    by_rest: int
    differing: tuple[str, ...]
    reconnects: int
    gaps_filled: int
    statuses: dict[str, int]

    @property
    def ok(self) -> bool:
        """Whether every candle is the venue's own, and the cut did happen and heal."""
        return bool(self.candles and self.reconnects and self.by_rest) and not self.differing


@attrs.define
class _Heard:
    """What a stream delivered: closed candles by series, and everything in sum."""

    board: Board
    closed: dict[str, list[Candle]]
    statuses: Counter[str] = attrs.Factory(Counter)
    down: set[str] = attrs.Factory(set)

    def least(self) -> int:
        """Return how many closed candles each series has at least."""
        return min(map(len, self.closed.values()))


def play_live(
    settings: Settings, market: Literal["spot", "futures"], tell: Tell
) -> LiveTold | None:
    """Stream from a stand-in on a fast clock, cut the socket, compare; None when stopped."""
    return asyncio.run(_play(settings, market, tell))


def live_document(told: LiveTold) -> dict[str, object]:
    """Return the live part as plain data for JSON."""
    return {
        "ok": told.ok,
        "series": told.series,
        "candles": told.candles,
        "by_rest": told.by_rest,
        "equal": not told.differing,
        "differing": list(told.differing),
        "reconnects": told.reconnects,
        "gaps_filled": told.gaps_filled,
        "statuses": told.statuses,
    }


def tell_live(told: LiveTold, tell: Tell) -> None:
    """Say what came of it."""
    tell(
        f"\n{many(told.candles, 'closed candle')} of {count(told.series)} series came, in order "
        f"and each once,\n{count(told.by_rest)} of them by REST; "
        f"{many(told.reconnects, 'reconnect')}, {many(told.gaps_filled, 'gap')} filled."
    )
    if told.differing:
        tell(f"DIFFERENT from the exchange's own: {', '.join(told.differing)}")
    else:
        tell("Compared with the exchange's own candles, all eleven columns: all equal.")


async def _play(
    settings: Settings, market: Literal["spot", "futures"], tell: Tell
) -> LiveTold | None:
    from velas.testing import GeneratedCandles, ScaledClock, StandInVenue

    clock = ScaledClock(_FACTOR)
    candles = GeneratedCandles(seed=7)
    with stop_on_signals() as stop:
        async with StandInVenue(market, candles=candles, clock=clock) as venue:
            there = attrs.evolve(
                settings,
                rest=attrs.evolve(settings.rest, url=venue.rest_url),
                ws=attrs.evolve(settings.ws, url=venue.ws_url),
            )
            try:
                return await until_stopped(_stream(there, venue, clock, tell), stop)
            except Stopped:
                return None


async def _stream(settings: Settings, venue: StandInVenue, clock: Clock, tell: Tell) -> LiveTold:
    from velas.registry import open_exchange, open_stream

    symbols = settings.history.symbols or ()
    async with open_exchange(settings, clock=clock) as exchange:
        names = [(await exchange.market(symbol)).symbol for symbol in symbols]
        since_ms = clock.now_ms() // _MINUTE_MS * _MINUTE_MS
        heard = _Heard(Board([], clock), {name: [] for name in names})
        async with open_stream(settings, exchange, clock=clock) as stream:
            stream.subscribe("candles", names, intervals=["1m"], since_ms=since_ms)
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await _listen(stream, heard, venue, tell)
            except TimeoutError:
                tell("   Not all of it came in time.")
    return _judged(heard, venue, since_ms)


async def _listen(stream: Stream, heard: _Heard, venue: StandInVenue, tell: Tell) -> None:
    cut = False
    async for event in stream.events():
        heard.board.take(event)
        if isinstance(event, Status):
            heard.statuses[event.status] += 1
            if _is_news(event, heard.down):
                tell(_indented(status_text(event)))
        elif isinstance(event, Candle) and event.is_closed:
            heard.closed[event.symbol].append(event)
            _tell_minute(heard, event, tell)
            if heard.least() >= _MINUTES:
                return
            if heard.least() >= _CUT_AFTER and not cut:
                cut = True
                _cut(venue, tell)


def _is_news(status: Status, down: set[str]) -> bool:
    if isinstance(status, Connected):
        down.discard(status.connection)
    elif isinstance(status, Disconnected):
        if status.connection in down:
            return False
        down.add(status.connection)
    return not isinstance(status, Reconnecting)


def _cut(venue: StandInVenue, tell: Tell) -> None:
    from velas.testing import SocketFault

    tell(f"   The exchange cuts every socket, and takes no new one for {_REFUSED_S:.0f} s.")
    venue.strike(SocketFault.drop())
    venue.strike(SocketFault.refuse(_REFUSED_S))


def _tell_minute(heard: _Heard, candle: Candle, tell: Tell) -> None:
    if all(closed and closed[-1].timestamp >= candle.timestamp for closed in heard.closed.values()):
        last = [closed[-1] for closed in heard.closed.values()]
        how = "/".join(sorted({one.source for one in last}))
        prices = ", ".join(f"{one.symbol} {one.close:g}" for one in last)
        tell(_indented(f"{moment(candle.timestamp)[-5:]} closed, by {how}: {prices}"))


def _indented(text: str) -> str:
    return textwrap.fill(text, 79, initial_indent="   ", subsequent_indent="     ")


def _judged(heard: _Heard, venue: StandInVenue, since_ms: int) -> LiveTold:
    closed = [one for candles in heard.closed.values() for one in candles]
    return LiveTold(
        series=len(heard.closed),
        candles=len(closed),
        by_rest=sum(1 for one in closed if one.source == "rest"),
        differing=tuple(
            symbol
            for symbol, candles in heard.closed.items()
            if not _same(candles, venue, symbol, since_ms)
        ),
        reconnects=heard.board.tally.reconnects,
        gaps_filled=heard.board.tally.gaps_filled,
        statuses=dict(sorted(heard.statuses.items())),
    )


def _same(candles: Sequence[Candle], venue: StandInVenue, symbol: str, since_ms: int) -> bool:
    from velas import frames
    from velas.candles import frame_of
    from velas.symbols import series_key

    if len(candles) < _MINUTES or [one.sequence for one in candles] != [
        number + 1 for number in range(len(candles))
    ]:
        return False
    # just after a minute's end the stream begins with that minute, which REST lacks still
    start_ms, end_ms = candles[0].timestamp, candles[-1].timestamp + _MINUTE_MS
    if start_ms > since_ms:
        return False
    theirs = venue.frame(series_key(symbol), "1m", start_ms=start_ms, end_ms=end_ms)
    return frames.digest(frame_of(candles)) == frames.digest(theirs)
