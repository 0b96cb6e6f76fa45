"""`velas verify`: prove what is stored, and with --repair mend what is not whole."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from velas.cli.checks import Checked, check_series
from velas.cli.exits import DONE, FAILED
from velas.cli.options import Common, series_options, velas_command
from velas.cli.output import Justify, count, emit_json, moment, show_table, write
from velas.cli.reports import gap_document, gap_summary
from velas.cli.session import chosen, nothing_stored, open_shelf, settings_of

if TYPE_CHECKING:
    from velas.models import Finding
    from velas.settings import Settings

__all__ = ["command", "show_checked", "verify_document"]

_MOST_FINDINGS = 5
_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("symbol", "left"),
    ("iv", "left"),
    ("expected", "right"),
    ("present", "right"),
    ("gaps", "left"),
    ("findings", "right"),
    ("digest", "left"),
    ("verdict", "left"),
)


@velas_command("verify")
@series_options
@click.option(
    "--repair",
    is_flag=True,
    help="Set damaged files aside, keep what is readable, fetch what is missing.",
)
def command(
    common: Common, symbols: tuple[str, ...], intervals: tuple[str, ...], repair: bool
) -> int:
    """Read every stored byte and every row, and prove each series whole.

    Damage, disorder, duplicates and gaps that are not the venue's own make it fail. What
    else stands out (bars off the grid or cut short, impossible rows) is named only. It
    needs no network, except for --repair.
    """
    settings = settings_of(common)
    with open_shelf(settings) as shelf:
        series = chosen(shelf.store.series(), symbols, intervals)
        checked = [check_series(shelf, one) for one in series]
    code = DONE
    if repair and not all(one.ok for one in checked):
        from velas.cli.repair import repair_series

        checked, code = repair_series(settings, checked)
    _show(checked, settings, as_json=common.as_json)
    return code or (DONE if all(one.ok for one in checked) else FAILED)


def verify_document(checked: list[Checked], exchange: str) -> dict[str, object]:
    """Return the result in the shape the design fixes."""
    return {
        "ok": all(one.ok for one in checked),
        "series": [_series_document(one, exchange) for one in checked],
    }


def show_checked(checked: list[Checked]) -> None:
    """Write a table, what stands out, and what is wrong."""
    show_table(_COLUMNS, [_row(one) for one in checked])
    write()
    for one in checked:
        for line in _findings(one):
            write(f"{one.series}: {line}")
        if one.error is not None:
            write(f"{one.series}: DAMAGED: {one.error}")
    failed = sum(1 for one in checked if not one.ok)
    rows = count(sum(one.present for one in checked))
    if failed:
        write(
            f"{count(failed)} of {count(len(checked))} series are not whole; "
            "`velas verify --repair` mends them."
        )
    else:
        write(f"All {count(len(checked))} series are whole: {rows} candles, every byte read.")


def _show(checked: list[Checked], settings: Settings, *, as_json: bool) -> None:
    if as_json:
        emit_json(verify_document(checked, settings.exchange))
    elif checked:
        show_checked(checked)
    else:
        write(nothing_stored(settings))


def _series_document(one: Checked, exchange: str) -> dict[str, object]:
    return {
        "exchange": exchange,
        "symbol": one.series.symbol,
        "interval": one.series.interval,
        "expected": one.expected,
        "present": one.present,
        "gaps": [gap_document(gap) for gap in one.gaps],
        "digest": one.digest,
        "findings": [
            {
                "kind": finding.kind,
                "timestamp": finding.timestamp,
                "count": finding.count,
                "message": finding.message,
            }
            for finding in one.findings
        ],
        "error": one.error,
    }


def _row(one: Checked) -> list[str]:
    verdict = "whole" if one.ok else "DAMAGED" if one.error is not None else "not whole"
    return [
        one.series.symbol,
        one.series.interval,
        count(one.expected),
        count(one.present),
        gap_summary(one.gaps),
        count(sum(finding.count for finding in one.findings)) if one.findings else "-",
        "-" if one.digest is None else one.digest[:12],
        verdict,
    ]


def _findings(one: Checked) -> list[str]:
    by_kind: dict[str, list[Finding]] = {}
    for finding in one.findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    total = Counter[str]()
    for finding in one.findings:
        total[finding.kind] += finding.count
    return [_kind_line(kind, found, total[kind]) for kind, found in by_kind.items()]


def _kind_line(kind: str, found: list[Finding], total: int) -> str:
    at = ", ".join(
        moment(finding.timestamp) + (f" (x{finding.count})" if finding.count > 1 else "")
        for finding in found[:_MOST_FINDINGS]
    )
    more = f" and {count(len(found) - _MOST_FINDINGS)} more" if len(found) > _MOST_FINDINGS else ""
    return f"{count(total)} {kind.replace('_', ' ')}: {at}{more}"
