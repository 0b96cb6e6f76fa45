"""What a download is about to do and what it did: plan and report, plain data."""

from __future__ import annotations

from typing import Literal

import attrs

from velas.interval import Interval
from velas.models import PENDING, VENUE, Gap, Usage

__all__ = ["Plan", "Range", "Report", "SeriesPlan", "SeriesReport", "Stored"]

RangeKind = Literal["head", "tail", "hole"]


@attrs.frozen
class Range:
    """Candles to fetch that open in ``[start_ms, end_ms)``; `pages` requests long."""

    start_ms: int
    end_ms: int
    kind: RangeKind
    candles: int
    pages: int


@attrs.frozen
class SeriesPlan:
    """What one series lacks within ``[start_ms, end_ms)``, planned at `now_ms`.

    `last_ms` is where its newest stored candle opened.

    `symbol` is the folder name, `market` the unified symbol. A series that cannot be
    planned (unknown symbol, nothing listed yet) has an `error` and no ranges;
    `unreachable` says that the venue did not answer.
    """

    symbol: str
    market: str
    interval: Interval
    start_ms: int = 0
    end_ms: int = 0
    ranges: tuple[Range, ...] = ()
    now_ms: int = 0
    last_ms: int | None = None
    error: str | None = None
    unreachable: bool = False

    @property
    def candles(self) -> int:
        """Number of candles to fetch, if the venue has them all."""
        return sum(part.candles for part in self.ranges)

    @property
    def requests(self) -> int:
        """Number of pages to ask for."""
        return sum(part.pages for part in self.ranges)


@attrs.frozen
class Plan:
    """A whole download: which series lack what, and what that will cost.

    `usage` is what planning itself has spent.
    """

    exchange: str
    series: tuple[SeriesPlan, ...]
    page_weight: int = 1
    weight_per_minute: float | None = None
    requests_per_second: float | None = None
    usage: Usage = attrs.Factory(Usage)

    @property
    def candles(self) -> int:
        """Number of candles to fetch, if the venue has them all."""
        return sum(one.candles for one in self.series)

    @property
    def requests(self) -> int:
        """Number of pages to ask for."""
        return sum(one.requests for one in self.series)

    @property
    def weight(self) -> int:
        """What the pages cost of the venue's request budget."""
        return self.requests * self.page_weight

    @property
    def minutes(self) -> float:
        """How long the venue's limits alone will make it take, in minutes."""
        waits = [0.0]
        if self.weight_per_minute:
            # the first window's budget is there at once
            waits.append(max(0.0, self.weight / self.weight_per_minute - 1))
        if self.requests_per_second:
            waits.append(self.requests / self.requests_per_second / 60)
        return max(waits)


@attrs.frozen
class Stored:
    """Progress: `pages` more pages with `rows` new candles of a series are durable."""

    symbol: str
    interval: str
    pages: int
    rows: int


@attrs.frozen
class SeriesReport:
    """What a download did for one series.

    `gaps` lie between its first and last row; in front of and behind them only what was
    to be fetched and did not come, and is not proven to be absent at the venue.
    `unreachable`: the error is the venue's or the network's, not this series'.
    """

    exchange: str
    symbol: str
    interval: str
    rows_added: int
    rows_total: int
    first_ms: int | None
    last_ms: int | None
    gaps: tuple[Gap, ...] = ()
    error: str | None = None
    unreachable: bool = False

    @property
    def ok(self) -> bool:
        """No error, and every gap is the venue's own, or too young to judge."""
        return self.error is None and all(gap.reason in (VENUE, PENDING) for gap in self.gaps)


@attrs.frozen
class Report:
    """What a download did, series by series, and what it spent."""

    series: tuple[SeriesReport, ...]
    usage: Usage
    elapsed_s: float
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """Every series is complete or its gaps are the venue's own."""
        return not self.interrupted and all(one.ok for one in self.series)
