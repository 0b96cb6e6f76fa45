"""`velas gaps`: every run of missing candles, and why it is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velas.cli.options import Common, series_options, velas_command
from velas.cli.output import Justify, count, emit_json, moment, show_table, write
from velas.cli.readable import Outcome, read_each, tell_unreadable
from velas.cli.reports import gap_document, gap_summary
from velas.cli.session import Shelf, chosen, nothing_stored, open_shelf, settings_of

if TYPE_CHECKING:
    from velas.models import Gap, SeriesId

__all__ = ["command", "explained_gaps", "show_gaps"]

_LOST = "stored once, lost since"

_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("symbol", "left"),
    ("iv", "left"),
    ("from", "left"),
    ("to", "left"),
    ("missing", "right"),
    ("reason", "left"),
)


@velas_command("gaps")
@series_options
def command(common: Common, symbols: tuple[str, ...], intervals: tuple[str, ...]) -> int:
    """Show what is missing between each series' first and last candle, and why.

    The reason `venue` means: asked, and the venue proved to have none there. Needs no
    network.
    """
    settings = settings_of(common)
    with open_shelf(settings) as shelf:
        series = chosen(shelf.store.series(), symbols, intervals)
        read = read_each(series, lambda one: explained_gaps(shelf, one))
    found = [(one.series, one.value) for one in read if one.value is not None]
    if common.as_json:
        emit_json({"series": [_document(settings.exchange, one) for one in read]})
    elif not read:
        write(nothing_stored(settings))
    elif found:
        show_gaps(found)
    return tell_unreadable(read)


def explained_gaps(shelf: Shelf, series: SeriesId) -> list[Gap]:
    """Return the gaps of a stored series with the reasons that are known.

    What the series once had before its first or behind its last row is a gap, too.
    """
    from velas.history import explain
    from velas.interval import Interval

    absent = shelf.ledger.absent(shelf.exchange, series.symbol, series.interval)
    gaps = [*shelf.store.gaps(series.symbol, series.interval), *_lost(shelf, series)]
    gaps.sort(key=lambda gap: gap.start_ms)
    return explain(gaps, absent, Interval(series.interval))


def _lost(shelf: Shelf, series: SeriesId) -> list[Gap]:
    import numpy as np

    from velas import frames
    from velas.interval import Interval
    from velas.models import Gap

    extent = shelf.ledger.extent(shelf.exchange, series.symbol, series.interval)
    if extent is None:
        return []
    interval = Interval(series.interval)
    first_ms, end_ms = interval.floor(extent[0]), interval.next_open(extent[1])
    stats = shelf.store.get_stats(series.symbol, interval)
    if stats.first_ms is None or stats.last_ms is None:
        missing = interval.count(first_ms, end_ms)
        return [Gap(first_ms, end_ms, missing, _LOST)]
    edges = np.array([stats.first_ms, stats.last_ms])
    return [
        *frames.gaps(edges[:1], interval, start_ms=first_ms, reason=_LOST),
        *frames.gaps(edges[1:], interval, end_ms=end_ms, reason=_LOST),
    ]


def show_gaps(found: list[tuple[SeriesId, list[Gap]]]) -> None:
    """Write a table of gaps and their sum."""
    rows = [_row(series, gap) for series, gaps in found for gap in gaps]
    if rows:
        show_table(_COLUMNS, rows)
        write()
    every = [gap for _, gaps in found for gap in gaps]
    if not every:
        write(f"No gaps in {count(len(found))} series.")
        return
    own = [gap for gap in every if gap.reason == "venue"]
    write(
        f"Gaps (candles missing) in {count(len(found))} series: {gap_summary(every)}, "
        f"of them the venue's own: {gap_summary(own)}."
    )


def _document(exchange: str, read: Outcome[list[Gap]]) -> dict[str, object]:
    # unreadable: null, because an empty list would say that nothing is missing
    gaps = None if read.value is None else [gap_document(gap) for gap in read.value]
    return {
        "exchange": exchange,
        "symbol": read.series.symbol,
        "interval": read.series.interval,
        "gaps": gaps,
        "error": read.error,
    }


def _row(series: SeriesId, gap: Gap) -> list[str]:
    return [
        series.symbol,
        series.interval,
        moment(gap.start_ms),
        moment(gap.end_ms),
        count(gap.missing),
        gap.reason,
    ]
