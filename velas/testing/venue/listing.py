"""The exchangeInfo document: made up for instruments, or a given one served as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from velas.errors import ConfigError
from velas.testing.venue.instruments import DEFAULT_SYMBOLS, Instrument, MarketName
from velas.testing.venue.series import CandleSource
from velas.testing.venue.symbol_rows import Document, futures_row, spot_row
from velas.testing.venue.weights import WeightWindow

__all__ = ["Listing"]

_SPOT_LIMITS = (
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200_000},
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
)
_FUTURES_LIMITS = (
    {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
)


class Listing:
    """Which instruments the venue lists, and its exchangeInfo."""

    def __init__(self, market: MarketName, instruments: Iterable[Instrument]) -> None:
        self.market: MarketName = market
        self.instruments = {one.symbol: one for one in instruments}
        self._given: Mapping[str, Any] | None = None
        self._given_status: Mapping[str, str] = {}
        self._overridden = False

    @classmethod
    def choose(
        cls,
        market: MarketName,
        symbols: Iterable[str | Instrument] | None,
        exchange_info: Mapping[str, Any] | None,
        candles: CandleSource,
        *,
        overridden: bool,
    ) -> Listing:
        """Return a listing of the document, the symbols, or those of the candles."""
        if exchange_info is not None:
            return cls.of_document(market, exchange_info, overridden=overridden)
        named = symbols if symbols is not None else candles.symbols or DEFAULT_SYMBOLS
        return cls(
            market,
            [one if isinstance(one, Instrument) else Instrument.make(one, market) for one in named],
        )

    @classmethod
    def of_document(
        cls, market: MarketName, document: Mapping[str, Any], *, overridden: bool
    ) -> Listing:
        """Return a listing that serves `document`; its weight rule only if `overridden`.

        Raises:
            ConfigError: the document has no list of symbols with the fields of the venue.
        """
        try:
            rows = document["symbols"]
            listing = cls(market, [Instrument.from_row(row, market) for row in rows])
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"exchange info: not a document of the {market} venue: {error!r}"
            ) from error
        listing._given = document
        listing._given_status = {str(row["symbol"]): str(row.get("status", "")) for row in rows}
        listing._overridden = overridden
        return listing

    def document(self, window: WeightWindow, now_ms: int) -> Document:
        """Return the whole exchangeInfo, with the limits that are in force."""
        if self._given is None:
            return self._made_up(window, now_ms)
        document: Document = {**self._given, "serverTime": now_ms}
        if self._overridden:
            document["rateLimits"] = [
                window.rule,
                *(
                    rule
                    for rule in document.get("rateLimits", [])
                    if rule.get("rateLimitType") != "REQUEST_WEIGHT"
                ),
            ]
        return document

    def status(self, symbol: str, now_ms: int) -> str:
        """Return the trading status of a listed symbol."""
        instrument = self.instruments[symbol]
        if self._given is not None:
            return self._given_status[symbol]
        if instrument.delisted_ms is None or now_ms < instrument.delisted_ms:
            return "TRADING"
        return "BREAK" if self.market == "spot" else "SETTLING"

    def _made_up(self, window: WeightWindow, now_ms: int) -> Document:
        spot = self.market == "spot"
        row = spot_row if spot else futures_row
        document: Document = {
            "timezone": "UTC",
            "serverTime": now_ms,
            "rateLimits": [window.rule, *(_SPOT_LIMITS if spot else _FUTURES_LIMITS)],
            "exchangeFilters": [],
            "symbols": [
                row(one, self.status(one.symbol, now_ms)) for one in self.instruments.values()
            ],
        }
        if not spot:
            document["futuresType"] = "U_MARGINED"
            document["assets"] = [_asset(name) for name in self._margins()]
        return document

    def _margins(self) -> list[str]:
        return list(dict.fromkeys(one.quote for one in self.instruments.values()))


def _asset(name: str) -> Document:
    return {"asset": name, "marginAvailable": True, "autoAssetExchange": "-10000"}
