"""Prices that orders meet: best bid and ask, averages, and when a level was crossed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from velas.testing.venue import book
from velas.testing.venue.instruments import Instrument
from velas.testing.venue.quotes import Quotes
from velas.testing.venue.series import Float64, Int64
from velas.testing.venue.wire import price_texts

__all__ = ["Prices"]

_CELL_MS = 30_000  # the generated path is straight between multiples of it
_SAMPLES = 31
_MARK_MS = 60_000


class Prices:
    """The price path of `Quotes` in the exact numbers an order is judged by."""

    def __init__(self, quotes: Quotes) -> None:
        self._quotes = quotes
        self._spans: dict[str, tuple[int, int, Int64, Float64]] = {}

    def best(self, instrument: Instrument, now_ms: int, *, futures: bool) -> tuple[str, str]:
        """Return best bid and ask as the book ticker has them."""
        ticker = book.book_ticker(self._quotes, instrument, now_ms, futures)
        return ticker["bidPrice"], ticker["askPrice"]

    def last(self, instrument: Instrument, now_ms: int) -> Fraction:
        """Return the last price."""
        last = np.array([self._quotes.price(instrument, now_ms)])
        return Fraction(price_texts(instrument, last)[0])

    def average(self, instrument: Instrument, minutes: int, now_ms: int) -> Fraction:
        """Return the mean of the last minutes, 0 being the last price; eight decimals."""
        return self._mean(instrument, minutes * 60_000, now_ms)

    def mark(self, instrument: Instrument, now_ms: int) -> Fraction:
        """Return the mark price: the mean of the last minute, eight decimals."""
        return self._mean(instrument, _MARK_MS, now_ms)

    def first_time(
        self, instrument: Instrument, level: Fraction, start_ms: int, end_ms: int, *, above: bool
    ) -> int | None:
        """Return when the price first was at or beyond `level` in ``(start_ms, end_ms]``."""
        if end_ms <= start_ms:
            return None
        slack = 0.25 * 10.0**-instrument.price_decimals
        times, prices = self._span(instrument, start_ms, end_ms)
        hits = np.flatnonzero(_beyond(prices, level, slack, above=above)[1:])
        if not len(hits):
            return None
        low, high = int(times[hits[0]]), int(times[hits[0] + 1])
        while high - low > 1:  # so that it does not depend on when somebody asked
            middle = (low + high) // 2
            one = np.array([middle], dtype=np.int64)
            price = self._quotes.prices(instrument, one)
            hit = bool(_beyond(price, level, slack, above=above)[0])
            low, high = (low, middle) if hit else (middle, high)
        return high

    def _span(self, instrument: Instrument, start_ms: int, end_ms: int) -> tuple[Int64, Float64]:
        # many orders of a symbol ask for the same span one after the other
        known = self._spans.get(instrument.symbol)
        if known is not None and known[:2] == (start_ms, end_ms):
            return known[2:]
        grid = np.arange(start_ms // _CELL_MS + 1, -(-end_ms // _CELL_MS), dtype=np.int64)
        times = np.concatenate([[start_ms], grid * _CELL_MS, [end_ms]]).astype(np.int64)
        prices = self._quotes.prices(instrument, times)
        self._spans[instrument.symbol] = (start_ms, end_ms, times, prices)
        return times, prices

    def _mean(self, instrument: Instrument, length_ms: int, now_ms: int) -> Fraction:
        times = np.linspace(now_ms - length_ms, now_ms, _SAMPLES).astype(np.int64)
        mean = float(self._quotes.prices(instrument, times).mean())
        return Fraction(f"{mean:.8f}")


def _beyond(
    prices: Float64, level: Fraction, slack: float, *, above: bool
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return prices >= float(level) - slack if above else prices <= float(level) + slack
