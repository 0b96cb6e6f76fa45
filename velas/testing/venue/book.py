"""Order book and tickers, made up around the price of the moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from velas.testing.venue import refusal
from velas.testing.venue.instruments import Instrument
from velas.testing.venue.noise import key_of, unit, units
from velas.testing.venue.quotes import Quotes
from velas.testing.venue.series import Float64, Int64
from velas.testing.venue.wire import price_texts, quantity_texts, quote_texts

__all__ = ["Ticker", "best", "book_ticker", "day", "depth", "depth_limit", "price"]

Document = dict[str, Any]  # JSON of the venue's own shape
Ticker = Callable[[Quotes, Instrument, int, bool], Document]

_FUTURES_DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
_SPOT_DEEPEST = 5000
_DAY_MS = 86_400_000
_SAMPLES = 97  # one each quarter of an hour, for a day's high and low
_MOST_STEPS = 500


def depth_limit(limit: int | None, *, futures: bool) -> int:
    """Return how many levels a request gets. Raises: Refused -4021, -1130."""
    if limit is None:
        return 500 if futures else 100
    if futures and limit not in _FUTURES_DEPTHS:
        raise refusal.wrong_depth(limit)
    if limit == 0:
        raise refusal.invalid("limit")
    return min(limit, _SPOT_DEEPEST)


def depth(
    quotes: Quotes, instrument: Instrument, limit: int, now_ms: int, *, futures: bool
) -> Document:
    """Return a book of at most `limit` levels a side, one tick apart, best first."""
    update, bids, asks = _sides(quotes, instrument, limit, now_ms)
    document: Document = {"lastUpdateId": update}
    if futures:
        document |= {"E": now_ms, "T": now_ms}
    return document | {"bids": bids, "asks": asks}


def book_ticker(quotes: Quotes, instrument: Instrument, now_ms: int, futures: bool) -> Document:
    """Return best bid and ask; only futures adds the time."""
    update, bids, asks = _sides(quotes, instrument, 1, now_ms)
    document: Document = {"symbol": instrument.symbol}
    document |= {"bidPrice": bids[0][0], "bidQty": bids[0][1]}
    document |= {"askPrice": asks[0][0], "askQty": asks[0][1]}
    if futures:
        document |= {"time": now_ms, "lastUpdateId": update}
    return document


def best(quotes: Quotes, instrument: Instrument, numbers: Int64) -> list[tuple[str, str, str, str]]:
    """Return bid, its quantity, ask, its quantity after each trade, as `book_ticker` has them."""
    prices = quotes.prices(instrument, quotes.tape(instrument).time(numbers))
    tick = 10.0**-instrument.price_decimals
    salts = range(int(numbers[0]) + 1, int(numbers[-1]) + 3)
    draw = units([key_of(instrument.symbol, salt) for salt in salts])
    steps: Int64 = 1 + (draw * _MOST_STEPS).astype(np.int64)
    quantities = quantity_texts(instrument, steps)
    bids = price_texts(instrument, prices)
    asks = price_texts(instrument, (prices + tick).astype(np.float64))
    return list(zip(bids, quantities[:-1], asks, quantities[1:], strict=True))


def price(quotes: Quotes, instrument: Instrument, now_ms: int, futures: bool) -> Document:
    """Return the last price; only futures adds the time."""
    last = np.array([quotes.price(instrument, now_ms)])
    document: Document = {"symbol": instrument.symbol, "price": price_texts(instrument, last)[0]}
    return document | {"time": now_ms} if futures else document


def day(quotes: Quotes, instrument: Instrument, now_ms: int, futures: bool) -> Document:
    """Return statistics of the last 24 hours; high and low from samples 15 min apart."""
    opened_ms = now_ms - _DAY_MS
    times = np.linspace(opened_ms, now_ms, _SAMPLES).astype(np.int64)
    prices = quotes.prices(instrument, times)
    tape = quotes.tape(instrument)
    first, last = (int(n) for n in tape.before(np.array([opened_ms, now_ms], dtype=np.int64)))
    ends = np.array([first, last], dtype=np.int64)
    steps = np.diff(tape.bought(ends) + tape.sold(ends))
    amount = steps * 10.0**-instrument.quantity_decimals * prices.mean()
    change = float(prices[-1] - prices[0])
    named = {
        "priceChange": change,
        "weightedAvgPrice": prices.mean(),
        "openPrice": prices[0],
        "highPrice": prices.max(),
        "lowPrice": prices.min(),
        "lastPrice": prices[-1],
    }
    texts = price_texts(instrument, np.array(list(named.values())))
    document: Document = {
        "symbol": instrument.symbol,
        **dict(zip(named, texts, strict=True)),
        "priceChangePercent": f"{100 * change / float(prices[0]):.3f}",
        "lastQty": quantity_texts(instrument, tape.quantity(ends[1:] - 1))[0],
        "volume": quantity_texts(instrument, steps)[0],
        "quoteVolume": quote_texts(instrument, amount)[0],
        "openTime": opened_ms,
        "closeTime": now_ms,
        "firstId": first,
        "lastId": last - 1,
        "count": last - first,
    }
    if not futures:
        best = book_ticker(quotes, instrument, now_ms, futures)
        document |= {"prevClosePrice": document["openPrice"], **best}
    return document


def _sides(
    quotes: Quotes, instrument: Instrument, limit: int, now_ms: int
) -> tuple[int, list[list[str]], list[list[str]]]:
    tick = 10.0**-instrument.price_decimals
    middle = quotes.price(instrument, now_ms)
    update = int(quotes.tape(instrument).before(np.array([now_ms + 1], dtype=np.int64))[0])
    levels = np.arange(limit, dtype=np.int64)
    below: Float64 = (middle - levels * tick).astype(np.float64)
    bids = below[below > tick / 2]
    asks: Float64 = (middle + (levels + 1) * tick).astype(np.float64)
    return update, _levels(instrument, bids, update), _levels(instrument, asks, update + 1)


def _levels(instrument: Instrument, prices: Float64, salt: int) -> list[list[str]]:
    draw = unit(key_of(instrument.symbol, salt), np.arange(len(prices)))
    steps: Int64 = 1 + (draw * _MOST_STEPS).astype(np.int64)
    pairs = zip(price_texts(instrument, prices), quantity_texts(instrument, steps), strict=True)
    return [list(pair) for pair in pairs]
