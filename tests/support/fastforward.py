"""Tests on an event loop whose time jumps to what is due next: hours cost only their work.

Nothing real has to be waited for and a machine that stalls changes nothing, so what such a
test sees does not depend on how busy the machine is. Sockets and threads stay real.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

import looptime

__all__ = ["fast_forward", "run_fast"]

P = ParamSpec("P")


def run_fast(main: Coroutine[Any, Any, Any]) -> Any:
    """Run `main` as `asyncio.run` does, on a loop that jumps."""
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(main)


def fast_forward(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a loop that jumps; its clock is `velas.testing.LoopClock`."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_fast(test(*args, **kwargs))

    return run
