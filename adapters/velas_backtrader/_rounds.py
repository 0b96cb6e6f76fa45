"""What a run of cerebro with live feeds needs that cerebro does not do itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from velas_backtrader._library import BackBroker

__all__ = ["end_with_run", "rest_the_broker"]


def end_with_run(cerebro: Any, end: Callable[[], None]) -> None:
    """Call `end` when a run is over, however that comes."""
    run = cerebro.runstrategies

    def guarded(*args: Any, **options: Any) -> Any:
        try:
            return run(*args, **options)
        finally:
            end()

    cerebro.runstrategies = guarded


def rest_the_broker(cerebro: Any) -> None:
    """Let a simulated broker look at each set of bars once, as in a backtest.

    Cerebro asks it in every round, also in those in which no feed had a bar. A stop or a
    limit that became active with the newest bars would be filled at prices of before.
    """
    look = cerebro._brokernotify
    seen: list[object] = [None]

    def look_once() -> None:
        bars = [(len(data), data.datetime[0] if len(data) else None) for data in cerebro.datas]
        if bars != seen[0] or not isinstance(cerebro.broker, BackBroker):
            seen[0] = bars
            look()

    cerebro._brokernotify = look_once
