"""Stream names, and which of them deliver on which route (binance-facts 3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs

from velas.interval import INTERVALS
from velas.testing.venue.instruments import MarketName

__all__ = ["MOST_STREAMS", "Route", "StreamName", "route_of"]

StreamKind = Literal["kline", "aggTrade", "bookTicker"]
MOST_STREAMS = 1024  # of one connection
_FUTURES_ROUTES = ("/market", "/public", "/private")
_ROUTE_OF_KIND = {"kline": "/market", "aggTrade": "/market", "bookTicker": "/public"}
_KLINE = "kline_"


@attrs.frozen
class Route:
    """Where a connection came in: its prefix, whether frames are wrapped, what it named."""

    prefix: str
    combined: bool
    streams: tuple[str, ...]


@attrs.frozen
class StreamName:
    """What a stream name means; `symbol` is the venue's id, `interval` only of klines."""

    text: str
    kind: StreamKind
    symbol: str
    interval: str | None = None

    @classmethod
    def parse(cls, text: str, symbols: Iterable[str]) -> StreamName | None:
        """Return what `text` asks for, None if the venue would never deliver it.

        Unknown symbols and types and upper-case names are accepted by the venue and silent.
        """
        lower, _, kind = text.partition("@")
        symbol = lower.upper()
        if symbol not in symbols or symbol.lower() != lower:
            return None
        if kind == "aggTrade":
            return cls(text, "aggTrade", symbol)
        if kind == "bookTicker":
            return cls(text, "bookTicker", symbol)
        interval = kind.removeprefix(_KLINE)
        if kind.startswith(_KLINE) and interval in INTERVALS:
            return cls(text, "kline", symbol, interval)
        return None

    def delivers(self, market: MarketName, prefix: str) -> bool:
        """Return whether it delivers on a route; without a prefix futures has only /public."""
        if market == "spot":
            return True
        return (prefix or "/public") == _ROUTE_OF_KIND[self.kind]


def route_of(market: MarketName, path: str, asked: str) -> Route | None:
    """Return the route of a URL path and its ``streams`` parameter, None if there is none."""
    prefix = ""
    if market == "futures":
        prefix = next((one for one in _FUTURES_ROUTES if path.startswith(one + "/")), "")
    head, *names = path.removeprefix(prefix).lstrip("/").split("/")
    if head == "stream":
        return Route(prefix, True, _unique(asked.split("/"))) if not any(names) else None
    if head == "ws":
        return Route(prefix, False, _unique(names))
    return None


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
