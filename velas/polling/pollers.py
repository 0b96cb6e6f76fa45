"""What is asked of a venue by REST in place of a socket, one class per channel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from velas.candles import candles_of
from velas.clock import Clock
from velas.interval import Interval
from velas.models import BookTicker, Candle, Subscription, Trade
from velas.polling.pace import Pace
from velas.protocols import Exchange, FormingCandles

__all__ = ["BookTickerPoller", "CandlePoller", "Poller", "TradePoller"]

_LEAST_PAGE = 10  # a page of trades below this is not taken for a full one
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.5, 5.0
T = TypeVar("T")
Deliver = Callable[[T], Awaitable[None] | None]  # what it returns, if anything, is awaited


class Poller(ABC):
    """One series; `step` is called again and again, also after it raised.

    `answered` tells whether the venue was asked for something in the last step.
    """

    answered: bool = True

    @abstractmethod
    async def step(self) -> float:
        """Ask for what is due and deliver it; return the seconds until the next step."""


class CandlePoller(Poller):
    """Closed candles as soon as the venue can have them, forming ones in between.

    Begins with the first that opens at or after `since_ms`; without, with the slot that
    ran, by the venue's clock, at `added_s`. A row that is due and missing is asked
    for again, ever more slowly; once a later one is there, it is passed over. Where the
    pace does not allow a request per slot, several slots come with one, later.
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
        self._asked_s: float | None = None  # when closed ones were asked for last
        self._retry_s: float | None = None  # when the missing row is asked for again
        self._tries = 0
        self._next_ms = None if since_ms is None else self._grid.ceil(since_ms)

    async def step(self) -> float:
        """Ask for what is due and deliver it; return the seconds until the next step."""
        now_ms = await self._exchange.server_time_ms()
        if self._next_ms is None:
            age_ms = int((self._clock.monotonic_s() - self._added_s) * 1000)
            self._next_ms = self._grid.floor(now_ms - age_ms)
        self.answered = True
        if self._closed_in_s(now_ms) <= 0:
            await self._closed(self._next_ms, self._grid.floor(now_ms - self._margin_ms))
        elif self._forming_in_s(now_ms) <= 0:
            await self._forming(self._next_ms)
        else:
            self.answered = False
        now_ms = await self._exchange.server_time_ms()
        return min(self._closed_in_s(now_ms), self._forming_in_s(now_ms))

    def _closed_in_s(self, now_ms: int) -> float:
        if self._retry_s is not None:
            return self._retry_s - self._clock.monotonic_s()
        assert self._next_ms is not None
        now_s = self._clock.monotonic_s()
        left_s = (self._grid.end_of(self._next_ms) + self._margin_ms - now_ms) / 1000
        return self._pace.closed_s(self._series, now_s + left_s, self._asked_s) - now_s

    def _forming_in_s(self, now_ms: int) -> float:
        if not self._shows_forming:
            return float("inf")
        wait_s = self._forming_s - self._clock.monotonic_s()
        if self._retry_s is None:
            # when the slot is over, its closed candle comes before the next one's beginning
            assert self._next_ms is not None
            left_s = (self._grid.end_of(self._next_ms) - now_ms) / 1000
            if max(wait_s, 0.0) >= left_s:
                return max(wait_s, self._closed_in_s(now_ms))
        return wait_s

    async def _closed(self, start_ms: int, end_ms: int) -> None:
        self._asked_s = self._clock.monotonic_s()
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
        now_s = self._clock.monotonic_s()
        self._retry_s = self._pace.closed_s(self._series, now_s + pause_s, now_s)

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
        self._longest = _LEAST_PAGE  # page so far

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
        # the venue's pages have at least the length of the longest yet; a shorter one is
        # not full, so nothing follows it
        if len(page) >= self._longest:
            self._longest = len(page)
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
