"""Run a live stream from opening to clean end, interruptible at every moment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import attrs

from velas.cli.exits import say
from velas.cli.live_board import Board
from velas.cli.session import open_workplace
from velas.cli.signals import Stopped, stop_on_signals, until_stopped
from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import ConfigError, UnknownSymbol
from velas.models import Channel, Subscription

if TYPE_CHECKING:
    from velas.ledger import Ledger
    from velas.protocols import Event, Exchange, Store
    from velas.settings import Settings
    from velas.status import Status
    from velas.stream import Stream

__all__ = ["Ended", "View", "ViewOf", "Wish", "go_live", "subscribe", "watch"]


class View(Protocol):
    """Where events are shown; an async context manager."""

    async def show(self, event: Event | Status) -> None:
        """Show one event; returns when the next one may come."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ViewOf(Protocol):
    """Makes the view of a board."""

    def __call__(self, board: Board) -> View:
        """Return the view, not yet entered."""
        ...


@attrs.frozen
class Wish:
    """What to watch, as the user named it, for how long, and whether it is stored.

    With `strict` an unknown symbol is an error, without it left out and named.
    """

    channels: tuple[Channel, ...]
    symbols: tuple[str, ...]
    intervals: tuple[str, ...] = ()
    strict: bool = False
    store: bool = False
    seconds: float | None = None


@attrs.frozen
class Ended:
    """How it went; `added` is how many rows each stored series has more than before.

    `board` is None where the user stopped it before anything was subscribed; `left_out` are
    symbols of the settings that the venue does not list.
    """

    board: Board | None
    interrupted: bool
    elapsed_s: float = 0.0
    left_out: tuple[str, ...] = ()
    added: Mapping[tuple[str, str], int] = attrs.field(factory=dict)


async def go_live(settings: Settings, wish: Wish, view_of: ViewOf) -> Ended:
    """Open the venue (and the store), stream until told to stop, close everything.

    Raises:
        ConfigError, UnknownSymbol: found out before a socket is opened.
        ExchangeError: the venue could not be asked at all.
    """
    from velas.registry import check_one_venue, open_stream

    check_one_venue(settings)
    with stop_on_signals() as stop:
        async with _opened(settings, storing=wish.store) as (exchange, store, ledger):
            try:
                series, left_out = await until_stopped(subscriptions(exchange, wish), stop)
            except Stopped:
                return Ended(None, interrupted=True)
            board, began_s = Board(series, SYSTEM_CLOCK), SYSTEM_CLOCK.monotonic_s()
            stream = open_stream(settings, exchange, store, ledger=ledger)
            subscribe(stream, series)
            async with stream, view_of(board) as view:
                await watch(stream, board, view, stop, wish.seconds)
            return Ended(
                board,
                stop.is_set(),
                SYSTEM_CLOCK.monotonic_s() - began_s,
                left_out,
                stream.stored if store is not None else {},
            )


async def subscriptions(
    exchange: Exchange, wish: Wish
) -> tuple[list[Subscription], tuple[str, ...]]:
    """Return what to subscribe, by unified symbol, each once, and what was left out.

    Raises:
        ConfigError: an interval the venue does not have, or no symbol that it lists.
        UnknownSymbol: (strict) a symbol it does not list.
    """
    known = exchange.capabilities.intervals
    for interval in wish.intervals:
        if interval not in known:
            raise ConfigError(
                f"{exchange.name} has no interval {interval}; it has {', '.join(known)}"
            )
    symbols, left_out = await _symbols(exchange, wish)
    series = [
        Subscription(channel, symbol, interval)
        for channel in wish.channels
        for symbol in symbols
        for interval in (wish.intervals if channel == "candles" else (None,))
    ]
    return series, left_out


def subscribe(stream: Stream, series: Sequence[Subscription]) -> None:
    """Subscribe all of them; candles by symbol, each with its intervals."""
    together: dict[tuple[Channel, str], list[str]] = {}
    for one in series:
        intervals = together.setdefault((one.channel, one.symbol), [])
        if one.interval is not None:
            intervals.append(one.interval)
    for (channel, symbol), intervals in together.items():
        stream.subscribe(channel, [symbol], intervals=intervals)


async def watch(
    stream: Stream,
    board: Board,
    view: View,
    stop: asyncio.Event,
    seconds: float | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Show every event until `stop` is set, or for `seconds`; then what was accepted still."""
    closing = asyncio.Event()

    async def close() -> None:
        await _first_of(stop, seconds, clock)
        closing.set()
        await stream.aclose()

    closer = asyncio.ensure_future(close())
    events = stream.events()
    try:
        async for event in events:
            board.take(event)
            await view.show(event)
        if closing.is_set():
            await closer
    finally:
        closer.cancel()
        await asyncio.gather(closer, return_exceptions=True)
        if isinstance(events, AsyncGenerator):
            await events.aclose()


async def _first_of(stop: asyncio.Event, seconds: float | None, clock: Clock) -> None:
    if seconds is None:
        await stop.wait()
        return
    waiting = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(clock.sleep(seconds))]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


async def _symbols(exchange: Exchange, wish: Wish) -> tuple[list[str], tuple[str, ...]]:
    found: dict[str, None] = {}
    left_out: list[str] = []
    for name in wish.symbols:
        try:
            found[(await exchange.market(name)).symbol] = None
        except UnknownSymbol as error:
            if wish.strict:
                raise
            say(f"velas: left out: {error}")
            left_out.append(name)
    if not found:
        raise ConfigError(f"{exchange.name} lists none of: {', '.join(wish.symbols)}")
    return list(found), tuple(left_out)


@asynccontextmanager
async def _opened(
    settings: Settings, *, storing: bool
) -> AsyncIterator[tuple[Exchange, Store | None, Ledger | None]]:
    from velas.registry import open_exchange, open_ledger

    if storing:
        async with open_workplace(settings) as place:
            yield place.exchange, place.store, place.ledger
        return
    with ExitStack() as stack:
        # a ban that is known is heeded, but watching alone makes no file
        ledger = stack.enter_context(open_ledger(settings)) if _has_ledger(settings) else None
        async with open_exchange(settings, ledger=ledger) as exchange:
            yield exchange, None, ledger


def _has_ledger(settings: Settings) -> bool:
    path = settings.db_path
    return path.is_file() and all(os.access(one, os.W_OK) for one in (path, path.parent))
