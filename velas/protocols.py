"""The three contracts: Exchange (REST), Feed (live, raw), Store (candles on disk)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from velas.models import (
    AppendResult,
    BookTicker,
    Candle,
    Capabilities,
    Channel,
    Gap,
    Market,
    Order,
    OrderRequest,
    Position,
    SeriesId,
    SeriesStats,
    Subscription,
    Trade,
    Usage,
)
from velas.status import Status

if TYPE_CHECKING:
    import pandas as pd

    from velas.interval import Interval
    from velas.orders import Intent
    from velas.validation import MarketState, OrderValidator

__all__ = [
    "Capabilities",
    "Channel",
    "Event",
    "Exchange",
    "Feed",
    "FormingCandles",
    "Rotatable",
    "Store",
]

Event = Candle | Trade | BookTicker


@runtime_checkable
class Exchange(Protocol):
    """A venue's request side. An async context manager; the constructor does no I/O.

    Every method takes a symbol in any spelling of `velas.symbols` and raises
    `UnknownSymbol` with near matches, `Unsupported` for what `capabilities` lacks,
    `Unavailable`, `RequestTimeout`, `BadResponse`, `RateLimited` or `Banned` when
    retries are used up, `Forbidden`, `RestrictedLocation` or `BadRequest` at once. What
    asks about an account raises `AuthError` without a key.
    """

    @property
    def name(self) -> str:
        """The name the adapter is registered by, and the folder of its candles."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this venue can do; known without I/O."""
        ...

    @property
    def usage(self) -> Usage:
        """What this process has spent at the venue so far."""
        ...

    async def markets(self, *, refresh: bool = False) -> Mapping[str, Market]:
        """Return all markets by unified symbol; fetched once, again on `refresh`."""
        ...

    async def market(self, symbol: str) -> Market:
        """Return the market a symbol in any spelling means."""
        ...

    async def server_time_ms(self) -> int:
        """Return the venue's clock in ms (measured offset, refreshed now and then)."""
        ...

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

        Ascending, unique. From `start_ms` on the oldest `limit` rows, without it the
        newest; at most `capabilities.page_rows`, the default. "Closed" is by the venue's
        clock. Fewer rows than asked prove nothing: only a row beyond a hole does.
        """
        ...

    def iter_candles(
        self, symbol: str, interval: str | Interval, *, start_ms: int, end_ms: int
    ) -> AsyncIterator[pd.DataFrame]:
        """Iterate over the closed candles of a range as non-empty pages, ascending."""
        ...

    async def fetch_trades(
        self, symbol: str, *, from_id: int | None = None, limit: int | None = None
    ) -> list[Trade]:
        """Return aggregate trades, ascending by id, from `from_id` on or the newest."""
        ...

    async def fetch_book_ticker(self, symbol: str) -> BookTicker:
        """Return the best bid and ask now."""
        ...

    async def create_order(self, request: OrderRequest) -> Order:
        """Place an order, at most once for `request.intent`.

        The market's rules are judged first. Called again with the same intent, also after
        a restart, it returns the one order as it is now. In mode ``test`` the venue only
        judges it.

        Raises:
            OrderInvalid: it breaks rules of the market; has all `violations`.
            OrderRejected: the venue refused it; no order exists.
            OrderNotPlaced: the venue did not execute it; no order exists.
            OrderUnknown: it may exist: call again with the same intent, or
                `recover_orders`.
            OrderNotFound: it was placed before, and the venue has forgotten it since.
            Unavailable, RequestTimeout: placed before, and the venue gives no answer now;
                or nothing was sent.
            AuthError: key, signature or permission; no order exists.
            ConfigError: the intent is another order's.
            TradingOff: by `trading.mode` or `trading.max_notional` it may not leave.
        """
        ...

    async def cancel_order(
        self, symbol: str, order_id: str | None = None, *, client_id: str | None = None
    ) -> Order:
        """Cancel an open order by the venue's id or the client's; return it.

        One that is canceled already is returned as it is.

        Raises:
            OrderNotFound: there is no such open order; it may be filled meanwhile.
            TradingOff: `trading.mode` is not ``live``.
        """
        ...

    async def fetch_order(
        self, symbol: str, order_id: str | None = None, *, client_id: str | None = None
    ) -> Order:
        """Return one order by the venue's id or the client's.

        Raises:
            OrderNotFound: the venue knows none, or not yet.
        """
        ...

    async def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the resting orders, of one symbol or of all, oldest first."""
        ...

    async def balances(self) -> Mapping[str, Decimal]:
        """Return what is free to use, by asset, without empty ones."""
        ...

    async def positions(self, symbol: str | None = None) -> list[Position]:
        """Return the open positions, of one symbol or of all.

        Raises:
            Unsupported: the venue has balances only.
        """
        ...

    async def recover_orders(self) -> list[Intent]:
        """Settle every intent whose fate was open when the last process ended.

        Each comes back ``placed`` or ``absent``; ``sent`` if the venue gave no answer.
        Nothing is sent again.
        """
        ...

    async def fetch_intent(self, intent: str) -> Intent | None:
        """Return where an intent stands, None if there never was one of that key.

        A placed one has its order as it is now. For a bot that has been restarted and
        would ask for something else today, such as another price.

        Raises:
            OrderUnknown: its order may exist, and the venue gives no answer.
        """
        ...

    async def declare_absent(self, intent: str) -> Intent:
        """Say that an intent whose fate is open has no order, after looking oneself.

        For venues that cannot prove it: the intent may then be sent again. If there is an
        order after all, there will be two.

        Raises:
            ConfigError: there is no such intent, or its fate is known.
        """
        ...

    async def market_state(self, symbol: str) -> MarketState:
        """Return the prices that the market's order rules refer to; needs no key."""
        ...

    async def order_validator(self, symbol: str) -> OrderValidator:
        """Return the order rules of a market, as the venue lists it; needs no key."""
        ...

    async def aclose(self) -> None:
        """Release connections; may be called again."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class Feed(Protocol):
    """What a socket says: it may miss, repeat and reorder. An async context manager.

    Subscribe first, then either iterate over `events` or set callbacks (sync or async)
    and `run`. Symbols are given in any spelling and come back unified. `on_status` gets
    the events of `velas.status`.
    """

    on_candle: Callable[[Candle], Awaitable[None] | None] | None
    on_trade: Callable[[Trade], Awaitable[None] | None] | None
    on_book_ticker: Callable[[BookTicker], Awaitable[None] | None] | None
    on_status: Callable[[Status], Awaitable[None] | None] | None

    def subscribe(
        self, channel: Channel, symbols: Sequence[str], *, intervals: Sequence[str] = ()
    ) -> None:
        """Ask for a channel of some symbols; `intervals` for candles only."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """Iterate over what arrives until the feed is closed."""
        ...

    async def run(self) -> None:
        """Drive the callbacks until the feed is closed."""
        ...

    async def aclose(self) -> None:
        """Close the sockets; may be called again."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class FormingCandles(Protocol):
    """What an Exchange also has if its capabilities say `forming_candles`."""

    async def fetch_forming_candle(self, symbol: str, interval: str | Interval) -> Candle | None:
        """Return the candle of the running slot as it is now.

        `is_closed` is False, `source` ``rest``; None while the venue has no candle of that
        slot by its own clock (some make one at the first trade only).
        """
        ...


@runtime_checkable
class Rotatable(Protocol):
    """What a Feed also is if it can replace the connection that carries a series."""

    def rotate(self, subscription: Subscription, reason: str) -> None:
        """Open a new connection for what this one carries, then drop the old; returns at once.

        Asked again before the first is done, it does nothing more.
        """
        ...


@runtime_checkable
class Store(Protocol):
    """Candle series on disk. Synchronous; safe for several threads and processes.

    When `save` or `append` has returned, the rows survive a crash and a power cut.
    Reading never blocks on a writer and sees a series as of one moment. Methods raise
    `StoreCorrupt` for a damaged file (never an empty result), `StoreLocked`, `StoreFull`,
    `FrameError` for a frame of another shape, `ConfigError` for a symbol that could
    leave its folder.
    """

    def save(self, frame: pd.DataFrame, symbol: str, interval: str | Interval) -> None:
        """Replace the series by `frame`."""
        ...

    def append(self, frame: pd.DataFrame, symbol: str, interval: str | Interval) -> AppendResult:
        """Merge rows in by open time; a newer row wins; doing it twice changes nothing."""
        ...

    def load(
        self,
        symbol: str,
        interval: str | Interval,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        columns: tuple[str, ...] | None = None,
    ) -> pd.DataFrame:
        """Return the candles that open in ``[start_ms, end_ms)``; none stored, no rows."""
        ...

    def get_stats(self, symbol: str, interval: str | Interval) -> SeriesStats:
        """Return size and extent; a series that is not there has no rows."""
        ...

    def gaps(self, symbol: str, interval: str | Interval) -> list[Gap]:
        """Return the slots without a candle between the first and the last row."""
        ...

    def series(self) -> list[SeriesId]:
        """Return what is stored, by symbol and interval length."""
        ...

    def delete(self, symbol: str, interval: str | Interval) -> bool:
        """Remove a series; say whether there was one."""
        ...
