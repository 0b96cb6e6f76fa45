"""How repair searches for a candle where answers do not say much."""

from __future__ import annotations

from typing import Any

import attrs
import pandas as pd
import pytest
from streamkit import CAPABILITIES, MINUTE, START, LiveVenue, live, name_of

from velas.errors import BadRequest, Unavailable
from velas.interval import Interval
from velas.models import Capabilities
from velas.status import GapAbsent, GapDetected, GapEvent, GapFilled, RepairFailed
from velas.testing import ManualClock

FIRST = START // MINUTE * MINUTE


class Short(LiveVenue):
    """Pages end so many slots after their start, whatever there is."""

    async def fetch_candles(self, symbol: str, interval: Any, **asked: Any) -> pd.DataFrame:
        length_ms = Interval.of(interval).length_ms
        stop_ms = asked["start_ms"] + (asked.get("limit") or 100) * length_ms
        asked["end_ms"] = min(stop_ms, asked.get("end_ms") or stop_ms)
        return await super().fetch_candles(symbol, interval, **asked)


async def test_candle_that_waits_behind_a_hole_and_is_not_at_rest_does_not_stop_the_series() -> (
    None
):
    async with live() as at:
        at.feed.say(at.venue.candle(FIRST))
        at.venue.absent |= {FIRST + MINUTE, FIRST + 2 * MINUTE}
        await at.run(90.0)
        for minute in range(2, 8):  # the first of them only by the socket
            await at.run(59.9)
            at.feed.say(at.venue.candle(FIRST + minute * MINUTE))
            await at.run(0.1)
        assert [name_of(one.timestamp) for one in at.closed()] == [0, 2, 3, 4, 5, 6, 7]
        (absent,) = at.told(GapAbsent)
        assert (name_of(absent.start_ms), absent.missing, absent.reason) == (1, 1, "venue")


@pytest.mark.parametrize("quiet", [90, 150])
async def test_hole_longer_than_a_page_of_a_venue_whose_pages_end_is_searched_page_by_page(
    quiet: int,
) -> None:
    def venue(clock: ManualClock) -> LiveVenue:
        return Short(clock, capabilities=attrs.evolve(CAPABILITIES, forming_candles=False))

    async with live(venue=venue) as at:
        at.feed.say(at.venue.candle(FIRST))
        at.venue.absent = {FIRST + n * MINUTE for n in range(1, 1 + quiet)}
        await at.run(60.0 * (1 + quiet))
        # every half a minute, a question for each page, and probes
        assert len(at.venue.asked) <= 4 * (1 + quiet // 100) * quiet
        for minute in range(1 + quiet, 4 + quiet):
            at.feed.say(at.venue.candle(FIRST + minute * MINUTE))
            await at.run(60.0)
        minutes = [name_of(one.timestamp) for one in at.closed()]
        assert minutes == [0, *range(1 + quiet, 4 + quiet)]
        (absent,) = at.told(GapAbsent)
        assert (name_of(absent.start_ms), absent.missing) == (1, quiet)


async def test_hole_of_one_in_front_of_a_candle_that_waits_counts_as_one() -> None:
    async with live() as at:
        await at.run(29.0)
        at.feed.say(at.venue.candle(FIRST))
        await at.run(1.0)

        def away(what: str) -> None:
            raise Unavailable("away")

        at.venue.fault = away
        at.feed.say(at.venue.forming(FIRST + MINUTE, 5))
        await at.run(119.0)
        at.feed.say(at.venue.candle(FIRST + 2 * MINUTE))
        await at.run(10.0)
        at.venue.fault = lambda what: None
        await at.run(20.0)
        told = [(type(one), one.missing) for one in at.told(GapEvent)]
        assert told == [(GapDetected, 1), (GapFilled, 1)]


async def test_series_of_a_venue_that_has_halted_share_a_part_of_the_budget() -> None:
    symbols = tuple(f"C{number:03}/USDT" for number in range(60))

    def venue(clock: ManualClock) -> LiveVenue:
        halted = {FIRST + minute * MINUTE for minute in range(60)}
        able = attrs.evolve(CAPABILITIES, weight_per_minute=600)
        return LiveVenue(clock, capabilities=able, symbols=symbols, quiet=True, absent=halted)

    subscribe = ({"channel": "candles", "symbols": list(symbols), "intervals": ["1m"]},)
    async with live(venue=venue, subscribe=subscribe, mute_after_s=3600.0) as at:
        await at.run(300.0)
        at.venue.asked.clear()
        await at.run(60.0)
        assert 2 * len(at.venue.asked) <= 0.2 * 600 * 1.1


async def test_symbol_that_rest_refuses_is_told_once_and_asked_for_slowly() -> None:
    async with live() as at:
        at.feed.say(at.venue.candle(FIRST))
        await at.run(30.0)

        def gone(what: str) -> None:
            if what != "time":
                raise BadRequest("-1121 Invalid symbol.")

        at.venue.fault = gone
        at.venue.asked.clear()
        await at.run(2 * 3600.0)
        (told,) = at.told(RepairFailed)
        assert "-1121" in told.reason
        # repair every ten minutes at last, and a probe as often
        assert len(at.venue.asked) <= 60
        at.venue.fault = lambda what: None
        await at.run(700.0)
        assert len(at.closed()) > 100
        at.venue.fault = gone
        await at.run(700.0)
        assert len(at.told(RepairFailed)) == 2


async def test_venue_that_is_away_is_no_refusal() -> None:
    async with live() as at:

        def away(what: str) -> None:
            raise Unavailable("away")

        at.venue.fault = away
        await at.run(600.0)
        assert at.told(RepairFailed) == []


@pytest.mark.parametrize("tells", [True, False])
async def test_feed_that_does_not_tell_closes_has_them_from_rest_without_a_gap(tells: bool) -> None:
    async with live() as at:
        at.stream._core._repair._tells_closes = tells
        for _ in range(60):
            now_ms = at.venue.now_ms()
            open_ms = now_ms // MINUTE * MINUTE
            at.feed.say(at.venue.forming(open_ms, 1 + (now_ms - open_ms) // 1000))
            await at.run(5.0)
        assert len(at.closed()) == 5
        assert len(at.told(GapDetected)) == (5 if tells else 0)


async def test_feed_that_does_not_tell_closes_and_rest_that_is_away_is_a_gap() -> None:
    async with live() as at:
        at.stream._core._repair._tells_closes = False

        def away(what: str) -> None:
            raise Unavailable("away")

        at.venue.fault = away
        await at.run(120.0)
        assert len(at.told(GapDetected)) == 1


async def test_polled_series_at_the_pace_of_a_slow_venue_have_no_gaps() -> None:
    import asyncio

    from velas.models import Candle
    from velas.settings import Stream as StreamSettings
    from velas.status import SeriesStatus
    from velas.stream import Stream

    symbols = tuple(f"C{number:02}/USDT" for number in range(40))
    clock = ManualClock(START)
    able = Capabilities(intervals=("1m",), page_rows=500, requests_per_second=1.0)
    venue = LiveVenue(clock, symbols=symbols, capabilities=able)
    stream = Stream(venue, None, settings=StreamSettings(memory_candles=1), clock=clock)  # type: ignore[arg-type]
    stream.subscribe("candles", symbols, intervals=["1m"])
    events: list[Any] = []

    async def listen() -> None:
        async for event in stream.events():
            events.append(event)

    async with stream:
        task = asyncio.ensure_future(listen())
        await clock.run_for(600.0)
        events.clear()
        venue.asked.clear()
        await clock.run_for(600.0)
        assert [one for one in events if isinstance(one, SeriesStatus)] == []
        assert sum(isinstance(one, Candle) for one in events) > 300
        assert len(venue.asked) <= 0.35 * 600
    await task
