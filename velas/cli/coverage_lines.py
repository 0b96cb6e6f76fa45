"""Coverage in the terminal: a line for each series, a sign for each day, week, month ..."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Sequence

import attrs
import click
import numpy as np
from rich.console import Console
from rich.text import Text

from velas.coverage import Counts, DayCounts, Level, whole_share

__all__ = ["show_lines"]

_EPOCH = dt.date(1970, 1, 1)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LEAST_CELLS = 8
_SHARE = 7  # of the column with the percentage, and the space in front of it

# in the order of the legend; the signs differ, because not every terminal has colours
_LOOKS = (
    (Level.FULL, "█", "#", "green", "complete"),
    (Level.MOST, "▓", "+", "yellow", "90% or more"),
    (Level.HALF, "▒", "=", "yellow", "half or more"),
    (Level.FEW, "░", "-", "red", "less"),
    (Level.NONE, "×", "x", "bold red", "none"),
    (Level.VENUE, "v", "v", "blue", "all that the venue has"),
)


@attrs.frozen
class _Unit:
    """A length of time: where the one that holds a date begins, and where the next one does."""

    name: str
    first: Callable[[dt.date], dt.date]
    after: Callable[[dt.date], dt.date]
    short: bool = False


def show_lines(named: Sequence[tuple[str, DayCounts]]) -> None:
    """Write one line for each series, fitted to the terminal, below an axis of dates."""
    console = Console(file=sys.stdout, highlight=False)
    some = [counts for _, counts in named if len(counts)]
    first = min((counts.first_day for counts in some), default=0)
    end = max((counts.first_day + len(counts) for counts in some), default=1)
    width = min(max(len(name) for name, _ in named), max(8, console.width // 2))
    room = max(_LEAST_CELLS, console.width - width - 1 - _SHARE)
    unit, edges = _fitted(first, end, room)
    signs = _signs(sys.stdout.encoding)
    lines = [Text(f"{'':{width}} {_axis(edges, months=unit.short)}", style="dim")]
    for name, counts in named:
        cells = (signs[Level(level)] for level in counts.levels(edges).tolist())
        share = whole_share(int(counts.present.sum()), int(counts.missing.sum()))
        lines.append(
            Text.assemble(_cut(name, width).ljust(width), " ", *cells, f"{share:>{_SHARE}}")
        )
    lines += [Text(), *_legend(unit, signs, console.width)]
    with console.capture() as captured:
        for line in lines:
            console.print(line, no_wrap=True, crop=False, overflow="ignore", soft_wrap=True)
    for text in captured.get().splitlines():
        click.echo(text.rstrip())


# -- cells ---------------------------------------------------------------------------------


def _fitted(first: int, end: int, room: int) -> tuple[_Unit, Counts]:
    """Return the shortest unit that fits, and the days on which each of its cells begins."""
    fits = (unit for unit in _UNITS if len(_edges(unit, first, end)) - 1 <= room)
    unit = next(fits, _UNITS[-1])
    return unit, np.array(_edges(unit, first, end), dtype=np.int64)


def _edges(unit: _Unit, first: int, end: int) -> list[int]:
    at = unit.first(_date(first))
    edges = [_day(at)]
    while edges[-1] < end:
        at = unit.after(at)
        edges.append(_day(at))
    return edges


def _axis(edges: Counts, *, months: bool) -> str:
    """Return the years and months that cells begin with, as far as there is room."""
    line = ""
    before: dt.date | None = None
    for place, day in enumerate(edges[:-1].tolist()):
        date = _date(day)
        text = _tick(before, date, months=months)
        before = date
        if text and (not line or place > len(line)) and place + len(text) <= len(edges) + 3:
            line = line.ljust(place) + text
    return line


def _tick(before: dt.date | None, date: dt.date, *, months: bool) -> str:
    if before is None:
        return f"{date:%Y}-{date:%m}"
    if before.year != date.year:
        return f"{date:%Y}"
    return _MONTHS[date.month - 1] if months and before.month != date.month else ""


def _same(date: dt.date) -> dt.date:
    return date


def _monday(date: dt.date) -> dt.date:
    return date - dt.timedelta(date.weekday())


def _month_of(months: int) -> Callable[[dt.date], dt.date]:
    return lambda date: date.replace(month=(date.month - 1) // months * months + 1, day=1)


def _months_on(months: int) -> Callable[[dt.date], dt.date]:
    def after(date: dt.date) -> dt.date:
        years, month = divmod(date.month - 1 + months, 12)
        return dt.date(date.year + years, month + 1, 1)

    return after


_UNITS = (
    _Unit("day", _same, lambda date: date + dt.timedelta(1), short=True),
    _Unit("week", _monday, lambda date: date + dt.timedelta(7), short=True),
    _Unit("month", _month_of(1), _months_on(1)),
    _Unit("quarter", _month_of(3), _months_on(3)),
    _Unit("year", _month_of(12), _months_on(12)),
)


# -- words ---------------------------------------------------------------------------------


def _signs(encoding: str | None) -> dict[Level, tuple[str, str]]:
    try:
        "█▓▒░×".encode(encoding or "ascii")
        plain = False
    except (UnicodeEncodeError, LookupError):
        plain = True
    found = {level: (poor if plain else rich, style) for level, rich, poor, style, _ in _LOOKS}
    return {Level.OUTSIDE: (" ", ""), **found}


def _legend(unit: _Unit, signs: dict[Level, tuple[str, str]], width: int) -> list[Text]:
    """Return what the signs mean, in lines that fit."""
    lines = [Text(f"One sign is a {unit.name}:")]
    for level, _, _, _, meaning in _LOOKS:
        entry = Text.assemble(signs[level], f" {meaning}")
        if lines[-1].cell_len + 2 + entry.cell_len > width:
            lines.append(entry)
        else:
            lines[-1].append("  ").append_text(entry)
    return lines


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 2]}.."


def _date(day: int) -> dt.date:
    return _EPOCH + dt.timedelta(day)


def _day(date: dt.date) -> int:
    return (date - _EPOCH).days
