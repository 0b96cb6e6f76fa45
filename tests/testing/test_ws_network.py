"""Cuts of the network, which hit REST and WebSocket alike, and the venue in a thread."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from ws_client import Desk, Socket, desk

from velas.testing import SocketFault, StandInVenue

TRADES = "/ws/btcusdt@aggTrade"


async def ids(socket: Socket) -> list[int]:
    return [frame["a"] for frame in await socket.frames()]


async def ping(it: Desk) -> int:
    async with it.session.get(it.venue.rest_url + "/api/v3/ping") as response:
        return response.status


async def test_silence_sends_afterwards_what_was_due_in_order() -> None:
    async with desk() as it, it.open(TRADES) as socket:
        await it.clock.run_for(5)
        before = await ids(socket)
        it.venue.silence(15)
        await it.clock.run_for(14)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.message(), 0.05)
        await it.clock.run_for(2)
        late = await ids(socket)
    assert late == list(range(before[-1] + 1, before[-1] + 1 + len(late)))
    assert len(late) > 15


async def test_silence_of_more_than_a_pong_ends_the_connection_after_it() -> None:
    async with desk() as it, it.open(TRADES) as socket:
        await it.clock.run_for(5)
        await socket.so_far()
        it.venue.silence(90)
        await it.clock.run_for(89)
        assert it.venue.open_connections == 1
        await it.clock.run_for(2)
        await it.all_gone()
        assert it.venue.connections[0].ended == "no_pong"


async def test_silence_leaves_requests_and_attempts_without_an_answer() -> None:
    async with desk() as it:
        it.venue.silence(30)
        rest = asyncio.create_task(ping(it))
        socket = asyncio.create_task(it.session.ws_connect(it.venue.ws_url + "/ws"))
        await it.until(lambda: it.venue.connection_attempts > 0 and it.clock.sleepers > 2)
        await it.clock.run_for(29)
        assert not rest.done()
        assert not socket.done()
        # the client tries a reset GET once more by itself
        await it.clock.run_for(2)
        for task in (rest, socket):
            await asyncio.wait([task], timeout=5)
            assert task.done()
            if task.exception() is None and task is socket:
                await socket.result().close()
        assert it.venue.connections[0].refused == 0
        assert await ping(it) == 200


async def test_silence_does_not_hold_up_the_venues_end() -> None:
    async with desk() as it:
        it.venue.silence(1000)
        rest = asyncio.create_task(ping(it))
        await it.until(lambda: it.clock.sleepers == 2)
        await asyncio.wait_for(it.venue.aclose(), 0.9)
        with pytest.raises(aiohttp.ClientConnectionError):
            await rest


async def test_offline_resets_connections_and_every_attempt() -> None:
    async with desk() as it, it.open(TRADES) as socket:
        it.venue.offline(30)
        await it.all_gone()
        assert it.venue.connections[0].ended == "offline"
        assert (await socket.message()).type != aiohttp.WSMsgType.TEXT
        with pytest.raises(aiohttp.ClientConnectionError):
            await ping(it)
        with pytest.raises(aiohttp.ClientConnectionError):
            async with it.open(TRADES):
                pass
        assert {record.refused for record in it.venue.connections[1:]} == {0}
        await it.clock.run_for(31)
        assert await ping(it) == 200
        async with it.open(TRADES) as again:
            await it.clock.run_for(5)
            assert await again.so_far()


async def test_silence_before_the_start_holds_after_it() -> None:
    async with desk() as it:
        await it.venue.aclose()
        it.venue.silence(10)
        await it.venue.start()
        rest = asyncio.create_task(ping(it))
        await it.until(lambda: it.clock.sleepers == 2)
        await it.clock.run_for(9)
        assert not rest.done()
        await it.clock.run_for(2)
        await asyncio.wait([rest], timeout=5)
        assert rest.done()


async def test_venue_in_a_thread_is_struck_from_outside() -> None:
    with StandInVenue(symbols=["BTCUSDT"]).in_thread() as venue:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(venue.ws_url + "/ws") as socket,
        ):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            await asyncio.wait_for(socket.receive(), 30)
            assert await asyncio.to_thread(venue.strike, SocketFault.close(1001)) == 1
            message = await asyncio.wait_for(socket.receive(), 30)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
            venue.offline(60)
            with pytest.raises(aiohttp.ClientConnectionError):
                async with session.get(venue.rest_url + "/api/v3/ping"):
                    pass


async def test_venue_runs_in_one_thread_after_another() -> None:
    venue = StandInVenue(symbols=["BTCUSDT"])
    for _ in range(2):
        with venue.in_thread():
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(venue.ws_url + TRADES) as socket,
            ):
                assert (await asyncio.wait_for(socket.receive(), 30)).type == aiohttp.WSMsgType.TEXT


async def test_venue_hangs_up_on_a_client_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("velas.testing.venue.connection._MOST_WAITING", 100)
    async with desk() as it, it.open(TRADES) as socket:
        await it.clock.run_for(1)
        it.clock.advance(600)  # hundreds of trades at once
        await it.clock.run_for(1)
        await it.all_gone()
        assert it.venue.connections[0].ended == "slow"
        assert socket.raw is not None
