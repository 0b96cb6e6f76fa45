"""`velas coverage`: which days of which series are there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from velas.cli.options import Common, series_options, velas_command
from velas.cli.outfile import check_out
from velas.cli.output import count, emit_json, many, write
from velas.cli.readable import Outcome, read_each, tell_unreadable
from velas.cli.session import Shelf, chosen, nothing_stored, open_shelf, settings_of
from velas.errors import ConfigError

if TYPE_CHECKING:
    from velas.coverage import DayCounts
    from velas.models import SeriesId

__all__ = ["Counted", "command", "count_series", "save_page"]

_SUFFIXES = (".html", ".htm")


@attrs.frozen(eq=False)
class Counted:
    """The days of a stored series, and its first and last open time; None where it has no row."""

    days: DayCounts
    first_ms: int | None
    last_ms: int | None


@velas_command("coverage")
@series_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a page (.html) with every day, instead of lines.",
)
def command(
    common: Common, symbols: tuple[str, ...], intervals: tuple[str, ...], out: Path | None
) -> int:
    """Show which days of which series are there. Needs no network.

    What the venue itself does not have counts apart from what is only missing here. The
    page needs nothing but a browser.
    """
    if out is not None:
        check_out(out, _SUFFIXES)
    settings = settings_of(common)
    with open_shelf(settings) as shelf:
        series = chosen(shelf.store.series(), symbols, intervals)
        if out is not None and not series:
            raise ConfigError(nothing_stored(settings))
        read = read_each(series, lambda one: count_series(shelf, one))
    if out is not None:
        save_page(out, settings.exchange, read)
    if common.as_json:
        emit_json({"series": [_document(settings.exchange, one) for one in read]})
    elif not read:
        write(nothing_stored(settings))
    else:
        _show(read, out)
    return tell_unreadable(read)


def count_series(shelf: Shelf, series: SeriesId) -> Counted:
    """Return the candles of each day of a stored series; reads its timestamps only.

    What it once had before its first or behind its last row is missing, too.
    """
    from velas.coverage import count_days

    symbol, interval = series.symbol, series.interval
    times = shelf.store.load(symbol, interval, columns=("timestamp",))["timestamp"].to_numpy()
    days = count_days(
        times,
        interval,
        absent=shelf.ledger.absent(shelf.exchange, symbol, interval),
        extent=shelf.ledger.extent(shelf.exchange, symbol, interval),
    )
    first_ms, last_ms = (int(times[0]), int(times[-1])) if len(times) else (None, None)
    return Counted(days, first_ms, last_ms)


def save_page(out: Path, exchange: str, read: list[Outcome[Counted]]) -> None:
    """Write the page of the series that were counted."""
    from velas.coverage_page import page
    from velas.files import replace_file

    unreadable = [(one.series, one.error) for one in read if one.error is not None]
    replace_file(out, page(exchange, _counted(read), unreadable).encode())


def _show(read: list[Outcome[Counted]], out: Path | None) -> None:
    from velas.cli.coverage_lines import show_lines

    counted = _counted(read)
    if counted and out is None:
        show_lines([(str(series), counts) for series, counts in counted])
        write()
    if counted:
        write(_totals([counts for _, counts in counted]))
    if out is not None:
        write(f"The days are in {out}; a browser shows it.")


def _counted(read: list[Outcome[Counted]]) -> list[tuple[SeriesId, DayCounts]]:
    return [(one.series, one.value.days) for one in read if one.value is not None]


def _totals(counted: list[DayCounts]) -> str:
    present, missing, absent = (
        sum(int(getattr(one, name).sum()) for one in counted)
        for name in ("present", "missing", "absent")
    )
    return (
        f"{count(len(counted))} series: {many(present, 'candle')}, {count(missing)} missing, "
        f"{count(absent)} that the venue does not have."
    )


def _document(exchange: str, read: Outcome[Counted]) -> dict[str, object]:
    counted = read.value
    return {
        "exchange": exchange,
        "symbol": read.series.symbol,
        "interval": read.series.interval,
        "first_ms": None if counted is None else counted.first_ms,
        "last_ms": None if counted is None else counted.last_ms,
        # unreadable: null, because an empty list would say that there is no candle
        "days": None if counted is None else _days(counted.days),
        "error": read.error,
    }


def _days(counts: DayCounts) -> list[dict[str, object]]:
    import numpy as np

    days = np.arange(len(counts)) + counts.first_day
    columns = (
        np.datetime_as_string(days.astype("datetime64[D]")).tolist(),
        counts.expected.tolist(),
        counts.present.tolist(),
        counts.absent.tolist(),
    )
    return [
        {"day": day, "expected": expected, "present": present, "absent": absent}
        for day, expected, present, absent in zip(*columns, strict=True)
        if expected
    ]
