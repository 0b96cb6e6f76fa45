"""What the supervisor needs of one connection of any cryptofeed feed, of any version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import attrs

from velas.models import Subscription
from velas_cryptofeed._control import Verdict

__all__ = ["Connection", "Keepalive", "Plan", "Session"]


class Connection(Protocol):
    """cryptofeed's WSAsyncConn; `conn` is the websocket once it is open."""

    address: str
    ws_kwargs: dict[str, Any]
    conn: Any
    write: Callable[[str], Awaitable[None]]

    def connect(self) -> AbstractAsyncContextManager[object]:
        """Open on entering, close on leaving."""
        ...


@attrs.frozen
class Keepalive:
    """What a venue wants to hear every `every_s` besides websocket pings."""

    every_s: float
    say: Callable[[Any], Awaitable[None]]


@attrs.frozen
class Session:
    """One connection, not yet open, with the functions cryptofeed pairs it with.

    Frames that begin with `prefix` go to `handle`, the others to `judge`; without a
    prefix all go to `handle`, greetings and acks too. `release` is called once the
    connection is done with. `events` is how many events the frames have made, if known.
    """

    connection: Connection
    subscribe: Callable[[Any], Awaitable[None]]
    handle: Callable[[Any, Any, float], Awaitable[None]]
    prefix: str | None
    judge: Callable[[str | bytes], Verdict] | None
    release: Callable[[], None]
    keepalive: Keepalive | None = None
    events: Callable[[], int] | None = None


@attrs.frozen
class Plan:
    """One socket to keep open: its stable name, what it carries, how to make it anew."""

    name: str
    host: str
    streams: int
    carries: tuple[Subscription, ...]
    dial: Callable[[], Session]
