"""What proves that a socket ought to have spoken: REST knows more than it has said."""

from __future__ import annotations

from decimal import Decimal

from velas.adapter import lane
from velas.candles import candles_of
from velas.errors import Unsupported
from velas.limits import RequestType
from velas.models import BookTicker, Candle, Trade
from velas.protocols import Event, Exchange, FormingCandles
from velas.stream.candle_track import CandleTrack
from velas.stream.series import AnySeries
from velas.stream.trade_track import TradeTrack
from velas.stream.venue_time import VenueTime

__all__ = ["Probe", "is_news", "traded"]

_LATE_MS = 1_000  # where only times tell, a trade this much later is another one


class Probe:
    """Asks REST for the newest of a series, in the live lane."""

    def __init__(self, exchange: Exchange, time: VenueTime) -> None:
        self._exchange = exchange
        self._time = time

    async def newest(self, series: AnySeries, known: Event | None) -> Event | None:
        """Return the newest event of a series, None where REST has or knows none.

        What is older than `known` is not asked for.
        """
        track = series.track
        try:
            with lane(RequestType.LIVE):
                if isinstance(track, CandleTrack):
                    return await self._candle(track, known)
                if isinstance(track, TradeTrack):
                    trades = await self._exchange.fetch_trades(track.symbol, limit=1)
                    return trades[-1] if trades else None
                return await self._exchange.fetch_book_ticker(track.symbol)
        except Unsupported:
            return None

    async def _candle(self, track: CandleTrack, known: Event | None) -> Candle | None:
        now: Candle | None = None
        if self._exchange.capabilities.forming_candles:
            assert isinstance(self._exchange, FormingCandles)
            now = await self._exchange.fetch_forming_candle(track.symbol, track.interval)
            if now is not None and traded(now):
                return now
        # without it, or before the first trade of a slot: the one before
        grid = track.interval
        before_ms = grid.open_of(grid.slot(self._time.served_ms()) - 1)
        if isinstance(known, Candle) and known.timestamp + known.is_closed > before_ms:
            return now
        frame = await self._exchange.fetch_candles(track.symbol, grid, start_ms=before_ms, limit=1)
        closed = candles_of(frame, track.symbol, grid.name)
        return closed[-1] if closed else now


def is_news(said: Event, known: Event, *, by_id: bool) -> bool:
    """Say whether `said` is something that who knows `known` has not heard of.

    `by_id`: trades are numbered alike by socket and REST, else their times have to tell.
    """
    if isinstance(said, Candle) and isinstance(known, Candle):
        return _newer_candle(said, known)
    if isinstance(said, Trade) and isinstance(known, Trade):
        if by_id and isinstance(said.id, int) and isinstance(known.id, int):
            return said.id > known.id
        return said.timestamp > known.timestamp + _LATE_MS
    if isinstance(said, BookTicker) and isinstance(known, BookTicker):
        pairs = zip(_quotes(said), _quotes(known), strict=True)
        return any(one != other for one, other in pairs if None not in (one, other))
    return False


def traded(candle: Candle) -> bool:
    """Say whether anything happened in it; without, a socket has nothing to say."""
    return candle.volume > 0 if candle.trades is None else candle.trades > 0


def _newer_candle(said: Candle, known: Candle) -> bool:
    if not traded(said):
        return False
    if said.timestamp != known.timestamp:
        return said.timestamp > known.timestamp
    if said.trades is not None and known.trades is not None:
        return said.trades > known.trades
    return said.volume > known.volume


def _quotes(ticker: BookTicker) -> tuple[Decimal | None, ...]:
    values = (ticker.bid, ticker.bid_quantity, ticker.ask, ticker.ask_quantity)
    return tuple(None if value.is_nan() else value for value in values)
