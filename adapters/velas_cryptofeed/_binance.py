"""The live feeds of Binance Spot and Binance USDS-M Futures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import urlsplit

from velas.clock import SYSTEM_CLOCK, Clock
from velas.interval import INTERVALS
from velas.models import Subscription
from velas_cryptofeed._base import SocketFeed
from velas_cryptofeed._streams import MAX_STREAMS, chunks, replace_host

if TYPE_CHECKING:  # cryptofeed takes long to import: not before a feed runs
    from velas.protocols import Exchange
    from velas.settings import Settings
    from velas_cryptofeed._session import Plan

__all__ = ["BinanceFuturesFeed", "BinanceSpotFeed"]


class _BinanceFeed(SocketFeed):
    exchange_name: ClassVar[str]
    host: ClassVar[str]
    routes: ClassVar[Mapping[str, str] | None] = None
    futures: ClassVar[bool]

    def __init__(
        self,
        exchange: Exchange | None = None,
        *,
        url: str | None = None,
        rotate_after_h: float = 23.0,
        clock: Clock = SYSTEM_CLOCK,
        streams_per_socket: int = MAX_STREAMS,
    ) -> None:
        """Make a feed; `url` replaces scheme, host and port of the venue's address.

        Without an `exchange` it has one of its own.
        """
        super().__init__(
            exchange,
            name=self.exchange_name,
            url=url,
            rotate_after_h=rotate_after_h,
            clock=clock,
        )
        self._streams_per_socket = streams_per_socket

    @classmethod
    def from_settings(
        cls, settings: Settings, *, exchange: Exchange, clock: Clock = SYSTEM_CLOCK
    ) -> Self:
        """Return the feed these settings describe, not yet connected."""
        return cls(
            exchange,
            url=settings.ws.url,
            rotate_after_h=settings.stream.rotate_after_h,
            clock=clock,
        )

    @property
    def intervals(self) -> tuple[str, ...]:
        """The candle intervals the venue streams; only Spot has ``1s``."""
        return tuple(name for name in INTERVALS if name != "1s" or not self.futures)

    async def _plans(self, subscriptions: Sequence[Subscription]) -> list[Plan]:
        from velas_cryptofeed._protocol import Sink, dial
        from velas_cryptofeed._session import Plan

        ids = {one.symbol: (await self.exchange.market(one.symbol)).id for one in subscriptions}
        sink = Sink.of(self, subscriptions, ids)
        host = replace_host(self.host, self._url)
        cut = chunks(
            subscriptions, ids, host=host, routes=self.routes, most=self._streams_per_socket
        )
        return [
            Plan(
                name=chunk.name,
                host=urlsplit(chunk.address).netloc,
                streams=len(chunk.carries),
                carries=chunk.carries,
                dial=partial(dial, sink, chunk.address, ids, futures=self.futures),
            )
            for chunk in cut
        ]


class BinanceSpotFeed(_BinanceFeed):
    """Live candles, aggregate trades and book tickers of Binance Spot."""

    exchange_name = "binance_spot"
    host = "wss://stream.binance.com:9443"
    futures = False


class BinanceFuturesFeed(_BinanceFeed):
    """Live candles, aggregate trades and book tickers of Binance USDS-M Futures.

    Since 2026-04-23 the streams live under two paths; on the wrong one a stream is
    accepted and silent (USDS-M Futures, "Important WebSocket Change Notice").
    """

    exchange_name = "binance_futures"
    host = "wss://fstream.binance.com"
    routes: ClassVar[Mapping[str, str] | None] = {
        "candles": "market",
        "trades": "market",
        "book_ticker": "public",
    }
    futures = True
