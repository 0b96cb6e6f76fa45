"""Show what a download did, and decide how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from velas.cli.exits import DONE, FAILED, INTERRUPTED, UNREACHABLE, say
from velas.cli.output import Justify, count, emit_json, many, moment, show_table, write

if TYPE_CHECKING:
    from velas.history import Report, SeriesReport
    from velas.models import Gap

__all__ = [
    "exit_code",
    "gap_document",
    "gap_summary",
    "name_failures",
    "report_document",
    "show_report",
]

_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("symbol", "left"),
    ("iv", "left"),
    ("added", "right"),
    ("rows", "right"),
    ("from", "left"),
    ("to", "left"),
    ("gaps", "left"),
)


def show_report(report: Report, *, as_json: bool) -> None:
    """Write the report as one JSON document or a table; name what failed on stderr."""
    if as_json:
        emit_json(report_document(report))
    elif report.series:
        show_table(_COLUMNS, [_row(series) for series in report.series])
        write()
        _show_totals(report)
    name_failures(report)
    if report.interrupted:
        say("velas: interrupted; what arrived is stored, the same command goes on from there")


def name_failures(report: Report) -> None:
    """Name each failed series and its reason on stderr."""
    for series in report.series:
        if series.error is not None:
            say(f"velas: failed: {series.symbol} {series.interval}: {series.error}")


def report_document(report: Report) -> dict[str, object]:
    """Return the report in the shape the design fixes."""
    return {
        "series": [_series_document(series) for series in report.series],
        "requests": report.usage.requests,
        "weight": report.usage.weight,
        "retries": report.usage.retries,
        "elapsed_s": round(report.elapsed_s, 3),
    }


def gap_document(gap: Gap) -> dict[str, object]:
    """Return one gap in the shape the design fixes."""
    return {
        "start_ms": gap.start_ms,
        "end_ms": gap.end_ms,
        "missing": gap.missing,
        "reason": gap.reason,
    }


def gap_summary(gaps: Iterable[Gap]) -> str:
    """Return how many gaps there are and, in brackets, how many candles they lack."""
    found = list(gaps)
    if not found:
        return "-"
    return f"{count(len(found))} ({count(sum(gap.missing for gap in found))})"


def exit_code(report: Report) -> int:
    """Return how the download ended, as an exit code."""
    if report.interrupted:
        return INTERRUPTED
    if report.series and all(_unreachable(series) for series in report.series):
        return UNREACHABLE
    return DONE if report.ok else FAILED


def _unreachable(series: SeriesReport) -> bool:
    return series.error is not None and series.unreachable


def _series_document(series: SeriesReport) -> dict[str, object]:
    return {
        "exchange": series.exchange,
        "symbol": series.symbol,
        "interval": series.interval,
        "rows_added": series.rows_added,
        "rows_total": series.rows_total,
        "first_ms": series.first_ms,
        "last_ms": series.last_ms,
        "gaps": [gap_document(gap) for gap in series.gaps],
        "error": series.error,
    }


def _row(series: SeriesReport) -> list[str]:
    gaps = gap_summary(series.gaps)
    return [
        series.symbol,
        series.interval,
        count(series.rows_added),
        count(series.rows_total),
        moment(series.first_ms),
        moment(series.last_ms),
        gaps if series.error is None else "failed" if gaps == "-" else f"{gaps} failed",
    ]


def _show_totals(report: Report) -> None:
    added = sum(series.rows_added for series in report.series)
    failed = sum(1 for series in report.series if series.error is not None)
    gaps = [gap for series in report.series for gap in series.gaps]
    own = [gap for gap in gaps if gap.reason == "venue"]
    spent = report.usage
    write(
        f"{many(added, 'candle')} added to {count(len(report.series))} series in "
        f"{report.elapsed_s:.1f} s; {many(spent.requests, 'request')} "
        f"({many(spent.retries, 'repeat')}), weight {count(spent.weight)}."
    )
    if gaps:
        write(
            f"Gaps (candles missing): {gap_summary(gaps)}, "
            f"of them the venue's own: {gap_summary(own)}."
        )
    if failed:
        write(f"{count(failed)} series failed; the reasons are on stderr.")
