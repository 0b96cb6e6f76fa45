"""Plan a download: which candles are missing, what fetching them costs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs
import numpy as np

from velas.dates import iso, months_before
from velas.errors import ConfigError, UnknownSymbol, VelasError
from velas.history.disk import Disk
from velas.history.known import worth_asking
from velas.history.report import Plan, Range, RangeKind, SeriesPlan
from velas.history.traffic import VENUE_FAILS, VENUE_REFUSES, cancelled
from velas.history.windows import Slots, cover, missing_slots, runs
from velas.interval import Interval
from velas.ledger import Ledger
from velas.models import Market
from velas.protocols import Exchange, Store

__all__ = ["Wanted", "last_closed_end_ms", "make_plan"]

_CLOSE_MARGIN_MS = 2_000  # klines come from a database that lags the engine a little


@attrs.frozen
class Wanted:
    """What to have on disk: symbols x intervals that open in ``[start_ms, end_ms)``.

    Without `start_ms` the last `months` months; without `end_ms` up to the newest closed
    candle. With `update` a stored series is continued from its own first candle. With
    `strict` an unknown symbol is raised, without it named in the plan.
    """

    symbols: Sequence[str]
    intervals: Sequence[Interval]
    start_ms: int | None = None
    end_ms: int | None = None
    months: int = 12
    update: bool = False
    strict: bool = False


async def make_plan(exchange: Exchange, store: Store, ledger: Ledger, wanted: Wanted) -> Plan:
    """Return what each wanted series lacks, in the order asked for.

    Asks the venue for its markets, its clock and, for symbols whose beginning is wanted,
    once ever for the first candle. A series that cannot be planned carries its error.

    Raises:
        ConfigError: an inverted range, one in the future, nothing wanted, or an
            interval the venue does not have.
        UnknownSymbol: (strict) the venue does not list a symbol.
        ExchangeError: the venue could not be asked at all.
    """
    before = exchange.usage
    _check_wanted(exchange, wanted)
    now_ms = await exchange.server_time_ms()
    _check_future(wanted, now_ms)
    # all names are judged before anything is asked about one of them
    found = [await _market(exchange, name, wanted.strict) for name in wanted.symbols]
    with Disk() as disk:
        planner = _Planner(exchange, store, ledger, disk, wanted, now_ms)
        tasks = [asyncio.create_task(planner.symbol(one)) for one in _unique(found)]
        try:
            by_symbol = await asyncio.gather(*tasks)
        finally:
            await cancelled(*tasks)
    capabilities = exchange.capabilities
    return Plan(
        exchange=exchange.name,
        series=tuple(series for group in by_symbol for series in group),
        page_weight=capabilities.page_weight,
        weight_per_minute=capabilities.weight_per_minute,
        requests_per_second=capabilities.requests_per_second,
        usage=exchange.usage.since(before),
    )


def last_closed_end_ms(interval: Interval, now_ms: int) -> int:
    """Return the open time of the first candle that is not surely closed at `now_ms`."""
    return interval.floor(now_ms - _CLOSE_MARGIN_MS)


@attrs.frozen
class _Planner:
    exchange: Exchange
    store: Store
    ledger: Ledger
    disk: Disk
    wanted: Wanted
    now_ms: int

    async def symbol(self, market: Market | SeriesPlan) -> list[SeriesPlan]:
        if isinstance(market, SeriesPlan):
            return [attrs.evolve(market, interval=one) for one in self.wanted.intervals]
        return [await self._series(market, interval) for interval in self.wanted.intervals]

    async def _series(self, market: Market, interval: Interval) -> SeriesPlan:
        try:
            return await self._missing(market, interval)
        except VENUE_REFUSES:
            raise
        except VelasError as error:
            return SeriesPlan(
                market.key, market.symbol, interval,
                error=str(error), unreachable=isinstance(error, VENUE_FAILS),
            )  # fmt: skip

    async def _missing(self, market: Market, interval: Interval) -> SeriesPlan:
        key = market.key
        stored = await self.disk.run(self._stored_slots, key, interval)
        start_ms = await self.disk.run(self._start_ms, key, stored, interval)
        end_ms = last_closed_end_ms(interval, self.now_ms)
        if self.wanted.end_ms is not None:
            end_ms = min(end_ms, interval.ceil(self.wanted.end_ms))
        start_ms = self._reachable(start_ms, end_ms, interval)
        slots = await self.disk.run(self._wanted_slots, key, interval, stored, start_ms, end_ms)
        if len(slots) and (not len(stored) or slots[0] < stored[0]):
            listed = interval.floor(await self._listing_ms(market, interval, start_ms))
            if listed >= end_ms:
                raise ConfigError(
                    f"{market.symbol}: its first {interval} candle opened {iso(listed)}, "
                    f"after the end of the range, {iso(end_ms)}"
                )
            slots = slots[slots >= interval.slot(listed)]
        return SeriesPlan(
            symbol=key,
            market=market.symbol,
            interval=interval,
            start_ms=start_ms,
            end_ms=end_ms,
            now_ms=self.now_ms,
            last_ms=interval.open_of(int(stored[-1])) if len(stored) else None,
            ranges=_ranges(slots, stored, interval, self.exchange.capabilities.page_rows),
        )

    def _stored_slots(self, key: str, interval: Interval) -> Slots:
        frame = self.store.load(key, interval, columns=("timestamp",))
        return np.unique(interval.slot(frame["timestamp"].to_numpy(dtype=np.int64)))

    def _start_ms(self, key: str, stored: Slots, interval: Interval) -> int:
        if self.wanted.start_ms is not None:
            return interval.ceil(self.wanted.start_ms)
        if self.wanted.update and len(stored):
            # what was stored once and is not there any more is missing, too
            extent = self.ledger.extent(self.exchange.name, key, interval.name)
            first_ms = interval.open_of(int(stored[0]))
            return min(first_ms, interval.floor(extent[0])) if extent else first_ms
        return interval.floor(months_before(self.now_ms, self.wanted.months))

    def _reachable(self, start_ms: int, end_ms: int, interval: Interval) -> int:
        newest = self.exchange.capabilities.newest_rows
        if newest is None:
            return start_ms
        oldest = interval.slot(last_closed_end_ms(interval, self.now_ms)) - newest
        return min(end_ms, max(start_ms, interval.open_of(oldest)))

    def _wanted_slots(
        self,
        key: str,
        interval: Interval,
        stored: Slots,
        start_ms: int,
        end_ms: int,
    ) -> Slots:
        missing = missing_slots(stored, interval.slot(start_ms), interval.slot(end_ms))
        return worth_asking(
            self.ledger,
            (self.exchange.name, key, interval.name),
            missing,
            last_stored=int(stored[-1]) if len(stored) else None,
            now_ms=self.now_ms,
        )

    async def _listing_ms(self, market: Market, interval: Interval, start_ms: int) -> int:
        """Return the venue's first candle's time; the wanted start where it cannot be asked."""
        series = (self.exchange.name, market.key, interval.name)
        known = await self.disk.run(self.ledger.listing_ms, *series)
        if known is not None:
            return known
        if not self.exchange.capabilities.probe_listing:
            return start_ms
        first = await self.exchange.fetch_candles(market.symbol, interval, start_ms=0, limit=1)
        if first.empty:
            return start_ms  # proves nothing; the download will find out page by page
        listed = int(first["timestamp"].iloc[0])
        await self.disk.run(self.ledger.set_listing_ms, *series, listed, now_ms=self.now_ms)
        return listed


def _ranges(
    slots: Slots,
    stored: Slots,
    interval: Interval,
    page_rows: int,
) -> tuple[Range, ...]:
    windows = cover(slots, interval, page_rows)
    starts = np.array([window.start_ms for window in windows], dtype=np.int64)
    found = []
    for first, end in runs(slots):
        kind: RangeKind = "hole"
        if not len(stored) or first > stored[-1]:
            kind = "tail"
        elif end <= stored[0]:
            kind = "head"
        start_ms, end_ms = interval.open_of(first), interval.open_of(end)
        pages = int(np.sum((starts >= start_ms) & (starts < end_ms)))
        found.append(Range(start_ms, end_ms, kind, end - first, pages))
    return tuple(found)


async def _market(exchange: Exchange, name: str, strict: bool) -> Market | SeriesPlan:
    """Return the market, or for an unknown one a series plan that says so."""
    try:
        return await exchange.market(name)
    except UnknownSymbol as error:
        if strict:
            raise
        return SeriesPlan(name, name, Interval("1m"), error=str(error))


def _unique(found: Sequence[Market | SeriesPlan]) -> list[Market | SeriesPlan]:
    """Drop what was named twice, in whatever spelling."""
    return list({one.symbol: one for one in found}.values())


def _check_wanted(exchange: Exchange, wanted: Wanted) -> None:
    if not wanted.symbols or not wanted.intervals:
        raise ConfigError("nothing to download: name at least one symbol and one interval")
    start_ms, end_ms = wanted.start_ms, wanted.end_ms
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise ConfigError(f"start {iso(start_ms)} is not before end {iso(end_ms)}")
    known = exchange.capabilities.intervals
    for interval in wanted.intervals:
        if interval.name not in known:
            raise ConfigError(
                f"{exchange.name} has no interval {interval}; it has {', '.join(known)}"
            )


def _check_future(wanted: Wanted, now_ms: int) -> None:
    for name, moment in (("start", wanted.start_ms), ("end", wanted.end_ms)):
        if moment is not None and moment > now_ms:
            raise ConfigError(f"{name} {iso(moment)} lies in the future; now is {iso(now_ms)}")
