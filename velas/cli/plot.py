"""`velas plot`: a stored series as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from velas.cli.exits import DONE
from velas.cli.gaps import explained_gaps
from velas.cli.options import Common, range_of, velas_command
from velas.cli.outfile import check_out
from velas.cli.output import emit_json, many, moment, write
from velas.cli.reports import gap_document, gap_summary
from velas.cli.session import Shelf, chosen, nothing_stored, open_shelf, settings_of
from velas.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from velas.models import Gap, SeriesId

__all__ = ["command"]

_LAST = 200
_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")


@attrs.frozen(eq=False)
class _View:
    """The candles to draw, and what is missing among them."""

    series: SeriesId
    frame: pd.DataFrame
    gaps: list[Gap]


@velas_command("plot")
@click.argument("symbol")
@click.argument("interval")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="Picture to write: .png, .svg or .pdf.",
)
@click.option("--start", metavar="DATE", help="First open time, UTC, inclusive: 2025-01-01.")
@click.option("--end", metavar="DATE", help="Last open time, UTC, exclusive: 2025-07-01 12:00.")
def command(
    common: Common, symbol: str, interval: str, out: Path, start: str | None, end: str | None
) -> int:
    """Draw a stored series: candles, volume, and what is missing.

    Without --start the last 200 candles. What the venue itself does not have is shaded in
    another colour than what is only missing here. Needs no network, but `velas[plot]`.
    """
    from velas.charts import SUFFIXES, check_installed, save_chart

    check_out(out, SUFFIXES)
    check_installed()
    start_ms, end_ms = range_of(start, end)
    settings = settings_of(common)
    with open_shelf(settings) as shelf:
        found = chosen(shelf.store.series(), [symbol], [interval])
        if not found:
            raise ConfigError(nothing_stored(settings))
        view = _read(shelf, found[0], start_ms, end_ms)
    title = f"{view.series.symbol} · {view.series.interval} · {settings.exchange}"
    save_chart(view.frame, view.series.interval, out, title=title, gaps=view.gaps)
    if common.as_json:
        emit_json(_document(view, settings.exchange, out))
    else:
        write(_sentence(view, out))
    return DONE


def _read(shelf: Shelf, series: SeriesId, start_ms: int | None, end_ms: int | None) -> _View:
    symbol, interval = series.symbol, series.interval
    if start_ms is None:
        times = shelf.store.load(symbol, interval, end_ms=end_ms, columns=("timestamp",))
        start_ms = int(times["timestamp"].iloc[-_LAST:].min()) if len(times) else None
    frame = shelf.store.load(symbol, interval, start_ms=start_ms, end_ms=end_ms, columns=_COLUMNS)
    gaps = _within(explained_gaps(shelf, series), interval, start_ms, end_ms)
    if frame.empty:
        raise ConfigError(_nothing(shelf, series, gaps))
    return _View(series, frame, gaps)


def _nothing(shelf: Shelf, series: SeriesId, gaps: list[Gap]) -> str:
    if gaps:
        own = all(gap.reason == "venue" for gap in gaps)
        words = "the venue itself has none" if own else "they are missing (`velas gaps`)"
        return f"{series}: no candles in that range: {words}"
    stats = shelf.store.get_stats(series.symbol, series.interval)
    return (
        f"{series}: no candles in that range; stored are those from "
        f"{moment(stats.first_ms)} to {moment(stats.last_ms)} UTC"
    )


def _within(gaps: list[Gap], interval: str, start_ms: int | None, end_ms: int | None) -> list[Gap]:
    """Return the part of each gap that lies in the range."""
    from velas.interval import Interval

    grid = Interval(interval)
    found: list[Gap] = []
    for gap in gaps:
        low = gap.start_ms if start_ms is None else max(gap.start_ms, grid.ceil(start_ms))
        high = gap.end_ms if end_ms is None else min(gap.end_ms, grid.ceil(end_ms))
        if low < high:
            missing = grid.count(low, high)
            found.append(attrs.evolve(gap, start_ms=low, end_ms=high, missing=missing))
    return found


def _document(view: _View, exchange: str, out: Path) -> dict[str, object]:
    times = view.frame["timestamp"]
    return {
        "out": str(out),
        "exchange": exchange,
        "symbol": view.series.symbol,
        "interval": view.series.interval,
        "first_ms": int(times.iloc[0]),
        "last_ms": int(times.iloc[-1]),
        "candles": len(times),
        "gaps": [gap_document(gap) for gap in view.gaps],
    }


def _sentence(view: _View, out: Path) -> str:
    times = view.frame["timestamp"]
    own = [gap for gap in view.gaps if gap.reason == "venue"]
    gaps = ""
    if view.gaps:
        gaps = (
            f"\nGaps (candles missing): {gap_summary(view.gaps)}, "
            f"of them the venue's own: {gap_summary(own)}."
        )
    return (
        f"{out}: {view.series}, {many(len(times), 'candle')} from "
        f"{moment(int(times.iloc[0]))} to {moment(int(times.iloc[-1]))} UTC.{gaps}"
    )
