"""What every Feed shares: subscriptions, callbacks, events, lifecycle, raw frames."""

from __future__ import annotations

import asyncio
import inspect
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeVar, cast

import attrs

from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import ConfigError, FeedError, Unsupported
from velas.interval import Interval
from velas.mailbox import Mailbox
from velas.models import BookTicker, Candle, Channel, Subscription, Trade
from velas.status import CallbackFailed, Status

if TYPE_CHECKING:
    from velas.protocols import Event, Exchange

__all__ = ["CHANNELS", "CallbackFailures", "FeedAdapter", "Frame", "being_cancelled", "wanted"]

CHANNELS: tuple[Channel, ...] = ("candles", "trades", "book_ticker")
_LOG = logging.getLogger(__name__)
_QUEUE = 10_000
T = TypeVar("T")


@attrs.frozen
class Frame:
    """One thing that happened on a socket, as it is recorded and replayed.

    `connection` names the socket within its feed; `received_ns` is the Unix time in ns.
    `data` is the message of a ``text``, the reason of a ``close``, empty for an ``open``.
    """

    kind: Literal["open", "text", "close"]
    connection: str
    received_ns: int
    data: str = ""


class CallbackFailures:
    """Logs what callbacks raise: the traceback once for each kind, then ever more rarely."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, type[BaseException]]] = Counter()

    def log(self, logger: logging.Logger, owner: str, name: str, error: BaseException) -> None:
        """Log that the callback `name` raised `error`."""
        kind = name, type(error)
        self._counts[kind] += 1
        count = self._counts[kind]
        if count == 1:
            logger.error("%s: the callback %s raised", owner, name, exc_info=error)
        elif count & (count - 1) == 0:  # 2, 4, 8 ...
            logger.error("%s: the callback %s raised %r, %d times now", owner, name, error, count)


def being_cancelled() -> bool:
    """Say whether the running task is cancelled itself, not something it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def wanted(
    channel: str, symbols: Sequence[str], intervals: Sequence[str], offered: Sequence[str]
) -> list[Subscription]:
    """Return what a call of `subscribe` asks for, one by one.

    Raises:
        ConfigError: no such channel, no symbols, or candles without intervals (or others
            with).
    """
    if channel not in offered:
        raise ConfigError(f"unknown channel {channel!r}; choose one of {', '.join(offered)}")
    if isinstance(symbols, str) or isinstance(intervals, str):
        raise ConfigError("symbols and intervals are lists, such as ['BTC/USDT'] and ['1m']")
    if not symbols:
        raise ConfigError(f"{channel}: no symbols given")
    name = cast(Channel, channel)
    if channel != "candles":
        if intervals:
            raise ConfigError(f"{channel} have no intervals, but got {', '.join(intervals)}")
        return [Subscription(name, symbol) for symbol in symbols]
    if not intervals:
        raise ConfigError("candles need intervals, such as intervals=['1m']")
    names = [Interval.of(interval).name for interval in intervals]
    return [Subscription(name, symbol, interval) for symbol in symbols for interval in names]


class FeedAdapter(ABC):
    """Base of Feed adapters: a subclass implements `_drive`, and what it can of the rest.

    A callback that raises is logged, told to `on_status` as `CallbackFailed`, and
    nothing else happens. An async callback is awaited before its connection is read on.
    """

    channels: tuple[Channel, ...] = CHANNELS
    may_idle: ClassVar[bool] = False  # whether it runs with nothing subscribed
    tells_closes: bool = True  # whether it says of every candle when it is closed

    def __init__(
        self,
        name: str,
        exchange: Exchange,
        *,
        clock: Clock = SYSTEM_CLOCK,
        queue_size: int = _QUEUE,
    ) -> None:
        self.name = name
        self.exchange = exchange
        self.clock = clock
        self.on_candle: Callable[[Candle], Awaitable[None] | None] | None = None
        self.on_trade: Callable[[Trade], Awaitable[None] | None] | None = None
        self.on_book_ticker: Callable[[BookTicker], Awaitable[None] | None] | None = None
        self.on_status: Callable[[Status], Awaitable[None] | None] | None = None
        self.on_frame: Callable[[Frame], None] | None = None  # every raw frame, for recording
        self._failures = CallbackFailures()
        self._wanted: dict[Subscription, None] = {}
        self._queue_size = queue_size
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._background: set[asyncio.Future[None]] = set()
        self._closers: set[asyncio.Task[object]] = set()  # who waits in aclose

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{' closed' if self._closed else ''}>"

    # -- subscribing -----------------------------------------------------------------

    def subscribe(
        self, channel: Channel, symbols: Sequence[str], *, intervals: Sequence[str] = ()
    ) -> None:
        """Ask for a channel of some symbols; `intervals` for candles only.

        Raises:
            ConfigError: the arguments make no subscription.
            Unsupported: the venue has no such channel.
            FeedError: the feed runs already, or is closed.
        """
        if channel in CHANNELS and channel not in self.channels:
            raise Unsupported(f"{self.name} has no {channel}; it has {', '.join(self.channels)}")
        if self._task is not None or self._closed:
            raise FeedError(f"{self.name}: subscribe before the feed runs")
        for one in wanted(channel, symbols, intervals, CHANNELS):
            self._wanted[one] = None

    @property
    def subscribed(self) -> bool:
        """Whether anything is subscribed."""
        return bool(self._wanted)

    async def subscriptions(self) -> tuple[Subscription, ...]:
        """Return what was subscribed, by unified symbol, each once.

        Raises:
            UnknownSymbol: the venue lists no such market.
        """
        found = [
            attrs.evolve(one, symbol=(await self.exchange.market(one.symbol)).symbol)
            for one in self._wanted
        ]
        return tuple(dict.fromkeys(found))

    # -- running ---------------------------------------------------------------------

    async def run(self) -> None:
        """Drive the callbacks until the feed is closed.

        Raises:
            FeedError: nothing is subscribed, it runs already, or it cannot go on.
            UnknownSymbol: the venue lists no such market.
        """
        if self._closed:
            raise FeedError(f"{self.name} is closed; open the feed again")
        if self._task is not None and not self._task.done():
            raise FeedError(f"{self.name} runs already")
        if not self._wanted and not self.may_idle:
            raise FeedError(f"{self.name}: nothing is subscribed")
        self._task = asyncio.ensure_future(self._run())
        try:
            await asyncio.shield(self._task)
        except asyncio.CancelledError:
            await self._stop()
            asked = asyncio.current_task()
            if (asked is not None and asked.cancelling()) or not self._closed:
                raise

    async def events(self) -> AsyncIterator[Event]:
        """Iterate over what arrives until the feed is closed.

        Up to 10,000 events wait for a slow consumer. Then the next closed candles and
        trades are dropped, and of forming candles and book tickers only the newest waits.

        Raises:
            FeedError: callbacks are set; or as `run`.
        """
        if self.on_candle or self.on_trade or self.on_book_ticker:
            raise FeedError(f"{self.name}: either set callbacks and run(), or iterate events()")
        mailbox: Mailbox[Event] = Mailbox(self._queue_size)

        def candle(event: Candle) -> None:
            key = (event.symbol, event.interval)
            if mailbox.room > 0:
                mailbox.put(event, overtakes=key)
            elif not event.is_closed:
                mailbox.put_latest(event, key)

        def trade(event: Trade) -> None:
            if mailbox.room > 0:
                mailbox.put(event)

        def book_ticker(event: BookTicker) -> None:
            if mailbox.room > 0:
                mailbox.put(event, overtakes=event.symbol)
            else:
                mailbox.put_latest(event, event.symbol)

        self.on_candle, self.on_trade, self.on_book_ticker = candle, trade, book_ticker
        running = asyncio.ensure_future(self.run())
        running.add_done_callback(lambda _: mailbox.close())
        try:
            async for event in mailbox.drain():
                yield event
            await running
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await running
            self.on_candle = self.on_trade = self.on_book_ticker = None

    def rotate(self, subscription: Subscription, reason: str) -> None:  # noqa: B027
        """Replace the connection that carries a series, as it seems not to deliver."""

    async def play(self, frames: AsyncIterator[Frame]) -> None:
        """Parse recorded frames as if they arrived now, to the same callbacks."""
        raise Unsupported(f"{self.name} cannot replay recorded frames")

    async def aclose(self) -> None:
        """Close the sockets; may be called again, also by a callback."""
        self._closed = True
        closer = asyncio.current_task()
        assert closer is not None
        self._closers.add(closer)
        try:
            await self._stop()
            await self.end(self._background)
        finally:
            self._closers.discard(closer)
            if closer is self._task:  # once the callback has returned
                asyncio.get_running_loop().call_soon(closer.cancel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # -- for subclasses --------------------------------------------------------------

    @abstractmethod
    async def _drive(self, subscriptions: Sequence[Subscription]) -> None:
        """Deliver until cancelled; release everything on the way out."""

    async def end(self, tasks: Iterable[asyncio.Future[None]]) -> None:
        """Cancel tasks and wait for them; not for one whose callback closes the feed."""
        others = [task for task in tasks if task not in self._closers]
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others)

    def deliver_candle(self, candle: Candle) -> Awaitable[None] | None:
        """Give a candle to the user; what it returns, if anything, must be awaited."""
        return self._call(self.on_candle, candle)

    def deliver_trade(self, trade: Trade) -> Awaitable[None] | None:
        """Give a trade to the user; what it returns, if anything, must be awaited."""
        return self._call(self.on_trade, trade)

    def deliver_book_ticker(self, ticker: BookTicker) -> Awaitable[None] | None:
        """Give a book ticker to the user; what it returns, if anything, must be awaited."""
        return self._call(self.on_book_ticker, ticker)

    def report(self, status: Status) -> None:
        """Tell the user about a status; an async callback runs on its own."""
        later = self._call(self.on_status, status)
        if later is not None:
            task = asyncio.ensure_future(later)
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    def _call(
        self, callback: Callable[[T], Awaitable[None] | None] | None, event: T
    ) -> Awaitable[None] | None:
        if callback is None or (self._closed and callback is not self.on_status):
            return None
        try:
            later = callback(event)
        except Exception as error:
            self._failed(callback, error)
            return None
        if later is None or not inspect.isawaitable(later):  # a function may return anything
            return None
        return self._finish(callback, later)

    async def _finish(self, callback: object, later: Awaitable[None]) -> None:
        try:
            await later
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                raise
            self._failed(callback, error)

    def _failed(self, callback: object, error: BaseException) -> None:
        name = getattr(callback, "__qualname__", repr(callback))
        self._failures.log(_LOG, self.name, name, error)
        if callback is not self.on_status:
            self.report(CallbackFailed(at_ms=self.clock.now_ms(), callback=name, error=error))

    async def _run(self) -> None:
        await self._drive(await self.subscriptions())

    async def _stop(self) -> None:
        if self._task is not None:
            await self.end([self._task])
