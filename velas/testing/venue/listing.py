"""The exchangeInfo document: made up for instruments, or a given one served as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
        self._changed: dict[str, Document] = {}

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
        if self._changed:
            document["symbols"] = [
                self.row(row["symbol"], now_ms) if row["symbol"] in self._changed else row
                for row in self._rows()
            ]
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
        changed = self._changed.get(symbol, {}).get("status")
        if changed is not None:
            return str(changed)
        if self._given is not None:
            return self._given_status[symbol]
        if instrument.delisted_ms is None or now_ms < instrument.delisted_ms:
            return "TRADING"
        return "BREAK" if self.market == "spot" else "SETTLING"

    def row(self, symbol: str, now_ms: int) -> Document:
        """Return a listed symbol's row as it is now."""
        changes = self._changed.get(symbol, {})
        if self._given is None:
            make = spot_row if self.market == "spot" else futures_row
            row = make(self.instruments[symbol], self.status(symbol, now_ms))
        else:
            row = dict(next(row for row in self._rows() if row["symbol"] == symbol))
        filters = _merged(row["filters"], changes.get("filters", {}))
        return {**row, **changes, "filters": filters}

    def rate_limits(self) -> Sequence[Mapping[str, Any]]:
        """Return the limits other than that of the weight."""
        if self._given is None:
            return _SPOT_LIMITS if self.market == "spot" else _FUTURES_LIMITS
        return [
            rule
            for rule in self._given.get("rateLimits", [])
            if rule.get("rateLimitType") != "REQUEST_WEIGHT"
        ]

    def change(
        self,
        symbol: str,
        filters: Mapping[str, Mapping[str, Any] | None],
        fields: Mapping[str, Any],
    ) -> None:
        """Change a symbol's row from now on; a filter given as None goes.

        Raises:
            ConfigError: the symbol is not listed.
        """
        if symbol not in self.instruments:
            raise ConfigError(f"{symbol}: the stand-in does not list it")
        before = self._changed.get(symbol, {})
        kept: Document = dict(before.get("filters", {}))
        for name, values in filters.items():
            old = kept.get(name) or {}
            kept[name] = None if values is None else {**old, **values}
        self._changed[symbol] = {**before, **fields, "filters": kept}

    def _rows(self) -> Sequence[Mapping[str, Any]]:
        rows: Sequence[Mapping[str, Any]] = (self._given or {}).get("symbols", [])
        return rows

    def _made_up(self, window: WeightWindow, now_ms: int) -> Document:
        spot = self.market == "spot"
        document: Document = {
            "timezone": "UTC",
            "serverTime": now_ms,
            "rateLimits": [window.rule, *(_SPOT_LIMITS if spot else _FUTURES_LIMITS)],
            "exchangeFilters": [],
            "symbols": [self.row(symbol, now_ms) for symbol in self.instruments],
        }
        if not spot:
            document["futuresType"] = "U_MARGINED"
            document["assets"] = [_asset(name) for name in self._margins()]
        return document

    def _margins(self) -> list[str]:
        return list(dict.fromkeys(one.quote for one in self.instruments.values()))


def _merged(filters: Any, changes: Mapping[str, Mapping[str, Any] | None]) -> list[Document]:
    known = {str(one.get("filterType")): one for one in filters}
    names = dict.fromkeys((*known, *changes))
    return [
        {"filterType": name, **known.get(name, {}), **(changes.get(name) or {})}
        for name in names
        if changes.get(name, {}) is not None
    ]


def _asset(name: str) -> Document:
    return {"asset": name, "marginAvailable": True, "autoAssetExchange": "-10000"}
