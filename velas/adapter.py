"""What every Exchange adapter shares; a venue's own adapter fills in five requests."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from velas import frames
from velas.candles import candles_of
from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import ConfigError, ExchangeError, UnknownSymbol, Unsupported
from velas.interval import Interval
from velas.limits import RateLimitConfig, RequestType, WeightLimit
from velas.models import (
    BookTicker,
    Candle,
    Capabilities,
    Market,
    Trade,
    Usage,
)
from velas.orders.methods import OrderMethods
from velas.orders.trader import Trader
from velas.paging import CandlePages
from velas.symbols import near_matches, series_key, spellings
from velas.venue_clock import VenueClock

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from velas.config import Limits
    from velas.ledger_file import LedgerFile
    from velas.limits import RateLimiter
    from velas.orders.venue import TradingVenue
    from velas.settings import Trading

__all__ = ["ExchangeAdapter", "lane", "limit_config"]

_LOG = logging.getLogger(__name__)
_TYPES_BY_ID = ("spot", "swap", "future", "option")  # who gets an id that several markets share


_lane: ContextVar[RequestType] = ContextVar("velas_lane", default=RequestType.HISTORY)


@contextmanager
def lane(request_type: RequestType) -> Iterator[None]:
    """Send what this task, and tasks it starts, ask of any venue in another lane.

    The default is ``HISTORY``; live repair asks for ``LIVE``.
    """
    token = _lane.set(request_type)
    try:
        yield
    finally:
        _lane.reset(token)


def limit_config(
    limits: Limits | None,
    *,
    weight_limits: Iterable[WeightLimit] = (),
    requests_per_second: float | None = None,
) -> RateLimitConfig:
    """Return the limiter's configuration: the settings' word, else the venue's."""
    if limits is None:
        return RateLimitConfig(requests_per_second, weight_limits=weight_limits)
    return RateLimitConfig(
        requests_per_second=limits.requests_per_second or requests_per_second,
        burst_size=limits.burst_size or 1,
        retry_attempts=limits.retry_attempts,
        weight_limits=weight_limits,
        history_share=limits.history_share,
        live_share=limits.live_share,
        max_wait_s=limits.max_wait_s,
    )


class ExchangeAdapter(OrderMethods, ABC):
    """Base of Exchange adapters: lifecycle, symbols, clock, closed candles, paging.

    A subclass implements `_ask_markets`, `_ask_candles`, `_ask_time_ms`, and, where its
    `capabilities` claim them, `_ask_trades` and `_ask_book_ticker`; each sends its
    request under `self.limiter` and raises errors of `velas.errors` only. `_close`
    releases what was opened. One that trades gives `use_trading` its signed requests.
    A candle counts as closed once the venue's clock has passed
    its end by `margin_ms` (the venue may still be writing until then).
    """

    linear_settle: bool = False  # whether BTC/USDT means BTC/USDT:USDT here
    max_rows: int | None = None  # most rows a page may have, if above page_rows
    pages_ahead: ClassVar[int] = 4
    reaches: ClassVar[bool] = True  # see velas.paging

    def __init__(
        self,
        name: str,
        capabilities: Capabilities,
        limiter: RateLimiter,
        *,
        clock: Clock = SYSTEM_CLOCK,
        margin_ms: int = 2_000,
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.limiter = limiter
        self.clock = clock
        self.margin_ms = margin_ms
        self._markets: Mapping[str, Market] | None = None
        self._by_id: dict[str, Market] = {}
        self._rivals: dict[str, tuple[str, ...]] = {}  # of a symbol that has no folder of its own
        self._venue_clock = VenueClock(
            self._time_ms, clock=lambda: self.clock, tell_offset=limiter.set_clock_offset_ms
        )
        self._markets_lock = asyncio.Lock()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{' closed' if self._closed else ''}>"

    def use_trading(
        self,
        venue: TradingVenue,
        trading: Trading,
        *,
        ledger: LedgerFile | None,
        db_path: Path | None = None,
    ) -> None:
        """Trade through `venue` from now on.

        Intents are kept in `ledger`, else in one at `db_path`, opened for the first order.
        """
        self._trader = Trader(
            venue, self, trading, ledger=ledger, db_path=db_path, clock=self.clock
        )

    @property
    def request_type(self) -> RequestType:
        """The lane of what this task asks now; see `lane`."""
        return _lane.get()

    @property
    def usage(self) -> Usage:
        """What this process has spent at the venue so far."""
        return self.limiter.usage

    # -- markets ---------------------------------------------------------------------

    async def markets(self, *, refresh: bool = False) -> Mapping[str, Market]:
        """Return all markets by unified symbol; fetched once, again on `refresh`."""
        before = self._markets
        if before is not None and not refresh:
            return before
        self._check_open()
        async with self._markets_lock:
            if self._markets is None or (refresh and self._markets is before):
                found = await self._ask_markets()
                self._by_id, self._rivals = _index(found), self._sharing(found)
                self._markets = found
            return self._markets

    async def market(self, symbol: str) -> Market:
        """Return the market a symbol in any spelling means.

        Raises:
            UnknownSymbol: the venue does not list it, or its candles would share a folder
                with those of another market; `near` has similar ones, or the others.
        """
        if not isinstance(symbol, str):
            raise ConfigError(f"symbol {symbol!r}: expected text such as 'BTC/USDT'")
        markets = await self.markets()
        found = self._meant(symbol, markets)
        rivals = self._rivals.get(found.symbol)
        if rivals:
            raise UnknownSymbol(
                f"{self.name}: {found.symbol} and {', '.join(rivals)} would share the folder "
                f"{series_key(found.symbol)!r}, and their candles overwrite each other; "
                f"{found.symbol} cannot be used",
                near=rivals,
            )
        return found

    def _meant(self, symbol: str, markets: Mapping[str, Market]) -> Market:
        for name in spellings(symbol, linear_settle=self.linear_settle):
            if name in markets:
                return markets[name]
        if symbol in self._by_id:
            return self._by_id[symbol]
        near = near_matches(symbol, markets)
        hint = f"; similar: {', '.join(near)}" if near else ""
        raise UnknownSymbol(f"{self.name} lists no market {symbol!r}{hint}", near=near)

    def _sharing(self, markets: Mapping[str, Market]) -> dict[str, tuple[str, ...]]:
        rivals: dict[str, tuple[str, ...]] = {}
        for key, sharing in _same_folder(markets.values()):
            active = [market for market in sharing if market.active]
            names = [market.symbol for market in sharing]
            if len(active) == 1:
                names.remove(active[0].symbol)
                if not self._rivals.keys() >= set(names):  # said before
                    _LOG.warning(
                        "%s: the folder %s is %s's; not to be used, as not active: %s",
                        *(self.name, key, active[0].symbol, ", ".join(names)),
                    )
                rivals |= dict.fromkeys(names, (active[0].symbol,))
            else:
                rivals |= {one: tuple(n for n in names if n != one) for one in names}
        return rivals

    # -- the venue's clock -----------------------------------------------------------

    async def server_time_ms(self) -> int:
        """Return the venue's clock in ms, never ahead of it; measured every ten minutes.

        It may be behind by as long as the fastest of the answers took on its way.
        """
        return await self._venue_clock.now_ms()

    def estimated_time_ms(self) -> int:
        """Return the venue's clock by the last measurement, without asking; else the local."""
        return self._venue_clock.estimate_ms()

    def doubt_server_time(self) -> None:
        """Measure the venue's clock anew when it is asked for next."""
        self._venue_clock.doubt()

    async def _time_ms(self) -> tuple[int, float] | None:
        self._check_open()
        return await self._ask_time_ms()

    # -- candles ---------------------------------------------------------------------

    async def fetch_candles(
        self,
        symbol: str,
        interval: str | Interval,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Return one page of closed candles that open in ``[start_ms, end_ms)``.

        See `velas.protocols.Exchange.fetch_candles`.

        Raises:
            ConfigError: the range is inverted, or `limit` more than the venue gives.
            Unsupported: the venue has no candles of this interval.
        """
        grid, rows = self._grid(interval), self._rows(limit)
        _check_range(start_ms, end_ms)
        market = await self.market(symbol)
        due_ms = await self.server_time_ms() - self.margin_ms
        # candles of the running slot are not closed: asking for them wastes rows of the page
        end = grid.floor(due_ms) if end_ms is None else min(end_ms, grid.floor(due_ms))
        if end <= (start_ms or 0):
            return frames.empty()
        self._check_open()
        frame = await self._ask_candles(market, grid, start_ms, end, rows)
        # off the grid a candle that opens before `end` may still be open
        return frame if grid.end_of(end - 1) <= due_ms else _closed_rows(frame, grid, due_ms)

    def iter_candles(
        self, symbol: str, interval: str | Interval, *, start_ms: int, end_ms: int
    ) -> AsyncIterator[pd.DataFrame]:
        """Iterate over the closed candles of a range as non-empty pages, ascending.

        Pages are fetched ahead, a few at a time. One that lacks rows ends nothing: the
        venue is asked for the candle that comes next. Closing the iterator cancels what
        is under way.

        Raises:
            BadResponse: the venue's answers contradict one another.
        """
        _check_range(start_ms, end_ms)
        return self._pages(symbol, self._grid(interval), start_ms, end_ms)

    async def _pages(
        self, symbol: str, grid: Interval, start_ms: int, end_ms: int
    ) -> AsyncGenerator[pd.DataFrame, None]:
        market = await self.market(symbol)
        due_ms = await self.server_time_ms() - self.margin_ms
        end_ms = min(end_ms, grid.floor(due_ms))
        if start_ms >= end_ms:
            return
        pages = CandlePages(
            self, market.symbol, grid, end_ms, ahead=self.pages_ahead, reaches=self.reaches
        )
        async with aclosing(pages.walk(start_ms)) as walk:
            async for page in walk:
                yield page

    async def fetch_forming_candle(self, symbol: str, interval: str | Interval) -> Candle | None:
        """Return the candle of the running slot as it is now.

        None if the venue's newest candle does not belong to that slot by the venue's
        clock: nothing was traded in it yet, or it ended while the answer was on its way.
        """
        if not self.capabilities.forming_candles:
            raise Unsupported(f"{self.name} does not give candles before they are closed")
        grid = self._grid(interval)
        market = await self.market(symbol)
        await self.server_time_ms()  # measured before, as nothing may delay the answer's judging
        self._check_open()
        newest = await self._ask_forming(market, grid)
        now_ms = await self.server_time_ms()
        found = candles_of(newest.iloc[-1:], market.symbol, grid.name, is_closed=False)
        if found and found[0].timestamp <= now_ms < grid.end_of(found[0].timestamp):
            return found[0]
        return None

    def _grid(self, interval: str | Interval) -> Interval:
        grid = Interval.of(interval)
        if grid.name not in self.capabilities.intervals:
            raise Unsupported(
                f"{self.name} has no {grid} candles; "
                f"it has {', '.join(self.capabilities.intervals) or 'none'}"
            )
        return grid

    def _rows(self, limit: int | None) -> int:
        if limit is None:
            return self.capabilities.page_rows
        return _checked_limit(limit, self.max_rows or self.capabilities.page_rows, self.name)

    # -- trades, book ----------------------------------------------------------------

    async def fetch_trades(
        self, symbol: str, *, from_id: int | None = None, limit: int | None = None
    ) -> list[Trade]:
        """Return aggregate trades, ascending by id, from `from_id` on or the newest."""
        if not self.capabilities.trades:
            raise Unsupported(f"{self.name} has no public trades")
        if from_id is not None and not self.capabilities.trades_by_id:
            raise Unsupported(f"{self.name} cannot look up trades by id")
        market = await self.market(symbol)
        self._check_open()
        return await self._ask_trades(market, from_id, limit)

    async def fetch_book_ticker(self, symbol: str) -> BookTicker:
        """Return the best bid and ask now."""
        if not self.capabilities.book_ticker:
            raise Unsupported(f"{self.name} has no book ticker")
        market = await self.market(symbol)
        self._check_open()
        return await self._ask_book_ticker(market)

    # -- lifecycle -------------------------------------------------------------------

    async def aclose(self) -> None:
        """Release connections; may be called again."""
        if not self._closed:
            self._closed = True
            try:
                await self._close()
            finally:
                if self._trader is not None:
                    self._trader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise ExchangeError(f"{self.name} is closed; open the exchange again")
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if loop is not self._loop:
            raise ExchangeError(
                f"{self.name} belongs to the event loop it was first used in; open an exchange of "
                "its own for each loop and thread"
            )

    # -- what a venue's adapter implements -------------------------------------------

    @abstractmethod
    async def _ask_markets(self) -> Mapping[str, Market]:
        """Fetch all markets, by unified symbol."""

    @abstractmethod
    async def _ask_time_ms(self) -> tuple[int, float] | None:
        """Fetch the venue's time in ms and how long the round trip took in seconds.

        None if the venue does not tell the time.
        """

    @abstractmethod
    async def _ask_candles(
        self, market: Market, interval: Interval, start_ms: int | None, end_ms: int, rows: int
    ) -> pd.DataFrame:
        """Fetch one page of ``[start_ms, end_ms)``: ascending, unique, at most `rows`."""

    async def _ask_forming(self, market: Market, interval: Interval) -> pd.DataFrame:
        """Fetch the newest candle, closed or not, in one request of the least weight.

        An ascending frame whose last row it is; called if `capabilities.forming_candles`.
        """
        raise NotImplementedError

    async def _ask_trades(
        self, market: Market, from_id: int | None, limit: int | None
    ) -> list[Trade]:
        """Fetch trades, ascending; called if `capabilities.trades`."""
        raise NotImplementedError

    async def _ask_book_ticker(self, market: Market) -> BookTicker:
        """Fetch the best bid and ask; called if `capabilities.book_ticker`."""
        raise NotImplementedError

    @abstractmethod
    async def _close(self) -> None:
        """Release connections; called once."""


def _index(markets: Mapping[str, Market]) -> dict[str, Market]:
    def rank(market: Market) -> tuple[bool, int]:
        return (not market.active, _TYPES_BY_ID.index(market.type))

    found: dict[str, Market] = {}
    for market in sorted(markets.values(), key=rank):
        found.setdefault(market.id, market)
    return found


def _same_folder(markets: Iterable[Market]) -> Iterator[tuple[str, list[Market]]]:
    by_key: dict[str, list[Market]] = {}
    for market in markets:
        with suppress(ConfigError):  # it has no folder at all
            by_key.setdefault(market.key, []).append(market)
    return ((key, sharing) for key, sharing in by_key.items() if len(sharing) > 1)


def _check_range(start_ms: int | None, end_ms: int | None) -> None:
    for name, value in (("start_ms", start_ms), ("end_ms", end_ms)):
        # numpy's integers are welcome, floats (seconds, most likely) are not
        if value is not None and (not hasattr(value, "__index__") or value < 0):
            raise ConfigError(f"{name} must be ms since the epoch, UTC, not {value!r}")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise ConfigError(f"inverted range: start_ms {start_ms} is after end_ms {end_ms}")


def _checked_limit(limit: int, most: int, name: str) -> int:
    if isinstance(limit, bool) or not 1 <= limit <= most:
        raise ConfigError(f"limit {limit!r}: {name} gives 1 to {most} rows a page")
    return limit


def _closed_rows(frame: pd.DataFrame, grid: Interval, due_ms: int) -> pd.DataFrame:
    opens = frame["timestamp"].to_numpy()
    keep = len(opens)
    while keep and grid.end_of(int(opens[keep - 1])) > due_ms:
        keep -= 1
    return frame if keep == len(opens) else frame.iloc[:keep]
