"""What trades at the stand-in: ids, price levels, decimals, listing dates."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import attrs

from velas.errors import ConfigError

__all__ = ["DEFAULT_SYMBOLS", "Instrument", "MarketName"]

MarketName = Literal["spot", "futures"]

_DAY_MS = 86_400_000
_FUTURES_OPENED = "2019-09-08"
_UNKNOWN_LISTED = "2020-01-01"
_QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD", "BTC", "ETH", "BNB", "EUR", "TRY")
_QUOTE_LEVEL = {"BTC": 64_000.0, "ETH": 3_200.0, "BNB": 580.0}
_WIRE_DECIMALS = 8  # spot prints every price and quantity with eight decimals

# Rough USD price levels and months of listing: enough to look right, not a record.
_KNOWN: Mapping[str, tuple[float, str]] = {
    "BTC": (64_000.0, "2017-08-17T04:00"),
    "ETH": (3_200.0, "2017-08-17T04:00"),
    "BNB": (580.0, "2017-11-06T03:00"),
    "XRP": (0.62, "2018-05-04T08:00"),
    "SOL": (150.0, "2020-08-11T06:00"),
    "ADA": (0.45, "2018-04-17T04:00"),
    "DOGE": (0.15, "2019-07-05T12:00"),
    "TRX": (0.13, "2018-06-11T11:00"),
    "AVAX": (28.0, "2020-09-22T06:00"),
    "LINK": (14.0, "2019-01-16T10:00"),
    "DOT": (6.2, "2020-08-18T23:00"),
    "LTC": (75.0, "2017-12-13T03:00"),
    "BCH": (380.0, "2019-11-28T10:00"),
    "UNI": (8.0, "2020-09-17T03:00"),
    "ATOM": (7.5, "2019-04-29T04:00"),
    "NEAR": (5.0, "2020-10-14T04:00"),
    "FIL": (4.5, "2020-10-15T08:00"),
    "AAVE": (110.0, "2020-10-15T03:00"),
    "XLM": (0.11, "2018-05-31T09:00"),
    "ARB": (0.8, "2023-03-23T17:00"),
}
DEFAULT_SYMBOLS = tuple(f"{base}USDT" for base in _KNOWN)


@attrs.frozen
class Instrument:
    """One listed market.

    `level` is the middle of its generated price path, in quote units; `price_decimals` and
    `quantity_decimals` say tick and step (``10 ** -n``); on the wire prices and quantities
    have `price_wire` and `quantity_wire` decimals. `listed_ms` and `delisted_ms` bound
    trading (the latter None while it trades).
    """

    symbol: str
    base: str
    quote: str
    level: float
    price_decimals: int
    quantity_decimals: int
    price_wire: int
    quantity_wire: int
    listed_ms: int
    delisted_ms: int | None = None

    @classmethod
    def make(
        cls,
        symbol: str,
        market: MarketName = "spot",
        *,
        level: float | None = None,
        listed_ms: int | None = None,
        delisted_ms: int | None = None,
    ) -> Instrument:
        """Return an instrument for any id such as ``BTCUSDT``, with sensible decimals.

        Raises:
            ConfigError: the id does not end in a known quote asset.
        """
        base, quote = split_symbol(symbol)
        dollars, listed = _KNOWN.get(base, (_made_up_level(symbol), _UNKNOWN_LISTED))
        middle = level or dollars / _QUOTE_LEVEL.get(quote, 1.0)
        digits = math.floor(math.log10(middle))
        # about five significant digits in a price, about a dollar in a quantity step
        price_decimals = min(_WIRE_DECIMALS, max(2 if market == "spot" else 1, 4 - digits))
        dollar_digits = math.floor(math.log10(middle * _QUOTE_LEVEL.get(quote, 1.0)))
        quantity_decimals = max(0, dollar_digits + (1 if market == "spot" else -1))
        spot = market == "spot"
        return cls(
            symbol=symbol,
            base=base,
            quote=quote,
            level=middle,
            price_decimals=price_decimals,
            quantity_decimals=quantity_decimals,
            price_wire=_WIRE_DECIMALS if spot else price_decimals,
            quantity_wire=_WIRE_DECIMALS if spot else quantity_decimals,
            listed_ms=_listed(listed, market) if listed_ms is None else listed_ms,
            delisted_ms=delisted_ms,
        )

    @classmethod
    def from_row(cls, row: Mapping[str, object], market: MarketName) -> Instrument:
        """Return the instrument a row of a given exchangeInfo document describes."""
        symbol = str(row["symbol"])
        base, quote = str(row["baseAsset"]), str(row["quoteAsset"])
        tick = _decimals(row, "PRICE_FILTER", "tickSize")
        step = _decimals(row, "LOT_SIZE", "stepSize")
        dollars, listed = _KNOWN.get(base, (_made_up_level(symbol), _UNKNOWN_LISTED))
        onboard = row.get("onboardDate")
        spot = market == "spot"
        return cls(
            symbol=symbol,
            base=base,
            quote=quote,
            level=max(dollars / _QUOTE_LEVEL.get(quote, 1.0), 2.0 * 10.0**-tick),
            price_decimals=tick,
            quantity_decimals=step,
            price_wire=_WIRE_DECIMALS if spot else tick,
            quantity_wire=_WIRE_DECIMALS if spot else step,
            listed_ms=onboard if isinstance(onboard, int) else _listed(listed, market),
        )


def split_symbol(symbol: str) -> tuple[str, str]:
    """Return base and quote of an id such as ``BTCUSDT``.

    Raises:
        ConfigError: it does not end in a quote asset the stand-in knows.
    """
    for quote in _QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol[: -len(quote)], quote
    raise ConfigError(
        f"symbol {symbol!r}: the stand-in lists ids that end in one of {', '.join(_QUOTES)}"
    )


def _decimals(row: Mapping[str, object], name: str, field: str) -> int:
    filters = row.get("filters")
    for entry in filters if isinstance(filters, list) else []:
        if entry.get("filterType") == name:
            exponent = Decimal(str(entry[field])).normalize().as_tuple().exponent
            return max(0, -exponent) if isinstance(exponent, int) else 0
    return _WIRE_DECIMALS


def _made_up_level(symbol: str) -> float:
    number = int.from_bytes(hashlib.sha256(symbol.encode()).digest()[:4], "big")
    return float(10.0 ** (number / 2**32 * 3.0 - 1.0))


def _listed(text: str, market: MarketName) -> int:
    spot = int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()) * 1000
    if market == "spot":
        return spot
    opened = dt.datetime.fromisoformat(_FUTURES_OPENED).replace(tzinfo=dt.UTC)
    return max(spot + 30 * _DAY_MS, int(opened.timestamp()) * 1000)
