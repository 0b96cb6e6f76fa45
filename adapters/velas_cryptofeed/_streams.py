"""Which streams a subscription needs, on which route, over how many sockets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

import attrs

from velas.models import Subscription

__all__ = ["MAX_STREAMS", "Chunk", "chunks", "replace_host", "stream_name"]

# The venue takes 1024 streams a connection and an address of about 8,000 characters
# (Spot, "WebSocket Streams for Binance"); fewer, and one socket's trouble hits fewer.
MAX_STREAMS = 200
_MAX_ADDRESS = 7_500


@attrs.frozen
class Chunk:
    """What one socket carries: its stable name, its address and the subscriptions."""

    name: str
    address: str
    carries: tuple[Subscription, ...]


def stream_name(one: Subscription, venue_id: str) -> str:
    """Return the venue's name of a stream; symbols in lower case, or it stays silent."""
    symbol = venue_id.lower()
    if one.channel == "candles":
        return f"{symbol}@kline_{one.interval}"
    return f"{symbol}@{'aggTrade' if one.channel == 'trades' else 'bookTicker'}"


def chunks(
    wanted: Iterable[Subscription],
    ids: Mapping[str, str],
    *,
    host: str,
    routes: Mapping[str, str] | None = None,
    most: int = MAX_STREAMS,
) -> list[Chunk]:
    """Return the sockets needed; `routes` maps a channel to the path it lives under."""
    by_route: dict[str, list[tuple[Subscription, str]]] = {}
    for one in wanted:
        name = quote(stream_name(one, ids[one.symbol]), safe="@")
        route = routes[one.channel] if routes else ""
        by_route.setdefault(route, []).append((one, name))
    found = []
    for route, named in by_route.items():
        base = f"{host}/{route}/stream?streams=" if route else f"{host}/stream?streams="
        for number, part in enumerate(_cut(named, most, _MAX_ADDRESS - len(base))):
            address = base + "/".join(name for _, name in part)
            carries = tuple(one for one, _ in part)
            found.append(Chunk(f"{route or 'stream'}-{number}", address, carries))
    return found


def replace_host(address: str, url: str | None) -> str:
    """Return `address` with the scheme, host and port of `url`, and its path before."""
    if url is None:
        return address
    _, _, rest = address.partition("://")
    _, slash, path = rest.partition("/")
    return url.rstrip("/") + slash + path


def _cut(
    named: list[tuple[Subscription, str]], most: int, room: int
) -> Iterator[list[tuple[Subscription, str]]]:
    part: list[tuple[Subscription, str]] = []
    used = 0
    for one in named:
        length = len(one[1]) + 1
        if part and (len(part) >= most or used + length > room):
            yield part
            part, used = [], 0
        part.append(one)
        used += length
    if part:
        yield part
