"""What is silence and what is not, on a clock moved by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs
from streamkit import MINUTE, START, Live, LiveVenue, live

from velas.models import BookTicker, Capabilities, Subscription, Trade
from velas.status import Connected, Disconnected, FellBack, Recovered, StreamMute
from velas.testing import ManualClock

FIRST = START // MINUTE * MINUTE
TRADES = ({"channel": "trades", "symbols": ["BTC/USDT"]},)
TICKER = ({"channel": "book_ticker", "symbols": ["BTC/USDT"]},)
BTC = Subscription("candles", "BTC/USDT", "1m")


async def chat(at: Live, seconds: int, every: int = 8) -> None:
    """Say forming candles as a healthy but slow socket does, and closes."""
    for _ in range(seconds // every):
        now_ms = at.venue.now_ms()
        open_ms = now_ms // MINUTE * MINUTE
        if now_ms - open_ms < every * 1000 and open_ms > FIRST:
            at.feed.say(at.venue.candle(open_ms - MINUTE))
        at.feed.say(at.venue.forming(open_ms, 1 + (now_ms - open_ms) // 1000))
        await at.run(every)


async def test_trades_nobody_made_since_the_start_do_not_make_a_stream_mute() -> None:
    async with live(subscribe=TRADES, mute_after_s=30.0) as at:
        await at.run(600.0)
        assert at.statuses() == ["Connected"]
        assert at.feed.rotated == []


async def test_candle_traded_in_before_the_start_only_does_not_make_a_stream_mute() -> None:
    class Morning(LiveVenue):
        async def fetch_forming_candle(self, symbol: str, interval: Any) -> Any:
            one = await super().fetch_forming_candle(symbol, interval)
            assert one is not None
            return attrs.evolve(one, timestamp=FIRST, trades=7, volume=7.0)

    subscribe = ({"channel": "candles", "symbols": ["BTC/USDT"], "intervals": ["5m"]},)
    async with live(venue=Morning, subscribe=subscribe, mute_after_s=20.0) as at:
        await at.run(240.0)
        assert at.told(StreamMute) == []


async def test_book_without_quantities_that_does_not_move_is_not_mute() -> None:
    class Still(LiveVenue):
        async def fetch_book_ticker(self, symbol: str) -> BookTicker:
            nan = Decimal("NaN")
            return BookTicker(symbol, Decimal(1), nan, Decimal(2), nan)

    async with live(venue=Still, subscribe=TICKER, mute_after_s=20.0) as at:
        nan = Decimal("NaN")
        at.feed.say(BookTicker("BTC/USDT", Decimal(1), nan, Decimal(2), nan))
        await at.run(600.0)
        assert at.told(StreamMute) == []


async def test_mute_is_noticed_as_fast_as_ever_after_an_honest_quiet_hour() -> None:
    async with live(subscribe=TRADES, mute_after_s=30.0) as at:
        at.feed.say(at.venue.trade(1000))
        await at.run(3600.0)
        for number in range(1001, 1020):
            at.venue.first_trade_id = number
            at.feed.say(at.venue.trade(number))
            await at.run(10.0)
        at.venue.first_trade_id = 2000
        await at.run(60.0)
        assert len(at.told(StreamMute)) == 1


async def test_socket_that_is_down_concerns_the_series_it_carries_only() -> None:
    async with live() as at:
        other = (Subscription("book_ticker", "BTC/USDT"),)
        at.feed.report(Disconnected(at_ms=0, connection="public-0", reason="x", carries=other))
        await chat(at, 240)
        assert at.told(FellBack) == []
        mine = (BTC,)
        at.feed.report(Disconnected(at_ms=0, connection="market-0", reason="x", carries=mine))
        await at.run(10.0)
        assert len(at.told(FellBack)) == 1
        at.feed.report(Connected(at_ms=0, connection="market-0", carries=mine))
        await chat(at, 40)
        assert len(at.told(Recovered)) == 1


async def test_unnamed_connection_that_is_down_is_not_that_of_who_spoke_since() -> None:
    async with live() as at:
        at.feed.report(Disconnected(at_ms=0, connection="other", reason="x"))
        await at.run(0.1)
        await chat(at, 240)
        assert at.told(FellBack) == []


async def test_mute_stream_that_rest_cannot_serve_is_told_and_rotated_all_the_same() -> None:
    class Numberless(LiveVenue):
        def trade(self, number: int, symbol: str = "BTC/USDT") -> Trade:
            timestamp = START + (number - 1000) * MINUTE
            return attrs.evolve(super().trade(number, symbol), timestamp=timestamp)

    def venue(clock: ManualClock) -> LiveVenue:
        return Numberless(clock, capabilities=Capabilities(intervals=("1m",), trades=True))

    async with live(venue=venue, subscribe=TRADES, mute_after_s=20.0) as at:
        at.feed.say(at.venue.trade(1000))
        at.feed.drop()
        await at.run(10.0)
        at.feed.connect()
        for minute in range(40):
            at.venue.first_trade_id = 1001 + minute
            await at.run(60.0)
        assert at.told(FellBack) == []
        assert len(at.told(StreamMute)) == 1
        assert 2 <= len(at.feed.rotated) <= 8
        at.feed.say(at.venue.trade(2000))
        await at.run(60.0)
        at.venue.first_trade_id = 2100
        await at.run(60.0)
        assert len(at.told(StreamMute)) == 2


async def test_socket_that_stays_mute_while_nothing_happens_is_not_rotated_again() -> None:
    def venue(clock: ManualClock) -> LiveVenue:
        return LiveVenue(clock)

    async with live(venue=venue, subscribe=TRADES, mute_after_s=20.0) as at:
        at.feed.say(at.venue.trade(1000))
        at.venue.first_trade_id = 1050
        await at.run(60.0)
        assert len(at.feed.rotated) == 1
        await at.run(3600.0)  # not a trade in an hour
        assert len(at.feed.rotated) <= 2
        at.venue.first_trade_id = 1060
        await at.run(1900.0)
        assert 2 <= len(at.feed.rotated) <= 3


async def test_probes_and_checks_of_many_series_are_spread() -> None:
    symbols = tuple(f"C{number:03}/USDT" for number in range(200))

    def venue(clock: ManualClock) -> LiveVenue:
        return LiveVenue(clock, symbols=symbols, quiet=True)

    subscribe = ({"channel": "candles", "symbols": list(symbols), "intervals": ["5m"]},)
    async with live(venue=venue, subscribe=subscribe, mute_after_s=20.0, memory_candles=2) as at:
        await at.run(19.0)
        at.venue.asked.clear()
        counts = []
        for _ in range(30):
            before = len(at.venue.asked)
            await at.run(0.25)
            counts.append(len(at.venue.asked) - before)
        assert sum(counts) >= 200
        assert max(counts) <= 80


async def test_socket_that_comes_back_mute_after_an_outage_is_noticed() -> None:
    async with live(mute_after_s=30.0) as at:
        at.feed.say(at.venue.forming(FIRST, 40))
        at.feed.drop()
        await at.run(10.0)
        assert len(at.told(FellBack)) == 1
        at.feed.connect()
        await at.run(60.0)
        assert len(at.told(StreamMute)) == 1
        assert at.feed.rotated == [BTC]
        await at.run(3600.0)
        assert len(at.told(StreamMute)) == 1
        assert 3 <= len(at.feed.rotated) <= 8  # again and again, ever more slowly
        await chat(at, 24)
        assert len(at.told(Recovered)) == len(at.told(FellBack)) == 1


async def test_socket_that_comes_back_to_a_quiet_market_is_not_mute() -> None:
    async with live(mute_after_s=30.0) as at:
        at.venue.quiet = True
        at.feed.drop()
        await at.run(10.0)
        at.feed.connect()
        await at.run(3600.0)
        assert at.told(StreamMute) == []
        assert at.feed.rotated == []


async def test_socket_of_a_venue_without_forming_candles_that_never_speaks_is_mute() -> None:
    def venue(clock: ManualClock) -> LiveVenue:
        return LiveVenue(clock, capabilities=Capabilities(intervals=("1m",), page_rows=100))

    async with live(venue=venue, mute_after_s=30.0) as at:
        await at.run(200.0)
        assert len(at.told(StreamMute)) == 1
        assert at.feed.rotated[0] == BTC


async def test_probes_of_series_that_are_often_silent_stay_within_a_share() -> None:
    symbols = tuple(f"C{number:03}/USDT" for number in range(100))

    def venue(clock: ManualClock) -> LiveVenue:
        return LiveVenue(clock, symbols=symbols)

    async with live(
        venue=venue, subscribe=({"channel": "trades", "symbols": list(symbols)},), mute_after_s=20.0
    ) as at:
        for number in range(1000, 1010):  # a trade a minute, told at once
            at.venue.first_trade_id = number
            at.feed.say(*(at.venue.trade(number, symbol) for symbol in symbols))
            await at.run(60.0)
        assert at.told(StreamMute) == []
        # at weight 20 each; a minute's worth of the share at once, then a twentieth
        assert len(at.venue.asked) * 20 <= 11 * 0.05 * 6000 + 20


async def test_series_that_speaks_once_a_minute_is_hardly_ever_asked_for() -> None:
    async with live(subscribe=TRADES, mute_after_s=30.0) as at:
        for number in range(1000, 1060):
            at.venue.first_trade_id = number
            at.feed.say(at.venue.trade(number))
            await at.run(60.0)
        assert len(at.venue.asked) <= 3
        at.venue.first_trade_id = 2000
        await at.run(120.0)
        assert len(at.told(StreamMute)) == 1


async def test_connection_that_says_nothing_at_all_is_proven_mute_once_for_all_it_carries() -> None:
    symbols = tuple(f"C{number:02}/USDT" for number in range(40))
    carried = tuple(Subscription("candles", symbol, "1m") for symbol in symbols)

    def venue(clock: ManualClock) -> LiveVenue:
        return LiveVenue(clock, symbols=symbols)

    subscribe = ({"channel": "candles", "symbols": list(symbols), "intervals": ["1m"]},)
    async with live(venue=venue, subscribe=subscribe, mute_after_s=20.0, memory_candles=1) as at:
        at.feed.report(Connected(at_ms=0, connection="spoken", carries=carried))
        await at.run(30.0)
        assert {one.symbol for one in at.told(StreamMute)} == set(symbols)
        assert len(at.feed.rotated) == 1


async def test_feed_that_failed_once_and_speaks_again_is_connected() -> None:
    async with live() as at:
        at.feed.connect = lambda: None  # type: ignore[method-assign]
        at.feed.failure = ConnectionError("gone")
        at.feed.ended.set()
        await at.run(0.1)
        at.feed.failure = None
        await at.run(2.0)
        await chat(at, 16)
        assert at.statuses() == ["Connected", "Disconnected", "Reconnecting", "Connected"]


async def test_quotes_that_rest_showed_before_the_socket_spoke_prove_nothing() -> None:
    class Quoted(LiveVenue):
        quote = 1

        async def fetch_book_ticker(self, symbol: str) -> BookTicker:
            return self.ticker()

        def ticker(self) -> BookTicker:
            return BookTicker("BTC/USDT", Decimal(self.quote), Decimal(1), Decimal(99), Decimal(1))

    async with live(venue=Quoted, subscribe=TICKER, mute_after_s=20.0) as at:
        assert isinstance(at.venue, Quoted)
        at.feed.say(at.venue.ticker())
        at.feed.drop()
        await at.run(10.0)
        assert len(at.told(FellBack)) == 1
        at.feed.connect()
        at.venue.quote = 2
        at.feed.say(at.venue.ticker())
        await at.run(600.0)
        assert at.told(StreamMute) == []
        at.venue.quote = 3
        await at.run(400.0)
        assert len(at.told(StreamMute)) == 1


async def test_trades_of_before_the_connection_are_no_proof_against_it() -> None:
    async with live(subscribe=TRADES, mute_after_s=20.0) as at:
        carried = (Subscription("trades", "BTC/USDT"),)
        at.feed.report(Connected(at_ms=0, connection="spoken", carries=carried))
        await at.run(600.0)
        assert at.told(StreamMute) == []
        at.venue.first_trade_id += 1
        await at.run(400.0)
        assert len(at.told(StreamMute)) == 1
