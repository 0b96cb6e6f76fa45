"""The venue's clock, at hand without a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velas.adapter import ExchangeAdapter
from velas.clock import Clock

if TYPE_CHECKING:
    from velas.protocols import Exchange

__all__ = ["VenueTime"]

_MARGIN_MS = 2_000
_EVERY_S = 60.0


class VenueTime:
    """The venue's time as last measured, carried on by the local clock.

    `margin_ms` is how long after its end a candle can be asked for by REST.
    """

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self._ahead_ms = 0
        self._measured_s: float | None = None
        self.margin_ms = _MARGIN_MS
        if isinstance(exchange, ExchangeAdapter):
            self.margin_ms = exchange.margin_ms

    @property
    def stale(self) -> bool:
        """Whether it should be measured again."""
        now_s = self._clock.monotonic_s()
        return self._measured_s is None or now_s - self._measured_s > _EVERY_S

    async def measure(self) -> None:
        """Ask the exchange, which asks the venue now and then."""
        self._measured_s = self._clock.monotonic_s()  # also when it fails: not again at once
        self._ahead_ms = await self._exchange.server_time_ms() - self._clock.now_ms()

    def now_ms(self) -> int:
        """Return the venue's time."""
        return self._clock.now_ms() + self._ahead_ms

    def served_ms(self) -> int:
        """Return up to when the venue's REST side has closed its candles."""
        return self.now_ms() - self.margin_ms
