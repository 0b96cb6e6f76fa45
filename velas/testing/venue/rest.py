"""What the venue answers to each request, by its documented rules; no HTTP in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from velas.errors import ConfigError
from velas.interval import INTERVALS, Interval
from velas.models import Trade
from velas.testing.venue import book, params, public_trades, refusal
from velas.testing.venue.exact import text
from velas.testing.venue.instruments import Instrument
from velas.testing.venue.listing import Listing
from velas.testing.venue.pages import PageCache
from velas.testing.venue.pricing import Prices
from velas.testing.venue.quotes import Quotes
from velas.testing.venue.series import CandleSource, Series, select
from velas.testing.venue.weights import WeightWindow

__all__ = ["RestSide"]

Params = Mapping[str, str]
_AVERAGE_MIN = 5
_FUNDING_MS = 8 * 3_600_000
Handler = Callable[[Params, int], bytes]


class RestSide:
    """Answers public GET requests of one market from a listing and a candle source.

    Source of the rules: binance-facts 1.2-1.4. Where they are not known it decides so:
    spot cuts a `limit` above the maximum down to it; an unknown path is HTTP 404.
    """

    def __init__(
        self,
        listing: Listing,
        candles: CandleSource,
        window: WeightWindow,
        pages: PageCache,
        *,
        seed: int,
        started_ms: int,
        tombstones: float = 0.0,
    ) -> None:
        self.listing = listing
        self._candles = candles
        self._window = window
        self._pages = pages
        self.quotes = Quotes(candles, seed, tombstones=tombstones)
        self.prices = Prices(self.quotes)
        self._started_ms = started_ms
        self._spot = listing.market == "spot"
        self._series: dict[tuple[str, str], Series] = {}
        self._handlers = self._routes()

    def answer(self, method: str, path: str, query: Params, now_ms: int) -> bytes:
        """Return the JSON body for a request. Raises: Refused."""
        handler = self._handlers.get(path)
        if handler is None or method != "GET":
            raise refusal.no_such_path(path, method)
        return handler(query, now_ms)

    def series(self, symbol: str, interval: str) -> Series:
        """Return a candle series by id and interval. Raises: Refused -1121, -1120."""
        known = self._series.get((symbol, interval))
        if known is not None:
            return known
        instrument = self._instrument(symbol)
        if interval not in INTERVALS or (interval == "1s" and not self._spot):
            raise refusal.invalid_interval()
        series = self._candles.series(instrument, Interval(interval))
        if series is None:
            raise refusal.invalid_symbol()
        self._series[(symbol, interval)] = series
        return series

    def find_series(self, symbol: str, interval: str) -> Series | None:
        """Return a candle series, None where `series` would refuse."""
        try:
            return self.series(symbol, interval)
        except refusal.Refused:
            return None

    def trades(self, symbol: str, first_id: int, end_id: int, now_ms: int) -> list[Trade]:
        """Return the truth about a range of aggregate trades. Raises: ConfigError."""
        from velas.testing.venue.truth import trades_of

        instrument = self.listing.instruments.get(symbol)
        if instrument is None:
            raise ConfigError(f"{symbol}: the stand-in does not list it")
        return trades_of(self.quotes, instrument, first_id, end_id, now_ms, futures=not self._spot)

    def page(self, symbol: str, interval: str, start: int, stop: int, now_ms: int) -> bytes:
        """Return candles by number as an encoded page."""
        series = self.series(symbol, interval)
        return self._pages.page(series, (symbol, interval, start, stop), now_ms)

    def _routes(self) -> dict[str, Handler]:
        common: dict[str, Handler] = {
            "ping": lambda _query, _now: b"{}",
            "time": lambda _query, now_ms: orjson.dumps({"serverTime": now_ms}),
            "exchangeInfo": self._exchange_info,
            "klines": self._klines,
            "aggTrades": self._agg_trades,
            "trades": self._trades,
            "depth": self._depth,
            "ticker/bookTicker": self._tickers(book.book_ticker),
            "ticker/price": self._tickers(book.price),
            "ticker/24hr": self._tickers(book.day),
        }
        prefix = "/api/v3" if self._spot else "/fapi/v1"
        routes = {f"{prefix}/{name}": handler for name, handler in common.items()}
        if self._spot:
            routes["/api/v3/avgPrice"] = self._average
        else:
            routes["/fapi/v2/ticker/price"] = common["ticker/price"]
            routes["/fapi/v1/premiumIndex"] = self._tickers(self._premium_index)
        return routes

    def _instrument(self, symbol: str) -> Instrument:
        found = self.listing.instruments.get(symbol)
        if found is None:
            raise refusal.invalid_symbol()
        return found

    def _bounds(self, query: Params) -> tuple[int | None, int | None]:
        start, end = params.time_ms(query, "startTime"), params.time_ms(query, "endTime")
        if not self._spot and start is not None and end is not None and start > end:
            raise refusal.inverted_range()
        return start, end

    def _klines(self, query: Params, now_ms: int) -> bytes:
        symbol = params.required(query, "symbol")
        interval = params.required(query, "interval")
        most = 1000 if self._spot else 1500
        limit = params.limit(query, default=500, most=most, clamp=self._spot)
        if query.get("timeZone", "0") not in ("0", "00:00", "+00:00"):
            raise refusal.invalid("timeZone")  # other buckets than UTC are not served
        start_ms, end_ms = self._bounds(query)
        series = self.series(symbol, interval)
        start, stop = select(series, start_ms=start_ms, end_ms=end_ms, limit=limit, now_ms=now_ms)
        return self.page(symbol, interval, start, max(start, stop), now_ms)

    def _agg_trades(self, query: Params, now_ms: int) -> bytes:
        instrument = self._instrument(params.required(query, "symbol"))
        limit = params.limit(query, default=500, most=1000, clamp=self._spot)
        start_ms, end_ms = self._bounds(query)
        asked = public_trades.Asked(params.number(query, "fromId"), start_ms, end_ms, limit)
        tape = self.quotes.tape(instrument)
        numbers = public_trades.choose(tape, instrument, asked, now_ms, futures=not self._spot)
        rows = public_trades.aggregate(self.quotes, instrument, numbers, futures=not self._spot)
        return orjson.dumps(rows)

    def _trades(self, query: Params, now_ms: int) -> bytes:
        instrument = self._instrument(params.required(query, "symbol"))
        limit = params.limit(query, default=500, most=1000, clamp=self._spot)
        asked = public_trades.Asked(None, None, None, limit)
        tape = self.quotes.tape(instrument)
        numbers = public_trades.choose(tape, instrument, asked, now_ms, futures=not self._spot)
        rows = public_trades.plain(self.quotes, instrument, numbers, futures=not self._spot)
        return orjson.dumps(rows)

    def _depth(self, query: Params, now_ms: int) -> bytes:
        instrument = self._instrument(params.required(query, "symbol"))
        limit = book.depth_limit(params.number(query, "limit"), futures=not self._spot)
        depth = book.depth(self.quotes, instrument, limit, now_ms, futures=not self._spot)
        return orjson.dumps(depth)

    def _average(self, query: Params, now_ms: int) -> bytes:
        instrument = self._instrument(params.required(query, "symbol"))
        mean = self.prices.average(instrument, _AVERAGE_MIN, now_ms)
        document = {"mins": _AVERAGE_MIN, "price": text(mean, 8), "closeTime": now_ms}
        return orjson.dumps(document)

    def _premium_index(
        self, quotes: Quotes, instrument: Instrument, now_ms: int, futures: bool
    ) -> dict[str, Any]:
        mark = text(self.prices.mark(instrument, now_ms), 8)
        return {
            "symbol": instrument.symbol,
            "markPrice": mark,
            "indexPrice": mark,
            "estimatedSettlePrice": mark,
            "lastFundingRate": "0.00010000",
            "interestRate": "0.00010000",
            "nextFundingTime": (now_ms // _FUNDING_MS + 1) * _FUNDING_MS,
            "time": now_ms,
        }

    def _tickers(self, make: book.Ticker) -> Handler:
        def handler(query: Params, now_ms: int) -> bytes:
            one = query.get("symbol")
            many = params.symbol_list(query, "symbols") if self._spot else None
            if one and many is not None:
                raise refusal.bad_combination()
            names = [one] if one else many
            if names is None:
                names = [
                    name
                    for name in self.listing.instruments
                    if self.listing.status(name, now_ms) == "TRADING"
                ]
            rows = [
                make(self.quotes, self._instrument(name), now_ms, not self._spot) for name in names
            ]
            return orjson.dumps(rows[0] if one else rows)

        return handler

    def _exchange_info(self, query: Params, now_ms: int) -> bytes:
        if not self._spot:
            # its serverTime is not the time (binance-facts 1.3): a client that takes it fails
            return orjson.dumps(self.listing.document(self._window, self._started_ms))
        document = self.listing.document(self._window, now_ms)
        wanted = self._wanted(query)
        rows = [row for row in document["symbols"] if wanted(row)]
        if query.get("showPermissionSets") == "false":
            rows = [{**row, "permissionSets": []} for row in rows]
        return orjson.dumps({**document, "symbols": rows})

    def _wanted(self, query: Params) -> Callable[[Mapping[str, Any]], bool]:
        one = query.get("symbol")
        many = params.symbol_list(query, "symbols")
        permissions = params.symbol_list(query, "permissions")
        status = query.get("symbolStatus")
        if sum(bool(choice) for choice in (one, many, permissions)) > 1:
            raise refusal.bad_combination()
        names = [one] if one else many
        if names is not None:
            if status:
                raise refusal.bad_combination()
            known = {self._instrument(name).symbol for name in names}
            return lambda row: row["symbol"] in known
        allowed = set(permissions or ())
        return lambda row: (
            (not status or row["status"] == status)
            and (not allowed or not allowed.isdisjoint(_permissions(row)))
        )


def _permissions(row: Mapping[str, Any]) -> list[str]:
    sets: list[list[str]] = row.get("permissionSets") or [row.get("permissions", [])]
    return [name for names in sets for name in names]
