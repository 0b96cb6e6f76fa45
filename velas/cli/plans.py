"""Show a download's plan: what is missing, what fetching it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velas.cli.output import Justify, count, emit_json, many, minutes, moment, show_table, write

if TYPE_CHECKING:
    from velas.history import Plan, SeriesPlan

__all__ = ["plan_document", "show_plan"]

_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("symbol", "left"),
    ("iv", "left"),
    ("kind", "left"),
    ("from", "left"),
    ("to", "left"),
    ("candles", "right"),
    ("requests", "right"),
    ("weight", "right"),
)


def show_plan(plan: Plan, *, as_json: bool) -> None:
    """Write the plan as one JSON document, or as a table with the totals below."""
    if as_json:
        emit_json(plan_document(plan))
        return
    rows = [row for series in plan.series for row in _rows(series, plan.page_weight)]
    if rows:
        show_table(_COLUMNS, rows)
        write()
    whole = sum(1 for series in plan.series if not series.ranges and series.error is None)
    if whole:
        write(f"{count(whole)} of {count(len(plan.series))} series lack nothing.")
    write(
        f"To fetch from {plan.exchange}: {many(plan.candles, 'candle')}, "
        f"{many(plan.requests, 'request')}, weight {count(plan.weight)}.\n"
        f"The venue's limits allow that in {minutes(plan.minutes)}. Nothing was fetched."
    )


def plan_document(plan: Plan) -> dict[str, object]:
    """Return the plan as plain data for JSON; `from`/`to` are half-open, in ms."""
    return {
        "exchange": plan.exchange,
        "series": [_series_document(series, plan) for series in plan.series],
        "candles": plan.candles,
        "requests": plan.requests,
        "weight": plan.weight,
        "minutes": round(plan.minutes, 3),
    }


def _series_document(series: SeriesPlan, plan: Plan) -> dict[str, object]:
    return {
        "exchange": plan.exchange,
        "symbol": series.symbol,
        "interval": series.interval.name,
        "ranges": [
            {
                "start_ms": part.start_ms,
                "end_ms": part.end_ms,
                "kind": part.kind,
                "candles": part.candles,
                "requests": part.pages,
                "weight": part.pages * plan.page_weight,
            }
            for part in series.ranges
        ],
        "candles": series.candles,
        "requests": series.requests,
        "weight": series.requests * plan.page_weight,
        "error": series.error,
    }


def _rows(series: SeriesPlan, page_weight: int) -> list[list[str]]:
    return [
        [
            series.symbol,
            series.interval.name,
            part.kind,
            moment(part.start_ms),
            moment(part.end_ms),
            count(part.candles),
            count(part.pages),
            count(part.pages * page_weight),
        ]
        for part in series.ranges
    ]
