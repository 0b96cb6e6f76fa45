"""What is asked of a venue by REST in place of a socket, one class per channel."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from velas.candles import candles_of
from velas.clock import Clock
from velas.interval import Interval
from velas.models import BookTicker, Candle, Capabilities, Subscription, Trade
from velas.protocols import Exchange, FormingCandles

__all__ = ["BookTickerPoller", "CandlePoller", "Pace", "Poller", "TradePoller"]

_SHARE = 0.1  # of the venue's budget, for all that is asked at a pace
_SHORTEST_S, _ROUNDING_S = 2.0, 1e-6
_UNKNOWN_PER_SECOND = 2.0  # requests, at a venue that says nothing about its limits
_TRADES_WEIGHT = 20  # the dearest there is (USDS-M Futures, aggTrades)
_BUSY = 500  # a page of trades this long is followed by the next at once
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.5, 5.0
T = TypeVar("T")
Deliver = Callable[[T], Awaitable[None] | None]  # what it returns, if anything, is awaited
_GOLDEN = 0.618_034  # its multiples modulo 1 are evenly spread, however many there are


class Pace:
    """How often each series may be asked, so that all together stay within a tenth.

    A tenth of the venue's budget: of its weight, or of its requests per second. Closed
    candles come on top, as they are asked for once per interval.
    """

    def __init__(self, capabilities: Capabilities) -> None:
        self._by_weight = capabilities.weight_per_minute is not None
        self._page_weight = capabilities.page_weight
        self._forming = capabilities.forming_candles
        per_minute = capabilities.weight_per_minute
        per_second = capabilities.requests_per_second or _UNKNOWN_PER_SECOND
        self._rate = _SHARE * (per_second if per_minute is None else per_minute / 60)
        self._load: dict[Subscription, float] = {}
        self._phases: dict[Subscription, float] = {}
        self._numbered = 0

    @property
    def period_s(self) -> float:
        """Seconds between two requests of the same series, now."""
        return max(_SHORTEST_S, sum(self._load.values()) / self._rate)

    def add(self, subscription: Subscription) -> None:
        """Count a series in, and give it a moment of its own within each period."""
        self._load[subscription] = self._cost(subscription)
        self._numbered += 1
        self._phases[subscription] = self._numbered * _GOLDEN % 1

    def remove(self, subscription: Subscription) -> None:
        """Count a series out."""
        self._load.pop(subscription, None)
        self._phases.pop(subscription, None)

    def next_s(
        self, subscription: Subscription, now_s: float, last_s: float | None = None
    ) -> float:
        """Return when to ask for a series that was last asked for at `last_s`."""
        period_s = self.period_s
        phase_s = self._phases.get(subscription, 0.0) * period_s
        earliest_s = now_s
        if last_s is not None:
            earliest_s = max(now_s + period_s / 2, last_s + _SHORTEST_S - _ROUNDING_S)
        return math.ceil((earliest_s - phase_s) / period_s) * period_s + phase_s

    def _cost(self, subscription: Subscription) -> float:
        if subscription.channel == "candles" and not self._forming:
            return 0
        if not self._by_weight:
            return 1
        return _TRADES_WEIGHT if subscription.channel == "trades" else self._page_weight


class Poller(ABC):
    """One series; `step` is called again and again, also after it raised."""

    @abstractmethod
    async def step(self) -> float:
        """Ask for what is due and deliver it; return the seconds until the next step."""


class CandlePoller(Poller):
    """Closed candles as soon as the venue can have them, forming ones in between.

    Begins with the first that opens at or after `since_ms`; without, with the slot that
    ran, by the venue's clock, at `added_s`. A row that is due and missing is asked
    for again, ever more slowly; once a later one is there, it is passed over.
    """

    def __init__(
        self,
        exchange: Exchange,
        subscription: Subscription,
        deliver: Deliver[Candle],
        *,
        clock: Clock,
        margin_ms: int,
        pace: Pace,
        since_ms: int | None,
        added_s: float,
    ) -> None:
        assert subscription.interval is not None
        self._exchange = exchange
        self._series = subscription
        self._grid = Interval(subscription.interval)
        self._deliver = deliver
        self._clock = clock
        self._margin_ms = margin_ms
        self._pace = pace
        self._shows_forming = exchange.capabilities.forming_candles
        self._added_s = added_s
        self._forming_s = pace.next_s(subscription, clock.monotonic_s())
        self._retry_s: float | None = None  # when the missing row is asked for again
        self._tries = 0
        self._next_ms = None if since_ms is None else self._grid.ceil(since_ms)

    async def step(self) -> float:
        """Ask for what is due and deliver it; return the seconds until the next step."""
        now_ms = await self._exchange.server_time_ms()
        if self._next_ms is None:
            age_ms = int((self._clock.monotonic_s() - self._added_s) * 1000)
            self._next_ms = self._grid.floor(now_ms - age_ms)
        if self._closed_in_s(now_ms) <= 0:
            await self._closed(self._next_ms, self._grid.floor(now_ms - self._margin_ms))
        elif self._forming_in_s(now_ms) <= 0:
            await self._forming(self._next_ms)
        now_ms = await self._exchange.server_time_ms()
        return min(self._closed_in_s(now_ms), self._forming_in_s(now_ms))

    def _closed_in_s(self, now_ms: int) -> float:
        if self._retry_s is not None:
            return self._retry_s - self._clock.monotonic_s()
        assert self._next_ms is not None
        return (self._grid.end_of(self._next_ms) + self._margin_ms - now_ms) / 1000

    def _forming_in_s(self, now_ms: int) -> float:
        if not self._shows_forming:
            return float("inf")
        wait_s = self._forming_s - self._clock.monotonic_s()
        if self._retry_s is None:
            # when the slot is over, its closed candle comes before the next one's beginning
            assert self._next_ms is not None
            left_s = (self._grid.end_of(self._next_ms) - now_ms) / 1000
            if wait_s >= left_s:
                return max(wait_s, left_s + self._margin_ms / 1000)
        return wait_s

    async def _closed(self, start_ms: int, end_ms: int) -> None:
        found, is_last = False, start_ms >= end_ms
        while not is_last:
            left = self._grid.count(start_ms, end_ms)
            wanted = min(left, self._exchange.capabilities.page_rows)
            is_last = wanted == left
            frame = await self._exchange.fetch_candles(
                self._series.symbol, self._grid, start_ms=start_ms, limit=wanted
            )
            rows = candles_of(frame, self._series.symbol, self._grid.name)
            rows = [candle for candle in rows if candle.timestamp >= start_ms]
            # beyond a hole as long as a page there may be rows again
            start_ms = self._grid.open_of(self._grid.slot(start_ms) + wanted)
            for candle in rows:
                found = True
                start_ms = self._next_ms = self._grid.next_open(candle.timestamp)
                await _maybe(self._deliver(candle))
        self._plan_retry(found, end_ms)

    def _plan_retry(self, found: bool, end_ms: int) -> None:
        assert self._next_ms is not None
        if self._next_ms >= end_ms:
            self._retry_s, self._tries = None, 0
            return
        self._tries = 0 if found else self._tries + 1
        longest_s = max(_LONGEST_RETRY_S, self._pace.period_s)
        pause_s = min(longest_s, _FIRST_RETRY_S * 2.0 ** min(max(self._tries - 1, 0), 10))
        self._retry_s = self._clock.monotonic_s() + pause_s

    async def _forming(self, next_ms: int) -> None:
        asked_s = self._clock.monotonic_s()
        exchange = cast(FormingCandles, self._exchange)
        candle = await exchange.fetch_forming_candle(self._series.symbol, self._grid)
        self._forming_s = self._pace.next_s(self._series, self._clock.monotonic_s(), asked_s)
        if candle is not None and candle.timestamp >= next_ms:
            await _maybe(self._deliver(candle))


class TradePoller(Poller):
    """Trades by id, from `from_id` on or from the one after the newest at the start."""

    def __init__(
        self,
        exchange: Exchange,
        subscription: Subscription,
        deliver: Deliver[Trade],
        *,
        clock: Clock,
        pace: Pace,
        from_id: int | None,
    ) -> None:
        self._exchange = exchange
        self._series = subscription
        self._deliver = deliver
        self._clock = clock
        self._pace = pace
        self._next_id = from_id

    async def step(self) -> float:
        """Ask for what is due and deliver it; return the seconds until the next step."""
        asked_s = self._clock.monotonic_s()
        symbol = self._series.symbol
        if self._next_id is None:
            newest = await self._exchange.fetch_trades(symbol, limit=1)
            if newest:
                self._next_id = int(newest[-1].id) + 1
            return _left_s(self._pace, self._series, self._clock, asked_s)
        page = await self._exchange.fetch_trades(symbol, from_id=self._next_id)
        for trade in page:
            self._next_id = int(trade.id) + 1
            await _maybe(self._deliver(trade))
        if len(page) >= _BUSY:
            return 0.0
        return _left_s(self._pace, self._series, self._clock, asked_s)


class BookTickerPoller(Poller):
    """The best bid and ask, at a pace."""

    def __init__(
        self,
        exchange: Exchange,
        subscription: Subscription,
        deliver: Deliver[BookTicker],
        *,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._exchange = exchange
        self._series = subscription
        self._deliver = deliver
        self._clock = clock
        self._pace = pace

    async def step(self) -> float:
        """Ask for what is due and deliver it; return the seconds until the next step."""
        asked_s = self._clock.monotonic_s()
        ticker = await self._exchange.fetch_book_ticker(self._series.symbol)
        await _maybe(self._deliver(ticker))
        return _left_s(self._pace, self._series, self._clock, asked_s)


def _left_s(pace: Pace, series: Subscription, clock: Clock, asked_s: float) -> float:
    now_s = clock.monotonic_s()
    return pace.next_s(series, now_s, asked_s) - now_s


async def _maybe(later: Awaitable[None] | None) -> None:
    if later is not None:
        await later
