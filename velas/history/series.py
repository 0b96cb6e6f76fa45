"""One series on its way from the venue to the store."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque

import numpy as np
import pandas as pd

from velas.history.absence import Answer, Inquiry, next_candle_ms
from velas.history.known import worth_asking
from velas.history.report import SeriesPlan, Stored
from velas.history.traffic import Traffic, cancelled
from velas.history.windows import Slots, Window, cover, missing_slots

__all__ = ["SeriesDownload"]

_REREAD = 2
_COMMIT_ROWS = 100_000  # bounds the memory of a series that waits for its commit
_COMMIT_AFTER_S = 2.0
_COMMIT_SHARE = 10  # committing may take a tenth of the time

Flight = tuple[asyncio.Task[pd.DataFrame], Window]


class SeriesDownload:
    """Fetches what one series lacks; `rows_added` counts what became durable."""

    def __init__(self, traffic: Traffic, plan: SeriesPlan) -> None:
        self.traffic = traffic
        self.plan = plan
        self.rows_added = 0
        self._received: list[pd.DataFrame] = []
        self._committed_at = time.monotonic()
        self._commit_took_s = 0.0

    async def run(self) -> None:
        """Fetch, store, and settle what did not come."""
        slots = await self.traffic.disk.run(self.missing, reread=_REREAD)
        if not len(slots):
            return
        page_rows = self.traffic.exchange.capabilities.page_rows
        await self._fetch(cover(slots, self.plan.interval, page_rows))
        await self._settle()

    def missing(self, *, reread: int = 0) -> Slots:
        """Return the slots of the plan's ranges that are neither stored nor known absent.

        With `reread` also that many stored ones right before a missing end: the venue
        may have corrected its newest candles since.
        """
        plan, interval, traffic = self.plan, self.plan.interval, self.traffic
        if not plan.ranges:
            return np.empty(0, dtype=np.int64)
        first = interval.slot(plan.ranges[0].start_ms)
        end = interval.slot(plan.ranges[-1].end_ms)
        stored = traffic.store.load(
            plan.symbol,
            interval,
            start_ms=interval.open_of(first - reread),
            end_ms=interval.open_of(end),
            columns=("timestamp",),
        )
        present = interval.slot(stored["timestamp"].to_numpy(dtype=np.int64))
        last = None if plan.last_ms is None else interval.slot(plan.last_ms)
        if len(present):
            last = max(int(present[-1]), -1 if last is None else last)
        missing = worth_asking(
            traffic.ledger,
            (traffic.exchange.name, plan.symbol, interval.name),
            missing_slots(present, first, end),
            last_stored=last,
            now_ms=plan.now_ms,
        )
        if not reread or plan.ranges[-1].kind != "tail" or not len(missing):
            return missing
        tail = interval.slot(plan.ranges[-1].start_ms)
        newest = present[(present >= tail - reread) & (present < tail)]
        return np.union1d(newest, missing)

    async def _fetch(self, windows: list[Window]) -> None:
        """Keep pages in flight while others arrive; store what came, whatever happens."""
        traffic, flying = self.traffic, set[Flight]()
        waiting = deque(windows)
        with traffic.listener() as news:
            try:
                while (waiting or flying) and not traffic.stop.is_set():
                    if waiting and traffic.take_place():
                        flying.add(self._take_off(waiting.popleft()))
                    else:
                        await self._wait_for(news)
                    flying = await self._harvest(flying, waiting)
            finally:
                await self._land(flying)

    async def _wait_for(self, news: asyncio.Event) -> None:
        # what has arrived becomes durable in time, also while nothing more comes
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._commit_is_due_in_s()):
                await news.wait()
        news.clear()

    def _take_off(self, window: Window) -> Flight:
        traffic = self.traffic
        task = asyncio.create_task(traffic.page(self.plan.market, self.plan.interval, window))
        # a callback, not `finally`: a task cancelled before its first step runs no code
        task.add_done_callback(lambda _: traffic.free_place())
        return task, window

    async def _harvest(self, flying: set[Flight], waiting: deque[Window]) -> set[Flight]:
        done = {flight for flight in flying if flight[0].done()}
        for task, window in done:
            page = task.result()
            if page.empty and waiting:
                await self._skip_to_candles(window, waiting)
        self._received += [task.result() for task, _ in done]
        if self._commit_is_due_in_s() == 0:
            await self._commit()
        return flying - done

    async def _land(self, flying: set[Flight]) -> None:
        """Drop the requests in flight and store every page that has arrived."""
        pages = await cancelled(*[task for task, _ in flying])
        self._received += [page for page in pages if isinstance(page, pd.DataFrame)]
        await self._commit()

    async def _skip_to_candles(self, empty: Window, waiting: deque[Window]) -> None:
        """Drop the windows between an empty one and the venue's next candle."""
        traffic, plan = self.traffic, self.plan
        resume_ms = await traffic.unless_stopped(
            next_candle_ms(
                traffic.exchange, plan.market, plan.interval,
                empty.start_ms, waiting[-1].end_ms,
            )
        )  # fmt: skip
        while waiting and resume_ms is not None and waiting[0].end_ms <= resume_ms:
            waiting.popleft()

    def _commit_is_due_in_s(self) -> float | None:
        """Return how long what has arrived may still wait; None when nothing has."""
        if not self._received:
            return None
        if sum(map(len, self._received)) >= _COMMIT_ROWS:
            return 0
        pause = max(_COMMIT_AFTER_S, _COMMIT_SHARE * self._commit_took_s)
        return max(0.0, self._committed_at + pause - time.monotonic())

    async def _commit(self) -> None:
        pages, started = self._received, time.monotonic()
        if rows := [page for page in pages if len(page)]:
            rows.sort(key=lambda page: int(page["timestamp"].iloc[0]))
            await self._append(pd.concat(rows, ignore_index=True), len(pages))
        elif pages:
            self._tell(len(pages), 0)
        self._received = []  # not before: what could not be stored is tried once more
        self._committed_at = time.monotonic()
        self._commit_took_s = self._committed_at - started

    async def _append(self, frame: pd.DataFrame, pages: int) -> None:
        result = await self.traffic.disk.run(
            self.traffic.store.append, frame, self.plan.symbol, self.plan.interval
        )
        self.rows_added += result.rows_added
        self._tell(pages, result.rows_added)

    def _tell(self, pages: int, rows: int) -> None:
        self.traffic.on_stored(Stored(self.plan.symbol, self.plan.interval.name, pages, rows))

    async def _settle(self) -> None:
        """Ask once more about what did not come, and remember what the venue lacks."""
        traffic, plan = self.traffic, self.plan
        slots = await traffic.disk.run(self.missing)
        if not len(slots) or traffic.stop.is_set():
            return
        now_ms = await traffic.exchange.server_time_ms()
        inquiry = Inquiry(traffic.exchange, plan.market, plan.interval, slots)
        while inquiry.open:
            answer = await traffic.unless_stopped(inquiry.ask())
            if answer is None:
                return
            if len(answer.recovered):
                await self._append(answer.recovered, 0)
            await traffic.disk.run(self._remember, answer, now_ms)

    def _remember(self, answer: Answer, now_ms: int) -> None:
        ledger = self.traffic.ledger
        series = (self.traffic.exchange.name, self.plan.symbol, self.plan.interval.name)
        if answer.absent:
            ledger.add_absent(*series, answer.absent, now_ms=now_ms)
        if answer.newest_ms is not None:
            ledger.set_ended(*series, answer.newest_ms, asked_ms=now_ms)
