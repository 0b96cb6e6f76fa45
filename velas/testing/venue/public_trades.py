"""The trade endpoints: which trades a request gets, and how they look."""

from __future__ import annotations

import attrs
import numpy as np

from velas.testing.venue import refusal
from velas.testing.venue.instruments import Instrument
from velas.testing.venue.quotes import Quotes
from velas.testing.venue.series import Int64
from velas.testing.venue.tape import Tape
from velas.testing.venue.wire import price_texts, quantity_texts, quote_texts

__all__ = ["Asked", "aggregate", "choose", "plain"]

_FUTURES_WINDOW_MS = 48 * 3_600_000
_Row = dict[str, int | str | bool]


@attrs.frozen
class Asked:
    """What a trades request names: first id or time bounds (inclusive, ms), and how many."""

    from_id: int | None
    start_ms: int | None
    end_ms: int | None
    limit: int


def choose(
    tape: Tape, instrument: Instrument, asked: Asked, now_ms: int, *, futures: bool
) -> Int64:
    """Return the numbers (ids) of the trades a request gets, ascending.

    Raises:
        Refused: -1128 id and times together; -4166 futures older than 48 hours.
    """
    timed = asked.start_ms is not None or asked.end_ms is not None
    if asked.from_id is not None and timed:
        raise refusal.bad_combination()
    oldest = _before(tape, instrument.listed_ms)
    newest = _before(tape, min(now_ms + 1, instrument.delisted_ms or now_ms + 1))
    if futures:
        _refuse_old(tape, asked, now_ms - _FUTURES_WINDOW_MS)
        oldest = max(oldest, _before(tape, now_ms - _FUTURES_WINDOW_MS))
    if asked.end_ms is not None:
        newest = min(newest, _before(tape, asked.end_ms + 1))
    first = asked.from_id
    if asked.start_ms is not None:
        first = _before(tape, asked.start_ms)
    if first is None:
        return np.arange(max(oldest, newest - asked.limit), newest, dtype=np.int64)
    first = max(first, oldest)
    return np.arange(first, min(first + asked.limit, newest), dtype=np.int64)


def aggregate(
    quotes: Quotes, instrument: Instrument, numbers: Int64, *, futures: bool
) -> list[_Row]:
    """Return aggTrades rows; here each is made of one trade."""
    rows: list[_Row] = []
    nothing = f"{0:.{instrument.price_wire}f}"
    columns = _columns(quotes, instrument, numbers)
    void = quotes.void(instrument, numbers)
    for (number, time, price, quantity, _), is_void in zip(columns, void, strict=True):
        only = number
        if is_void:  # a duplicate that was left in place (binance-facts 5)
            price = quantity = nothing
            only = -1
        row: _Row = {"a": number, "p": price, "q": quantity}
        if futures:
            row["nq"] = quantity
        row |= {"f": only, "l": only, "T": time, "m": number % 2 == 1}
        if not futures:
            row["M"] = True
        rows.append(row)
    return rows


def plain(quotes: Quotes, instrument: Instrument, numbers: Int64, *, futures: bool) -> list[_Row]:
    """Return trades rows."""
    rows: list[_Row] = []
    for number, time, price, quantity, quote in _columns(quotes, instrument, numbers):
        row: _Row = {"id": number, "price": price, "qty": quantity, "quoteQty": quote}
        row |= {"time": time, "isBuyerMaker": number % 2 == 1}
        if not futures:
            row["isBestMatch"] = True
        rows.append(row)
    return rows


def _columns(
    quotes: Quotes, instrument: Instrument, numbers: Int64
) -> zip[tuple[int, int, str, str, str]]:
    tape = quotes.tape(instrument)
    times = tape.time(numbers)
    prices = quotes.prices(instrument, times)
    steps = tape.quantity(numbers)
    amounts = prices * steps * 10.0**-instrument.quantity_decimals
    return zip(
        numbers.tolist(),
        times.tolist(),
        price_texts(instrument, prices),
        quantity_texts(instrument, steps),
        quote_texts(instrument, amounts),
        strict=True,
    )


def _refuse_old(tape: Tape, asked: Asked, oldest_ms: int) -> None:
    times = (asked.start_ms, asked.end_ms)
    too_old = any(time is not None and time < oldest_ms for time in times)
    if asked.from_id is not None:
        too_old = asked.from_id < _before(tape, oldest_ms)
    if too_old:
        raise refusal.too_old()


def _before(tape: Tape, ts_ms: int) -> int:
    return int(tape.before(np.array([ts_ms], dtype=np.int64))[0])
