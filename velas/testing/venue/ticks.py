"""The trades of one symbol as events, made in blocks ahead of time, in order of id."""

from __future__ import annotations

import numpy as np

from velas.testing.venue import book, frames_out, public_trades
from velas.testing.venue.instruments import Instrument
from velas.testing.venue.quotes import Quotes
from velas.testing.venue.series import Int64

__all__ = ["Ticks"]

_BLOCK = 256
_NEVER_MS = 4_102_444_800_000  # year 2100
_KEPT = 4  # blocks; the sources of a symbol are never far apart
_AGGREGATED_MS = 100  # how often futures sends aggregate trades


class Ticks:
    """Trade `number` as aggTrade and bookTicker event, and when each is due."""

    def __init__(self, quotes: Quotes, instrument: Instrument, *, futures: bool) -> None:
        self._quotes = quotes
        self._instrument = instrument
        self._futures = futures
        self._blocks: dict[int, _Block] = {}

    def before(self, ts_ms: int) -> int:
        """Return how many trades happened before a time; also the next one's number."""
        return int(self.counts(np.array([ts_ms], dtype=np.int64))[0])

    def counts(self, times_ms: Int64) -> Int64:
        """Return how many trades happened before each time."""
        return self._quotes.tape(self._instrument).before(times_ms)

    def due_ms(self, number: int) -> int:
        """Return when a trade's aggTrade event goes out."""
        return self._round(self.time_ms(number))

    def time_ms(self, number: int) -> int:
        """Return when a trade happens."""
        return self._block(number).times[number % _BLOCK]

    def agg_trade(self, number: int) -> bytes:
        """Return a trade's aggTrade event."""
        block = self._block(number)
        if block.agg_trades is None:
            rows = public_trades.aggregate(
                self._quotes, self._instrument, block.numbers, futures=self._futures
            )
            symbol = self._instrument.symbol
            block.agg_trades = [
                frames_out.agg_trade(symbol, row, self._round(time), futures=self._futures)
                for row, time in zip(rows, block.times, strict=False)
            ]
        return block.agg_trades[number % _BLOCK]

    def book_ticker(self, number: int) -> bytes:
        """Return the bookTicker event of the book that a trade leaves behind."""
        block = self._block(number)
        if block.book_tickers is None:
            sides = book.best(self._quotes, self._instrument, block.numbers)
            symbol = self._instrument.symbol
            block.book_tickers = [
                frames_out.book_ticker(symbol, one + 1, side, time, futures=self._futures)
                for one, side, time in zip(block.numbers.tolist(), sides, block.times, strict=False)
            ]
        return block.book_tickers[number % _BLOCK]

    def _round(self, time_ms: int) -> int:
        return -(-time_ms // _AGGREGATED_MS) * _AGGREGATED_MS if self._futures else time_ms

    def _block(self, number: int) -> _Block:
        at = number // _BLOCK
        block = self._blocks.get(at)
        if block is None:
            if len(self._blocks) >= _KEPT:
                del self._blocks[min(self._blocks)]
            numbers = np.arange(at * _BLOCK, (at + 1) * _BLOCK, dtype=np.int64)
            times = self._quotes.tape(self._instrument).time(numbers)
            # trades of a symbol that is delisted never happen: what they say is not made up
            block = self._blocks[at] = _Block(numbers[times < _NEVER_MS], times.tolist())
        return block


class _Block:
    __slots__ = ("agg_trades", "book_tickers", "numbers", "times")

    def __init__(self, numbers: Int64, times: list[int]) -> None:
        self.numbers = numbers
        self.times = times
        self.agg_trades: list[bytes] | None = None
        self.book_tickers: list[bytes] | None = None
