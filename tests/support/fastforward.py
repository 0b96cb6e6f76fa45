"""Tests on an event loop whose time jumps to what is due next: hours cost only their work.

Nothing real has to be waited for and a machine that stalls changes nothing, so what such a
test sees does not depend on how busy the machine is. Sockets and threads stay real; while
a thread of the loop's executors works, time stands still.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

import looptime

__all__ = ["fast_forward", "fast_loop", "run_fast"]

P = ParamSpec("P")
_PATIENCE_S = 1.0  # of real time, once for a thread: it may wait for the loop's time to go on


def run_fast(main: Coroutine[Any, Any, Any]) -> Any:
    """Run `main` as `asyncio.run` does, on a loop that jumps."""
    with asyncio.Runner(loop_factory=fast_loop) as runner:
        return runner.run(main)


def fast_forward(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a loop that jumps; its clock is `velas.testing.LoopClock`."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_fast(test(*args, **kwargs))

    return run


def fast_loop() -> asyncio.AbstractEventLoop:
    """Return a loop that jumps, but never while it waits for its own threads."""
    loop: Any = looptime.new_event_loop()
    working: set[asyncio.Future[Any]] = set()
    given_up: set[asyncio.Future[Any]] = set()
    in_executor, jump, shut_down = (
        loop.run_in_executor,
        loop._selector.select,
        loop.shutdown_default_executor,
    )

    def run_in_executor(executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = in_executor(executor, func, *args)
        working.add(future)
        future.add_done_callback(working.discard)
        return future

    def select(timeout: float | None = None) -> Any:
        given_up.intersection_update(working)
        if working - given_up and timeout != 0:
            ready = type(loop._selector).select(loop._selector, _PATIENCE_S)
            if ready:
                return ready
            given_up.update(working)
        return jump(timeout)

    async def shutdown_default_executor(*_: Any, **__: Any) -> None:
        await shut_down()  # its limit would be over in a jump

    loop.run_in_executor = run_in_executor
    loop._selector.select = select
    loop.shutdown_default_executor = shutdown_default_executor
    return loop  # type: ignore[no-any-return]
