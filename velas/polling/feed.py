"""`PollingFeed`: a feed without a socket, over the requests of any exchange."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Coroutine, Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import attrs

from velas.adapter import ExchangeAdapter, lane
from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import ConfigError, FeedError, UnknownSymbol, Unsupported
from velas.feed import FeedAdapter
from velas.limits import RequestType
from velas.models import Capabilities, Channel, Subscription
from velas.polling.line import Line
from velas.polling.pace import Pace
from velas.polling.patience import Patience
from velas.polling.pollers import BookTickerPoller, CandlePoller, Poller, TradePoller

if TYPE_CHECKING:
    from velas.config import Settings
    from velas.protocols import Exchange

__all__ = ["PollingFeed"]

_LOG = logging.getLogger(__name__)
_CONNECTION = "rest"
_MARGIN_S = 2.0
_SHORTEST_S = 0.01
_LONGEST_S = 60.0  # then a clock that was set, or a machine that slept, is noticed
_QUEUE = 10_000


class PollingFeed(FeedAdapter):
    """A `Feed` by REST, for venues without a socket or when the socket is gone.

    Closed candles are asked for when the venue can have them, `margin_s` after their
    end (default: the adapter's own margin, else 2 s). Forming candles, trades (where they
    can be looked up by id) and book tickers come at a pace: every series at most every
    2 s, all together within a tenth of the venue's request budget. Closed candles may use
    a quarter; where their intervals are too short for that, several come with a request.

    Candles begin with the slot that runs when the series is added, trades with the first
    after that. What is closed comes in order and once; a candle the venue has not is
    passed over. Series may be added and removed while the feed runs, also without any.

    Failures that are `Transient` are waited out, with one `Disconnected` at the beginning
    and one `Connected` at the end of an outage, or one `Banned`; so are a firewall, a key
    or a country that the venue refuses. When the last series that waits for the end of an
    outage is removed, the venue is asked on until it answers. Any other failure concerns
    its series only: it is logged, and the series is asked for again slowly (every ten
    minutes in the end). What was subscribed and does not exist at the venue when the feed
    starts ends `run`.
    """

    may_idle: ClassVar[bool] = True

    def __init__(
        self,
        exchange: Exchange,
        *,
        clock: Clock | None = None,
        margin_s: float | None = None,
        queue_size: int = _QUEUE,
        random_source: random.Random | None = None,
    ) -> None:
        adapter = exchange if isinstance(exchange, ExchangeAdapter) else None
        if clock is None:
            clock = SYSTEM_CLOCK if adapter is None else adapter.clock
        if margin_s is None:
            margin_s = _MARGIN_S if adapter is None else adapter.margin_ms / 1000
        if not 0 <= margin_s < float("inf"):
            raise ConfigError(f"margin_s must be zero or a positive number, not {margin_s!r}")
        super().__init__(f"{exchange.name} rest", exchange, clock=clock, queue_size=queue_size)
        self.channels = _channels(exchange.capabilities)
        self._margin_ms = round(margin_s * 1000)
        self._pace = Pace(exchange.capabilities)
        self._from: dict[Subscription, int] = {}
        self._tasks: dict[Subscription, asyncio.Task[None]] = {}
        self._all: set[asyncio.Future[None]] = set()  # also those that are ending
        self._asked: set[Subscription] = set()  # by `subscribe`
        self._running = False
        self._random = random_source or random.Random()
        self._line = Line(
            self.name,
            _CONNECTION,
            clock=clock,
            report=self.report,
            streams=lambda: len(self._wanted),
            rng=self._random,
        )

    @classmethod
    def from_settings(
        cls, settings: Settings, *, exchange: Exchange, clock: Clock | None = None
    ) -> Self:
        """Return the feed for an open exchange; the settings have nothing to add."""
        del settings
        return cls(exchange, clock=clock)

    def subscribe(
        self, channel: Channel, symbols: Sequence[str], *, intervals: Sequence[str] = ()
    ) -> None:
        """Ask for a channel of some symbols, which the venue must have when the feed runs.

        Raises:
            ConfigError: the arguments make no subscription.
            Unsupported: the venue has no such channel.
            FeedError: the feed runs already, or is closed.
        """
        before = set(self._wanted)
        super().subscribe(channel, symbols, intervals=intervals)
        self._asked |= self._wanted.keys() - before

    # -- what is watched ---------------------------------------------------------------

    @property
    def watched(self) -> tuple[Subscription, ...]:
        """What is polled, or will be once the feed runs."""
        return tuple(self._wanted if not self._running else self._tasks)

    def watch(
        self, subscription: Subscription, *, from_ms: int | None = None, from_id: int | None = None
    ) -> None:
        """Add a series, also while the feed runs; one that is watched stays as it is.

        Args:
            subscription: by unified symbol, as it is told apart from others by that.
            from_ms: begin with the first candle that opens at or after this.
            from_id: begin with the trade of this id.

        Raises:
            FeedError: the feed is closed, or its run has ended.
            Unsupported: the venue has no such channel or interval.
        """
        if self._closed:
            raise FeedError(f"{self.name} is closed; open the feed again")
        if self._task is not None and self._task.done():
            raise FeedError(f"{self.name} has ended; make a new feed")
        self._check(subscription)
        if subscription in self._wanted or subscription in self._tasks:
            return
        self._wanted[subscription] = None
        begin = from_id if subscription.channel == "trades" else from_ms
        if self._running:
            self._start(subscription, begin, self.clock.monotonic_s())
        elif begin is not None:
            self._from[subscription] = begin

    def unwatch(self, subscription: Subscription) -> None:
        """Remove a series; nothing more of it is asked for. One not watched is ignored."""
        self._wanted.pop(subscription, None)
        self._asked.discard(subscription)
        self._from.pop(subscription, None)
        self._pace.remove(subscription)
        task = self._tasks.pop(subscription, None)
        if task is not None:
            task.cancel()

    def closed_period_s(self, subscription: Subscription) -> float:
        """Return how many seconds apart closed candles of a series are asked for.

        0 if each is as soon as the venue can have it.
        """
        return self._pace.closed_period_s(subscription)

    def _check(self, one: Subscription) -> None:
        if one.channel not in self.channels:
            raise Unsupported(
                f"{self.name} has no {one.channel}; it has {', '.join(self.channels)}"
            )
        intervals = self.exchange.capabilities.intervals
        if one.channel == "candles" and one.interval not in intervals:
            raise Unsupported(
                f"{self.name} has no {one.interval} candles; it has {', '.join(intervals)}"
            )

    # -- polling -------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._drive(tuple(self._wanted))  # as asked for: the venue may be away now

    async def _drive(self, subscriptions: Sequence[Subscription]) -> None:
        began_s = self.clock.monotonic_s()
        self._running = True
        try:
            for one in subscriptions:
                self._check(one)
            for one in subscriptions:
                unified = await self._known(one)
                if one in self._wanted and unified not in self._tasks:
                    self._start(unified, self._from.pop(one, None), began_s)
            await asyncio.get_running_loop().create_future()  # until it is closed
        finally:
            self._running = False
            self._tasks.clear()
            await self.end(self._all)

    async def _known(self, one: Subscription) -> Subscription:
        try:
            return await self._unified(one, one)
        except (UnknownSymbol, Unsupported):
            if one in self._asked:
                raise
        except Exception as error:  # its own task asks again, and says so if it is in vain
            _LOG.debug("%s: %s at the start: %s", self.name, one, error)
        return one

    async def _unified(self, one: Subscription, caller: Hashable) -> Subscription:
        with lane(RequestType.LIVE):
            market = await self._line.ask(caller, lambda: self.exchange.market(one.symbol))
        return attrs.evolve(one, symbol=market.symbol)

    def _start(self, one: Subscription, begin: int | None, added_s: float) -> None:
        self._tasks[one] = self._spawn(self._serve(one, begin, added_s))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._all.add(task)
        task.add_done_callback(self._all.discard)
        return task

    async def _serve(self, one: Subscription, begin: int | None, added_s: float) -> None:
        caller = object()  # not the series: it may be removed and added while this one ends
        patience = Patience(self.name, one, self.clock, self._random)
        poller: Poller | None = None
        try:
            while not self._closed:
                try:
                    if poller is None:
                        poller = self._poller(await self._unified(one, caller), begin, added_s)
                    wait_s = await self._step(caller, poller)
                except Exception as error:  # of whatever kind: the others go on
                    wait_s = patience.pause_s(error)
                await self.clock.sleep(wait_s)
        finally:
            heir = object()
            if self._running and self._line.succeed(caller, heir):
                self._spawn(self._ask_on(one, heir))
            self._line.forget(caller)

    async def _step(self, caller: Hashable, poller: Poller) -> float:
        with lane(RequestType.LIVE):
            wait_s = await self._line.ask(caller, poller.step, proves=lambda: poller.answered)
        return min(max(_SHORTEST_S, wait_s), _LONGEST_S)

    async def _ask_on(self, one: Subscription, caller: Hashable) -> None:
        # nobody needs the answer, but who was told of the outage is to be told of its end
        try:
            with lane(RequestType.LIVE):
                await self._line.ask(caller, lambda: self._newest(one))
        except Exception as error:
            _LOG.debug("%s: whether the venue is back is not known: %s", self.name, error)
        finally:
            self._line.forget(caller)

    def _newest(self, one: Subscription) -> Awaitable[object]:
        if one.interval is not None:
            return self.exchange.fetch_candles(one.symbol, one.interval, limit=1)
        if one.channel == "trades":
            return self.exchange.fetch_trades(one.symbol, limit=1)
        return self.exchange.fetch_book_ticker(one.symbol)

    def _poller(self, one: Subscription, begin: int | None, added_s: float) -> Poller:
        self._pace.add(one)
        exchange, clock, pace = self.exchange, self.clock, self._pace
        if one.channel == "trades":
            return TradePoller(
                exchange, one, self.deliver_trade, clock=clock, pace=pace, from_id=begin
            )
        if one.channel == "book_ticker":
            return BookTickerPoller(exchange, one, self.deliver_book_ticker, clock=clock, pace=pace)
        return CandlePoller(
            exchange,
            one,
            self.deliver_candle,
            clock=clock,
            margin_ms=self._margin_ms,
            pace=pace,
            since_ms=begin,
            added_s=added_s,
        )


def _channels(capabilities: Capabilities) -> tuple[Channel, ...]:
    offered: dict[Channel, bool] = {
        "candles": True,
        "trades": capabilities.trades and capabilities.trades_by_id,
        "book_ticker": capabilities.book_ticker,
    }
    return tuple(name for name, there in offered.items() if there)
