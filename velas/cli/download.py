"""`velas download`: fetch what is missing, store it, say what came of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from velas.cli.exits import FAILED, code_of, say
from velas.cli.fetching import Fetched, Planner, fetch
from velas.cli.numbers import WholeNumber
from velas.cli.options import Common, range_of, series_options, velas_command
from velas.cli.plans import show_plan
from velas.cli.reports import exit_code, show_report
from velas.cli.session import Workplace, settings_of

if TYPE_CHECKING:
    from velas.history import Plan, Wanted
    from velas.settings import Settings

__all__ = ["command", "finish"]


@velas_command("download")
@series_options
@click.option(
    "--months", type=WholeNumber(1, 240), metavar="N", help="The last N months [default: 12]."
)
@click.option("--start", metavar="DATE", help="First open time, UTC, inclusive: 2025-01-01.")
@click.option("--end", metavar="DATE", help="Last open time, UTC, exclusive: 2025-07-01 12:00.")
@click.option("--update", is_flag=True, help="Continue stored series from their own first candle.")
@click.option(
    "--parallel", type=WholeNumber(1, 64), metavar="N", help="Series at once [default: 8]."
)
@click.option("--plan", "plan_only", is_flag=True, help="Show what would be fetched, and stop.")
def command(
    common: Common,
    symbols: tuple[str, ...],
    intervals: tuple[str, ...],
    months: int | None,
    start: str | None,
    end: str | None,
    update: bool,
    parallel: int | None,
    plan_only: bool,
) -> int:
    """Fetch the candles that are missing, and store them.

    Without options: all pairs of the settings, at the settings' intervals, for the
    settings' number of months. Ctrl-C stops cleanly, and the same command goes on where
    it stopped.
    """
    if months is not None and (start is not None or end is not None):
        raise click.UsageError("--months and --start/--end exclude each other")
    if end is not None and start is None:
        raise click.UsageError("--end needs --start")
    start_ms, end_ms = range_of(start, end)
    settings = settings_of(common)
    wanted = _wanted(settings, symbols, intervals, start_ms, end_ms, months, update)
    fetched = asyncio.run(fetch(settings, _planner(wanted), parallel=parallel, plan_only=plan_only))
    return finish(fetched, as_json=common.as_json)


def finish(fetched: Fetched, *, as_json: bool) -> int:
    """Show a plan or a report and return the exit code."""
    code = 0
    if fetched.report is not None:
        show_report(fetched.report, as_json=as_json)
        code = exit_code(fetched.report)
    elif fetched.plan is not None:
        show_plan(fetched.plan, as_json=as_json)
        code = _name_unplanned(fetched.plan)
    if fetched.error is not None:
        say(f"velas: error: {fetched.error}")
        code = code or code_of(fetched.error)
    return code


def _wanted(
    settings: Settings,
    symbols: tuple[str, ...],
    intervals: tuple[str, ...],
    start_ms: int | None,
    end_ms: int | None,
    months: int | None,
    update: bool,
) -> Wanted:
    from velas.config import load_pairs
    from velas.history import Wanted
    from velas.interval import Interval
    from velas.symbols import series_key

    for symbol in symbols:
        series_key(symbol)  # refuses path tricks before anything is opened
    names = dict.fromkeys(intervals or settings.history.intervals)
    return Wanted(
        symbols=symbols or tuple(pair.symbol for pair in load_pairs(settings)),
        intervals=tuple(Interval(name) for name in names),
        start_ms=start_ms,
        end_ms=end_ms,
        months=months or settings.history.months,
        update=update,
        strict=bool(symbols),
    )


def _planner(wanted: Wanted) -> Planner:
    async def plan(place: Workplace) -> Plan:
        from velas.history import make_plan

        return await make_plan(place.exchange, place.store, place.ledger, wanted)

    return plan


def _name_unplanned(plan: Plan) -> int:
    failed = [series for series in plan.series if series.error is not None]
    for series in failed:
        say(f"velas: cannot be planned: {series.symbol} {series.interval}: {series.error}")
    return FAILED if failed else 0
