"""The closed candles of a series that REST has not confirmed yet, in few bytes each."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence

from velas.interval import Interval
from velas.models import Candle

__all__ = ["Unchecked"]

_WIDTH = 12  # numbers of a candle beside its open time


class Unchecked:
    """Candles by open time, 104 bytes each whatever else is remembered of them.

    As `Candle` they would take four times that, and a venue may refuse requests for days.
    `doubted` are the open times of those that were told twice, differently.
    """

    def __init__(self, symbol: str, interval: Interval) -> None:
        self._symbol = symbol
        self._interval = interval.name
        self._opens = array("q")
        self._rows = array("d")
        self.doubted: set[int] = set()

    def __len__(self) -> int:
        return len(self._opens)

    @property
    def first_ms(self) -> int:
        """The open time of the oldest; there must be one."""
        return self._opens[0]

    def add(self, candle: Candle) -> None:
        """Keep a candle in its place; one of that open time is replaced."""
        open_ms = candle.timestamp
        at = len(self._opens)
        if at and open_ms <= self._opens[-1]:
            at = bisect_left(self._opens, open_ms)
            if self._opens[at] == open_ms:
                self._remove(at, at + 1)
        self._opens.insert(at, open_ms)
        self._rows[at * _WIDTH : at * _WIDTH] = _numbers(candle)

    def doubt(self, candle: Candle) -> None:
        """Have a candle checked soon, and again if it was before."""
        self.doubted.add(candle.timestamp)
        at = bisect_left(self._opens, candle.timestamp)
        if at == len(self._opens) or self._opens[at] != candle.timestamp:
            self.add(candle)

    def take(self, start_ms: int, end_ms: int) -> Sequence[Candle]:
        """Remove the candles that open in ``[start_ms, end_ms)`` and return them."""
        first, last = bisect_left(self._opens, start_ms), bisect_left(self._opens, end_ms)
        candles = [self._candle(at) for at in range(first, last)]
        self._remove(first, last)
        return candles

    def oldest(self, count: int) -> tuple[int, int]:
        """Return the open times of the oldest and of the last of the `count` oldest."""
        return self._opens[0], self._opens[min(count, len(self._opens)) - 1]

    def last_before(self, end_ms: int) -> int:
        """Return the open time of the newest that opens before `end_ms`; there must be one."""
        return self._opens[bisect_left(self._opens, end_ms) - 1]

    def _remove(self, first: int, last: int) -> None:
        del self._opens[first:last]
        del self._rows[first * _WIDTH : last * _WIDTH]

    def _candle(self, at: int) -> Candle:
        row = self._rows[at * _WIDTH : (at + 1) * _WIDTH]
        first, high, low, last, volume, end, quote, trades, base, taken, number, ws = row
        return Candle(
            self._symbol,
            self._interval,
            self._opens[at],
            first,
            high,
            low,
            last,
            volume,
            int(end),
            _or_none(quote),
            None if math.isnan(trades) else int(trades),
            _or_none(base),
            _or_none(taken),
            sequence=int(number),
            source="ws" if ws else "rest",
        )


def _numbers(candle: Candle) -> array[float]:
    # whole ones are below 2**53, so that a float holds them exactly
    return array(
        "d",
        (
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
            candle.close_time,
            _or_nan(candle.quote_volume),
            _or_nan(candle.trades),
            _or_nan(candle.taker_buy_base),
            _or_nan(candle.taker_buy_quote),
            candle.sequence,
            candle.source == "ws",
        ),
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
