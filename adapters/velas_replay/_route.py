"""Lead aiohttp requests of chosen tasks elsewhere; all others go their way untouched.

vcrpy's own context replaces aiohttp's method for the whole process, which is wrong beside
a live exchange, and two of them may not end in the order they began. Here the method is
replaced once, looks whether the task that sends has a route, and is put back when the
last route's owner is done.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import aiohttp
from aiohttp import ClientResponse, ClientSession

__all__ = ["Route", "Send", "install", "routed", "uninstall"]

Send = Callable[..., Awaitable[ClientResponse]]


class Route(Protocol):
    """Takes the place of `aiohttp.ClientSession._request`."""

    async def send(
        self, real: Send, session: ClientSession, method: str, url: object, **options: Any
    ) -> ClientResponse:
        """Return the response; `real` is aiohttp's own method."""
        ...


_METHOD = "_request"
_route: ContextVar[Route | None] = ContextVar("velas_replay_route", default=None)
_lock = threading.Lock()
_owners = 0
_real: Send | None = None


def install() -> None:
    """Make routes work, for one more owner; each calls `uninstall` once."""
    global _owners, _real
    with _lock:
        _owners += 1
        if _owners == 1:
            real: Send = getattr(aiohttp.ClientSession, _METHOD)
            setattr(aiohttp.ClientSession, _METHOD, _switch(real))
            _real = real


def uninstall() -> None:
    """Put aiohttp's method back when the last owner is done."""
    global _owners, _real
    with _lock:
        _owners -= 1
        if _owners == 0:
            setattr(aiohttp.ClientSession, _METHOD, _real)
            _real = None


@contextmanager
def routed(route: Route) -> Iterator[None]:
    """Send what this task, and tasks it starts, ask over aiohttp by `route`."""
    token = _route.set(route)
    try:
        yield
    finally:
        _route.reset(token)


def _switch(real: Send) -> Send:
    async def request(
        self: ClientSession, method: str, url: object, **options: Any
    ) -> ClientResponse:
        route = _route.get()
        if route is None:
            return await real(self, method, url, **options)
        return await route.send(real, self, method, url, **options)

    return request
