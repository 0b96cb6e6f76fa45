"""`velas stats`: what is stored, series by series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velas.cli.exits import DONE
from velas.cli.options import Common, series_options, velas_command
from velas.cli.output import Justify, count, emit_json, moment, show_table, size, write
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


@velas_command("stats")
@series_options
def command(common: Common, symbols: tuple[str, ...], intervals: tuple[str, ...]) -> int:
    """Show what is stored: rows, extent, size. Needs no network."""
    settings = settings_of(common)
    with open_shelf(settings) as shelf:
        series = chosen(shelf.store.series(), symbols, intervals)
        stats = [shelf.store.get_stats(one.symbol, one.interval) for one in series]
    if common.as_json:
        emit_json({"series": [_document(settings.exchange, one) for one in stats]})
    elif not stats:
        write(nothing_stored(settings))
    else:
        show_stats(stats)
    return DONE


def show_stats(stats: list[SeriesStats]) -> None:
    """Write a table of statistics and their sum."""
    show_table(_COLUMNS, [_row(one) for one in stats])
    write()
    write(
        f"{count(len(stats))} series, {count(sum(one.rows for one in stats))} candles, "
        f"{size(sum(one.size_bytes for one in stats))}"
    )


def _document(exchange: str, stats: SeriesStats) -> dict[str, object]:
    return {
        "exchange": exchange,
        "symbol": stats.symbol,
        "interval": stats.interval,
        "rows": stats.rows,
        "first_ms": stats.first_ms,
        "last_ms": stats.last_ms,
        "expected": stats.expected,
        "missing": stats.missing,
        "size_bytes": stats.size_bytes,
        "files": list(stats.files),
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
