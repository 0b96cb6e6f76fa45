"""Live events as JSON lines on stdout: one object each, written as it comes."""

from __future__ import annotations

import asyncio
import io
import json
import math
import select
import sys
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs

from velas.models import BookTicker, Candle, Trade

if TYPE_CHECKING:
    from velas.protocols import Event
    from velas.status import Status

__all__ = ["JsonLines", "event_document"]

_PIPE_BUF = 4096  # a pipe that is ready takes at least so many bytes without blocking


def event_document(event: Event | Status) -> dict[str, object]:
    """Return one event in the shape the design fixes; what is not published is null."""
    if isinstance(event, Candle):
        return {"type": "candle", **_plain(event)}
    if isinstance(event, Trade):
        return {"type": "trade", **_plain(event)}
    if isinstance(event, BookTicker):
        return {"type": "book_ticker", **_plain(event)}
    return {"type": "status", "status": event.status, **_plain(event)}


class JsonLines:
    """Shows events as JSON lines; an async context manager.

    A reader that lags does not hold up the event loop, only what is shown.
    """

    def __init__(self) -> None:
        self._fd = _descriptor()

    async def show(self, event: Event | Status) -> None:
        """Write one event and flush; raises BrokenPipeError when the reader has gone."""
        line = json.dumps(event_document(event), allow_nan=False) + "\n"
        if self._takes(line):
            _write(line)
        else:
            await asyncio.to_thread(_write, line)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def _takes(self, line: str) -> bool:
        if self._fd is None:
            return True
        return len(line) <= _PIPE_BUF and bool(select.select([], [self._fd], [], 0)[1])


def _plain(event: attrs.AttrsInstance) -> dict[str, object]:
    # what a repr leaves out is for programs that hold the event itself
    shown = (one.name for one in attrs.fields(type(event)) if one.repr)
    return {name: _value(getattr(event, name)) for name in shown}


def _value(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")  # never 1E-5
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Candle):
        return _plain(value)
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return value


def _descriptor() -> int | None:
    try:
        return sys.stdout.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):
        return None  # not a real file: writing to it cannot block


def _write(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
