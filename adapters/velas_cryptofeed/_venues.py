"""Which venues cryptofeed serves under which of ccxt's names; imports neither."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs

from velas.errors import Unsupported
from velas.models import Market, MarketType

__all__ = ["Venue", "find", "known", "load"]

_ALL: tuple[MarketType, ...] = ("spot", "swap", "future")
_SPOT: tuple[MarketType, ...] = ("spot",)
_Envelope = Callable[[Market], object]


@attrs.frozen
class Venue:
    """One class of cryptofeed: where it is, how a row looks in the venue's own listing.

    `envelope` puts the raw row of one market back into the document that cryptofeed
    parses; a market it cannot parse is taken by base, quote and id. `types` are the
    markets it serves, `since` the first major version of cryptofeed that can be used,
    `closes` the first whose candles say when they are closed (None: none does).
    """

    module: str
    name: str
    envelope: _Envelope
    types: tuple[MarketType, ...] = _ALL
    since: int = 2
    closes: int | None = None

    @property
    def tells_closes(self) -> bool:
        """Whether candles of the installed cryptofeed say when they are closed."""
        return self.closes is not None and self.closes <= _major()


def _major() -> int:
    return int(version("cryptofeed").partition(".")[0])


def _listed(market: Market) -> object:
    return [market.info]


def _data(market: Market) -> object:
    return {"data": [market.info]}


def _symbols(market: Market) -> object:
    return {"symbols": [market.info]}


def _bitfinex(market: Market) -> object:
    pair = market.id.removeprefix("t")
    swap = market.type == "swap"
    return [[[] if swap else [pair]], [[]], [[pair] if swap else []]]


# Not here, so served by REST: kucoin (its address comes by HTTP), hyperliquid and mexc
# (documents of another shape), the swaps of htx and gate, coinbase and deribit before 3.0 (key).
_VENUES: Mapping[str, tuple[Venue, ...]] = {
    "ascendex": (Venue("ascendex", "AscendEX", _data, _SPOT),),
    "binancecoinm": (Venue("binance_delivery", "BinanceDelivery", _symbols, closes=2),),
    "binanceus": (Venue("binance_us", "BinanceUS", _symbols, _SPOT, closes=2),),
    "bitfinex": (Venue("bitfinex", "Bitfinex", _bitfinex, ("spot", "swap")),),
    "bitflyer": (Venue("bitflyer", "Bitflyer", lambda one: [[one.info]], _SPOT),),
    "bitget": (Venue("bitget", "Bitget", lambda one: [{"data": [one.info]}], _SPOT, closes=3),),
    "bitmex": (Venue("bitmex", "Bitmex", _listed),),
    "bitstamp": (Venue("bitstamp", "Bitstamp", _listed, _SPOT),),
    "bybit": (Venue("bybit", "Bybit", lambda one: [{"result": {"list": [one.info]}}], closes=2),),
    "coinbase": (
        Venue("coinbase", "Coinbase", lambda one: {"products": [one.info]}, _SPOT, since=3),
    ),
    "cryptocom": (
        Venue(
            "cryptodotcom",
            "CryptoDotCom",
            lambda one: {"result": {"data": [one.info], "instruments": [one.info]}},
            _SPOT,
            closes=3,
        ),
    ),
    "delta": (Venue("delta", "Delta", lambda one: {"result": [one.info]}, ("spot", "swap")),),
    "deribit": (Venue("deribit", "Deribit", lambda one: [{"result": [one.info]}], since=3),),
    "gate": (Venue("gate", "Gate", _listed, _SPOT), Venue("gateio", "Gateio", _listed, _SPOT)),
    "gemini": (Venue("gemini", "Gemini", _listed, _SPOT),),
    "hitbtc": (Venue("hitbtc", "HitBTC", _listed, _SPOT),),
    "htx": (Venue("htx", "HTX", _data, _SPOT), Venue("huobi", "Huobi", _data, _SPOT)),
    "kraken": (
        Venue("kraken", "Kraken", lambda one: {"result": {one.id: one.info}}, _SPOT, closes=3),
    ),
    "krakenfutures": (
        Venue("kraken_futures", "KrakenFutures", lambda one: {"instruments": [one.info]}),
    ),
    "okx": (Venue("okx", "OKX", lambda one: [{"data": [one.info]}], closes=3),),
    "phemex": (Venue("phemex", "Phemex", lambda one: {"data": {"products": [one.info]}}),),
    "poloniex": (Venue("poloniex", "Poloniex", _listed, _SPOT),),
    "probit": (Venue("probit", "Probit", _data, _SPOT),),
    "upbit": (Venue("upbit", "Upbit", _listed, _SPOT),),
}
_ALIASES = {"gateio": "gate", "huobi": "htx"}


@cache
def known() -> Mapping[str, Venue]:
    """Return the venues the installed cryptofeed has, without importing it."""
    spec = importlib.util.find_spec("cryptofeed")
    if spec is None or spec.origin is None:
        return {}
    modules = {path.stem for path in (Path(spec.origin).parent / "exchanges").glob("*.py")}
    major = _major()
    found = {
        name: one
        for name, choices in _VENUES.items()
        for one in reversed(choices)
        if one.module in modules and one.since <= major
    }
    return found | {name: found[other] for name, other in _ALIASES.items() if other in found}


def find(name: str) -> Venue:
    """Return the venue of that (ccxt) name.

    Raises:
        Unsupported: the installed cryptofeed has none, or none that can be used.
    """
    venue = known().get(name)
    if venue is None:
        raise Unsupported(
            f"cryptofeed {version('cryptofeed')} has no feed of {name!r} that can be used; "
            f"choose one of {', '.join(sorted(known()))}"
        )
    return venue


def load(venue: Venue) -> Any:
    """Return cryptofeed's class of a venue."""
    return getattr(importlib.import_module(f"cryptofeed.exchanges.{venue.module}"), venue.name)
