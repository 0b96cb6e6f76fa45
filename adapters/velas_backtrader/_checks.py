"""What must hold of candles before the first is played, and what becomes of those that fail."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Literal, TypeAlias, get_args

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd

from velas import frames
from velas.dates import iso
from velas.errors import ConfigError, FrameError
from velas.history.windows import explain
from velas.interval import INTERVALS, Interval
from velas.models import Gap
from velas_backtrader._reasons import reason

__all__ = ["Integrity", "IntegrityWarning", "Series", "judged", "lacking", "policy_of"]

Integrity: TypeAlias = Literal["raise", "warn", "drop"]
_LACKING = "not downloaded"
_SHOWN = 3
_OURS = ("velas_backtrader", "backtrader")
_CHOICES = (
    "integrity='warn' plays them as they are, of duplicates the last; integrity='drop' leaves "
    "out impossible bars, too; `velas download` fills gaps"
)


class IntegrityWarning(UserWarning):
    """Candles are played that have gaps, duplicates or impossible bars."""


@attrs.frozen
class Series:
    """Which candles are meant: what errors are to name."""

    symbol: str
    interval: Interval

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval}"


@attrs.frozen
class _Fault:
    """One kind of fault: how much there is of it, and where."""

    what: str
    count: str
    places: Sequence[int]
    reasons: Sequence[str] = ()  # of the places that are shown

    def __str__(self) -> str:
        more = f" and {len(self.places) - _SHOWN} more" if len(self.places) > _SHOWN else ""
        shown = [iso(place) for place in self.places[:_SHOWN]]
        for at, why in enumerate(self.reasons):
            shown[at] += f": {why}"
        return f"{self.count} ({', '.join(shown)}{more})"


def policy_of(value: object) -> Integrity:
    """Return `value` if it names a policy.

    Raises:
        ConfigError: it does not.
    """
    for name in get_args(Integrity):
        if name == value:
            return name  # type: ignore[no-any-return]
    raise ConfigError(f"integrity {value!r}: expected {', '.join(map(repr, get_args(Integrity)))}")


def judged(
    frame: pd.DataFrame,
    series: Series,
    policy: Integrity,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    absent: Iterable[Gap] | None = None,
) -> pd.DataFrame:
    """Return the candles to be played, by the policy.

    What is missing is looked for between the first and the last candle, or from
    `start_ms` and up to `end_ms` where given; the ranges of `absent` are no fault.

    Raises:
        FrameError: open times fall, or are not an interval apart; with the policy
            ``raise``, there are gaps, duplicates or impossible bars.
    """
    opens = frame["timestamp"].to_numpy()
    _check_sorted(opens, series)
    _check_spacing(opens, series)
    kept = _last_of_each(frame)
    impossible = _impossible(kept, series.interval)
    holes = lacking(
        kept["timestamp"].to_numpy(),
        series.interval,
        absent or (),
        start_ms=start_ms,
        end_ms=end_ms,
    )
    repeated = opens[:-1][np.diff(opens) == 0]
    faults = _faults(holes, repeated, kept[impossible])
    if faults:
        _tell(series, policy, faults)
    if policy == "drop" and impossible.any():
        kept = kept[~impossible].reset_index(drop=True)
        if kept.empty:
            raise FrameError(f"{series}: all {len(frame)} bars are impossible; nothing is left")
    return kept


def lacking(
    opens: npt.NDArray[np.int64],
    grid: Interval,
    absent: Iterable[Gap],
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> list[Gap]:
    """Return the holes among open times that `absent` does not explain."""
    found = frames.gaps(opens, grid, start_ms=start_ms, end_ms=end_ms, reason=_LACKING)
    return [gap for gap in explain(found, absent, grid) if gap.reason == _LACKING]


def _check_sorted(opens: npt.NDArray[np.int64], series: Series) -> None:
    falls = np.flatnonzero(np.diff(opens) < 0)
    if len(falls):
        at = falls[0]
        raise FrameError(
            f"{series}: row {at + 1} ({iso(int(opens[at + 1]))}) is older than the one before "
            f"({iso(int(opens[at]))}), {len(falls)} such rows; expected: ascending by open time "
            "(frame.sort_values(...) makes it so)"
        )


def _check_spacing(opens: npt.NDArray[np.int64], series: Series) -> None:
    grid = series.interval
    steps = opens[1:] - opens[:-1]
    steps = steps[steps > 0]
    if not len(steps):
        return
    usual = int(np.median(steps))
    shortest = int(steps.min())
    too_close = usual < (grid.length_ms if not grid.is_calendar else 28 * 86_400_000)
    names = {Interval(name).length_ms: name for name in INTERVALS if name != "1M"}
    # candles with holes are multiples of their interval apart, some of them by one
    too_far = (
        len(steps) > 2
        and shortest > (grid.length_ms if not grid.is_calendar else 31 * 86_400_000)
        and shortest in names
        and not (steps % shortest).any()
    )
    if too_close or too_far:
        found = names.get(usual if too_close else shortest, f"{usual / 1000:g} s")
        raise FrameError(
            f"{series}: its {len(opens)} candles are {found} apart, not {grid}; "
            f"expected: candles of {grid} (give their own interval; cerebro.resampledata makes "
            "longer ones)"
        )


def _last_of_each(frame: pd.DataFrame) -> pd.DataFrame:
    repeated = frame["timestamp"].duplicated(keep="last")
    return frame[~repeated].reset_index(drop=True) if repeated.any() else frame


def _impossible(frame: pd.DataFrame, grid: Interval) -> npt.NDArray[np.bool_]:
    bad = np.zeros(len(frame), dtype=np.bool_)
    opens = frame["timestamp"].to_numpy()
    for finding in frames.check(frame, grid):
        if finding.kind == "impossible":
            first = int(np.searchsorted(opens, finding.timestamp))
            bad[first : first + finding.count] = True
    return bad


def _faults(
    holes: Sequence[Gap], repeated: npt.NDArray[np.int64], impossible: pd.DataFrame
) -> list[_Fault]:
    missing = sum(hole.missing for hole in holes)
    found = [
        _Fault(
            "gaps",
            f"{_many(len(holes), 'gap')} of {_many(missing, 'candle')}",
            [hole.start_ms for hole in holes],
        ),
        _Fault("duplicates", _many(len(repeated), "duplicate"), [int(one) for one in repeated]),
        _Fault(
            "impossible bars",
            _many(len(impossible), "impossible bar"),
            impossible["timestamp"].tolist(),
            [reason(bar) for _, bar in impossible.head(_SHOWN).iterrows()],
        ),
    ]
    return [fault for fault in found if fault.places]


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _tell(series: Series, policy: Integrity, faults: Sequence[_Fault]) -> None:
    text = f"{series}: {'; '.join(map(str, faults))}"
    if policy == "raise":
        raise FrameError(f"{text}. {_CHOICES}")
    done: Callable[[str], str] = (_DROPPED if policy == "drop" else _PLAYED).__getitem__
    fate = ", ".join(done(fault.what) for fault in faults)
    warnings.warn(f"{text}. {fate}", IntegrityWarning, stacklevel=_stacklevel())


def _stacklevel() -> int:
    # backtrader calls what makes a feed, so there is no fixed number of callers
    level, frame = 0, sys._getframe(1)
    while frame is not None and _root_of(frame) in _OURS:
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    return level + 1


def _root_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


_DROPPED = {
    "gaps": "gaps stay gaps",
    "duplicates": "of duplicates the last is played",
    "impossible bars": "impossible bars are left out",
}
_PLAYED = {**_DROPPED, "impossible bars": "impossible bars are played"}
