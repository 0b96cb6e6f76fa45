"""The network in front of the venue: whether it is there, and for how long it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from velas.clock import Clock
from velas.testing.venue.damage import reset_connection
from velas.testing.venue.waiting import sleep_unless

__all__ = ["Network"]


class Network:
    """Cuts that hit REST and WebSocket alike, on the venue's clock.

    Silent: nothing passes, connections stay. Offline: everything is reset.
    """

    def __init__(self, clock: Clock, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self._clock = clock
        self._silent_until_ms = 0
        self._offline_until_ms = 0
        self._closing = asyncio.Event()

    def silence(self, seconds: float) -> None:
        """Let nothing pass for `seconds`."""
        self._silent_until_ms = self.now_ms() + round(seconds * 1000)

    def go_offline(self, seconds: float) -> None:
        """Reset every attempt for `seconds`."""
        self._offline_until_ms = self.now_ms() + round(seconds * 1000)

    def is_silent(self) -> bool:
        """Return whether nothing passes at present."""
        return self.now_ms() < self._silent_until_ms

    def blocks(self) -> bool:
        """Return whether a new request gets no answer."""
        return self.is_silent() or self.now_ms() < self._offline_until_ms

    @property
    def silent_until_ms(self) -> int:
        """When the last silence ends or ended."""
        return self._silent_until_ms

    def open(self) -> None:
        """Let requests wait again after `close`."""
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closing.set()

    async def until_heard(self) -> None:
        """Return when the silence is over or the venue closes."""
        while (left_ms := self._silent_until_ms - self.now_ms()) > 0:
            if self._closing.is_set():
                return
            await sleep_unless(self._closing, self._clock, left_ms / 1000)

    async def swallow(self, request: web.Request) -> web.StreamResponse:
        """Leave a request without an answer: wait for the end of the silence, then reset."""
        await self.until_heard()
        reset_connection(request)
        return web.Response(status=503)
