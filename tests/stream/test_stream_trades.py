"""The live contract for trades and book tickers, on a clock moved by hand."""

from __future__ import annotations

from decimal import Decimal

import attrs
from streamkit import LiveVenue, live

from velas.models import BookTicker, Capabilities
from velas.status import FellBack, GapAbsent, GapDetected, GapFilled, StreamMute
from velas.testing import ManualClock

TRADES = ({"channel": "trades", "symbols": ["BTC/USDT"]},)
TICKER = ({"channel": "book_ticker", "symbols": ["BTC/USDT"]},)


async def test_trades_in_order_pass_and_ask_no_rest() -> None:
    async with live(subscribe=TRADES) as at:
        at.feed.say(*(at.venue.trade(n) for n in range(1000, 1050)))
        await at.run(1.0)
        assert [one.id for one in at.trades()] == list(range(1000, 1050))
        assert at.venue.asked == []


async def test_trades_that_are_missing_are_fetched_by_id() -> None:
    async with live(subscribe=TRADES) as at:
        at.venue.first_trade_id = 1600
        at.feed.say(at.venue.trade(1000), at.venue.trade(1301), at.venue.trade(1302))
        await at.run(1.0)
        assert [one.id for one in at.trades()] == list(range(1000, 1303))
        (gap,) = at.told(GapDetected)
        assert (gap.start_ms, gap.end_ms, gap.missing) == (1001, 1301, 300)
        assert [one.missing for one in at.told(GapFilled)] == [300]


async def test_trades_out_of_order_and_repeated_are_put_right_without_rest() -> None:
    async with live(subscribe=TRADES) as at:
        order = [1000, 1002, 1001, 1001, 1004, 1000, 1003, 1005]
        at.feed.say(*(at.venue.trade(n) for n in order))
        await at.run(1.0)
        assert [one.id for one in at.trades()] == list(range(1000, 1006))
        assert at.venue.asked == []
        assert at.statuses() == ["Connected"]
        assert at.stream.counters["late"] == 2


async def test_trades_overtaken_by_a_tenth_of_a_second_make_no_gap() -> None:
    async with live(subscribe=TRADES) as at:
        for number in (1000, 1002, 1001, 1003):
            at.feed.say(at.venue.trade(number))
            await at.run(0.1)
        assert [one.id for one in at.trades()] == [1000, 1001, 1002, 1003]
        assert at.told(GapDetected) == []


async def test_tombstones_count_but_are_not_delivered() -> None:
    async with live(subscribe=TRADES) as at:
        dead = attrs.evolve(at.venue.trade(1001), quantity=Decimal(0))
        at.feed.say(at.venue.trade(1000), dead, at.venue.trade(1002))
        await at.run(1.0)
        assert [one.id for one in at.trades()] == [1000, 1002]
        assert at.told(GapDetected) == []


async def test_trades_the_venue_does_not_have_are_declared_absent_after_two_answers() -> None:
    async with live(subscribe=TRADES) as at:
        at.venue.first_trade_id = 1010
        at.venue.gone_ids = {1001, 1002}
        at.feed.say(at.venue.trade(1000), at.venue.trade(1003))
        await at.run(1.5)
        assert at.told(GapAbsent) == []
        await at.run(10.0)
        (absent,) = at.told(GapAbsent)
        assert (absent.start_ms, absent.end_ms, absent.missing) == (1001, 1003, 2)
        assert [one.id for one in at.trades()][:2] == [1000, 1003]


async def test_trades_of_a_mute_socket_come_by_rest() -> None:
    async with live(subscribe=TRADES, mute_after_s=20.0) as at:
        at.feed.say(at.venue.trade(1000))
        at.venue.first_trade_id = 1100
        await at.run(60.0)
        assert len(at.told(StreamMute)) == 1
        assert [one.id for one in at.trades()] == list(range(1000, 1101))
        at.venue.first_trade_id = 1150
        await at.run(30.0)
        at.feed.say(at.venue.trade(1151))
        await at.run(1.0)
        assert [one.id for one in at.trades()] == list(range(1000, 1152))


async def test_trades_without_contiguous_ids_pass_once_each() -> None:
    def venue(clock: ManualClock) -> LiveVenue:
        able = Capabilities(intervals=("1m",), trades=True)
        return LiveVenue(clock, capabilities=able)

    async with live(subscribe=TRADES, venue=venue) as at:
        at.feed.say(*(at.venue.trade(n) for n in (1000, 1700, 1000, 1701)))
        await at.run(1.0)
        assert [one.id for one in at.trades()] == [1000, 1700, 1701]
        assert at.told(GapDetected) == []


async def test_book_tickers_older_than_the_last_are_dropped() -> None:
    async with live(subscribe=TICKER) as at:
        one = Decimal(1)
        for update in (5, 9, 7, 9, 11):
            at.feed.say(BookTicker("BTC/USDT", Decimal(update), one, one, one, None, update))
            await at.run(0.01)
        assert [one.update_id for one in at.told(BookTicker)] == [5, 9, 11]


async def test_book_tickers_of_a_mute_socket_come_by_rest() -> None:
    async with live(subscribe=TICKER, mute_after_s=20.0) as at:
        await at.run(60.0)
        assert len(at.told(FellBack)) == 1
        assert len(at.told(BookTicker)) > 5
