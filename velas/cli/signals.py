"""Ctrl-C in two steps: the first stops the work cleanly, the second ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

from velas.cli.exits import INTERRUPTED, say

__all__ = ["Stopped", "stop_on_signals", "until_stopped"]

T = TypeVar("T")
_SHOW_CURSOR = "\x1b[?25h"  # the progress bar hides it


class Stopped(Exception):
    """The user asked to stop before the work that was awaited had finished."""


@contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """Give an event that the first SIGINT or SIGTERM sets; the second exits at once.

    Exiting at once is safe: stored candles are durable and files are replaced whole.
    """
    import pyarrow

    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            _abort()
        stop.set()
        say("velas: stopping, keeping what is here (again to abort)")

    # Arrow would otherwise end a parse under way with an error of its own on Ctrl-C
    pyarrow.enable_signal_handlers(False)
    caught = []
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, on_signal)
        except (NotImplementedError, RuntimeError, ValueError):
            continue  # not the main thread, or Windows: KeyboardInterrupt has to do
        caught.append(number)
    try:
        yield stop
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
        pyarrow.enable_signal_handlers(True)


async def until_stopped(work: Coroutine[object, object, T], stop: asyncio.Event) -> T:
    """Return the result of `work`; cancel it when `stop` is set first.

    Raises:
        Stopped: it was cancelled.
    """
    task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Stopped
    finally:
        for one in (task, stopping):
            one.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


def _abort() -> None:
    if sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)
        sys.stderr.flush()
    os._exit(INTERRUPTED)
