"""cryptofeed's Binance feeds with addresses of ours and velas models at their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs
from cryptofeed.defines import BINANCE, BINANCE_FUTURES, TICKER
from cryptofeed.exchanges.binance import Binance
from cryptofeed.exchanges.binance_futures import BinanceFutures

from velas.feed import FeedAdapter
from velas.models import Subscription
from velas_cryptofeed._control import DATA, judge
from velas_cryptofeed._errors import NotAsked
from velas_cryptofeed._library import CONFIG, forget, listing
from velas_cryptofeed._mapping import book_ticker, candle, trade
from velas_cryptofeed._session import Session

__all__ = ["Sink", "dial"]

_FACADE = "wss://"  # the only scheme cryptofeed takes; the real address is set afterwards


@attrs.frozen
class Sink:
    """Where events go: the unified symbol by what the venue calls the series."""

    feed: FeedAdapter
    candles: Mapping[tuple[str, str], str]
    trades: Mapping[str, str]
    tickers: Mapping[str, str]

    @classmethod
    def of(cls, feed: FeedAdapter, wanted: Sequence[Subscription], ids: Mapping[str, str]) -> Sink:
        """Return the sink of these subscriptions; `ids` by unified symbol."""
        return cls(
            feed,
            {(ids[w.symbol], w.interval or ""): w.symbol for w in wanted if w.channel == "candles"},
            {ids[w.symbol]: w.symbol for w in wanted if w.channel == "trades"},
            {ids[w.symbol]: w.symbol for w in wanted if w.channel == "book_ticker"},
        )


class _Direct:
    """Replaces the handlers cryptofeed dispatches to."""

    def velas_aims(self, sink: Sink, address: str) -> None:
        # one attribute each: this is read for every frame
        self._target = address
        self._candles, self._trades, self._tickers = sink.candles, sink.trades, sink.tickers
        self._give_candle = sink.feed.deliver_candle
        self._give_trade = sink.feed.deliver_trade
        self._give_ticker = sink.feed.deliver_book_ticker

    def _address(self) -> list[str]:
        return [_FACADE + self._target.partition("://")[2]]

    async def _candle(self, data: dict[str, Any], _received_s: float) -> None:
        bar = data["k"]
        series = data["s"], bar["i"]
        try:
            symbol = self._candles[series]
        except KeyError:
            raise NotAsked(f"a kline nobody asked for: {series}") from None
        later = self._give_candle(candle(bar, symbol))
        if later is not None:
            await later

    async def _trade(self, data: dict[str, Any], _received_s: float) -> None:
        series = data["s"]
        try:
            symbol = self._trades[series]
        except KeyError:
            raise NotAsked(f"an aggTrade nobody asked for: {series}") from None
        later = self._give_trade(trade(data, symbol))
        if later is not None:
            await later

    async def _ticker(self, data: dict[str, Any], _received_s: float) -> None:
        series = data["s"]
        try:
            symbol = self._tickers[series]
        except KeyError:
            raise NotAsked(f"a bookTicker nobody asked for: {series}") from None
        later = self._give_ticker(book_ticker(data, symbol))
        if later is not None:
            await later

    async def _nothing(self, *_: object) -> None:
        # the order book would fetch a snapshot by REST; velas has no use for any of these
        return None

    _book = _funding = _liquidations = _open_interest = _nothing


class _Spot(_Direct, Binance):  # type: ignore[misc]
    pass


class _Futures(_Direct, BinanceFutures):  # type: ignore[misc]
    pass


def dial(sink: Sink, address: str, ids: Mapping[str, str], *, futures: bool) -> Session:
    """Return a new, unconnected session for one address; nothing is downloaded."""
    kind = _Futures if futures else _Spot
    with listing(BINANCE_FUTURES if futures else BINANCE, ids):
        feed = kind(subscription={TICKER: list(ids)}, config=CONFIG)
        feed.velas_aims(sink, address)
        (parts,) = cast("list[tuple[Any, ...]]", feed.connect())  # of 4 in 2.x, of 3 since
    connection, subscribe, handle = parts[:3]
    connection.address = address
    return Session(
        connection=connection,
        subscribe=subscribe,
        handle=handle,
        prefix=DATA,
        judge=judge,
        release=lambda: forget(connection, feed.http_conn),
    )
