"""Prove stored series whole: bytes, order, slots; and say what stands out in the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import attrs

from velas.cli.gaps import explained_gaps
from velas.cli.session import Shelf
from velas.errors import VelasError

if TYPE_CHECKING:
    from velas.models import Finding, Gap, SeriesId
    from velas.protocols import Store

__all__ = ["Checked", "check_series"]

_FATAL = ("disorder", "duplicate")


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
    """Read a stored series byte by byte and row by row."""
    from velas import frames
    from velas.interval import Interval

    try:
        _verify(shelf.store)(series.symbol, series.interval)
        frame = shelf.store.load(series.symbol, series.interval)
        gaps = tuple(explained_gaps(shelf, series))
    except (VelasError, OSError) as error:
        return Checked(series, error=str(error))
    interval = Interval(series.interval)
    found = frames.check(frame, interval)
    opens = frame["timestamp"].to_numpy()
    return Checked(
        series,
        expected=int(interval.slot(int(opens.max())) - interval.slot(int(opens.min())) + 1)
        if len(opens)
        else 0,
        present=len(frame),
        gaps=gaps,
        digest=frames.digest(frame),
        findings=tuple(one for one in found if one.kind != "gap"),
    )


def _verify(store: Store) -> Callable[[str, str], object]:
    # beyond the protocol: a store that keeps checksums can prove its files
    return cast("Callable[[str, str], object]", getattr(store, "verify", lambda *series: None))
