"""How often each series may be asked for, so that all together spend little."""

from __future__ import annotations

import math
from collections import Counter

from velas.interval import Interval
from velas.models import Capabilities, Subscription

__all__ = ["Pace"]

_SHARE = 0.1  # of the venue's budget, for all that is asked at a pace
_CLOSED_SHARE = 0.25  # and for closed candles
_SHORTEST_S, _ROUNDING_S = 2.0, 1e-6
_UNKNOWN_PER_SECOND = 2.0  # requests, at a venue that says nothing about its limits
_TRADES_WEIGHT = 20  # the dearest there is (USDS-M Futures, aggTrades)
_LONGEST_CLOSED_S, _STEP = 3_600.0, 1.05
_GOLDEN = 0.618_034  # its multiples modulo 1 are evenly spread, however many there are


class Pace:
    """How often each series may be asked, so that all together stay within a share.

    A tenth of the venue's budget, of its weight or of its requests per second, is for
    forming candles, trades and book tickers; a quarter for closed candles. Those are
    asked for once per interval; if that is more than the quarter, the shortest intervals
    wait for several slots, which come with one request.
    """

    def __init__(self, capabilities: Capabilities) -> None:
        self._by_weight = capabilities.weight_per_minute is not None
        self._page_weight = capabilities.page_weight
        self._page_rows = capabilities.page_rows
        self._forming = capabilities.forming_candles
        per_minute = capabilities.weight_per_minute
        per_second = capabilities.requests_per_second or _UNKNOWN_PER_SECOND
        self._budget = per_second if per_minute is None else per_minute / 60
        self._load: dict[Subscription, float] = {}
        self._phases: dict[Subscription, float] = {}
        self._lengths: Counter[float] = Counter()  # how many series of candles, by seconds
        self._closed_s = 0.0
        self._numbered = 0

    @property
    def period_s(self) -> float:
        """Seconds between two requests of the same series, now."""
        return max(_SHORTEST_S, sum(self._load.values()) / (_SHARE * self._budget))

    def add(self, subscription: Subscription) -> None:
        """Count a series in, and give it a moment of its own within each period."""
        self.remove(subscription)
        self._load[subscription] = self._cost(subscription)
        self._numbered += 1
        self._phases[subscription] = self._numbered * _GOLDEN % 1
        self._count(subscription, 1)

    def remove(self, subscription: Subscription) -> None:
        """Count a series out."""
        self._phases.pop(subscription, None)
        if self._load.pop(subscription, None) is not None:
            self._count(subscription, -1)

    def next_s(
        self, subscription: Subscription, now_s: float, last_s: float | None = None
    ) -> float:
        """Return when to ask for a series that was last asked for at `last_s`."""
        period_s = self.period_s
        earliest_s = now_s
        if last_s is not None:
            earliest_s = max(now_s + period_s / 2, last_s + _SHORTEST_S - _ROUNDING_S)
        return self._moment_s(subscription, earliest_s, period_s)

    def closed_s(self, subscription: Subscription, due_s: float, last_s: float | None) -> float:
        """Return when to ask for closed candles of which the first is due at `due_s`."""
        period_s = self.closed_period_s(subscription)
        if not period_s:
            return due_s
        if last_s is not None:
            due_s = max(due_s, last_s + period_s / 2)
        return self._moment_s(subscription, due_s, period_s)

    def closed_period_s(self, subscription: Subscription) -> float:
        """Seconds that a series' closed candles must be apart, 0 if its interval will do."""
        return self._closed_s if _length_s(subscription) < self._closed_s else 0.0

    def _moment_s(self, subscription: Subscription, earliest_s: float, period_s: float) -> float:
        phase_s = self._phases.get(subscription, 0.0) * period_s
        periods = math.ceil((earliest_s - phase_s) / period_s - _ROUNDING_S)
        return periods * period_s + phase_s

    def _cost(self, subscription: Subscription) -> float:
        if subscription.channel == "candles" and not self._forming:
            return 0
        if not self._by_weight:
            return 1
        return _TRADES_WEIGHT if subscription.channel == "trades" else self._page_weight

    def _count(self, subscription: Subscription, number: int) -> None:
        if subscription.interval is None:
            return
        self._lengths[_length_s(subscription)] += number
        period_s = 0.0
        while period_s < _LONGEST_CLOSED_S and self._spent(period_s) > _CLOSED_SHARE * self._budget:
            period_s = max(min(+self._lengths), period_s) * _STEP
        self._closed_s = period_s

    def _spent(self, period_s: float) -> float:
        cost = self._page_weight if self._by_weight else 1
        spent = 0.0
        for length_s, number in self._lengths.items():
            every_s = max(length_s, period_s)
            # one row more may be due than the period is long
            rows = 1 if every_s == length_s else math.ceil(every_s / length_s)
            spent += number * cost * math.ceil(rows / self._page_rows) / every_s
        return spent


def _length_s(subscription: Subscription) -> float:
    interval = subscription.interval
    return math.inf if interval is None else Interval(interval).length_ms / 1000
