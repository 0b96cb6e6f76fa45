"""Binance Spot and USDT-M Futures: every column, the venue's own weights and limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from ccxt.async_support.binance import binance
from ccxt.async_support.binanceusdm import binanceusdm

from velas.adapter import ExchangeAdapter, lane, limit_config
from velas.clock import SYSTEM_CLOCK, Clock
from velas.credentials import Credentials
from velas.errors import BadResponse, ConfigError
from velas.interval import INTERVALS, Interval
from velas.limits import RateLimiter, RequestType, WeightLimit, shared_limiter
from velas.models import BookTicker, Capabilities, Market, Trade
from velas.settings import Trading
from velas_ccxt import _mapping, _weights
from velas_ccxt._client import CcxtClient
from velas_ccxt._errors import Reply
from velas_ccxt._trading import BinanceTrading, FuturesTrading, SpotTrading

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from velas.config import Limits, Settings
    from velas.ledger import Ledger

__all__ = ["BinanceFutures", "BinanceSpot"]

_MAX_TRADES = 1000
T = TypeVar("T")
Params = dict[str, Any]
_COMMON: Mapping[str, Any] = {
    "probe_listing": True,
    "full_candles": True,
    "trades": True,
    "trades_by_id": True,
    "book_ticker": True,
    "forming_candles": True,
    "orders": True,
}


class _FuturesMarkets(binanceusdm):  # type: ignore[misc]
    """ccxt's class with one correction.

    A perpetual on shares or commodities becomes a dated future under another name in
    ccxt once its delisting is announced; its series would be torn in two.
    """

    def parse_market(self, market: dict[str, Any]) -> Any:
        kind = str(market.get("contractType"))
        if "PERPETUAL" not in kind:
            return super().parse_market(market)
        parsed = super().parse_market({**market, "contractType": "PERPETUAL"})
        if parsed is not None:
            parsed["info"] = market
        return parsed


class Binance(ExchangeAdapter):
    """What both markets share; they differ by data."""

    ccxt_class: ClassVar[type]
    market_types: ClassVar[tuple[str, ...]]
    api: ClassVar[str]
    weights: ClassVar[_weights.Weights]
    book_ticker_counts: ClassVar[bool] = True
    venue_name: ClassVar[str]
    signed: ClassVar[type[BinanceTrading]]
    venue_capabilities: ClassVar[Capabilities]

    def __init__(
        self,
        *,
        url: str | None = None,
        timeout_s: float = 10.0,
        limiter: RateLimiter | None = None,
        limits: Limits | None = None,
        ledger: Ledger | None = None,
        clock: Clock = SYSTEM_CLOCK,
        margin_ms: int = 2_000,
        credentials: Credentials | None = None,
        trading: Trading | None = None,
        db_path: Path | None = None,
    ) -> None:
        keys = (credentials or Credentials()).only_for(self.venue_name)
        client = CcxtClient(
            self.ccxt_class,
            venue=self.venue_name,
            clock=clock,
            url=url,
            timeout_s=timeout_s,
            credentials=keys,
            config={
                "number": str,  # limits and steps as the venue spells them, never as floats
                "options": {
                    "fetchMarkets": {"types": list(self.market_types)},
                    "fetchMargins": False,  # two signed requests, once a key is set
                },
            },
        )
        if limiter is None:
            # until exchangeInfo says what the limits are today
            documented = WeightLimit(60, self.venue_capabilities.weight_per_minute or 1)
            config = limit_config(limits, weight_limits=(documented,))
            # named by the address, as that is what the venue counts
            limiter = shared_limiter(client.host(self.api), config, clock=clock, ledger=ledger)
            if limiter.snapshot().limit is None:  # made by an adapter that knows no weights
                limiter.set_weight_limits((documented,))
        super().__init__(
            self.venue_name,
            self.venue_capabilities,
            limiter,
            clock=clock,
            margin_ms=margin_ms,
        )
        self.max_rows = self.weights.max_rows
        self._client = client
        host = client.host(self.api)
        self._signed = self.signed(self, keys, trading or Trading(), host=host)
        self.use_trading(self._signed, trading or Trading(), ledger=ledger, db_path=db_path)

    @classmethod
    def from_settings(
        cls, settings: Settings, *, ledger: Ledger | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> Self:
        """Return the adapter that the settings describe."""
        return cls(
            url=settings.rest.url,
            timeout_s=settings.rest.timeout_s,
            limits=settings.limits,
            ledger=ledger,
            clock=clock,
            credentials=settings.credentials,
            trading=settings.trading,
            db_path=settings.db_path,
        )

    async def _ask_markets(self) -> Mapping[str, Market]:
        exchange = self._client.exchange

        def parse(entries: Any, reply: Reply) -> Mapping[str, Market]:
            limits = [WeightLimit(*limit) for limit in _mapping.weight_limits(reply.document)]
            if limits:
                self.limiter.set_weight_limits(limits)
            orders = _mapping.weight_limits(reply.document, "ORDERS")
            self._signed.pace.set_weight_limits(WeightLimit(*limit) for limit in orders)
            for_all = _mapping.exchange_filters(reply.document)
            return _mapping.markets(entries, exchange.precisionMode, for_all)

        return await self._send(exchange.fetch_markets, {}, parse, self.weights.exchange_info)

    async def _ask_time_ms(self) -> tuple[int, float]:
        endpoint = self._endpoint("Time")

        async def timed(params: Params) -> float:
            # within the limiter's slot: waiting for the budget is no round trip
            started_s = self.clock.monotonic_s()
            await endpoint(params)
            return self.clock.monotonic_s() - started_s

        def parse(round_trip_s: float, reply: Reply) -> tuple[int, float]:
            return _mapping.server_time(reply.document), round_trip_s

        return await self._send(timed, {}, parse, self.weights.time)

    async def _ask_candles(
        self, market: Market, interval: Interval, start_ms: int | None, end_ms: int, rows: int
    ) -> pd.DataFrame:
        # the venue's bounds are open times, both inclusive
        params: Params = {"symbol": market.id, "interval": interval.name, "limit": rows}
        params["endTime"] = end_ms - 1
        if start_ms is not None:
            params["startTime"] = start_ms

        def parse(_: Any, reply: Reply) -> pd.DataFrame:
            return _mapping.kline_frame(reply.body, start_ms=start_ms, end_ms=end_ms, rows=rows)

        weight = self.weights.candles(rows)
        return await self._send(self._endpoint("Klines"), params, parse, weight, raw=True)

    async def _ask_forming(self, market: Market, interval: Interval) -> pd.DataFrame:
        params: Params = {"symbol": market.id, "interval": interval.name, "limit": 1}

        def parse(_: Any, reply: Reply) -> pd.DataFrame:
            return _mapping.kline_frame(reply.body, rows=1)

        weight = self.weights.candles(1)
        return await self._send(self._endpoint("Klines"), params, parse, weight, raw=True)

    async def _ask_trades(
        self, market: Market, from_id: int | None, limit: int | None
    ) -> list[Trade]:
        rows = _MAX_TRADES if limit is None else limit
        if isinstance(rows, bool) or not 1 <= rows <= _MAX_TRADES:
            raise ConfigError(f"limit {rows!r}: {self.name} gives 1 to {_MAX_TRADES} trades")
        params: Params = {"symbol": market.id, "limit": rows}
        if from_id is not None:
            params["fromId"] = from_id

        def parse(document: Any, _: Reply) -> list[Trade]:
            return _mapping.trades(document, market.symbol)

        return await self._send(self._endpoint("AggTrades"), params, parse, self.weights.trades)

    async def _ask_book_ticker(self, market: Market) -> BookTicker:
        def parse(document: Any, _: Reply) -> BookTicker:
            return _mapping.book_ticker(document, market.symbol)

        return await self._send(
            self._endpoint("TickerBookTicker"),
            {"symbol": market.id},
            parse,
            self.weights.book_ticker,
            observed=self.book_ticker_counts,
        )

    async def _send(
        self,
        request: Callable[[Params], Awaitable[Any]],
        params: Params,
        parse: Callable[[Any, Reply], T],
        weight: int,
        *,
        raw: bool = False,
        observed: bool = True,
    ) -> T:
        async def attempt() -> T:
            return await self.ask_once(request, params, parse, raw=raw, observed=observed)

        return await self.limiter.execute_with_retry(attempt, self.request_type, weight=weight)

    async def ask_once(
        self,
        request: Callable[[Params], Awaitable[Any]],
        params: Params,
        parse: Callable[[Any, Reply], T],
        *,
        raw: bool = False,
        observed: bool = True,
        reply: Reply | None = None,
    ) -> T:
        """Make one request within the limiter's call, and read its answer."""
        reply = reply or Reply(raw=raw)
        try:
            answer = await self._client.call(reply, request, params)
        finally:
            used = _mapping.used_weight(reply.headers) if observed else None
            if used is not None:
                self.limiter.observe(*used)
        # read within the call, so that a broken answer is asked for again
        with self._client.named():
            return parse(answer, reply)

    async def ask_public(self, name: str, params: Params, weight: int) -> Mapping[str, Any]:
        """Return the JSON object of a public endpoint, for what orders need to know."""

        def parse(document: Any, _: Reply) -> Mapping[str, Any]:
            if not isinstance(document, Mapping):
                raise BadResponse(f"{name}: expected an object")
            return document

        with lane(RequestType.ORDER):
            return await self._send(self._endpoint(name), params, parse, weight)

    def endpoint(self, name: str) -> Callable[[Params], Awaitable[Any]]:
        """Return one of ccxt's methods for an endpoint, such as ``privatePostOrder``."""
        endpoint: Callable[[Params], Awaitable[Any]] = getattr(self._client.exchange, name)
        return endpoint

    def signed_endpoint(self, name: str) -> Callable[[Params], Awaitable[Any]]:
        """Return one of ccxt's methods that sends the account's key. Raises: AuthError."""
        self._client.check_private()
        return self.endpoint(name)

    def _endpoint(self, name: str) -> Callable[[Params], Awaitable[Any]]:
        return self.endpoint(f"{self.api}Get{name}")

    async def _close(self) -> None:
        await self._client.close()


class BinanceSpot(Binance):
    """Binance Spot: all eleven columns, 1,000 candles a page at weight 2."""

    ccxt_class = binance
    market_types = ("spot",)
    api = "public"
    weights = _weights.SPOT
    signed = SpotTrading
    venue_name = "binance_spot"
    venue_capabilities = Capabilities(
        intervals=INTERVALS,
        page_rows=1000,
        page_weight=_weights.SPOT.candles(1000),
        weight_per_minute=6000,
        **_COMMON,
    )


class BinanceFutures(Binance):
    """Binance USDT-M Futures: all eleven columns, 499 candles a page at weight 2.

    Pages of up to 1,500 exist, but give fewer candles for the same weight. Aggregate
    trades reach back 48 hours only.
    """

    linear_settle = True
    ccxt_class = _FuturesMarkets
    market_types = ("linear",)
    api = "fapiPublic"
    weights = _weights.FUTURES
    book_ticker_counts = False  # its used-weight header is wrong (USDS-M Futures, bookTicker)
    signed = FuturesTrading
    venue_name = "binance_futures"
    venue_capabilities = Capabilities(
        intervals=tuple(name for name in INTERVALS if name != "1s"),
        page_rows=499,
        page_weight=_weights.FUTURES.candles(499),
        weight_per_minute=2400,
        **_COMMON,
    )
