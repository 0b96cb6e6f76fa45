"""Prove stored series whole: bytes, order, slots; and say what stands out in the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from velas.cli.gaps import explained_gaps
from velas.cli.session import Shelf
from velas.errors import VelasError

if TYPE_CHECKING:
    import pandas as pd

    from velas.models import Finding, Gap, SeriesId

__all__ = ["Checked", "Mendable", "Mended", "check_series"]

_FATAL = ("disorder", "duplicate")


class Mended(Protocol):
    """What setting damaged files aside did; `rows_lost` is None where it cannot be told."""

    @property
    def moved(self) -> Sequence[Path]:
        """The damaged files' new names; none when nothing was wrong."""
        ...

    @property
    def rows_kept(self) -> int:
        """How many rows could still be read and are the series now."""
        ...

    @property
    def rows_lost(self) -> int | None:
        """How many rows could not be read."""
        ...


@runtime_checkable
class Mendable(Protocol):
    """What a store offers beyond the protocol when it keeps checksums."""

    def verify(self, symbol: str, interval: str) -> Sequence[object]:
        """Read every byte of a series and return what is damaged, each with a `str`."""
        ...

    def set_aside(self, symbol: str, interval: str) -> Mended:
        """Move damaged files aside and keep what is readable."""
        ...


@attrs.frozen
class Checked:
    """What reading one series whole has shown.

    `findings` are what stands out; only disorder and duplicates among them, an `error`
    (damage) and gaps that are not the venue's own make the series not `ok`.
    """

    series: SeriesId
    expected: int = 0
    present: int = 0
    gaps: tuple[Gap, ...] = ()
    digest: str | None = None
    findings: tuple[Finding, ...] = ()
    error: str | None = None

    @property
    def lacking(self) -> tuple[Gap, ...]:
        """The gaps that the venue could still fill, as far as is known."""
        return tuple(gap for gap in self.gaps if gap.reason != "venue")

    @property
    def ok(self) -> bool:
        """Undamaged, in order, and complete but for what the venue itself lacks."""
        fatal = any(finding.kind in _FATAL for finding in self.findings)
        return self.error is None and not fatal and not self.lacking


def check_series(shelf: Shelf, series: SeriesId) -> Checked:
    """Read a stored series byte by byte and row by row; changes nothing."""
    store, symbol, interval = shelf.store, series.symbol, series.interval
    try:
        damage = store.verify(symbol, interval) if isinstance(store, Mendable) else ()
        if damage:
            return Checked(series, error="; ".join(map(str, damage)))
        frame = store.load(symbol, interval)
        gaps = explained_gaps(shelf, series)
    except (VelasError, OSError) as error:
        return Checked(series, error=str(error))
    return _judged(series, frame, gaps)


def _judged(series: SeriesId, frame: pd.DataFrame, gaps: list[Gap]) -> Checked:
    import numpy as np

    from velas import frames
    from velas.interval import Interval

    grid = Interval(series.interval)
    opens = frame["timestamp"].to_numpy()
    filled = len(np.unique(grid.slot(opens)))
    return Checked(
        series,
        expected=filled + sum(gap.missing for gap in gaps),
        present=len(frame),
        gaps=tuple(gaps),
        digest=frames.digest(frame),
        findings=tuple(one for one in frames.check(frame, grid) if one.kind != "gap"),
    )
