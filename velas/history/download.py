"""Run a planned download: pages in parallel, few and durable commits, exact resume."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable

import numpy as np
import pandas as pd

from velas.errors import (
    AuthError,
    Banned,
    Forbidden,
    RequestTimeout,
    RestrictedLocation,
    Unavailable,
    VelasError,
)
from velas.history.absence import next_candle_ms, settle
from velas.history.report import Plan, Report, SeriesPlan, SeriesReport, Stored
from velas.history.windows import Slots, Window, cover, explain, missing_slots, subtract
from velas.ledger import Ledger
from velas.protocols import Exchange, Store

__all__ = ["run_plan"]

_log = logging.getLogger(__name__)

_COMMIT_ROWS = 100_000  # bounds the memory of a series that waits for its commit
_COMMIT_AFTER_S = 2.0
_COMMIT_SHARE = 10  # committing may take a tenth of the time

# refusals that concern the whole venue: going on with the next symbol is pointless
_VENUE_REFUSES = (AuthError, Banned, Forbidden, RestrictedLocation)
_VENUE_SILENT = (Unavailable, RequestTimeout)

Progress = Callable[[Stored], None]
Flight = tuple[asyncio.Task[pd.DataFrame], Window]


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
    run = _Run(exchange, store, ledger, pages_in_flight, on_stored, stop or asyncio.Event())
    series_slots = asyncio.Semaphore(parallel)

    async def one(series: SeriesPlan) -> SeriesReport:
        async with series_slots:
            return await run.series(series)

    tasks = [asyncio.create_task(one(series)) for series in plan.series]
    try:
        reports = await asyncio.gather(*tasks)
    except Exception:
        for task in tasks:
            task.cancel()
        raise
    finally:
        # gather lets go of its tasks when cancelled; they still have pages to store
        await asyncio.gather(*tasks, return_exceptions=True)
    return Report(
        series=tuple(reports),
        usage=exchange.usage.since(before),
        elapsed_s=time.monotonic() - started,
        interrupted=run.stop.is_set(),
    )


class _Run:
    """What the series of one download share."""

    def __init__(
        self,
        exchange: Exchange,
        store: Store,
        ledger: Ledger,
        pages_in_flight: int,
        on_stored: Progress,
        stop: asyncio.Event,
    ) -> None:
        self.exchange = exchange
        self.store = store
        self.ledger = ledger
        self.on_stored = on_stored
        self.stop = stop
        self.page_slots = asyncio.Semaphore(pages_in_flight)
        self.answers = 0
        self.venue_error: VelasError | None = None

    async def series(self, plan: SeriesPlan) -> SeriesReport:
        rows_before = 0
        error = plan.error
        if error is None:
            work = _Series(self, plan)
            try:
                await work.run()
            except VelasError as failure:
                _log.warning("%s %s: %s", plan.symbol, plan.interval, failure)
                error = str(failure)
            rows_before = work.rows_added
        return await asyncio.to_thread(self._report, plan, rows_before, error)

    async def page(self, symbol: str, plan: SeriesPlan, window: Window) -> pd.DataFrame:
        """Fetch one window whole, whatever number of pages that takes."""
        parts: list[pd.DataFrame] = []
        start_ms, most = window.start_ms, self.exchange.capabilities.page_rows
        limit = min(most, window.slots + 1)
        while True:
            answers = self.answers
            try:
                rows = await self.exchange.fetch_candles(
                    symbol, plan.interval, start_ms=start_ms, end_ms=window.end_ms, limit=limit
                )
            except VelasError as error:
                self._judge(error, silent_since=answers)
                raise
            self.answers += 1
            parts.append(rows)
            if len(rows) < limit:
                return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
            start_ms, limit = int(rows["timestamp"].iloc[-1]) + 1, most

    def _judge(self, error: VelasError, *, silent_since: int) -> None:
        """Give up on the venue when it refuses us, or answered nobody meanwhile."""
        silent = isinstance(error, _VENUE_SILENT) and self.answers == silent_since
        if isinstance(error, _VENUE_REFUSES) or silent:
            self.venue_error = self.venue_error or error

    def _report(self, plan: SeriesPlan, rows_added: int, error: str | None) -> SeriesReport:
        symbol, interval = plan.symbol, plan.interval
        try:
            stats = self.store.get_stats(symbol, interval)
            absent = self.ledger.absent(self.exchange.name, symbol, interval.name)
            gaps = explain(self.store.gaps(symbol, interval), absent, interval)
        except VelasError as failure:
            return SeriesReport(
                self.exchange.name, symbol, interval.name, rows_added, 0, None, None, (),
                error or str(failure),
            )  # fmt: skip
        return SeriesReport(
            exchange=self.exchange.name,
            symbol=symbol,
            interval=interval.name,
            rows_added=rows_added,
            rows_total=stats.rows,
            first_ms=stats.first_ms,
            last_ms=stats.last_ms,
            gaps=tuple(gaps),
            error=error,
        )


class _Series:
    """One series on its way from the venue to the store."""

    def __init__(self, run: _Run, plan: SeriesPlan) -> None:
        self.run_state = run
        self.plan = plan
        self.rows_added = 0
        self._received: list[pd.DataFrame] = []
        self._committed_at = time.monotonic()
        self._commit_took_s = 0.0

    async def run(self) -> None:
        slots = await asyncio.to_thread(self._missing)
        if not len(slots):
            return
        page_rows = self.run_state.exchange.capabilities.page_rows
        await self._fetch(cover(slots, self.plan.interval, page_rows))
        await self._settle()

    def _missing(self) -> Slots:
        """Return the slots of the plan's ranges that are neither stored nor known absent."""
        plan, interval = self.plan, self.plan.interval
        if not plan.ranges:
            return np.empty(0, dtype=np.int64)
        start_ms, end_ms = plan.ranges[0].start_ms, plan.ranges[-1].end_ms
        stored = self.run_state.store.load(
            plan.symbol, interval, start_ms=start_ms, end_ms=end_ms, columns=("timestamp",)
        )
        present = interval.slot(stored["timestamp"].to_numpy(dtype=np.int64))
        missing = missing_slots(present, interval.slot(start_ms), interval.slot(end_ms))
        absent = self.run_state.ledger.absent(
            self.run_state.exchange.name, plan.symbol, interval.name
        )
        return subtract(missing, absent, interval)

    async def _fetch(self, windows: list[Window]) -> None:
        """Keep pages in flight while others arrive; store what came, whatever happens."""
        state, flying = self.run_state, set[Flight]()
        waiting = deque(windows)
        try:
            while waiting and await self._may_go_on():
                flying.add(self._take_off(waiting.popleft()))
                flying = await self._harvest(flying, waiting, wait=False)
            while flying and not state.stop.is_set():
                flying = await self._harvest(flying, waiting, wait=True)
        finally:
            for task, _ in flying:
                task.cancel()
            await asyncio.gather(*[task for task, _ in flying], return_exceptions=True)
            await self._commit()

    async def _may_go_on(self) -> bool:
        """Wait for a place among the pages in flight."""
        await self.run_state.page_slots.acquire()
        if self.run_state.stop.is_set() or self.run_state.venue_error is not None:
            self.run_state.page_slots.release()
            if self.run_state.venue_error is not None:
                raise self.run_state.venue_error
            return False
        return True

    def _take_off(self, window: Window) -> Flight:
        state = self.run_state
        task = asyncio.create_task(state.page(self.plan.market, self.plan, window))
        # a callback, not `finally`: a task cancelled before its first step runs no code
        task.add_done_callback(lambda _: state.page_slots.release())
        return task, window

    async def _harvest(
        self, flying: set[Flight], waiting: deque[Window], *, wait: bool
    ) -> set[Flight]:
        if wait:
            await self._until_one_is_done([task for task, _ in flying])
        done = {flight for flight in flying if flight[0].done()}
        for task, window in done:
            page = task.result()
            self._received.append(page)
            if page.empty and waiting:
                await self._skip_to_candles(window, waiting)
        if self._commit_is_due():
            await self._commit()
        return flying - done

    async def _skip_to_candles(self, empty: Window, waiting: deque[Window]) -> None:
        """Drop the windows between an empty one and the venue's next candle."""
        exchange, plan = self.run_state.exchange, self.plan
        resume_ms = await next_candle_ms(
            exchange, plan.market, plan.interval, empty.start_ms, waiting[-1].end_ms
        )
        while waiting and waiting[0].end_ms <= resume_ms:
            waiting.popleft()

    async def _until_one_is_done(self, tasks: list[asyncio.Task[pd.DataFrame]]) -> None:
        stopping = asyncio.create_task(self.run_state.stop.wait())
        try:
            await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await stopping

    def _commit_is_due(self) -> bool:
        if sum(map(len, self._received)) >= _COMMIT_ROWS:
            return True
        pause = max(_COMMIT_AFTER_S, _COMMIT_SHARE * self._commit_took_s)
        return bool(self._received) and time.monotonic() - self._committed_at >= pause

    async def _commit(self) -> None:
        pages, self._received = self._received, []
        started = time.monotonic()
        if rows := [page for page in pages if len(page)]:
            rows.sort(key=lambda page: int(page["timestamp"].iloc[0]))
            await self._append(pd.concat(rows, ignore_index=True), len(pages))
        elif pages:
            self._tell(len(pages), 0)
        self._committed_at = time.monotonic()
        self._commit_took_s = self._committed_at - started

    async def _append(self, frame: pd.DataFrame, pages: int) -> None:
        result = await asyncio.to_thread(
            self.run_state.store.append, frame, self.plan.symbol, self.plan.interval
        )
        self.rows_added += result.rows_added
        self._tell(pages, result.rows_added)

    def _tell(self, pages: int, rows: int) -> None:
        self.run_state.on_stored(Stored(self.plan.symbol, self.plan.interval.name, pages, rows))

    async def _settle(self) -> None:
        """Ask once more about what did not come, and remember what the venue lacks."""
        state, plan = self.run_state, self.plan
        slots = await asyncio.to_thread(self._missing)
        if not len(slots) or state.stop.is_set():
            return
        now_ms = await state.exchange.server_time_ms()
        settled = await settle(
            state.exchange, plan.market, plan.interval, slots,
            now_ms=now_ms, stopped=state.stop.is_set,
        )  # fmt: skip
        if len(settled.recovered):
            await self._append(settled.recovered, 0)
        state.ledger.add_absent(
            state.exchange.name, plan.symbol, plan.interval.name, settled.absent, now_ms=now_ms
        )
