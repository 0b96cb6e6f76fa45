"""Read stored series one by one, so that a damaged one does not hide the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from velas.cli.exits import DONE, FAILED, error_text, tell
from velas.errors import StoreError

if TYPE_CHECKING:
    from velas.models import SeriesId

__all__ = ["Outcome", "read_each", "tell_unreadable"]

T = TypeVar("T")


@attrs.frozen
class Outcome(Generic[T]):
    """What reading one series gave: a value, or the text of an error."""

    series: SeriesId
    value: T | None = None
    error: str | None = None


def read_each(series: Sequence[SeriesId], read: Callable[[SeriesId], T]) -> list[Outcome[T]]:
    """Read every series, and keep the error of each that cannot be read."""
    return [_read_one(one, read) for one in series]


def tell_unreadable(outcomes: Sequence[Outcome[T]]) -> int:
    """Name each series that could not be read on stderr; return the exit code."""
    failed = [one for one in outcomes if one.error is not None]
    for one in failed:
        tell(f"{one.series}: {one.error}")
    return FAILED if failed else DONE


def _read_one(series: SeriesId, read: Callable[[SeriesId], T]) -> Outcome[T]:
    try:
        return Outcome(series, read(series))
    except (StoreError, OSError) as error:
        return Outcome(series, error=error_text(error))
