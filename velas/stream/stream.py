"""`Stream`: what a bot consumes instead of a feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from velas.clock import Clock
from velas.models import BookTicker, Candle, Channel, Trade
from velas.settings import Stream as StreamSettings
from velas.status import Status

if TYPE_CHECKING:
    import pandas as pd

    from velas.protocols import Event, Exchange, Feed, Store

__all__ = ["Stream"]


class Stream:
    """Keeps the live contract over any feed and any exchange; an async context manager.

    `events()` yields candles, trades and book tickers, and, in their place among them,
    the events of `velas.status`. Alternatively set callbacks (sync or async) and `run()`.
    """

    on_candle: Callable[[Candle], Awaitable[None] | None] | None
    on_trade: Callable[[Trade], Awaitable[None] | None] | None
    on_book_ticker: Callable[[BookTicker], Awaitable[None] | None] | None
    on_status: Callable[[Status], Awaitable[None] | None] | None

    def __init__(
        self,
        exchange: Exchange,
        feed: Feed | None = None,
        store: Store | None = None,
        *,
        settings: StreamSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        raise NotImplementedError

    def subscribe(
        self,
        channel: Channel,
        symbols: Sequence[str],
        *,
        intervals: Sequence[str] = (),
        since_ms: int | None = None,
    ) -> None:
        """Ask for a channel of some symbols; before the stream runs."""
        raise NotImplementedError

    def events(self) -> AsyncIterator[Event | Status]:
        """Iterate over what arrives until the stream is closed."""
        raise NotImplementedError

    async def run(self) -> None:
        """Drive the callbacks until the stream is closed."""
        raise NotImplementedError

    def candles(self, symbol: str, interval: str) -> pd.DataFrame:
        """Return the newest closed candles of a series, at most `memory_candles`."""
        raise NotImplementedError

    def forming(self, symbol: str, interval: str) -> Candle | None:
        """Return the candle that is forming now, as last heard of."""
        raise NotImplementedError

    @property
    def counters(self) -> Mapping[str, int]:
        """How many frames were late, repeated, ... since the start."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Stop, store what was accepted, close the feed; may be called again."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
