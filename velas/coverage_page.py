"""Coverage as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files

import attrs
import numpy as np
import numpy.typing as npt

from velas.coverage import DayCounts, Level, whole_share
from velas.models import SeriesId

__all__ = ["page"]

Named = Sequence[tuple[SeriesId, DayCounts]]

_EPOCH = dt.date(1970, 1, 1)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FIGURES = ("expected", "present", "missing", "absent")
_WIDE, _LEAST, _MOST = 1100, 3, 16  # pixels of a block, of a day at least and at most


@attrs.frozen
class _Block:
    """Some months side by side; days since the epoch, half-open."""

    title: str
    first: int
    end: int
    months: tuple[int, ...]


def page(exchange: str, named: Named, unreadable: Sequence[tuple[SeriesId, str]] = ()) -> str:
    """Return the page: a row for each series, a cell for each day, and the totals.

    `unreadable` are series that could not be read, and why.
    """
    blocks = _blocks([counts for _, counts in named if len(counts)])
    day = _day_pixels(blocks)
    levels = [counts.levels() for _, counts in named]
    parts = {
        "TITLE": escape(f"Candle coverage: {exchange}"),
        "SUMMARY": escape(_summary(named)),
        "BROKEN": "\n".join(
            f'<p class="broken"><b>{escape(str(series))}</b> cannot be read: {escape(error)}</p>'
            for series, error in unreadable
        ),
        "DAY": str(day),
        # the gap between two days is one pixel
        "DASH": f"{(day - 1) / day + 0.02:.3f} {1 / day - 0.02:.3f}",
        "BLOCKS": "\n".join(
            _block(block, named, levels, year=len(blocks) > 1, day=day) for block in blocks
        ),
        "TOTALS": "\n".join(_total(series, counts) for series, counts in named),
        "COUNTS": _counts(named),
    }
    return _filled(parts)


def _filled(parts: dict[str, str]) -> str:
    # in one go, so that what is filled in is never taken for a place to fill
    return re.sub("@([A-Z]+)@", lambda found: parts[found[1]], _template())


@cache
def _template() -> str:
    return files("velas").joinpath("coverage_page.html").read_text("utf-8")


# -- blocks --------------------------------------------------------------------------------


def _blocks(counted: Sequence[DayCounts]) -> list[_Block]:
    """Return the months of one block if twelve hold everything, else years, the newest first."""
    if not counted:
        return []
    first = _date(min(counts.first_day for counts in counted))
    last = _date(max(counts.first_day + len(counts) for counts in counted) - 1)
    start, months = _month(first), _month(last) - _month(first) + 1
    if months <= 12:
        names = dict.fromkeys((f"{first:%Y-%m}", f"{last:%Y-%m}"))
        return [_months_block(" to ".join(names), start, months)]
    years = range(last.year, first.year - 1, -1)
    return [_months_block(str(year), (year - 1970) * 12, 12) for year in years]


def _months_block(title: str, start: int, months: int) -> _Block:
    days = [_first_day(month) for month in range(start, start + months + 1)]
    return _Block(title, days[0], days[-1], tuple(days[:-1]))


def _day_pixels(blocks: Sequence[_Block]) -> int:
    longest = max((block.end - block.first for block in blocks), default=1)
    return min(_MOST, max(_LEAST, _WIDE // longest))


def _block(
    block: _Block,
    named: Named,
    levels: Sequence[npt.NDArray[np.int8]],
    *,
    year: bool,
    day: int,
) -> str:
    rows: list[str] = []
    in_groups = len({series.symbol for series, _ in named}) < len(named)
    for place, (series, counts) in enumerate(named):
        other = in_groups and place > 0 and named[place - 1][0].symbol != series.symbol
        row = _row(block, place, series, counts, levels[place], day)
        rows.append(f"<tr{' class=next' if other else ''}>{row}</tr>")
    kind = "days year" if year else "days"
    return (
        f'<section><h2>{block.title}</h2><div class="scroll">'
        f'<table class="{kind}" data-first="{block.first}"><thead><tr><th></th>'
        f'<td><div class="months">{_headings(block)}</div></td><td></td></tr></thead><tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div></section>"
    )


def _headings(block: _Block) -> str:
    """Return the months' names; how far right each stands is in days."""
    ends = (*block.months[1:], block.end)
    return "".join(
        f'<span style="left:calc(var(--day)*{first - block.first});'
        f'width:calc(var(--day)*{end - first})">{_MONTHS[_date(first).month - 1]}</span>'
        for first, end in zip(block.months, ends, strict=True)
    )


def _row(
    block: _Block,
    place: int,
    series: SeriesId,
    counts: DayCounts,
    levels: npt.NDArray[np.int8],
    day: int,
) -> str:
    days = block.end - block.first
    low, high = max(0, block.first - counts.first_day), max(0, block.end - counts.first_day)
    offset = counts.first_day + low - block.first
    sums = [int(part[low:high].sum()) for part in (counts.expected, counts.present, counts.missing)]
    expected, present, missing = sums
    words = f"{series}, {block.title}: {present:,} of {expected:,} candles, {missing:,} missing"
    share = whole_share(present, missing) if expected else ""
    return (
        f'<th scope="row">{_name(series)}</th><td><svg viewBox="0 0 {days} 1" '
        f'preserveAspectRatio="none" style="--n:{days}" data-series="{place}" role="slider" '
        f'tabindex="{-1 if place else 0}" aria-label="{escape(words)}" aria-valuemin="0" '
        f'aria-valuemax="{days - 1}" aria-valuenow="0">{_paths(levels[low:high], offset)}'
        f"{_month_lines(block, day)}</svg></td>"
        f'<td class="share{" lacks" if missing else ""}">{share}</td>'
    )


def _paths(levels: npt.NDArray[np.int8], offset: int) -> str:
    """Return a path for each level: its runs of days as lines, which dashes make cells of."""
    if not len(levels):
        return ""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(levels) != 0]))
    lengths = np.diff(np.concatenate([starts, [len(levels)]]))
    drawn: dict[int, list[str]] = {}
    ends: dict[int, int] = {}
    for start, length, level in zip(
        (starts + offset).tolist(), lengths.tolist(), levels[starts].tolist(), strict=True
    ):
        if level == Level.OUTSIDE:
            continue
        if level in drawn:  # a step from the end of the run before is shorter to write
            drawn[level].append(f"m{start - ends[level]} 0h{length}")
        else:
            drawn[level] = [f"M{start} .5h{length}"]
        ends[level] = start + length
    return "".join(
        f'<path class="{Level(level).name.lower()}" d="{"".join(steps)}"/>'
        for level, steps in sorted(drawn.items())
    )


def _month_lines(block: _Block, day: int) -> str:
    # in the middle of the pixel between two days
    steps = "".join(f"M{at - block.first - 0.5 / day:.2f} 0v1" for at in block.months[1:])
    return f'<path class="m" d="{steps}"/>' if steps else ""


# -- words and numbers ---------------------------------------------------------------------


def _summary(named: Named) -> str:
    some = [counts for _, counts in named if len(counts)]
    if not some:
        return "There is no candle."
    first = _date(min(counts.first_day for counts in some))
    last = _date(max(counts.first_day + len(counts) for counts in some) - 1)
    sums = (int(sum(getattr(one, name).sum() for one in some)) for name in _FIGURES)
    expected, present, missing, absent = sums
    return (
        f"{len(named):,} series, {first} to {last}: {present:,} of {expected:,} candles, "
        f"{missing:,} missing, {absent:,} that the venue does not have."
    )


def _total(series: SeriesId, counts: DayCounts) -> str:
    expected, present, missing, absent = (int(getattr(counts, name).sum()) for name in _FIGURES)
    days = ["-", "-"]
    if len(counts):
        days = [str(_date(day)) for day in (counts.first_day, counts.first_day + len(counts) - 1)]
    share = whole_share(present, missing) if expected else "-"
    lacks = ' class="lacks"' if missing else ""
    return (
        f'<tr><th scope="row">{_name(series)}</th><td>{days[0]}</td><td>{days[1]}</td>'
        f"<td>{expected:,}</td><td>{present:,}</td><td{lacks}>{missing:,}</td>"
        f"<td>{absent:,}</td><td>{share}</td></tr>"
    )


def _counts(named: Named) -> str:
    document = [
        {"name": str(series), "first": counts.first_day, "runs": _runs(counts)}
        for series, counts in named
    ]
    # what closes a script must not stand in one
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")


def _runs(counts: DayCounts) -> list[int]:
    """Return days, expected, present, absent of each run of equal days, one after the other."""
    rows = np.stack([counts.expected, counts.present, counts.absent], axis=1)
    if not len(rows):
        return []
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(rows, axis=0) != 0).any(axis=1)]))
    lengths = np.diff(np.concatenate([starts, [len(rows)]]))
    found: list[int] = np.column_stack([lengths, rows[starts]]).ravel().tolist()
    return found


def _name(series: SeriesId) -> str:
    return f"<b>{escape(series.symbol)}</b> <span>{escape(series.interval)}</span>"


def _date(day: int) -> dt.date:
    return _EPOCH + dt.timedelta(day)


def _month(date: dt.date) -> int:
    return (date.year - 1970) * 12 + date.month - 1


def _first_day(month: int) -> int:
    return (dt.date(1970 + month // 12, month % 12 + 1, 1) - _EPOCH).days
