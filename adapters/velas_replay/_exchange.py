"""The exchange `replay`: a venue's adapter whose requests a recording answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar, cast

import attrs

from velas import registry
from velas.errors import ConfigError, ExchangeError, Unsupported, VelasError
from velas.interval import Interval
from velas.models import (
    BookTicker,
    Candle,
    Capabilities,
    Market,
    Order,
    OrderRequest,
    Position,
    Trade,
    Usage,
)
from velas.protocols import FormingCandles
from velas.validation import OrderValidator
from velas_replay import _route
from velas_replay._aside import TapeExchange, tape_of
from velas_replay._clock import answering
from velas_replay._scrub import HOST
from velas_replay._still import FreeLimiter, StoppedClock

if TYPE_CHECKING:
    import pandas as pd

    from velas.config import Settings
    from velas.ledger import Ledger
    from velas.orders import Intent
    from velas.protocols import Exchange
    from velas.validation import MarketState
    from velas_replay._tape import Playback, Tape

__all__ = ["ReplayExchange"]

P = ParamSpec("P")
T = TypeVar("T")


class ReplayExchange:
    """Answers what `exchange`, an adapter by name, asked when `recording` was made.

    Everything but the bytes' way is the real adapter: its requests, its parsing, its
    checks. A request is the recorded one when method, path and parameters are equal; it
    may come any number of times. The venue's clock stands where it stood. Nothing is
    ever sent: adapters are played whose constructor takes `url`, `limiter` and `clock`,
    and that speak HTTP through aiohttp. The file is read on entering, or at first use.

    Every method raises `NotRecorded` for what is not in the recording, and ConfigError
    when it cannot be used.

    Raises:
        ConfigError: no exchange to play is named.
        Unsupported: that adapter cannot be played.
    """

    name = "replay"

    def __init__(self, recording: str | Path, *, exchange: str = "binance_spot") -> None:
        self._recording = Path(recording)
        self._exchange = exchange
        self._tape: Tape | None = None
        self._venue = _venue(exchange, StoppedClock(self._recorded_ms))
        self._closed = False
        # a replay spends nothing and does not trade
        self.capabilities: Capabilities = attrs.evolve(
            self._venue.capabilities, weight_per_minute=None, requests_per_second=None, orders=False
        )

    @classmethod
    def from_settings(
        cls, settings: Settings, *, ledger: Ledger | None = None
    ) -> Self | TapeExchange:
        """Return the exchange for `replay.recording`, made with `replay.exchange`.

        With nothing but a `replay.tape` it is the tape's own. The ledger is left alone: a
        recording knows no bans.
        """
        tape = settings.replay.tape
        if settings.replay.recording is None and tape is not None:
            return TapeExchange(cache(partial(tape_of, tape, settings.replay.exchange)))
        if settings.replay.recording is None:
            raise ConfigError(
                "exchange 'replay' needs a recording or a tape: set replay.recording to a file "
                "such as cassettes/binance_spot/download.yaml, or replay.tape"
            )
        return cls(settings.replay.recording, exchange=settings.replay.exchange)

    def __repr__(self) -> str:
        return f"<ReplayExchange {self._exchange} {str(self._recording)!r}>"

    @property
    def usage(self) -> Usage:
        """What was played so far."""
        return self._venue.usage

    async def markets(self, *, refresh: bool = False) -> Mapping[str, Market]:
        """Return all markets by unified symbol; read once, again on `refresh`."""
        return await self._play(self._venue.markets, refresh=refresh)

    async def market(self, symbol: str) -> Market:
        """Return the market a symbol in any spelling means."""
        return await self._play(self._venue.market, symbol)

    async def server_time_ms(self) -> int:
        """Return the venue's clock in ms, as it was recorded; it does not move."""
        return await self._play(self._venue.server_time_ms)

    async def fetch_candles(
        self,
        symbol: str,
        interval: str | Interval,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Return one page of closed candles that open in ``[start_ms, end_ms)``."""
        return await self._play(
            self._venue.fetch_candles,
            symbol,
            interval,
            start_ms=start_ms,
            end_ms=end_ms,
            limit=limit,
        )

    async def iter_candles(
        self, symbol: str, interval: str | Interval, *, start_ms: int, end_ms: int
    ) -> AsyncIterator[pd.DataFrame]:
        """Iterate over the closed candles of a range as non-empty pages, ascending."""
        pages = self._venue.iter_candles(symbol, interval, start_ms=start_ms, end_ms=end_ms)
        # one playback for all pages: some are asked for ahead, in tasks of an earlier one
        playback = self._playback()
        try:
            while (page := await _played(playback, anext, pages, None)) is not None:
                yield page
        finally:
            close = getattr(pages, "aclose", None)
            if close is not None:
                await close()

    async def fetch_forming_candle(self, symbol: str, interval: str | Interval) -> Candle | None:
        """Return the candle of the slot that ran at the recording's moment."""
        if not isinstance(self._venue, FormingCandles):
            raise Unsupported(f"{self._exchange} does not give candles before they are closed")
        return await self._play(self._venue.fetch_forming_candle, symbol, interval)

    async def fetch_trades(
        self, symbol: str, *, from_id: int | None = None, limit: int | None = None
    ) -> list[Trade]:
        """Return aggregate trades, ascending by id, from `from_id` on or the newest."""
        return await self._play(self._venue.fetch_trades, symbol, from_id=from_id, limit=limit)

    async def fetch_book_ticker(self, symbol: str) -> BookTicker:
        """Return the best bid and ask of the recording's moment."""
        return await self._play(self._venue.fetch_book_ticker, symbol)

    async def create_order(self, request: OrderRequest) -> Order:
        """Refuse: a recording does not trade."""
        raise _no_orders("create_order")

    async def cancel_order(
        self, symbol: str, order_id: str | None = None, *, client_id: str | None = None
    ) -> Order:
        """Refuse: a recording does not trade."""
        raise _no_orders("cancel_order")

    async def fetch_order(
        self, symbol: str, order_id: str | None = None, *, client_id: str | None = None
    ) -> Order:
        """Refuse: a recording does not trade."""
        raise _no_orders("fetch_order")

    async def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Refuse: a recording does not trade."""
        raise _no_orders("open_orders")

    async def balances(self) -> Mapping[str, Decimal]:
        """Refuse: a recording knows no account."""
        raise _no_orders("balances")

    async def positions(self, symbol: str | None = None) -> list[Position]:
        """Refuse: a recording knows no account."""
        raise _no_orders("positions")

    async def recover_orders(self) -> list[Intent]:
        """Refuse: a recording does not trade."""
        raise _no_orders("recover_orders")

    async def fetch_intent(self, intent: str) -> Intent | None:
        """Refuse: a recording does not trade."""
        raise _no_orders("fetch_intent")

    async def declare_absent(self, intent: str) -> Intent:
        """Refuse: a recording does not trade."""
        raise _no_orders("declare_absent")

    async def market_state(self, symbol: str) -> MarketState:
        """Refuse: it belongs to placing orders, and a recording does not trade."""
        raise _no_orders("market_state")

    async def order_validator(self, symbol: str) -> OrderValidator:
        """Return the order rules of a market, as it was recorded."""
        return OrderValidator.from_market(await self.market(symbol))

    async def aclose(self) -> None:
        """Release what was opened; may be called again."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._venue.aclose()
        finally:
            if self._tape is not None:
                _route.uninstall()

    async def __aenter__(self) -> Self:
        self._playback()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _play(self, ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        return await _played(self._playback(), ask, *args, **kwargs)

    def _recorded_ms(self) -> int:
        return 0 if self._tape is None else self._tape.label.recorded_ms

    def _playback(self) -> Playback:
        # vcrpy takes its time to import
        from velas_replay._tape import Playback, load

        if self._closed:
            raise ExchangeError(f"{self.name} is closed; open the exchange again")
        if self._tape is None:
            self._tape = load(self._recording, self._exchange)
            _route.install()
        return Playback(self._tape)


async def _played(
    playback: Playback, ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    with _route.routed(playback), answering():
        try:
            return await ask(*args, **kwargs)
        except VelasError:
            if playback.missing is not None:
                raise playback.missing from None
            raise


def _venue(name: str, clock: StoppedClock) -> Exchange:
    if name == ReplayExchange.name:
        raise ConfigError("replay.exchange: name the exchange the recording was made with")
    build = registry.load("exchanges", name)
    try:
        # the address is one that cannot exist: whatever gets past the route, gets nowhere
        venue = build(url=f"http://{HOST}", limiter=FreeLimiter(), clock=clock)
    except TypeError as error:
        raise Unsupported(f"exchange {name!r} cannot be replayed: {error}") from error
    return cast("Exchange", venue)


def _no_orders(method: str) -> Unsupported:
    return Unsupported(f"replay: {method} is not available, a recording does not trade")
