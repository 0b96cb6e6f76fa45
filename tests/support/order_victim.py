"""A bot in a process of its own, made to be killed; acknowledges the orders it was given."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import velas
from velas.settings import Trading
from velas.testing.venue import STAND_IN_KEY, STAND_IN_SECRET

# a request counts as dead after half a second, and as absent five seconds later
TRADING = Trading(mode="live", recv_window_ms=500, settle_s=5.0)


def settings(url: str, folder: Path, exchange: str) -> velas.Settings:
    """Return what the bot runs by."""
    return velas.load_settings(
        exchange=exchange,
        data_dir=folder,
        rest={"url": url, "timeout_s": 2.0},
        trading=TRADING,
        api_key=STAND_IN_KEY,
        api_secret=STAND_IN_SECRET,
        environ={},
    )


def place(
    url: str,
    folder: Path,
    acknowledged: Path,
    requests: list[velas.OrderRequest],
    exchange: str = "binance_spot",
) -> None:
    """Place each order; append its intent and id to `acknowledged` once it is known."""
    asyncio.run(_place(settings(url, folder, exchange), acknowledged, requests))


async def _place(
    chosen: velas.Settings, acknowledged: Path, requests: list[velas.OrderRequest]
) -> None:
    with acknowledged.open("a") as log:
        async with velas.open_exchange(chosen) as exchange:

            async def one(request: velas.OrderRequest) -> None:
                order = await exchange.create_order(request)
                # one write, straight to the kernel: it outlives the process
                os.write(log.fileno(), f"{order.intent}={order.id}\n".encode())

            await asyncio.gather(*(one(request) for request in requests))
