"""The venue's rules for connections: requests, limits, pings, the life of a connection."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from ws_client import Desk, Socket, desk

from velas.testing import GeneratedCandles, ScaledClock, StandInVenue

CLOSES = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def ending(it: Desk, at: int = 0) -> Any:
    await it.all_gone()
    return it.venue.connections[at].ended


async def until_closed(socket: Socket) -> aiohttp.WSMessage:
    while (message := await socket.message()).type == aiohttp.WSMsgType.TEXT:
        pass
    return message


async def test_requests_subscribe_and_unsubscribe_take_effect() -> None:
    async with desk() as it, it.open("/ws") as socket:
        assert await socket.ask("SUBSCRIBE", "btcusdt@aggTrade", "ethusdt@aggTrade") == {
            "result": None,
            "id": 1,
        }
        assert await socket.ask("UNSUBSCRIBE", "ethusdt@aggTrade", request_id="a1") == {
            "result": None,
            "id": "a1",
        }
        assert (await socket.ask("LIST_SUBSCRIPTIONS"))["result"] == ["btcusdt@aggTrade"]
        await it.clock.run_for(10)
        assert {frame["s"] for frame in await socket.frames()} == {"BTCUSDT"}
        await socket.ask("UNSUBSCRIBE", "btcusdt@aggTrade")
        await it.clock.run_for(10)
        assert await socket.so_far() == []


async def test_requests_combined_can_be_asked_and_set() -> None:
    async with desk() as it, it.open("/ws/btcusdt@aggTrade") as socket:
        assert (await socket.ask("GET_PROPERTY", "combined"))["result"] is False
        assert (await socket.ask("SET_PROPERTY", "combined", True))["result"] is None
        assert (await socket.ask("GET_PROPERTY", "combined"))["result"] is True
        await it.clock.run_for(5)
        frames = await socket.frames()
    assert {frame["stream"] for frame in frames} == {"btcusdt@aggTrade"}


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("{not json", 3, "JSON"),
        ("[]", 2, "object"),
        ('{"id":1}', 2, "method"),
        ('{"method":"HELLO","id":1}', 2, "HELLO"),
        ('{"method":"SUBSCRIBE","params":[],"id":1}', 2, "params"),
        ('{"method":"SUBSCRIBE","params":[5],"id":1}', 2, "params"),
        ('{"method":"SUBSCRIBE","params":"x","id":1}', 2, "list"),
        ('{"method":"SUBSCRIBE","params":["x"],"id":1.5}', 2, "ID"),
        ('{"method":"SUBSCRIBE","params":["x"],"id":true}', 2, "ID"),
        ('{"method":"GET_PROPERTY","params":["speed"],"id":1}', 0, "property"),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":1}', 1, "Boolean"),
        ('{"method":"SET_PROPERTY","params":["combined"],"id":1}', 1, "Boolean"),
    ],
)
async def test_requests_wrong_ones_get_an_error_frame(text: str, code: int, word: str) -> None:
    async with desk() as it, it.open("/stream") as socket:
        await socket.raw.send_str(text)
        error = (await socket.json())["error"]
        await socket.raw.send_bytes(b"\xff")
        assert (await socket.json())["error"]["code"] == 3
    assert error["code"] == code
    assert word in error["msg"]


async def test_requests_above_four_kib_are_ignored() -> None:
    names = [f"s{n:04d}usdt@kline_1m" for n in range(250)]
    async with desk() as it, it.open("/ws") as socket:
        await socket.raw.send_json({"method": "SUBSCRIBE", "params": names, "id": 5})
        assert (await socket.ask("LIST_SUBSCRIPTIONS"))["result"] == []


async def test_requests_more_streams_than_1024_end_the_connection() -> None:
    async with desk("futures") as it, it.open("/market/ws") as socket:
        for page in range(7):
            names = [f"s{page}{n:03d}@aggTrade" for n in range(160 if page < 6 else 65)]
            await it.clock.run_for(1)
            await socket.raw.send_json({"method": "SUBSCRIBE", "params": names, "id": page})
            reply = await socket.json()
        assert reply["error"] == {"code": 4, "msg": "Too many subscriptions"}
        assert (await socket.message()).data == 1008
        assert await ending(it) == "too_many_streams"
        assert it.venue.connections[0].streams == 960


async def test_rules_more_than_1024_streams_in_the_url_end_the_connection() -> None:
    names = "/".join(f"{n}@x" for n in range(1025))
    async with desk() as it, it.open(f"/stream?streams={names}") as socket:
        assert (await socket.json())["error"]["code"] == 4
        assert (await socket.message()).data == 1008


@pytest.mark.parametrize(("market", "most"), [("spot", 5), ("futures", 10)])
async def test_rules_too_many_messages_in_a_second_end_the_connection(
    market: str, most: int
) -> None:
    async with desk(market) as it, it.open("/ws") as socket:
        for kind in (socket.raw.ping, socket.raw.pong):
            await kind()
        for n in range(most - 2):
            await socket.raw.send_json({"method": "LIST_SUBSCRIPTIONS", "id": n})
            assert (await socket.json())["id"] == n
        await it.clock.run_for(1)
        for _ in range(most + 1):
            await socket.raw.ping()
        message = await until_closed(socket)
        assert (message.data, message.extra) == (1008, "Too many requests")
        assert await ending(it) == "too_many_messages"


async def test_rules_url_of_more_than_8000_characters_is_refused() -> None:
    names = "/".join(f"s{n:04d}usdt@kline_1m" for n in range(500))
    async with desk() as it:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="414"):
            async with it.open(f"/stream?streams={names}"):
                pass
        async with it.open(f"/stream?streams={names[:7900]}"):
            assert it.venue.open_connections == 1


@pytest.mark.parametrize(("market", "ping_s", "drop_s"), [("spot", 20, 60), ("futures", 180, 600)])
async def test_rules_server_pings_and_drops_who_does_not_answer(
    market: str, ping_s: int, drop_s: int
) -> None:
    async with desk(market) as it, it.open("/ws", autoping=False) as socket:
        await it.clock.run_for(ping_s - 1)
        assert await socket.so_far() == []
        await it.clock.run_for(2)
        message = await socket.message()
        assert message.type == aiohttp.WSMsgType.PING
        assert message.data
        await it.clock.run_for(drop_s - 3)
        assert it.venue.open_connections == 1
        await it.clock.run_for(3)
        assert await ending(it) == "no_pong"


def test_rules_fast_clock_leaves_a_client_a_real_second_for_its_pong() -> None:
    slow, fast = (StandInVenue(clock=ScaledClock(factor)) for factor in (2, 600))
    assert (slow._sockets.law.pong_ms, fast._sockets.law.pong_ms) == (60_000, 600_000)


async def test_rules_pong_with_the_payload_keeps_a_spot_connection() -> None:
    async with desk() as it, it.open("/ws", autoping=False) as socket:
        for _ in range(6):
            await it.clock.run_for(20)
            message = await socket.message()
            await socket.raw.pong(bytes(message.data))
            await socket.so_far()
        assert it.venue.open_connections == 1


async def test_rules_unsolicited_pongs_do_not_keep_a_spot_connection() -> None:
    async with desk() as it, it.open("/ws", autoping=False) as socket:
        for _ in range(81):
            await it.clock.run_for(1)
            if it.venue.open_connections:
                await socket.raw.pong(b"hello")
        assert await ending(it) == "no_pong"


async def test_rules_client_ping_is_answered() -> None:
    async with desk() as it, it.open("/ws", autoping=False) as socket:
        await socket.raw.ping(b"abc")
        message = await socket.message()
        assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PONG, b"abc")


@pytest.mark.parametrize("life_h", [24.0, 0.01])
async def test_rules_connection_ends_after_its_life(life_h: float) -> None:
    async with desk(ws_life_h=life_h) as it, it.open("/ws/btcusdt@kline_1h") as socket:
        opened = it.venue.now_ms()
        step = life_h * 3600 / 24
        while it.venue.open_connections:
            it.clock.advance(step)
            await socket.so_far() if it.venue.open_connections and step < 60 else None
            await it.clock.run_for(0.1)
        record = it.venue.connections[0]
        assert record.ended == "life"
        assert record.ended_ms is not None
        assert record.ended_ms - opened == pytest.approx(life_h * 3_600_000, rel=0.1)
        assert (await until_closed(socket)).type in CLOSES


async def test_rules_attempts_are_counted_within_five_minutes() -> None:
    async with desk(connection_limit=3) as it:
        for n in range(5):
            await it.clock.run_for(1)
            if n < 3:
                async with it.open("/ws"):
                    pass
            else:
                with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                    async with it.open("/ws"):
                        pass
        assert it.venue.refused_connections == 2
        await it.clock.run_for(300)
        async with it.open("/ws"):
            pass
        assert it.venue.most_connections_in_5_min == 5
        assert it.venue.connection_attempts == 6
        refused = [record.refused for record in it.venue.connections]
        assert refused == [None, None, None, 429, 429, None]


async def test_rules_no_connection_limit_if_told_so() -> None:
    async with desk(connection_limit=0) as it:
        for _ in range(302):
            async with it.session.ws_connect(it.venue.ws_url + "/ws"):
                pass
        assert it.venue.refused_connections == 0
        assert it.venue.most_connections_in_5_min == 302


async def test_records_say_path_streams_frames_and_who_ended_it() -> None:
    path = "/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade"
    async with desk() as it:
        async with it.open(path) as socket:
            await it.clock.run_for(5)
            count = len(await socket.so_far())
            record = it.venue.connections[0]
            assert (record.ended, record.frames, record.streams) == (None, count, 2)
            await socket.stop()
            await socket.raw.close()
        assert await ending(it) == "client"
        record = it.venue.connections[0]
        assert (record.path, record.time_ms, record.refused) == (path, record.time_ms, None)
        assert record.ended_ms == it.venue.now_ms()


async def test_rest_requests_and_connections_are_counted_apart() -> None:
    async with desk() as it, it.open("/ws"):
        async with it.session.get(it.venue.rest_url + "/api/v3/ping"):
            pass
        assert (it.venue.count(), it.venue.connection_attempts) == (1, 1)


async def test_venue_closes_while_clients_are_connected() -> None:
    before = asyncio.all_tasks()
    async with desk() as it, it.open("/ws/btcusdt@aggTrade") as socket:
        await it.venue.aclose()
        assert (await until_closed(socket)).type in (*CLOSES, aiohttp.WSMsgType.ERROR)
        assert it.venue.connections[0].ended == "venue"
        assert it.venue.open_connections == 0
        names = {task.get_name() for task in asyncio.all_tasks() - before}
        assert not [name for name in names if name.startswith("stand-in")]


async def test_venue_starts_again_after_closing() -> None:
    async with desk() as it:
        await it.venue.aclose()
        await it.venue.start()
        async with it.open("/ws/btcusdt@aggTrade") as socket:
            await it.clock.run_for(5)
            assert await socket.so_far()


async def test_venue_does_not_hide_what_stopped_its_streams() -> None:
    class Broken(GeneratedCandles):
        def prices(self, instrument: Any, times_ms: Any) -> Any:
            raise RuntimeError("no prices today")

    async with desk(candles=Broken()) as it:
        async with it.open("/ws/btcusdt@aggTrade"):
            await it.clock.run_for(5)
        with pytest.raises(RuntimeError, match="no prices today"):
            await it.venue.aclose()


async def test_venue_idle_uses_no_clock() -> None:
    async with desk() as it:
        await asyncio.sleep(0)
        assert it.clock.sleepers == 0
        assert isinstance(it.venue, StandInVenue)
