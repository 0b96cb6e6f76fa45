"""A venue in a daemon thread with an event loop of its own, for synchronous code."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Generic, Protocol, TypeVar

__all__ = ["VenueThread"]


class _Server(Protocol):
    async def start(self) -> None: ...
    async def aclose(self) -> None: ...


_AnyServer = TypeVar("_AnyServer", bound=_Server)


class VenueThread(Generic[_AnyServer]):
    """Starts a server in a thread on entering and stops both on leaving."""

    def __init__(self, server: _AnyServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=self._work, name="stand-in-venue", daemon=True)
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> _AnyServer:
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self._server

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # handed to the thread that waits in __enter__
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._server.start()
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            await self._server.aclose()
