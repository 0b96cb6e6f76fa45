"""The loop of the tests that jump: threads of its executors take no time."""

from __future__ import annotations

import asyncio
import threading

from fastforward import run_fast

_REAL_S = 0.1  # what a slow thread takes


async def test_hours_pass_at_once() -> None:
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.sleep(7_200)
        return loop.time() - before

    assert await asyncio.to_thread(run_fast, wait()) == 7_200


async def test_time_stands_still_while_a_thread_works() -> None:
    async def work() -> tuple[float, bool]:
        loop = asyncio.get_running_loop()
        timer = asyncio.ensure_future(asyncio.sleep(0.001))
        before = loop.time()
        await asyncio.to_thread(threading.Event().wait, _REAL_S)
        return loop.time() - before, timer.done()

    assert await asyncio.to_thread(run_fast, work()) == (0, False)


async def test_loop_waits_for_its_threads_when_it_is_closed() -> None:
    ended = threading.Event()

    def work() -> None:
        threading.Event().wait(_REAL_S)
        ended.set()

    async def begin() -> None:
        asyncio.get_running_loop().run_in_executor(None, work)

    await asyncio.to_thread(run_fast, begin())
    assert ended.is_set()
