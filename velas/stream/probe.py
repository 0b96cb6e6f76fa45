"""Asks REST whether the venue had something to say while a socket was silent."""

from __future__ import annotations

from decimal import Decimal

from velas.adapter import lane
from velas.candles import candles_of
from velas.errors import Unsupported
from velas.limits import RequestType
from velas.models import BookTicker, Candle
from velas.protocols import Exchange, FormingCandles
from velas.stream.candle_track import CandleTrack
from velas.stream.series import AnySeries, TickerTrack
from velas.stream.trade_track import TradeTrack
from velas.stream.venue_time import VenueTime

__all__ = ["Probe"]


class Probe:
    """One request that proves, or does not, that a silent stream ought to have spoken.

    What counts as news is newer than what the socket said last. While it has said nothing
    at all, the first answer is remembered, and only a later one can prove anything: what
    happened before the subscription is no reason to speak.
    """

    def __init__(self, exchange: Exchange, time: VenueTime) -> None:
        self._exchange = exchange
        self._time = time

    async def finds_news(self, series: AnySeries) -> bool:
        """Ask for the newest of a series; say whether the socket ought to have told it."""
        track = series.track
        try:
            with lane(RequestType.LIVE):
                if isinstance(track, CandleTrack):
                    return await self._candle(series, track)
                if isinstance(track, TradeTrack):
                    return await self._trade(series, track)
                return await self._ticker(series, track)
        except Unsupported:
            return False

    async def _candle(self, series: AnySeries, track: CandleTrack) -> bool:
        if self._exchange.capabilities.forming_candles:
            assert isinstance(self._exchange, FormingCandles)
            now = await self._exchange.fetch_forming_candle(track.symbol, track.interval)
            if now is not None and not series.spoke:
                before, series.baseline = series.baseline, now
                if isinstance(before, Candle):
                    return _is_news(now, before)
            elif now is not None and _is_news(now, track.forming):
                return True
        # without it, or before the first trade of a slot: closed ones that were not heard of
        if self._time.served_ms() < track.due_ms:
            return False
        frame = await self._exchange.fetch_candles(
            track.symbol, track.interval, start_ms=track.next_ms, limit=1
        )
        closed = candles_of(frame, track.symbol, track.interval.name)
        # a slot that ended since and was traded in: a silent socket cannot be right
        return any(_is_news(candle, track.forming) for candle in closed)

    async def _trade(self, series: AnySeries, track: TradeTrack) -> bool:
        if track.next_id is not None:
            trades = await self._exchange.fetch_trades(track.symbol, from_id=track.next_id, limit=1)
            return bool(trades)
        trades = await self._exchange.fetch_trades(track.symbol, limit=1)
        newest = trades[-1].id if trades else None
        known = track.last.id if track.last is not None else series.baseline
        series.baseline = newest
        return None not in (known, newest) and newest != known

    async def _ticker(self, series: AnySeries, track: TickerTrack) -> bool:
        now = _quotes(await self._exchange.fetch_book_ticker(track.symbol))
        known = _quotes(track.last) if track.last is not None else series.baseline
        series.baseline = now
        if not isinstance(known, tuple):
            return False
        pairs = zip(now, known, strict=True)
        return any(one != other for one, other in pairs if None not in (one, other))


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


def _quotes(ticker: BookTicker) -> tuple[Decimal | None, ...]:
    values = (ticker.bid, ticker.bid_quantity, ticker.ask, ticker.ask_quantity)
    return tuple(None if value.is_nan() else value for value in values)
