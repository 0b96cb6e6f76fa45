"""A download in a process of its own, made to be killed; acknowledges what it stored."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import velas
from velas.history import Stored, Wanted, make_plan, run_plan
from velas.history import series as pace

pace._COMMIT_AFTER_S = 0.03  # many small commits: more moments to be killed at


def download(url: str, folder: Path, acknowledged: Path, wanted: Wanted) -> None:
    """Download into `folder`; append a line to `acknowledged` for what is durable."""
    with acknowledged.open("a") as log:

        def note(stored: Stored) -> None:
            # one write, straight to the kernel: it outlives the process
            os.write(log.fileno(), f"{stored.symbol} {stored.interval} {stored.rows}\n".encode())

        asyncio.run(_download(url, folder, wanted, note))


async def _download(url: str, folder: Path, wanted: Wanted, note) -> None:
    settings = velas.load_settings(data_dir=folder, rest={"url": url})
    with velas.open_store(settings) as store, velas.open_ledger(settings) as ledger:
        async with velas.open_exchange(settings, ledger=ledger) as exchange:
            plan = await make_plan(exchange, store, ledger, wanted)
            await run_plan(
                exchange, store, ledger, plan, parallel=2, pages_in_flight=3, on_stored=note
            )
