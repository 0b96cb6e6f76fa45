"""Asks REST whether the venue had something to say while a socket was silent."""

from __future__ import annotations

from velas.adapter import lane
from velas.candles import candles_of
from velas.errors import Unsupported
from velas.limits import RequestType
from velas.models import BookTicker, Candle
from velas.protocols import Exchange, FormingCandles
from velas.stream.candle_track import CandleTrack
from velas.stream.intake import Intake
from velas.stream.series import AnySeries, TickerTrack
from velas.stream.trade_track import TradeTrack
from velas.stream.venue_time import VenueTime

__all__ = ["Probe"]


class Probe:
    """One request that proves, or does not, that a silent stream ought to have spoken."""

    def __init__(self, exchange: Exchange, time: VenueTime, intake: Intake) -> None:
        self._exchange = exchange
        self._time = time
        self._intake = intake

    async def finds_news(self, series: AnySeries) -> bool:
        """Ask for the newest of a series; say whether it is newer than what was heard.

        Raises:
            ExchangeError: the venue could not be asked.
        """
        track = series.track
        try:
            with lane(RequestType.LIVE):
                if isinstance(track, CandleTrack):
                    return await self._candle(track)
                if isinstance(track, TradeTrack):
                    return await self._trade(track)
                return await self._ticker(track)
        except Unsupported:
            return False

    async def _candle(self, track: CandleTrack) -> bool:
        if self._exchange.capabilities.forming_candles:
            assert isinstance(self._exchange, FormingCandles)
            now = await self._exchange.fetch_forming_candle(track.symbol, track.interval)
            if now is not None and _is_news(now, track.forming):
                return True
        # without it, or before the first trade of a slot: closed ones that were not heard of
        served_ms = self._time.served_ms()
        if served_ms < track.due_ms:
            return False
        frame = await self._exchange.fetch_candles(
            track.symbol, track.interval, start_ms=track.next_ms, limit=1
        )
        closed = candles_of(frame, track.symbol, track.interval.name)
        return any(_is_news(candle, track.forming) for candle in closed)

    async def _trade(self, track: TradeTrack) -> bool:
        if track.next_id is not None:
            trades = await self._exchange.fetch_trades(track.symbol, from_id=track.next_id, limit=1)
            return bool(trades)
        trades = await self._exchange.fetch_trades(track.symbol, limit=1)
        return bool(trades) and (track.last is None or trades[-1].id != track.last.id)

    async def _ticker(self, track: TickerTrack) -> bool:
        now = await self._exchange.fetch_book_ticker(track.symbol)
        return track.last is None or _quotes(now) != _quotes(track.last)


def _is_news(now: Candle, heard: Candle | None) -> bool:
    if not (now.trades or now.volume):
        return False  # nobody traded: the stream had nothing to say
    if heard is None or now.timestamp > heard.timestamp:
        return True
    if now.timestamp < heard.timestamp:
        return False
    if now.trades is not None and heard.trades is not None:
        return now.trades > heard.trades
    return now.volume > heard.volume


def _quotes(ticker: BookTicker) -> tuple[object, ...]:
    return (ticker.bid, ticker.bid_quantity, ticker.ask, ticker.ask_quantity)
