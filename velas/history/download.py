"""Run a planned download: pages in parallel, few and durable commits, exact resume."""

from __future__ import annotations

import asyncio
import logging
import time

import attrs

from velas.errors import ConfigError, VelasError
from velas.history.absence import SETTLE_MS
from velas.history.disk import Disk
from velas.history.report import Plan, Report, SeriesPlan, SeriesReport
from velas.history.series import SeriesDownload
from velas.history.traffic import VENUE_FAILS, Progress, Traffic, cancelled
from velas.history.windows import explain, runs
from velas.ledger import Ledger
from velas.models import PENDING, VENUE, Gap, SeriesStats
from velas.protocols import Exchange, Store

__all__ = ["run_plan"]

_log = logging.getLogger(__name__)

_UNPROVEN = "asked for, but the venue's answers prove nothing"


async def run_plan(
    exchange: Exchange,
    store: Store,
    ledger: Ledger,
    plan: Plan,
    *,
    parallel: int = 8,
    pages_in_flight: int = 24,
    on_stored: Progress = lambda stored: None,
    stop: asyncio.Event | None = None,
) -> Report:
    """Fetch what `plan` lists and store it; report per series, in the plan's order.

    `parallel` series at once share `pages_in_flight` requests. `on_stored` is called when
    pages are durable. Setting `stop` ends the run early: requests in flight are dropped,
    candles already received are stored, the report says `interrupted`. A series that
    fails carries its error and stops no other, unless the venue itself refuses or is
    silent. Rows are as the venue gave them; slots it proved not to have go to `ledger`.

    Raises:
        ConfigError: `parallel` or `pages_in_flight` below 1.
    """
    if parallel < 1 or pages_in_flight < 1:
        raise ConfigError(
            f"parallel {parallel!r} and pages_in_flight {pages_in_flight!r} must be at least 1"
        )
    started, before = time.monotonic(), exchange.usage
    stop = stop or asyncio.Event()
    with Disk() as disk:
        symbols = len({series.symbol for series in plan.series})
        traffic = Traffic(
            exchange, store, ledger, disk, pages_in_flight, on_stored, stop, symbols=symbols
        )
        reports = await _all_series(traffic, plan, parallel)
    return Report(
        series=tuple(reports),
        usage=exchange.usage.since(before).plus(plan.usage),
        elapsed_s=time.monotonic() - started,
        interrupted=stop.is_set(),
    )


async def _all_series(traffic: Traffic, plan: Plan, parallel: int) -> list[SeriesReport]:
    at_once = asyncio.Semaphore(parallel)

    async def one(series: SeriesPlan) -> SeriesReport:
        async with at_once:
            return await _series(traffic, series)

    tasks = [asyncio.create_task(one(series)) for series in plan.series]
    watch = asyncio.create_task(traffic.watch_stop())
    try:
        return await asyncio.gather(*tasks)
    except Exception:
        await cancelled(*tasks)
        raise
    finally:
        # gather lets go of its tasks when cancelled; they still have pages to store
        await asyncio.gather(*tasks, return_exceptions=True)
        await cancelled(watch)


async def _series(traffic: Traffic, plan: SeriesPlan) -> SeriesReport:
    work = SeriesDownload(traffic, plan)
    error, unreachable = plan.error, plan.unreachable
    if error is None:
        try:
            await work.run()
        except VelasError as failure:
            _log.info("%s %s: %s", plan.symbol, plan.interval, failure)
            error, unreachable = str(failure), isinstance(failure, VENUE_FAILS)
    report = await traffic.disk.run(_report, traffic, work, error)
    return attrs.evolve(report, unreachable=unreachable)


def _report(traffic: Traffic, work: SeriesDownload, error: str | None) -> SeriesReport:
    plan, ledger = work.plan, traffic.ledger
    series = (traffic.exchange.name, plan.symbol, plan.interval.name)
    try:
        stats = traffic.store.get_stats(plan.symbol, plan.interval)
        if stats.first_ms is not None and stats.last_ms is not None:
            ledger.add_extent(*series, stats.first_ms, stats.last_ms)
        gaps = _gaps(traffic, work, stats, asked=error is None and not traffic.stop.is_set())
    except VelasError as failure:
        return SeriesReport(*series, work.rows_added, 0, None, None, error=error or str(failure))
    return SeriesReport(
        *series, work.rows_added, stats.rows, stats.first_ms, stats.last_ms, tuple(gaps), error
    )


def _gaps(traffic: Traffic, work: SeriesDownload, stats: SeriesStats, *, asked: bool) -> list[Gap]:
    """Return the holes between the rows, and what was wanted before and behind them."""
    plan, interval = work.plan, work.plan.interval
    absent = traffic.ledger.absent(traffic.exchange.name, plan.symbol, interval.name)
    inside = explain(traffic.store.gaps(plan.symbol, interval), absent, interval)
    left = work.missing()
    if stats.first_ms is not None and stats.last_ms is not None:
        first, last = interval.slot(stats.first_ms), interval.slot(stats.last_ms)
        left = left[(left < first) | (left > last)]
    outside = [
        Gap(interval.open_of(first), interval.open_of(end), end - first)
        for first, end in runs(left)
    ]
    gaps = sorted([*inside, *explain(outside, absent, interval)], key=lambda gap: gap.start_ms)
    return [_reasoned(gap, plan, stats.last_ms) for gap in gaps] if asked else gaps


def _reasoned(gap: Gap, plan: SeriesPlan, last_ms: int | None) -> Gap:
    if gap.reason == VENUE:
        return gap
    young_ms = plan.interval.floor(plan.now_ms - SETTLE_MS)
    if last_ms is not None and gap.start_ms > last_ms and gap.start_ms >= young_ms:
        return attrs.evolve(gap, reason=PENDING)
    return attrs.evolve(gap, reason=_UNPROVEN)
