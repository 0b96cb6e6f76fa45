"""`Stream`: what a bot consumes instead of a feed."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

import attrs

from velas.adapter import ExchangeAdapter
from velas.candles import frame_of
from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import ConfigError, FeedError
from velas.feed import CHANNELS, CallbackFailures, FeedAdapter, being_cancelled, wanted
from velas.interval import Interval
from velas.mailbox import Mailbox
from velas.models import BookTicker, Candle, Channel, Subscription, Trade
from velas.settings import Stream as StreamSettings
from velas.status import CallbackFailed, Status
from velas.stream.candle_track import CandleTrack
from velas.stream.core import Core
from velas.stream.outlet import Said
from velas.stream.series import Series
from velas.symbols import series_key

if TYPE_CHECKING:
    import pandas as pd

    from velas.ledger import Ledger
    from velas.protocols import Event, Exchange, Feed, Store

__all__ = ["Stream"]

_LOG = logging.getLogger(__name__)
_FIRST_MS = 100_000_000_000  # 1973; as seconds, the year 5138
_Callback = Callable[..., Awaitable[None] | None]


class Stream:
    """Keeps the live contract over any feed and any exchange; an async context manager.

    Subscribe, then iterate `events()`, or set callbacks (sync or async) and `run()`.
    Candles, trades and book tickers come with the events of `velas.status` in their place
    among them. For each candle series:

    * closed candles come in order of open time, each once, numbered by `sequence`; the
      next is not delivered before the one in front of it was (from the socket or by REST)
      or a `GapAbsent` has declared it absent;
    * forming candles come as they are heard of; a slow bot gets the newest only;
    * with a `store` a closed candle is durable before it is delivered.

    Aggregate trades come with contiguous ids. At most `settings.queue_size` closed
    candles and trades wait for the bot; then it is told so by `ConsumerSlow`, and what it
    has no room for is asked for again by REST. A callback that raises is logged and told
    to `on_status` as `CallbackFailed`; the stream goes on.

    The stream opens and closes the `feed` (None: REST polling); `exchange`, `store` and
    `ledger` stay the caller's. With a `ledger` (or the path of one) what is stored and not
    compared with REST yet is known after a restart or a crash, however late. `clock` is by
    default the feed's, so that a recording is consumed in its own time, or the exchange's.
    """

    def __init__(
        self,
        exchange: Exchange,
        feed: Feed | None = None,
        store: Store | None = None,
        *,
        settings: StreamSettings | None = None,
        clock: Clock | None = None,
        ledger: Ledger | Path | None = None,
    ) -> None:
        from velas.polling import PollingFeed

        clock = clock or _clock_of(feed, exchange)
        settings = settings or StreamSettings()
        self.on_candle: Callable[[Candle], Awaitable[None] | None] | None = None
        self.on_trade: Callable[[Trade], Awaitable[None] | None] | None = None
        self.on_book_ticker: Callable[[BookTicker], Awaitable[None] | None] | None = None
        self.on_status: Callable[[Status], Awaitable[None] | None] | None = None
        self._exchange = exchange
        self._feed: Feed = feed or PollingFeed(exchange, clock=clock)
        self._clock = clock
        self._counters: Counter[str] = Counter()
        self._mailbox: Mailbox[Said] = Mailbox(settings.queue_size)
        self._core = Core(
            exchange, self._feed, store, self._mailbox, clock, settings, self._counters, ledger
        )
        self._failures = CallbackFailures()
        self._wanted: dict[Subscription, int | None] = {}
        self._names: dict[str, str] = {}  # any spelling that was used -> the unified one
        self._started = False
        self._closed = False
        self._closing: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Stream of {self._exchange.name}{' closed' if self._closed else ''}>"

    def subscribe(
        self,
        channel: Channel,
        symbols: Sequence[str],
        *,
        intervals: Sequence[str] = (),
        since_ms: int | None = None,
    ) -> None:
        """Ask for a channel of some symbols; before the stream runs.

        Closed candles are delivered from the first that closes after the start on; what
        lies before is in `candles()`. A bot that wants to be told of earlier ones, too,
        names the open time of the first as `since_ms`.

        Raises:
            ConfigError: the arguments make no subscription.
            FeedError: the stream runs already, or is closed.
        """
        if self._started or self._closed:
            raise FeedError("subscribe before the stream runs")
        if since_ms is not None:
            if channel != "candles" or not hasattr(since_ms, "__index__") or since_ms < 0:
                raise ConfigError(f"since_ms {since_ms!r}: for candles only, ms since the epoch")
            since_ms = int(since_ms)
            if 0 < since_ms < _FIRST_MS:
                raise ConfigError(f"since_ms {since_ms!r} looks like seconds; it is in ms")
        for one in wanted(channel, symbols, intervals, CHANNELS):
            self._wanted[one] = since_ms

    async def events(self) -> AsyncIterator[Event | Status]:
        """Iterate over what arrives until the stream is closed.

        What was accepted before is still delivered after `aclose()`. Statuses go to
        `on_status` as well, if it is set.

        Raises:
            UnknownSymbol, Unsupported: the venue does not have what was subscribed.
            FeedError: nothing was subscribed, the stream has been started already, or
                callbacks for data are set.
            ExchangeError: the venue cannot be reached at the start.
            StoreError: what is stored of a series cannot be read.
        """
        if self.on_candle or self.on_trade or self.on_book_ticker:
            raise FeedError("either set callbacks and run(), or iterate events()")
        await self._start()
        async for event in self._mailbox.drain():
            if self.on_status is not None and isinstance(event, Status):
                await self._call(self.on_status, event)
            yield event

    async def run(self) -> None:
        """Drive the callbacks until the stream is closed, by `aclose()` from wherever.

        Raises what `events` does.
        """
        await self._start()
        async for event in self._mailbox.drain():
            callback = self._callback(event)
            if callback is not None:
                await self._call(callback, event)

    def candles(self, symbol: str, interval: str) -> pd.DataFrame:
        """Return the newest closed candles of a series as a candle frame.

        At most `settings.memory_candles` rows: history first, then what was delivered or is
        on its way to you.

        Raises:
            ConfigError: the series is not subscribed.
        """
        return frame_of(self._series(symbol, interval).track.memory)

    def forming(self, symbol: str, interval: str) -> Candle | None:
        """Return the candle that is forming now, as last heard of.

        Raises:
            ConfigError: the series is not subscribed.
        """
        return self._series(symbol, interval).track.forming

    @property
    def clock(self) -> Clock:
        """The clock that the stream goes by."""
        return self._clock

    @property
    def exchange(self) -> Exchange:
        """The exchange that it asks; not closed with the stream."""
        return self._exchange

    @property
    def counters(self) -> Mapping[str, int]:
        """How many events were `closed`, `late`, `repeated`, `conflated` ... so far."""
        return {**self._counters, "conflated": self._mailbox.conflated}

    @property
    def stored(self) -> Mapping[tuple[str, str], int]:
        """How many rows this stream has added to the store, by symbol and interval."""
        return {
            (symbol, interval): self._core.stored[symbol, interval]
            for symbol, interval in self._core.candles
        }

    async def aclose(self) -> None:
        """Stop, store what was accepted, close the feed; may be called again."""
        self._closed = True
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._core.finish())
        # whoever waits may be cancelled; what was accepted is stored all the same
        await asyncio.shield(self._closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # -- start -----------------------------------------------------------------------

    async def _start(self) -> None:
        if self._closed:
            raise FeedError("the stream is closed; make a new one")
        if self._started:
            raise FeedError(
                "the stream has been started already; one loop over events() is all it has"
            )
        feed = self._feed
        if isinstance(feed, FeedAdapter) and (feed.subscribed or not self._wanted):
            # subscribed before it was handed over; a recording, if nothing is, has what it has
            for one in await feed.subscriptions():
                self._wanted.setdefault(one, None)
        if not self._wanted:
            raise FeedError("nothing is subscribed")
        self._started = True
        try:
            await self._begin()
        except BaseException:
            self._started = self._core.listening  # one that never listened may be tried again
            raise

    async def _begin(self) -> None:
        since: dict[Subscription, int] = {}
        found: dict[Subscription, None] = {}
        for one, since_ms in self._wanted.items():
            unified = await self._resolved(one)
            found[unified] = None
            if since_ms is not None:
                since[unified] = since_ms
        await self._core.start(tuple(found), since)

    async def _resolved(self, one: Subscription) -> Subscription:
        market = await self._exchange.market(one.symbol)
        names = [one.symbol, market.symbol, market.id, series_key(market.symbol)]
        if market.linear and market.type == "swap":
            names.append(f"{market.base}/{market.quote}")
        for name in names:
            self._names.setdefault(name, market.symbol)
        return attrs.evolve(one, symbol=market.symbol)

    def _series(self, symbol: str, interval: str) -> Series[CandleTrack]:
        name = self._names.get(symbol, symbol)
        series = self._core.candles.get((name, Interval.of(interval).name))
        if series is None:
            known = ", ".join(" ".join(key) for key in self._core.candles) or "none"
            raise ConfigError(f"{symbol} {interval} is not subscribed; candles are: {known}")
        return series

    # -- callbacks -------------------------------------------------------------------

    def _callback(self, event: Said) -> _Callback | None:
        if isinstance(event, Candle):
            return self.on_candle
        if isinstance(event, Trade):
            return self.on_trade
        if isinstance(event, BookTicker):
            return self.on_book_ticker
        return self.on_status

    async def _call(self, callback: _Callback, event: Said) -> None:
        try:
            later = callback(event)
            if inspect.isawaitable(later):
                await later
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                raise  # the bot's own task, not one the callback waited for
            name = getattr(callback, "__qualname__", repr(callback))
            self._failures.log(_LOG, "stream", name, error)
            if callback is not self.on_status and self.on_status is not None:
                told = CallbackFailed(at_ms=self._clock.now_ms(), callback=name, error=error)
                await self._call(cast(_Callback, self.on_status), told)


def _clock_of(feed: Feed | None, exchange: Exchange) -> Clock:
    if isinstance(feed, FeedAdapter):
        return feed.clock
    return exchange.clock if isinstance(exchange, ExchangeAdapter) else SYSTEM_CLOCK
