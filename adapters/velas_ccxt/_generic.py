"""Any other venue ccxt knows, with what ccxt and that venue have."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

import ccxt.async_support as ccxt_async

from velas.adapter import ExchangeAdapter, limit_config
from velas.clock import SYSTEM_CLOCK, Clock
from velas.credentials import Credentials
from velas.errors import ConfigError, UnknownAdapter, Unsupported
from velas.interval import INTERVALS, Interval
from velas.limits import RateLimiter, shared_limiter
from velas.models import BookTicker, Capabilities, Market
from velas.settings import Trading
from velas.symbols import near_matches
from velas_ccxt import _generic_wire, _mapping
from velas_ccxt._client import CcxtClient
from velas_ccxt._errors import Reply
from velas_ccxt._generic_trading import GenericTrading, can_trade

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from velas.config import Limits, Settings
    from velas.ledger import Ledger

__all__ = ["CcxtExchange", "catalog"]

T = TypeVar("T")
Kind = Literal["spot", "derivatives"]

_PAGE_ROWS = 500  # where ccxt does not know the venue's page size
# venues whose candles reach back this many rows and no further, whatever is asked; the
# candle that is forming is one of them, and another may begin before the answer comes
_FORMING = 2
_NEWEST_ROWS = {"gate": 10_000, "gateio": 10_000, "hyperliquid": 5_000, "kraken": 720}
# venues that say their newest candle is the one of the running slot (Kraken: Get OHLC Data,
# "the current, not-yet-committed timeframe"; Bybit: Get Kline, closePrice; OKX: GET
# Candlesticks, confirm; Binance and its like); of others it is not known
_SHOW_FORMING = frozenset(
    {"binance", "binancecoinm", "binanceus", "binanceusdm", "bybit", "kraken", "okx"}
)
# ccxt's address group of a kind of markets, where a venue has several: Binance and its like
_API = {"spot": "public", "derivatives": "fapiPublic", "binancecoinm": "dapiPublic"}
_DERIVATIVES = ("swap", "future")
# whose filters are Binance's; others that list some mean other things by their words
_BINANCES = frozenset({"binance", "binancecoinm", "binanceus", "binanceusdm"})


class CcxtExchange(ExchangeAdapter):
    """A venue by its ccxt id, through ccxt's unified candles; ``bybit_derivatives`` says both.

    Those have six columns: `close_time` is computed, quote volume, trades and taker
    volumes are null. Page size, intervals and pace are what ccxt says of the venue. One
    adapter lists either the spot markets or the derivatives (`kind`; by default spot
    where the venue has it), so that no two series share a folder. Orders go through
    ccxt's unified methods, signed with `credentials`, by a client of their own: candles
    are asked for without a key.

    Raises:
        UnknownAdapter: ccxt has no such id.
        Unsupported: the venue has no candles, or none of that kind.
    """

    exchange_id: ClassVar[str | None] = None
    # many ccxt classes end a page `limit` slots after its start, candles or not
    reaches: ClassVar[bool] = False

    def __init__(
        self,
        exchange_id: str | None = None,
        *,
        kind: Kind | None = None,
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
        known, named = _known(exchange_id or self.exchange_id)
        kind = kind or named
        make = functools.partial(
            CcxtClient,
            getattr(ccxt_async, known),
            venue=known,
            clock=clock,
            url=url,
            timeout_s=timeout_s,
            paced=True,
        )
        self._client = client = make()
        self._kind: Kind = _kind(client.exchange, kind)
        self.linear_settle = self._kind == "derivatives"
        _load_only(client.exchange, self._kind)
        capabilities = _capabilities(client.exchange, self._kind)
        # where other adapters spend it too: one address, one budget
        host = client.host(_API.get(known, _API[self._kind]))
        if limiter is None:
            pace = limit_config(limits, requests_per_second=capabilities.requests_per_second)
            limiter = shared_limiter(host, pace, clock=clock, ledger=ledger)
        name = known if self._kind == _kind(client.exchange, None) else f"{known}_{self._kind}"
        super().__init__(name, capabilities, limiter, clock=clock, margin_ms=margin_ms)
        self._signed: GenericTrading | None = None
        if capabilities.orders:
            keys, trading = (credentials or Credentials()).only_for(known), trading or Trading()
            signed = functools.partial(self._signed_client, make, keys)
            self._signed = GenericTrading(
                self, keys, trading, host=host, public=client, signed=signed
            )
            self.use_trading(self._signed, trading, ledger=ledger, db_path=db_path)

    def _signed_client(self, make: Callable[..., CcxtClient], keys: Credentials) -> CcxtClient:
        client = make(config=_signing(self._kind), credentials=keys)
        client.exchange.velas_pace = self._client.exchange.velas_pace  # one pace for both
        return client

    @classmethod
    def from_settings(
        cls, settings: Settings, *, ledger: Ledger | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> Self:
        """Return the adapter that the settings describe; `exchange` is the ccxt id."""
        return cls(
            cls.exchange_id or settings.exchange,
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
        types = ("spot",) if self._kind == "spot" else _DERIVATIVES

        def parse(entries: Any) -> Mapping[str, Market]:
            found = _mapping.markets(
                entries.values(), exchange.precisionMode, with_filters=exchange.id in _BINANCES
            )
            return {name: market for name, market in found.items() if market.type in types}

        return await self._send(parse, exchange.load_markets, True)

    async def _ask_time_ms(self) -> tuple[int, float] | None:
        exchange = self._client.exchange
        if not exchange.has["fetchTime"]:
            return None

        async def timed() -> tuple[Any, float]:
            started_s = self.clock.monotonic_s()
            return await exchange.fetch_time(), self.clock.monotonic_s() - started_s

        def parse(answer: tuple[Any, float]) -> tuple[int, float]:
            return _mapping.server_time({"serverTime": answer[0]}), answer[1]

        return await self._send(parse, timed)

    async def _ask_candles(
        self, market: Market, interval: Interval, start_ms: int | None, end_ms: int, rows: int
    ) -> pd.DataFrame:
        # asked by `since` and `limit` alone: every venue's ccxt class understands these two,
        # and passes an `until` it does not know on to the venue, which may refuse it
        since = start_ms
        if since is None:
            since = max(0, interval.open_of(interval.slot(interval.ceil(end_ms)) - rows))
        wanted = min(rows, interval.count(since, end_ms) + 2)

        def parse(answer: Any) -> pd.DataFrame:
            frame = _mapping.ohlcv_frame(answer, interval, start_ms=since, end_ms=end_ms)
            return frame.iloc[:rows] if start_ms is not None else frame.iloc[-rows:]

        fetch = self._client.exchange.fetch_ohlcv
        return await self._send(parse, fetch, market.symbol, interval.name, since, wanted)

    async def _ask_forming(self, market: Market, interval: Interval) -> pd.DataFrame:
        running_ms = interval.floor(await self.server_time_ms())
        # ccxt rounds `since` to the interval's length; where slots open elsewhere it cannot be
        since = None if interval.name in ("1w", "1M") else running_ms

        def parse(answer: Any) -> pd.DataFrame:
            end_ms = interval.end_of(interval.end_of(running_ms))
            return _mapping.ohlcv_frame(answer, interval, start_ms=running_ms, end_ms=end_ms)

        # two slots, as the running one may end before the venue sees the request
        fetch = self._client.exchange.fetch_ohlcv
        return await self._send(parse, fetch, market.symbol, interval.name, since, 2)

    async def _ask_book_ticker(self, market: Market) -> BookTicker:
        def parse(answer: Any) -> BookTicker:
            return _generic_wire.book_ticker(answer, market.symbol)

        # the book's own top: of some venues ccxt's ticker has no quantities, or is older.
        # Without a depth: those allowed differ from venue to venue
        return await self._send(parse, self._client.exchange.fetch_order_book, market.symbol)

    async def _send(
        self, parse: Callable[[Any], T], request: Callable[..., Awaitable[Any]], *args: Any
    ) -> T:
        async def attempt() -> T:
            reply = Reply()
            try:
                answer = await self._client.call(reply, request, *args)
            finally:
                used = _mapping.used_weight(reply.headers)
                if used is not None:  # Binance and those like it
                    self.limiter.observe(*used)
            with self._client.named():
                return parse(answer)

        return await self.limiter.execute_with_retry(attempt, self.request_type)

    async def _close(self) -> None:
        try:
            await self._client.close()
        finally:
            if self._signed is not None:
                await self._signed.close()


def catalog() -> Mapping[str, type[CcxtExchange]]:
    """Return every venue ccxt knows: its id -> the adapter class for it, made on demand."""
    return _Catalog()


class _Catalog(Mapping[str, type[CcxtExchange]]):
    def __getitem__(self, name: str) -> type[CcxtExchange]:
        if _split(name)[0] not in ccxt_async.exchanges:
            raise KeyError(name)
        return _class_of(name)

    def __iter__(self) -> Iterator[str]:
        return iter(ccxt_async.exchanges)

    def __len__(self) -> int:
        return len(ccxt_async.exchanges)


@functools.cache
def _class_of(name: str) -> type[CcxtExchange]:
    return type(f"CcxtExchange_{name}", (CcxtExchange,), {"exchange_id": name})


def _split(name: str) -> tuple[str, Kind | None]:
    venue, _, kind = name.rpartition("_")
    return (venue, "derivatives") if venue and kind == "derivatives" else (name, None)


def _known(name: str | None) -> tuple[str, Kind | None]:
    venue, kind = _split(str(name))
    if venue in ccxt_async.exchanges:
        return venue, kind
    near = near_matches(str(name), ccxt_async.exchanges)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise UnknownAdapter(f"ccxt knows no exchange {name!r}{hint}")


def _kind(exchange: Any, wanted: Kind | None) -> Kind:
    has = exchange.has
    listed: dict[str, bool] = {
        "spot": bool(has.get("spot")),
        "derivatives": any(has.get(name) for name in _DERIVATIVES),
    }
    if wanted is None:
        return "spot" if listed["spot"] else "derivatives"
    if wanted not in listed:
        raise ConfigError(f"kind {wanted!r}: choose one of {', '.join(listed)}")
    if not listed[wanted]:
        raise Unsupported(f"{exchange.id} has no {wanted} markets")
    return wanted


def _load_only(exchange: Any, kind: Kind) -> None:
    # many ccxt classes read the kinds to download here; each is a request or more
    options = exchange.options.get("fetchMarkets")
    if isinstance(options, dict) and isinstance(options.get("types"), list):
        kinds = [one for one in options["types"] if one != "option"]
        wanted = [one for one in kinds if (one == "spot") == (kind == "spot")]
        options["types"] = wanted or options["types"]


def _capabilities(exchange: Any, kind: Kind) -> Capabilities:
    if exchange.has["fetchOHLCV"] is not True:  # 'emulated': made from trades
        raise Unsupported(f"{exchange.id} has no candles in ccxt")
    of_kind = ("spot", None) if kind == "spot" else ("swap", "linear")
    rows = exchange.feature_value_by_type(*of_kind, "fetchOHLCV", "limit", None) or _PAGE_ROWS
    known = _NEWEST_ROWS.get(exchange.id)
    newest = None if known is None else known - _FORMING
    return Capabilities(
        intervals=tuple(name for name in INTERVALS if name in exchange.timeframes),
        page_rows=min(int(rows), newest or int(rows)),
        requests_per_second=_requests_per_second(exchange),
        newest_rows=newest,
        forming_candles=exchange.id in _SHOW_FORMING,
        book_ticker=exchange.has.get("fetchOrderBook") is True,
        orders=can_trade(exchange),
    )


def _signing(kind: Kind) -> Mapping[str, Any]:
    return {
        "number": str,  # as the venue spells them, never as floats
        "options": {
            "defaultType": "spot" if kind == "spot" else "swap",
            "warnOnFetchOpenOrdersWithoutSymbol": False,
        },
    }


def _requests_per_second(exchange: Any) -> float | None:
    pause_ms = float(exchange.rateLimit or 0)
    return 1000 / pause_ms if pause_ms > 0 else None
