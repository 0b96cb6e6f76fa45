"""What Binance's public endpoints cost of the request budget, by market and `limit`."""

from __future__ import annotations

import attrs

__all__ = ["FUTURES", "SPOT", "Weights"]


@attrs.frozen
class Weights:
    """Weight of each endpoint velas asks; `klines` as (up to this limit, weight) bands."""

    exchange_info: int
    time: int
    trades: int
    book_ticker: int
    klines: tuple[tuple[int, int], ...]

    @property
    def max_rows(self) -> int:
        """The most candles the venue gives in one page."""
        return self.klines[-1][0]

    def candles(self, limit: int) -> int:
        """Return the weight of one page of `limit` candles."""
        return next(weight for most, weight in self.klines if limit <= most)


# binance-spot-api-docs rest-api.md; aggTrades since 2025-03-10
SPOT = Weights(exchange_info=20, time=1, trades=4, book_ticker=2, klines=((1000, 2),))
# USDS-M Futures, market data; the documented bands end one row before the measured ones,
# so a page sized by them is never dearer than counted
FUTURES = Weights(
    exchange_info=1,
    time=1,
    trades=20,
    book_ticker=2,
    klines=((99, 1), (499, 2), (1000, 5), (1500, 10)),
)
