"""Each fault of a connection, struck by hand or by script, over real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest
from ws_client import START, Socket, closes, desk

from velas.errors import ConfigError
from velas.testing import SocketFault, SocketFaultPlan
from velas.testing.venue.socket_faults import WRONG_FRAMES

TRADES = "/ws/btcusdt@aggTrade"
KLINES = "/ws/btcusdt@kline_1m"
GONE = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


def plan(*connections: Any, **options: Any) -> SocketFaultPlan:
    return SocketFaultPlan.script(connections, **options)


async def last_message(socket: Socket) -> aiohttp.WSMessage:
    while (message := await socket.message()).type == aiohttp.WSMsgType.TEXT:
        pass
    return message


async def ids(socket: Socket) -> list[int]:
    return [frame["a"] for frame in await socket.frames()]


def in_order(first: int, count: int) -> list[int]:
    return list(range(first, first + count))


# -- the end of a connection ---------------------------------------------------------------


async def test_drop_resets_the_connection_after_some_frames() -> None:
    async with desk(socket_faults=plan(SocketFault.drop(after=3))) as it:
        async with it.open(TRADES) as socket:
            await it.clock.run_for(10)
            message = await last_message(socket)
            assert message.type in GONE
            assert socket.raw.close_code == 1006
            await it.all_gone()
        record = it.venue.connections[0]
        assert (record.ended, record.frames) == ("drop", 3)
        assert it.venue.socket_faults.taken == {"drop": 1}


async def test_close_is_clean_with_code_and_reason_after_what_was_due() -> None:
    async with desk(socket_faults=plan(SocketFault.close(1011, "oops", after=2))) as it:
        async with it.open(TRADES) as socket:
            await it.clock.run_for(10)
            texts = [await socket.text(), await socket.text()]
            message = await socket.message()
            assert (message.type, message.data, message.extra) == (
                aiohttp.WSMsgType.CLOSE,
                1011,
                "oops",
            )
            assert len(texts) == 2
            await it.all_gone()
        assert it.venue.connections[0].ended == "close"


async def test_half_open_sends_and_answers_nothing_until_the_client_leaves() -> None:
    async with desk() as it:
        async with it.open(TRADES) as socket:
            await it.clock.run_for(5)
            await socket.so_far()
            assert it.venue.strike(SocketFault.half_open()) == 1
            sent = it.venue.connections[0].frames
            await socket.raw.ping(b"?")
            await socket.raw.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            await it.clock.run_for(300)
            async with it.open(TRADES) as other:  # a whole round trip beside it
                await other.so_far()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.message(), 0.05)
            assert it.venue.connections[0].frames == sent
            assert it.venue.open_connections == 1
            transport = socket.raw.get_extra_info("socket")
            assert transport is not None
            await socket.stop()
            socket.raw._response.close()
            await it.all_gone()
        assert it.venue.connections[0].ended == "client"


async def test_half_open_connection_does_not_hold_up_the_venues_end() -> None:
    async with desk(socket_faults=plan(SocketFault.half_open())) as it:
        async with it.open(TRADES) as socket:
            await it.clock.run_for(5)
            await asyncio.wait_for(it.venue.aclose(), 0.9)
            assert (await last_message(socket)).type in GONE
        assert it.venue.connections[0].ended == "venue"


@pytest.mark.parametrize(("path", "combined"), [("/stream?streams=", True), ("/ws/", False)])
async def test_server_shutdown_gives_notice_and_cuts_later(path: str, combined: bool) -> None:
    async with desk() as it, it.open(path + "btcusdt@aggTrade") as socket:
        it.venue.strike(SocketFault.server_shutdown(5))
        notice = await socket.json()
        await it.clock.run_for(4)
        assert it.venue.open_connections == 1
        assert await socket.so_far()
        await it.clock.run_for(2)
        assert (await last_message(socket)).type in GONE
        await it.all_gone()
        assert it.venue.connections[0].ended == "server_shutdown"
    event = {"e": "serverShutdown", "E": START + 5_000}
    assert notice == ({"stream": "!serverShutdown", "data": event} if combined else event)


# -- silence -------------------------------------------------------------------------------


async def test_mute_answers_requests_and_pings_but_sends_no_data() -> None:
    async with desk(socket_faults=plan(SocketFault.mute())) as it:
        async with it.open(TRADES) as socket, it.open(TRADES) as other:
            await it.clock.run_for(130)
            assert await socket.so_far() == []
            assert await other.so_far()
            assert it.venue.open_connections == 2
        assert it.venue.socket_faults.taken == {"mute": 1}


async def test_mute_of_some_streams_leaves_the_others() -> None:
    fault = SocketFault.mute(["*@kline_1m", "ethusdt@*"])
    names = "btcusdt@kline_1m/btcusdt@aggTrade/ethusdt@aggTrade"
    async with desk(socket_faults=plan(fault)) as it, it.open(f"/stream?streams={names}") as socket:
        await it.clock.run_for(10)
        frames = await socket.frames()
    assert {frame["stream"] for frame in frames} == {"btcusdt@aggTrade"}


async def test_mute_later_falls_silent_after_some_frames() -> None:
    async with (
        desk(socket_faults=plan(SocketFault.mute_later(after=4))) as it,
        it.open(TRADES) as socket,
    ):
        await it.clock.run_for(60)
        assert len(await socket.so_far()) == 4


async def test_mute_later_struck_with_after_counts_from_then_on() -> None:
    async with desk() as it, it.open(TRADES) as socket:
        await it.clock.run_for(10)
        await socket.so_far()
        it.venue.strike(SocketFault.mute_later("btcusdt@aggTrade", after=3))
        await it.clock.run_for(30)
        assert len(await socket.so_far()) == 3


# -- frames --------------------------------------------------------------------------------


async def test_duplicate_sends_a_frame_twice() -> None:
    async with (
        desk(socket_faults=plan(SocketFault.duplicate(2, after=1))) as it,
        it.open(TRADES) as socket,
    ):
        await it.clock.run_for(10)
        got = await ids(socket)
    first = got[0]
    assert got[:6] == [first, first + 1, first + 1, first + 2, first + 2, first + 3]


async def test_duplicate_sends_an_older_frame_again_later() -> None:
    async with (
        desk(socket_faults=plan(SocketFault.duplicate(later=3))) as it,
        it.open(TRADES) as socket,
    ):
        await it.clock.run_for(10)
        got = await ids(socket)
    first = got[0]
    assert got[:6] == [*in_order(first, 4), first, first + 4]


async def test_reorder_swaps_frames_within_its_window() -> None:
    async with (
        desk(socket_faults=plan(SocketFault.reorder(3, after=1))) as it,
        it.open(TRADES) as socket,
    ):
        await it.clock.run_for(10)
        got = await ids(socket)
    first = got[0]
    assert got[:5] == [first, first + 3, first + 2, first + 1, first + 4]


async def test_delay_holds_frames_back_and_keeps_their_order() -> None:
    async with desk() as it, it.open(TRADES) as socket:
        await it.clock.run_for(5)
        before = await ids(socket)
        it.venue.strike(SocketFault.delay(10))
        await it.clock.run_for(9)
        assert await ids(socket) == []
        await it.clock.run_for(2)
        late = await ids(socket)
    assert late == in_order(before[-1] + 1, len(late))
    assert len(late) > 10


async def test_lose_swallows_frames_of_the_named_streams() -> None:
    fault = SocketFault.lose(2, streams=["btcusdt@aggTrade"], after=1)
    async with (
        desk(socket_faults=plan([fault])) as it,
        it.open("/ws/btcusdt@aggTrade/ethusdt@aggTrade") as socket,
    ):
        await it.clock.run_for(20)
        frames = await socket.frames()
    for symbol, lost in (("BTCUSDT", 2), ("ETHUSDT", 0)):
        got = [frame["a"] for frame in frames if frame["s"] == symbol]
        assert len(set(range(got[0], got[-1])) - set(got)) in (0, lost)
    assert it.venue.socket_faults.taken == {"lose": 1}


async def test_lose_everything_loses_neighbours() -> None:
    async with (
        desk(socket_faults=plan(SocketFault.lose(3, after=1))) as it,
        it.open(TRADES) as socket,
    ):
        await it.clock.run_for(10)
        got = await ids(socket)
    assert got[:3] == [got[0], got[0] + 4, got[0] + 5]


@pytest.mark.parametrize("shape", WRONG_FRAMES)
@pytest.mark.parametrize("path", ["/stream?streams=btcusdt@kline_1m", KLINES])
async def test_wrong_json_replaces_one_frame(shape: Any, path: str) -> None:
    async with desk() as it, it.open(path) as socket:
        await it.clock.run_for(5)
        (good, *_) = await socket.so_far()
        it.venue.strike(SocketFault.wrong_json(shape))
        await it.clock.run_for(5)
        (bad, next_one, *_) = await socket.so_far()
    assert orjson.loads(good).keys() == orjson.loads(next_one).keys()
    if shape in ("cut", "garbage"):
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(bad)
    else:
        assert _shape_of(orjson.loads(bad)) != _shape_of(orjson.loads(good))


def _shape_of(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: _shape_of(value) for key, value in document.items()}
    return type(document).__name__ if document != "many" else "word"


async def test_error_frame_comes_out_of_the_blue() -> None:
    async with desk() as it, it.open("/stream") as socket:
        it.venue.strike(SocketFault.error_frame(7, "no"))
        assert await socket.json() == {"error": {"code": 7, "msg": "no"}}
        assert await socket.so_far() == []


async def test_strike_hits_only_the_path_it_names() -> None:
    async with (
        desk("futures") as it,
        it.open("/market/ws") as market,
        it.open("/public/ws") as public,
    ):
        assert it.venue.strike(SocketFault.error_frame(), path="/public") == 1
        assert "error" in await public.json()
        assert await market.so_far() == []


# -- who may connect -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
async def test_refuse_answers_with_a_status_for_a_while(status: int) -> None:
    async with desk() as it:
        assert it.venue.strike(SocketFault.refuse(30, status)) == 0
        for _ in range(2):
            with pytest.raises(aiohttp.WSServerHandshakeError, match=str(status)):
                async with it.open("/ws"):
                    pass
        await it.clock.run_for(31)
        async with it.open("/ws"):
            pass
        refused = [record.refused for record in it.venue.connections]
        assert (refused, it.venue.refused_connections) == ([status, status, None], 2)
        assert it.venue.socket_faults.taken == {"refuse": 1}


async def test_refuse_by_script_resets_the_attempt() -> None:
    async with desk(socket_faults=plan(None, SocketFault.refuse(1))) as it, it.open("/ws"):
        with pytest.raises(aiohttp.ClientConnectionError):
            async with it.open("/ws"):
                pass
        # the client tries a reset GET once more by itself
        assert {record.refused for record in it.venue.connections[1:]} == {0}
        assert it.venue.open_connections == 1
        await it.clock.run_for(2)
        async with it.open("/ws"):
            assert it.venue.open_connections == 2


async def test_script_gives_each_connection_its_faults_by_path() -> None:
    faults = [SocketFault.error_frame(1, after=2), SocketFault.error_frame(2, after=1)]
    async with (
        desk(socket_faults=plan(faults, path="aggTrade")) as it,
        it.open("/ws/btcusdt@bookTicker") as other,
        it.open(TRADES) as socket,
    ):
        await it.clock.run_for(10)
        assert [frame.get("error", {}).get("code") for frame in await socket.frames()][:5] == [
            None,
            2,
            None,
            1,
            None,
        ]
        assert not [frame for frame in await other.frames() if "error" in frame]


# -- closed candles ------------------------------------------------------------------------


async def test_withhold_close_never_sends_the_chosen_candle() -> None:
    fault = SocketFault.withhold_close("btcusdt@kline_1m", nth=2, count=2)
    async with desk(socket_faults=plan(series=[fault])) as it:
        async with it.open("/ws/btcusdt@kline_1m/ethusdt@kline_1m") as socket:
            await it.clock.run_for(300)
            found = closes(await socket.frames())
        assert it.venue.socket_faults.taken == {"withhold_close": 2}
    opened = {
        symbol: [(one["t"] - START) // 60_000 for one in found if one["s"] == symbol]
        for symbol in ("BTCUSDT", "ETHUSDT")
    }
    assert opened == {"BTCUSDT": [0, 3, 4], "ETHUSDT": [0, 1, 2, 3, 4]}


async def test_withhold_close_struck_hits_the_next_candle_on_all_connections() -> None:
    async with desk() as it, it.open(KLINES) as one, it.open(KLINES) as two:
        await it.clock.run_for(60)
        it.venue.strike(SocketFault.withhold_close())
        await it.clock.run_for(180)
        for socket in (one, two):
            opened = [(candle["t"] - START) // 60_000 for candle in closes(await socket.frames())]
            assert opened == [0, 2, 3]


async def test_withhold_close_counts_candles_while_nobody_listens() -> None:
    fault = SocketFault.withhold_close(nth=4)
    async with desk(socket_faults=plan(series=[fault])) as it:
        async with it.open(KLINES) as socket:
            await it.clock.run_for(60)
            assert len(closes(await socket.frames())) == 1
        await it.clock.run_for(120)
        async with it.open(KLINES) as socket:
            await it.clock.run_for(120)
            opened = [(candle["t"] - START) // 60_000 for candle in closes(await socket.frames())]
    assert opened == [4]


async def test_revise_says_other_values_than_rest_will() -> None:
    fault = SocketFault.revise("btcusdt@*", nth=2)
    async with desk(socket_faults=plan(series=[fault])) as it:
        async with it.open(KLINES) as socket:
            await it.clock.run_for(180)
            found = closes(await socket.frames())
        truth = it.venue.frame("BTCUSDT", "1m", start_ms=START, end_ms=START + 180_000)
    said = [(float(one["c"]), float(one["v"]), one["n"]) for one in found]
    true = list(zip(truth["close"], truth["volume"], truth["trades"], strict=True))
    assert said[0::2] == true[0::2]
    for ours, theirs in zip(said[1], true[1], strict=True):
        assert ours != theirs
    assert float(found[1]["h"]) >= float(found[1]["c"])
    assert len(found[1]["c"].partition(".")[2]) == 8


@pytest.mark.parametrize(
    "make",
    [
        lambda: SocketFault.drop(after=-1),
        lambda: SocketFault.delay(-1.0),
        lambda: SocketFault.lose(0),
        lambda: SocketFault.withhold_close(nth=0),
        lambda: SocketFault.duplicate(later=-1),
        lambda: SocketFault.refuse(1, 404),
        lambda: SocketFault.wrong_json("poem"),  # type: ignore[arg-type]
        lambda: SocketFaultPlan.script([SocketFault.revise()]),
        lambda: SocketFaultPlan.script([], series=[SocketFault.drop()]),
        lambda: SocketFaultPlan.random(1, rates={"drop": -0.1}),
        lambda: SocketFaultPlan.random(1, rates={"drop": 0.6, "close": 0.6}),
    ],
)
def test_fault_impossible_arguments_are_an_error(make: Any) -> None:
    with pytest.raises(ConfigError):
        make()
