"""Live feeds through cryptofeed's connections and message handlers."""

from __future__ import annotations

from velas_cryptofeed._binance import BinanceFuturesFeed, BinanceSpotFeed
from velas_cryptofeed._generic import CryptofeedFeed, catalog

__all__ = ["BinanceFuturesFeed", "BinanceSpotFeed", "CryptofeedFeed", "catalog"]
