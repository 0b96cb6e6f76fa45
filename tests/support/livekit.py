"""A stream over real sockets from a stand-in venue, and what it must keep.

For tests under `fastforward`: the venue's minutes pass as fast as they are worked off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs
import pandas as pd

from velas.candles import frame_of
from velas.interval import Interval
from velas.models import Candle, Trade
from velas.settings import Stream as StreamSettings
from velas.status import CandleRevised, GapAbsent, Status
from velas.stream import Stream
from velas.symbols import series_key
from velas.testing import GeneratedCandles, LoopClock, SocketFaultPlan, StandInVenue
from velas_ccxt import BinanceFutures, BinanceSpot
from velas_cryptofeed import BinanceFuturesFeed, BinanceSpotFeed

__all__ = ["Heard", "check", "listen"]

MARKETS: Mapping[str, tuple[Any, Any]] = {
    "spot": (BinanceSpot, BinanceSpotFeed),
    "futures": (BinanceFutures, BinanceFuturesFeed),
}
START = 1_780_000_000_000 // 3_600_000 * 3_600_000 + 10_000


@attrs.define
class Heard:
    """What a stream delivered, and the venue it came from."""

    venue: StandInVenue
    stream: Stream
    events: list[Any] = attrs.Factory(list)
    at_ms: list[int] = attrs.Factory(list)  # when each came, by the venue's clock
    open_sockets: int = 0

    def closed(self, symbol: str, interval: str) -> list[Candle]:
        return [
            one
            for one in self.events
            if isinstance(one, Candle)
            and one.is_closed
            and (one.symbol, one.interval) == (symbol, interval)
        ]

    def late_ms(self) -> int:
        """Return how long after its end the latest of the closed candles came."""
        return max(
            at_ms - Interval(one.interval).end_of(one.timestamp)
            for one, at_ms in zip(self.events, self.at_ms, strict=True)
            if isinstance(one, Candle) and one.is_closed
        )

    def trades(self, symbol: str) -> list[Trade]:
        return [one for one in self.events if isinstance(one, Trade) and one.symbol == symbol]

    def statuses(self) -> list[str]:
        return [one.status for one in self.events if isinstance(one, Status)]

    def told(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.events if isinstance(one, kind)]


async def listen(
    market: str,
    seconds: float,
    *,
    symbols: Sequence[str] = ("BTC/USDT", "ETH/USDT"),
    intervals: Sequence[str] = ("1m",),
    channels: Sequence[str] = ("candles",),
    socket_faults: SocketFaultPlan | None = None,
    venue: Mapping[str, Any] | None = None,
    feed: Mapping[str, Any] | None = None,
    store: Any = None,
    script: Callable[[Heard, LoopClock], Awaitable[None]] | None = None,
    settle_s: float = 90.0,
    outages: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Heard:
    """Stream for `seconds` of venue time, then `settle_s` more.

    `script` runs beside the stream, say to strike the venue's sockets.
    """
    clock = LoopClock(start_ms=START)
    exchange_class, feed_class = MARKETS[market]
    settings.setdefault("memory_candles", 5)
    settings.setdefault("mute_after_s", 20.0)
    options = {"in_flight_s": 30.0, **(venue or {})}
    stand_in = StandInVenue(
        market,  # type: ignore[arg-type]
        symbols=[symbol.replace("/", "") for symbol in symbols],
        candles=GeneratedCandles(seed=3, outages=outages),
        clock=clock,
        socket_faults=socket_faults,
        **options,
    )
    async with stand_in, exchange_class(url=stand_in.rest_url, clock=clock) as exchange:
        live = feed_class(exchange, url=stand_in.ws_url, clock=clock, **(feed or {}))
        stream = Stream(exchange, live, store, settings=StreamSettings(**settings), clock=clock)
        heard = Heard(stand_in, stream)
        async with stream:
            for channel in channels:
                given = intervals if channel == "candles" else ()
                stream.subscribe(channel, symbols, intervals=given)  # type: ignore[arg-type]
            task = asyncio.ensure_future(_consume(heard))
            side = asyncio.ensure_future(script(heard, clock)) if script else None
            await asyncio.wait(
                {task, asyncio.ensure_future(clock.sleep(seconds))},
                return_when=asyncio.FIRST_COMPLETED,
            )
            if side is not None:
                await side
            await asyncio.wait(
                {task, asyncio.ensure_future(clock.sleep(settle_s))},
                return_when=asyncio.FIRST_COMPLETED,
            )
        await asyncio.wait_for(task, 10)
        for _ in range(200):
            if not stand_in.open_connections:
                break
            await asyncio.sleep(0.01)
        heard.open_sockets = stand_in.open_connections
    return heard


def check(
    heard: Heard, symbol: str, interval: str, *, within_s: float = 30.0, note: str = ""
) -> int:
    """Compare the closed candles with the venue's; return how many there were.

    Dense, in order, numbered, every row as the venue's REST side has it (after the
    revisions told of), the last no older than `within_s` before the end.
    """
    got = heard.closed(symbol, interval)
    assert got, f"no candle of {symbol} {interval} {note} {heard.statuses()}"
    assert [one.sequence for one in got] == list(range(1, len(got) + 1)), note
    revised = {
        one.before.timestamp: one.after
        for one in heard.told(CandleRevised)
        if (one.symbol, one.interval) == (symbol, interval)
    }
    final = [revised.get(one.timestamp, one) for one in got]
    grid = Interval(interval)
    start_ms = got[0].timestamp
    now_ms = heard.venue.now_ms()
    end_ms = grid.floor(now_ms - int(within_s * 1000))
    last_ms = got[-1].timestamp + 1
    truth = heard.venue.frame(
        series_key(symbol), interval, start_ms=start_ms, end_ms=max(end_ms, last_ms)
    )
    pd.testing.assert_frame_equal(frame_of(final), truth, obj=f"{symbol} {interval} {note}")
    for one in heard.told(GapAbsent):
        assert one.reason == "venue", one
    return len(got)


async def _consume(heard: Heard) -> None:
    async for event in heard.stream.events():
        heard.events.append(event)
        heard.at_ms.append(heard.venue.now_ms())


def check_trades(heard: Heard, symbol: str, *, note: str = "") -> int:
    """Compare the delivered trades with the venue's; return how many there were."""
    got = heard.trades(symbol)
    assert got, f"no trade of {symbol} {note}"
    first, last = int(got[0].id), int(got[-1].id)
    truth = heard.venue.trades(series_key(symbol), first_id=first, end_id=last + 1)
    assert got == [one for one in truth if one.quantity], f"{symbol} {note}"
    absent = [one for one in heard.told(GapAbsent) if one.channel == "trades"]
    assert not absent, f"{symbol} {note} {absent}"
    return len(got)
