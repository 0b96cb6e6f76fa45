"""What the venue's frames look like, for each market (binance-facts 3.3)."""

from __future__ import annotations

from typing import Any

import attrs
import orjson

from velas.testing.venue.series import Row
from velas.testing.venue.streams import StreamName

__all__ = ["Frame", "agg_trade", "book_ticker", "error", "kline", "shutdown", "wrapped"]

_UNIVERSE = 1  # `st`: a USDS-margined contract


@attrs.define(eq=False)
class Frame:
    """One event of a stream, due at a time of the venue; in both forms."""

    due_ms: int
    stream: str
    raw: bytes
    _combined: bytes | None = attrs.field(default=None, init=False, repr=False)

    def text(self, *, combined: bool) -> bytes:
        """Return what goes out on a raw or on a combined connection."""
        if not combined:
            return self.raw
        if self._combined is None:
            self._combined = wrapped(self.stream, self.raw)
        return self._combined


def wrapped(stream: str, raw: bytes) -> bytes:
    """Return an event as combined connections have it."""
    return b'{"stream":%b,"data":%b}' % (orjson.dumps(stream), raw)


def kline(
    name: StreamName, row: Row, trades: tuple[int, int], at_ms: int, *, closed: bool
) -> bytes:
    """Return a kline event of a 12-field row; `trades` are first and last id, -1 for none."""
    candle = {
        "t": row[0],
        "T": row[6],
        "s": name.symbol,
        "i": name.interval,
        "f": trades[0],
        "L": trades[1],
        "o": row[1],
        "c": row[4],
        "h": row[2],
        "l": row[3],
        "v": row[5],
        "n": row[8],
        "x": closed,
        "q": row[7],
        "V": row[9],
        "Q": row[10],
        "B": "0",
    }
    return orjson.dumps({"e": "kline", "E": at_ms, "s": name.symbol, "k": candle})


def agg_trade(symbol: str, row: dict[str, Any], at_ms: int, *, futures: bool) -> bytes:
    """Return an aggTrade event of a row of the aggTrades endpoint."""
    event = {"e": "aggTrade", "E": at_ms, "s": symbol, **row}
    if futures:
        event["st"] = _UNIVERSE
    return orjson.dumps(event)


def book_ticker(
    symbol: str, update: int, sides: tuple[str, str, str, str], at_ms: int, *, futures: bool
) -> bytes:
    """Return a bookTicker event; `sides` are bid, its quantity, ask, its quantity.

    Spot's says neither its type nor a time.
    """
    bid, bid_quantity, ask, ask_quantity = sides
    best = {"s": symbol, "b": bid, "B": bid_quantity, "a": ask, "A": ask_quantity}
    if not futures:
        return orjson.dumps({"u": update, **best})
    head = {"e": "bookTicker", "u": update, "E": at_ms, "T": at_ms}
    return orjson.dumps({**head, **best, "st": _UNIVERSE, "ps": symbol})


def shutdown(at_ms: int, *, combined: bool) -> bytes:
    """Return the notice that the server goes away soon."""
    raw = orjson.dumps({"e": "serverShutdown", "E": at_ms})
    return wrapped("!serverShutdown", raw) if combined else raw


def error(code: int, message: str, request_id: object = None) -> bytes:
    """Return an error frame; never wrapped."""
    document: dict[str, object] = {"error": {"code": code, "msg": message}}
    if request_id is not None:
        document["id"] = request_id
    return orjson.dumps(document)
