"""What tests of trading share: a stand-in venue, an account at it, and bots that restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from velas.credentials import Credentials
from velas.ledger import Ledger
from velas.order_models import OrderRequest
from velas.settings import Trading
from velas.testing import ManualClock, StandInVenue
from velas.testing.venue import STAND_IN_KEY, STAND_IN_SECRET
from velas.testing.venue.faults import Fault, FaultPlan
from velas_ccxt import BinanceFutures, BinanceSpot

__all__ = ["CLASSES", "KEYS", "PLACE", "bot", "limit_order", "scripted", "venue_of"]

KEYS = Credentials(api_key=STAND_IN_KEY, api_secret=STAND_IN_SECRET)
CLASSES: dict[str, type[BinanceSpot] | type[BinanceFutures]] = {
    "spot": BinanceSpot,
    "futures": BinanceFutures,
}
PLACE = {"spot": "POST /api/v3/order", "futures": "POST /fapi/v1/order"}


def scripted(market: str, *faults: Fault | None) -> FaultPlan:
    """Return a plan that gives these to the first orders sent, one each."""
    return FaultPlan.script(faults, path=PLACE[market])


@asynccontextmanager
async def venue_of(market: str, clock: ManualClock, **options: Any) -> AsyncIterator[StandInVenue]:
    """Open a stand-in that lists BTCUSDT."""
    options.setdefault("symbols", ["BTCUSDT"])
    async with StandInVenue(market, clock=clock, **options) as venue:  # type: ignore[arg-type]
        yield venue


@asynccontextmanager
async def bot(
    venue: StandInVenue, ledger: Ledger | None = None, **options: Any
) -> AsyncIterator[BinanceSpot | BinanceFutures]:
    """Open the adapter of the venue's market, trading live unless said otherwise."""
    trading = options.pop("trading", {})
    options.setdefault("credentials", KEYS)
    options.setdefault("timeout_s", 5.0)
    exchange = CLASSES[venue.market](
        url=venue.rest_url,
        clock=venue.clock,
        ledger=ledger or Ledger(),
        trading=Trading(**{"mode": "live", **trading}),
        **options,
    )
    async with exchange:
        yield exchange


async def limit_order(
    exchange: BinanceSpot | BinanceFutures, intent: str = "first", *, share: str = "0.97"
) -> OrderRequest:
    """Return a legal buy order some percent below the price."""
    from decimal import Decimal

    state = await exchange.market_state("BTC/USDT")
    validator = await exchange.order_validator("BTC/USDT")
    assert state.best_bid is not None
    price = validator.normalize_price(state.best_bid * Decimal(share))
    return OrderRequest("BTC/USDT", "buy", "limit", "0.01", price=price, intent=intent)
