"""The venue's clock, at hand without a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velas.adapter import ExchangeAdapter
from velas.clock import Clock

if TYPE_CHECKING:
    from velas.protocols import Exchange

__all__ = ["SETTLED_MS", "VenueTime"]

SETTLED_MS = 10_000  # after its end a candle is final at REST, too

_MARGIN_MS = 2_000
_EVERY_S = 60.0
_STEP_MS = 1_000
_PAUSE_S = 5.0


class VenueTime:
    """The venue's time as last measured, carried on by the monotonic clock.

    When the wall clock moves against that - somebody set it, the machine was asleep - it
    is to be measured again.

    `margin_ms` is how long after its end a candle can be asked for by REST.
    """

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self._server_ms = clock.now_ms()
        self._local_ms = self._server_ms
        self._at_s = clock.monotonic_s()
        self._asked_s: float | None = None
        self.margin_ms = _MARGIN_MS
        if isinstance(exchange, ExchangeAdapter):
            self.margin_ms = exchange.margin_ms

    @property
    def stale(self) -> bool:
        """Whether it should be measured again."""
        now_s = self._clock.monotonic_s()
        if self._asked_s is None or now_s - self._asked_s > _EVERY_S:
            return True
        stepped_ms = self._clock.now_ms() - self._local_ms - (now_s - self._at_s) * 1000
        return abs(stepped_ms) > _STEP_MS and now_s - self._asked_s > _PAUSE_S

    def doubt(self) -> None:
        """Have it measured anew: the venue says things that would be of the future.

        An answer on `/time` may have been stale, or this machine stood still, clocks and
        all.
        """
        now_s = self._clock.monotonic_s()
        if self._asked_s is None or now_s - self._asked_s <= _PAUSE_S:
            return
        self._asked_s = None
        if isinstance(self._exchange, ExchangeAdapter):
            self._exchange.doubt_server_time()

    async def measure(self) -> None:
        """Ask the exchange, which asks the venue now and then."""
        self._asked_s = self._clock.monotonic_s()  # also when it fails: not again at once
        self._server_ms = await self._exchange.server_time_ms()
        self._local_ms, self._at_s = self._clock.now_ms(), self._clock.monotonic_s()

    def now_ms(self) -> int:
        """Return the venue's time."""
        return self._server_ms + int((self._clock.monotonic_s() - self._at_s) * 1000)

    def settled_ms(self) -> int:
        """Return up to when what REST says of closed candles is its last word."""
        return self.now_ms() - SETTLED_MS

    def served_ms(self) -> int:
        """Return up to when the venue's REST side has closed its candles."""
        return self.now_ms() - self.margin_ms
