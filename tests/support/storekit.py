"""A store whose threads a test plays itself: what it does happens at once, or not yet."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import attrs

__all__ = ["Threads"]


@attrs.define(eq=False)
class Threads(Executor):
    """Stands in for the outlet's `ThreadPoolExecutor`; works of `hung` symbols wait."""

    hung: set[str] = attrs.Factory(set)
    waiting: list[Callable[[], None]] = attrs.Factory(list)

    def __call__(self, *_: object) -> Threads:
        """Be made as the outlet makes its threads."""
        return self

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it, or keep it for `go_on`."""
        future: Future[Any] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)

        if self.hung.intersection(map(str, args)):
            self.waiting.append(do)
        else:
            do()
        return future

    def go_on(self) -> None:
        """Do what was kept, and wait for nothing any more."""
        self.hung.clear()
        waiting, self.waiting = self.waiting, []
        for do in waiting:
            do()
