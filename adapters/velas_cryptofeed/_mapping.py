"""Binance's stream payloads as velas models: pure functions, the hot path.

Spot, "WebSocket Streams for Binance"; USDS-M Futures, "Websocket Market Streams". Keys
that are not known are ignored, as both add some now and then.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from velas.models import BookTicker, Candle, Trade
from velas_cryptofeed._errors import BadMessage

__all__ = ["book_ticker", "candle", "trade"]

_WRONG = (KeyError, TypeError, ValueError, ArithmeticError)


def candle(k: Mapping[str, Any], symbol: str) -> Candle:
    """Return the candle of a kline event's bar; `is_closed` is the venue's word.

    Raises:
        BadMessage: a field is missing, of another type or not finite.
    """
    try:
        opened, end, count, closed = k["t"], k["T"], k["n"], k["x"]
        o, h, low, c, v = float(k["o"]), float(k["h"]), float(k["l"]), float(k["c"]), float(k["v"])
        quote, taker, taker_quote = float(k["q"]), float(k["V"]), float(k["Q"])
        total = o + h + low + c + v + quote + taker + taker_quote
        if (
            total - total != 0.0  # infinite or not a number
            or not opened.__class__ is end.__class__ is count.__class__ is int
            or closed.__class__ is not bool
        ):
            raise ValueError("a value of the wrong type, or not finite")
        return Candle(
            symbol, k["i"], opened, o, h, low, c, v, end, quote, count, taker, taker_quote, closed,
            0, "ws",
        )  # fmt: skip
    except _WRONG as error:
        raise BadMessage(f"kline of {symbol}: {error!r}") from error


def trade(data: Mapping[str, Any], symbol: str) -> Trade:
    """Return the trade of an aggTrade event; a tombstone has quantity 0.

    Raises:
        BadMessage: a field is missing, of another type or not finite.
    """
    try:
        at, maker = data["T"], data["m"]
        number, first, last = data["a"], data["f"], data["l"]
        price, quantity = Decimal(data["p"]), Decimal(data["q"])
        if (
            not (price.is_finite() and quantity.is_finite())
            or at.__class__ is not int
            or number.__class__ is not int
            or first.__class__ is not int
            or last.__class__ is not int
            or maker.__class__ is not bool
        ):
            raise ValueError("a value of the wrong type, or not finite")
        return Trade(symbol, number, at, price, quantity, maker, first, last)
    except _WRONG as error:
        raise BadMessage(f"aggTrade of {symbol}: {error!r}") from error


def book_ticker(data: Mapping[str, Any], symbol: str) -> BookTicker:
    """Return the best bid and ask of a bookTicker event; Spot's has no time.

    Raises:
        BadMessage: a field is missing, of another type or not finite.
    """
    try:
        bid, bids = Decimal(data["b"]), Decimal(data["B"])
        ask, asks = Decimal(data["a"]), Decimal(data["A"])
        at, update = data.get("T"), data["u"]
        if at is None:
            at = data.get("E")
        if (
            not (bid.is_finite() and bids.is_finite() and ask.is_finite() and asks.is_finite())
            or (at is not None and at.__class__ is not int)
            or update.__class__ is not int
        ):
            raise ValueError("a value of the wrong type, or not finite")
        return BookTicker(symbol, bid, bids, ask, asks, at, update)
    except _WRONG as error:
        raise BadMessage(f"bookTicker of {symbol}: {error!r}") from error
