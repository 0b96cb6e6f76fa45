"""Exchanges through ccxt: Binance Spot and Futures in full, every other ccxt venue."""

from velas_ccxt._binance import BinanceFutures, BinanceSpot
from velas_ccxt._generic import CcxtExchange, catalog

__all__ = ["BinanceFutures", "BinanceSpot", "CcxtExchange", "catalog"]
