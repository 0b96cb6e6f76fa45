"""`velas stats`: what is stored, series by series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velas.cli.options import Common, series_options, velas_command
from velas.cli.output import Justify, count, emit_json, many, moment, show_table, size, write
from velas.cli.readable import Outcome, read_each, tell_unreadable
from velas.cli.session import chosen, nothing_stored, open_shelf, settings_of

if TYPE_CHECKING:
    from velas.models import SeriesStats

__all__ = ["command", "show_stats"]

_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("symbol", "left"),
    ("iv", "left"),
    ("rows", "right"),
    ("first", "left"),
    ("last", "left"),
    ("expected", "right"),
    ("missing", "right"),
    ("size", "right"),
)
_FIGURES = ("rows", "first_ms", "last_ms", "expected", "missing", "size_bytes")


@velas_command("stats")
@series_options
def command(common: Common, symbols: tuple[str, ...], intervals: tuple[str, ...]) -> int:
    """Show what is stored: rows, extent, size. Needs no network."""
    settings = settings_of(common)
    with open_shelf(settings) as shelf:
        series = chosen(shelf.store.series(), symbols, intervals)
        read = read_each(series, lambda one: shelf.store.get_stats(one.symbol, one.interval))
    stats = [one.value for one in read if one.value is not None]
    if common.as_json:
        emit_json({"series": [_document(settings.exchange, one) for one in read]})
    elif not read:
        write(nothing_stored(settings))
    elif stats:
        show_stats(stats)
    return tell_unreadable(read)


def show_stats(stats: list[SeriesStats]) -> None:
    """Write a table of statistics and their sum."""
    show_table(_COLUMNS, [_row(one) for one in stats])
    write()
    write(
        f"{count(len(stats))} series, {many(sum(one.rows for one in stats), 'candle')}, "
        f"{size(sum(one.size_bytes for one in stats))}"
    )


def _document(exchange: str, read: Outcome[SeriesStats]) -> dict[str, object]:
    # a figure that is not known is null, never 0
    return {
        "exchange": exchange,
        "symbol": read.series.symbol,
        "interval": read.series.interval,
        **{name: getattr(read.value, name, None) for name in _FIGURES},
        "files": None if read.value is None else list(read.value.files),
        "error": read.error,
    }


def _row(stats: SeriesStats) -> list[str]:
    return [
        stats.symbol,
        stats.interval,
        count(stats.rows),
        moment(stats.first_ms),
        moment(stats.last_ms),
        count(stats.expected),
        count(stats.missing),
        size(stats.size_bytes),
    ]
