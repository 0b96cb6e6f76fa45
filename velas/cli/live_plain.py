"""Live events as plain lines, where there is no terminal to draw on."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from velas.cli.exits import say
from velas.cli.live_words import event_text, next_close_text, status_text
from velas.cli.output import write
from velas.models import BookTicker, Candle, Subscription
from velas.status import Status

if TYPE_CHECKING:
    from velas.clock import Clock
    from velas.protocols import Event

__all__ = ["PlainLines"]

_TICKER_EVERY_S = 1.0


class PlainLines:
    """Shows closed candles, trades, and each book ticker once a second; an async context manager.

    Data goes to stdout, statuses to stderr; as it starts, when the first of `series` closes.
    """

    def __init__(self, clock: Clock, series: Sequence[Subscription] = ()) -> None:
        self._clock = clock
        self._series = series
        self._shown_s: dict[str, float] = {}

    async def show(self, event: Event | Status) -> None:
        """Write one event, or leave it out."""
        if isinstance(event, Status):
            say(f"velas: {status_text(event)}")
        elif not self._skipped(event):
            write(event_text(event))

    async def __aenter__(self) -> Self:
        due = next_close_text(self._series, self._clock.now_ms())
        if due is not None:
            say(f"velas: {due}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def _skipped(self, event: Event) -> bool:
        if isinstance(event, Candle):
            return not event.is_closed
        if not isinstance(event, BookTicker):
            return False
        now_s, shown_s = self._clock.monotonic_s(), self._shown_s.get(event.symbol)
        if shown_s is not None and now_s - shown_s < _TICKER_EVERY_S:
            return True
        self._shown_s[event.symbol] = now_s
        return False
