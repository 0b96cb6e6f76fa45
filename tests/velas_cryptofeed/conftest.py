"""A scripted venue, a listener, an exchange that knows three markets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from fakes import FakeExchange
from socketpeer import Heard, Peer


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    app = web.Application()
    app.router.add_get("/{path:.*}", peer.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    peer.url = f"ws://{host}:{port}"
    yield peer
    for line in peer.lines:
        await line.socket.close()
    await runner.cleanup()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def exchange() -> FakeExchange:
    symbols = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    return FakeExchange({(symbol, "1m"): None for symbol in symbols})
