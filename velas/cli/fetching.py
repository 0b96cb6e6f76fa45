"""Plan and run a download from start to close, interruptible at every moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

import attrs

from velas.cli.progress import announce, progress_bar
from velas.cli.session import Workplace, open_workplace
from velas.cli.signals import Stopped, stop_on_signals, until_stopped
from velas.errors import VelasError

if TYPE_CHECKING:
    from velas.history import Plan, Report
    from velas.settings import Settings

__all__ = ["Fetched", "Planner", "fetch"]

Planner = Callable[[Workplace], Coroutine[object, object, "Plan"]]


@attrs.frozen
class Fetched:
    """What came of it: the plan (None: interrupted before), the report, a late error.

    `report` is None where only the plan was wanted. `error` is what went wrong on
    closing, when everything reported was stored already.
    """

    plan: Plan | None
    report: Report | None
    error: VelasError | None = None


async def fetch(
    settings: Settings,
    planner: Planner,
    *,
    parallel: int | None = None,
    plan_only: bool = False,
) -> Fetched:
    """Open everything, plan, run the plan, fold and close.

    Raises:
        VelasError: nothing could be opened or planned.
    """
    fetched = None
    try:
        with stop_on_signals() as stop:
            async with open_workplace(settings) as place:
                fetched = await _fetch(place, planner, parallel, plan_only, stop)
    except VelasError as error:
        if fetched is None:
            raise
        fetched = attrs.evolve(fetched, error=error)
    return fetched


async def _fetch(
    place: Workplace, planner: Planner, parallel: int | None, plan_only: bool, stop: asyncio.Event
) -> Fetched:
    started = time.monotonic()
    try:
        plan = await until_stopped(planner(place), stop)
    except Stopped:
        return Fetched(None, _nothing(place, time.monotonic() - started))
    if plan_only:
        return Fetched(plan, None)
    announce(plan)
    return Fetched(plan, await _run(place, plan, parallel, stop))


async def _run(place: Workplace, plan: Plan, parallel: int | None, stop: asyncio.Event) -> Report:
    from velas.history import run_plan

    history = place.settings.history
    with progress_bar(plan, place.exchange) as on_stored:
        return await run_plan(
            place.exchange,
            place.store,
            place.ledger,
            plan,
            parallel=parallel or history.parallel,
            pages_in_flight=history.pages_in_flight,
            on_stored=on_stored,
            stop=stop,
        )


def _nothing(place: Workplace, elapsed_s: float) -> Report:
    from velas.history import Report

    return Report((), place.exchange.usage, elapsed_s, interrupted=True)
