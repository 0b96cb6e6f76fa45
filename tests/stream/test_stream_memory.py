"""The length of the memory, at its extremes."""

from __future__ import annotations

import attrs
from streamkit import CAPABILITIES, MINUTE, START, LiveVenue, live, name_of

FIRST = START // MINUTE * MINUTE


async def test_memory_that_reaches_back_before_the_calendar_begins_with_the_epoch() -> None:
    able = attrs.evolve(CAPABILITIES, intervals=("1m", "1M"))
    subscribe = ({"channel": "candles", "symbols": ["BTC/USDT"], "intervals": ["1m", "1M"]},)
    async with live(
        venue=lambda clock: LiveVenue(clock, capabilities=able),
        subscribe=subscribe,
        memory_candles=25_000,
    ) as at:
        await at.run(31.0)
        at.feed.say(at.venue.candle(FIRST))
        await at.run(5.0)
        assert [name_of(one.timestamp) for one in at.closed() if one.interval == "1m"] == [0]
        assert at.stream.candles("BTC/USDT", "1M")["timestamp"].iloc[0] == 0
