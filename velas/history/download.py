"""Run a planned download: pages in parallel, few and durable commits, exact resume."""

from __future__ import annotations

import asyncio
import logging
import time

import attrs

from velas.errors import VelasError
from velas.history.disk import Disk
from velas.history.report import Plan, Report, SeriesPlan, SeriesReport
from velas.history.series import SeriesDownload
from velas.history.traffic import VENUE_FAILS, Progress, Traffic, cancelled
from velas.history.windows import explain
from velas.ledger import Ledger
from velas.protocols import Exchange, Store

__all__ = ["run_plan"]

_log = logging.getLogger(__name__)


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
    """
    started, before = time.monotonic(), exchange.usage
    stop = stop or asyncio.Event()
    with Disk() as disk:
        traffic = Traffic(exchange, store, ledger, disk, pages_in_flight, on_stored, stop)
        reports = await _all_series(traffic, plan, parallel)
    return Report(
        series=tuple(reports),
        usage=exchange.usage.since(before),
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
    rows_added, error, unreachable = 0, plan.error, plan.unreachable
    if error is None:
        work = SeriesDownload(traffic, plan)
        try:
            await work.run()
        except VelasError as failure:
            _log.info("%s %s: %s", plan.symbol, plan.interval, failure)
            error, unreachable = str(failure), isinstance(failure, VENUE_FAILS)
        rows_added = work.rows_added
    report = await traffic.disk.run(_report, traffic, plan, rows_added, error)
    return attrs.evolve(report, unreachable=unreachable)


def _report(traffic: Traffic, plan: SeriesPlan, rows_added: int, error: str | None) -> SeriesReport:
    symbol, interval = plan.symbol, plan.interval
    try:
        stats = traffic.store.get_stats(symbol, interval)
        absent = traffic.ledger.absent(traffic.exchange.name, symbol, interval.name)
        gaps = explain(traffic.store.gaps(symbol, interval), absent, interval)
    except VelasError as failure:
        return SeriesReport(
            traffic.exchange.name, symbol, interval.name, rows_added, 0, None, None, (),
            error or str(failure),
        )  # fmt: skip
    return SeriesReport(
        exchange=traffic.exchange.name,
        symbol=symbol,
        interval=interval.name,
        rows_added=rows_added,
        rows_total=stats.rows,
        first_ms=stats.first_ms,
        last_ms=stats.last_ms,
        gaps=tuple(gaps),
        error=error,
    )
