"""The live contract for candles, on a clock moved by hand."""

from __future__ import annotations

from streamkit import MINUTE, START, Live, live, name_of

from velas.errors import Unavailable
from velas.status import FellBack, GapAbsent, GapDetected, GapFilled, Recovered, StreamMute

FIRST = START // MINUTE * MINUTE  # the open time of the minute that runs at the start


def minutes(at: Live) -> list[int]:
    return [name_of(one.timestamp) for one in at.closed()]


async def talk(at: Live, minute: int, *, close: bool = True) -> None:
    """Say what a healthy socket says in the rest of a minute; ends a second after it."""
    open_ms = FIRST + minute * MINUTE
    while at.clock.now_ms() < open_ms + MINUTE:
        count = (at.clock.now_ms() - open_ms) // 1000 + 1
        at.feed.say(at.venue.forming(open_ms, count))
        await at.run(min(2.0, max(0.001, (open_ms + MINUTE - at.clock.now_ms()) / 1000)))
    if close:
        at.feed.say(at.venue.candle(open_ms))
    await at.run(1.0)


async def test_stream_of_a_healthy_socket_delivers_each_close_once_and_asks_no_rest() -> None:
    async with live() as at:
        asked = len(at.venue.asked)
        for minute in range(5):
            await talk(at, minute)
        assert minutes(at) == [0, 1, 2, 3, 4]
        assert [one.sequence for one in at.closed()] == [1, 2, 3, 4, 5]
        assert {one.source for one in at.closed()} == {"ws"}
        assert at.statuses() == ["Connected"]
        # nothing but the checks of what was delivered
        assert len(at.venue.asked) - asked <= 5


async def test_stream_delivers_forming_candles_as_they_come() -> None:
    async with live() as at:
        for count in (31, 32, 33):
            at.feed.say(at.venue.forming(FIRST, count))
            await at.run(0.01)
        assert [one.trades for one in at.forming()] == [31, 32, 33]
        assert at.stream.forming("BTCUSDT", "1m") == at.forming()[-1]


async def test_stream_close_that_never_comes_is_fetched_at_once_with_the_next_minute() -> None:
    async with live() as at:
        await talk(at, 0, close=False)
        at.feed.say(at.venue.forming(FIRST + MINUTE, 1))
        await at.run(1.5)  # REST has it two seconds after its end
        assert minutes(at) == [0]
        assert at.closed()[0].source == "rest"
        (gap,) = at.told(GapDetected)
        assert (gap.start_ms, gap.end_ms, gap.missing) == (FIRST, FIRST + MINUTE, 1)
        assert [one.missing for one in at.told(GapFilled)] == [1]
        # the forming candle that came before it waited
        kinds = [(name_of(c.timestamp), c.is_closed) for c in at.heard if hasattr(c, "is_closed")]
        assert kinds[-2:] == [(0, True), (1, False)]


async def test_stream_of_a_socket_silent_from_the_start_is_served_by_rest() -> None:
    async with live(mute_after_s=20.0) as at:
        await at.run(180.0)
        assert minutes(at) == [0, 1, 2]
        assert at.statuses()[:3] == ["Connected", "StreamMute", "FellBack"]
        (mute,) = at.told(StreamMute)
        assert 20 <= mute.silent_s < 30
        assert at.feed.rotated
        assert at.told(GapDetected) == []
        assert at.forming()  # REST serves those, too


async def test_stream_mute_socket_that_speaks_again_takes_over() -> None:
    async with live(mute_after_s=20.0) as at:
        await at.run(100.0)
        minute = (at.clock.now_ms() - FIRST) // MINUTE
        await talk(at, minute)
        await talk(at, minute + 1)
        assert minutes(at) == list(range(minute + 2))
        assert at.closed()[-1].source == "ws"
        assert len(at.told(Recovered)) == 1


async def test_stream_quiet_market_is_not_called_mute() -> None:
    async with live(mute_after_s=20.0) as at:
        at.venue.quiet = True
        await at.run(300.0)
        assert at.told(StreamMute) == []
        assert minutes(at) == [0, 1, 2, 3, 4]  # candles without trades, from REST


async def test_stream_socket_down_falls_back_at_once_and_comes_back() -> None:
    async with live() as at:
        at.feed.say(at.venue.forming(FIRST, 30))
        at.feed.drop()
        await at.run(120.0)
        assert [one.reason for one in at.told(FellBack)] == ["the socket is down"]
        assert minutes(at) == [0, 1]
        at.feed.connect()
        await talk(at, 2)
        await talk(at, 3)
        assert minutes(at) == [0, 1, 2, 3]
        assert len(at.told(Recovered)) == 1
        assert at.told(GapDetected) == []


async def test_stream_socket_that_is_up_again_and_quiet_is_not_down() -> None:
    async with live() as at:
        at.venue.quiet = True
        at.feed.drop()
        await at.run(2.0)
        at.feed.connect()
        await at.run(20.0)
        assert at.told(FellBack) == []


async def test_stream_cut_off_from_everything_heals_all_with_one_request() -> None:
    async with live() as at:
        await talk(at, 0)

        def fault(what: str) -> None:
            raise Unavailable("down")

        at.feed.drop()
        at.venue.fault = fault
        await at.run(600.0)
        assert minutes(at) == [0]
        at.venue.fault = lambda what: None
        at.venue.asked.clear()
        await at.run(30.0)
        assert minutes(at) == list(range(11))
        (gap,) = at.told(GapFilled)
        assert gap.missing >= 9


async def test_stream_halted_market_is_declared_absent_only_when_it_trades_again() -> None:
    async with live() as at:
        await talk(at, 0)
        at.venue.absent = {FIRST + n * MINUTE for n in (1, 2, 3)}
        await at.run(179.0 + 5.0)
        assert minutes(at) == [0]
        assert at.told(GapAbsent) == []
        at.feed.say(at.venue.candle(FIRST + 4 * MINUTE))
        await at.run(90.0)
        (absent,) = at.told(GapAbsent)
        assert (name_of(absent.start_ms), absent.missing, absent.reason) == (1, 3, "venue")
        assert minutes(at)[:2] == [0, 4]
        assert [one.sequence for one in at.closed()][:2] == [1, 2]
        order = [type(one).__name__ for one in at.heard if one in (absent, *at.closed())]
        assert order[:3] == ["Candle", "GapAbsent", "Candle"]


async def test_stream_empty_answers_prove_nothing() -> None:
    async with live() as at:
        await talk(at, 0, close=False)
        at.venue.absent = {FIRST}
        at.feed.say(at.venue.candle(FIRST + MINUTE))
        await at.run(20.0)  # REST cannot name the second minute yet
        assert at.told(GapAbsent) == []
        at.venue.absent = set()
        await at.run(50.0)
        assert minutes(at)[:2] == [0, 1]


async def test_stream_frames_out_of_order_and_repeated_are_put_right() -> None:
    async with live() as at:
        first, second = (at.venue.candle(FIRST + n * MINUTE) for n in (0, 1))
        await at.run(91.0)
        before = len(at.closed())
        at.feed.say(second, first, second, first, at.venue.forming(FIRST, 3))
        await at.run(0.1)
        assert minutes(at) == [0, 1]
        assert before <= 1
        assert at.stream.counters["repeated"] >= 2


async def test_stream_candle_from_the_future_is_not_delivered_nor_waited_for() -> None:
    async with live() as at:
        at.feed.say(at.venue.candle(FIRST + 500 * MINUTE))
        await talk(at, 0)
        assert minutes(at) == [0]
        assert at.told(GapDetected) == []
        assert at.stream.counters["from_the_future"] == 1


async def test_stream_rest_behind_the_socket_is_not_taken_for_the_close() -> None:
    async with live() as at:
        at.feed.say(at.venue.forming(FIRST, 77))  # the whole candle has 60 at REST
        await at.run(50.0)
        assert minutes(at) == []
        at.feed.say(at.venue.candle(FIRST))
        await at.run(0.1)
        assert minutes(at) == [0]
        assert at.closed()[0].source == "ws"
