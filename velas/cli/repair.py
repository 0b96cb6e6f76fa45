"""Mend stored series: set damage aside, keep what is readable, fetch what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from velas.cli.checks import Checked, Mendable, check_series
from velas.cli.exits import DONE, INTERRUPTED, UNREACHABLE, say
from velas.cli.fetching import Planner, fetch
from velas.cli.gaps import explained_gaps
from velas.cli.output import count, many
from velas.cli.reports import exit_code, name_failures
from velas.cli.session import Shelf, Workplace, check_writable, open_shelf
from velas.clock import SYSTEM_CLOCK
from velas.errors import UnknownSymbol, VelasError
from velas.models import VENUE

if TYPE_CHECKING:
    from velas.history import Plan, SeriesPlan, Wanted
    from velas.models import SeriesId
    from velas.settings import Settings

__all__ = ["repair_series"]


def repair_series(settings: Settings, checked: Sequence[Checked]) -> tuple[list[Checked], int]:
    """Mend what is not `ok`; return all series checked again, and an exit code (0: see those).

    Raises:
        VelasError: files cannot be moved, or nothing can be fetched; damage is set aside
            by then, and what is left to do was said on stderr.
    """
    check_writable(settings)
    broken = [one for one in checked if not one.ok]
    _set_aside(settings, broken)
    try:
        fetched = asyncio.run(fetch(settings, _planner(broken)))
    except VelasError:
        _say_what_is_left(broken)
        raise
    code = DONE
    if fetched.report is not None:
        name_failures(fetched.report)
        code = exit_code(fetched.report)
    if fetched.error is not None:
        raise fetched.error
    if code in (INTERRUPTED, UNREACHABLE):
        _say_what_is_left(broken)
    with open_shelf(settings) as shelf:
        again = [_still_there(check_series(shelf, one.series)) for one in checked]
    # what else the report may complain about, the series themselves show
    return again, code if code in (INTERRUPTED, UNREACHABLE) else DONE


def _set_aside(settings: Settings, broken: Sequence[Checked]) -> None:
    with open_shelf(settings) as shelf:
        if not isinstance(shelf.store, Mendable):
            return
        for one in broken:
            mended = shelf.store.set_aside(one.series.symbol, one.series.interval)
            lost = "an unknown number" if mended.rows_lost is None else count(mended.rows_lost)
            for path in mended.moved:
                say(f"velas: {one.series}: damaged file set aside as {path}")
            if mended.moved:
                say(f"velas: {one.series}: {many(mended.rows_kept, 'row')} kept, {lost} lost")


def _planner(broken: Sequence[Checked]) -> Planner:
    async def plan(place: Workplace) -> Plan:
        from velas.history import Plan, make_plan

        series: list[SeriesPlan] = []
        whole = Plan(place.exchange.name, ())
        for one in broken:
            wanted = _wanted(place, one, await _market_of(place, one.series))
            whole = await make_plan(place.exchange, place.store, place.ledger, wanted)
            series += whole.series
        return attrs.evolve(whole, series=tuple(series))

    return plan


async def _market_of(place: Workplace, series: SeriesId) -> str:
    """Return the venue's name for a series' folder name."""
    try:
        return (await place.exchange.market(series.symbol)).symbol
    except UnknownSymbol:
        markets = await place.exchange.markets()
        return next((m.symbol for m in markets.values() if m.key == series.symbol), series.symbol)


def _wanted(place: Workplace, one: Checked, market: str) -> Wanted:
    """Return what to fetch: the holes, or all that may have been in a damaged file."""
    from velas.history import Wanted
    from velas.interval import Interval

    interval = Interval(one.series.interval)
    wanted = Wanted((market,), (interval,), months=place.settings.history.months)
    shelf = Shelf(place.exchange.name, place.store, place.ledger)
    lacking = [gap for gap in explained_gaps(shelf, one.series) if gap.reason != VENUE]
    if lacking:
        return attrs.evolve(wanted, start_ms=lacking[0].start_ms, end_ms=lacking[-1].end_ms)
    if place.ledger.extent(place.exchange.name, one.series.symbol, interval.name) is not None:
        return attrs.evolve(wanted, update=True)
    first_ms = place.store.get_stats(one.series.symbol, interval).first_ms
    # what is left may begin before or after the months that a download takes by default
    months_ms = wanted.months * 31 * 86_400_000
    old = first_ms is not None and first_ms < SYSTEM_CLOCK.now_ms() - months_ms
    return attrs.evolve(wanted, update=old)


def _still_there(one: Checked) -> Checked:
    if one.error is None and not one.present:
        return attrs.evolve(one, error="nothing is left of it, and nothing was fetched again")
    return one


def _say_what_is_left(broken: Sequence[Checked]) -> None:
    say("velas: left to do, once the venue can be reached:")
    for one in broken:
        say(f"  velas download --symbol {one.series.symbol} --interval {one.series.interval}")
