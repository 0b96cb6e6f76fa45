"""What the tests of the Binance adapters share: a venue of this machine, and its client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from velas.testing import ManualClock, StandInVenue
from velas_ccxt import BinanceFutures, BinanceSpot

__all__ = ["CLASSES", "HOUR", "MARKETS", "Adapter", "newest", "opened"]

HOUR = 3_600_000
Adapter = BinanceSpot | BinanceFutures
CLASSES: dict[str, type[BinanceSpot] | type[BinanceFutures]] = {
    "spot": BinanceSpot,
    "futures": BinanceFutures,
}
MARKETS = pytest.mark.parametrize("market", ["spot", "futures"])


@asynccontextmanager
async def opened(
    clock: ManualClock, market: str = "spot", **options: Any
) -> AsyncIterator[tuple[StandInVenue, Adapter]]:
    """Open a venue of this machine and the adapter that is its client."""
    adapter: dict[str, Any] = options.pop("adapter", {})
    options.setdefault("symbols", ["BTCUSDT"])
    if options.get("exchange_info"):
        del options["symbols"]
    async with StandInVenue(market, clock=clock, **options) as venue:  # type: ignore[arg-type]
        exchange = CLASSES[market](url=venue.rest_url, clock=clock, **adapter)
        async with exchange:
            yield venue, exchange


def newest(venue: StandInVenue, rows: int) -> tuple[int, int]:
    """Return the range of the venue's newest closed hours."""
    end = venue.now_ms() // HOUR * HOUR
    return end - rows * HOUR, end
