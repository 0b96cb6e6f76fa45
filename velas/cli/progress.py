"""The progress of a download on stderr: a bar with ETA on a terminal, one line elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from velas.cli.exits import say
from velas.cli.output import count, many, minutes
from velas.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from velas.history import Plan, Stored
    from velas.limit_models import LimiterSnapshot
    from velas.protocols import Exchange

__all__ = ["Pace", "announce", "progress_bar", "waiting_reason"]

_RATE_OVER_S = 10.0


def announce(plan: Plan) -> None:
    """Say on stderr what is about to be fetched."""
    lacking = sum(1 for series in plan.series if series.requests)
    if not lacking:
        say(f"velas: {plan.exchange}: nothing to fetch")
        return
    say(
        f"velas: {plan.exchange}: {many(plan.candles, 'candle')} of {count(lacking)} series, "
        f"{many(plan.requests, 'request')}, {minutes(plan.minutes)}"
    )


@contextmanager
def progress_bar(plan: Plan, exchange: Exchange) -> Iterator[Callable[[Stored], None]]:
    """Show how far the plan is; give what `run_plan` wants as `on_stored`."""
    if not plan.requests or not sys.stderr.isatty():
        yield lambda stored: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining
    from rich.text import Text

    pace = Pace()

    class Spent(ProgressColumn):
        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            rate = pace.rate(exchange.usage.requests)
            waiting = waiting_reason(exchange)
            return Text(f"{rate:.1f} req/s{f', {waiting}' if waiting else ''}")

    with Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rows]} rows"),
        Spent(),
        TextColumn("ETA"),
        Remaining(),
        console=Console(stderr=True),
        refresh_per_second=4,
        redirect_stdout=False,
        transient=True,
    ) as bar:
        task, rows = bar.add_task("", total=plan.requests, rows="0"), 0

        def on_stored(stored: Stored) -> None:
            nonlocal rows
            rows += stored.rows
            bar.update(task, advance=stored.pages, rows=count(rows))

        yield on_stored


class Pace:
    """Requests per second over the last ten seconds."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = monotonic_s
        self._seen: deque[tuple[float, int]] = deque()

    def rate(self, requests: int) -> float:
        """Note the total number of requests so far; return the present rate."""
        now = self._now_s()
        self._seen.append((now, requests))
        while len(self._seen) > 2 and now - self._seen[0][0] > _RATE_OVER_S:
            self._seen.popleft()
        began, before = self._seen[0]
        return (requests - before) / (now - began) if now > began else 0.0


def waiting_reason(exchange: Exchange, now_ms: int | None = None) -> str:
    """Return what the exchange's limiter waits for, "" when it does not or has none."""
    limiter = getattr(exchange, "limiter", None)  # the protocol does not ask for one
    if limiter is None:
        return ""
    now: LimiterSnapshot = limiter.snapshot()
    if now.blocked_until_ms is not None:
        left_s = (now.blocked_until_ms - (now_ms or SYSTEM_CLOCK.now_ms())) / 1000
        return f"the venue said wait: {max(0.0, left_s):.0f} s"
    if now.limit is not None and any(now.waiting.values()):
        return f"waiting for budget, {count(now.used)}/{count(now.limit)} used"
    return ""
