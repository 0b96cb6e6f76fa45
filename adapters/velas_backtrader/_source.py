"""Where the candles of a backtest come from: a store, settings, a frame."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import attrs
import pandas as pd

from velas import open_store
from velas.dates import iso
from velas.errors import ConfigError, FrameError, StoreError, UnknownSymbol
from velas.ledger import Ledger
from velas.models import Gap
from velas.protocols import Store
from velas.settings import Settings
from velas.symbols import near_matches, series_key
from velas_backtrader._checks import Integrity, Series, judged, lacking
from velas_backtrader._columns import to_candles
from velas_backtrader._times import FIRST_MS, unit_of

__all__ = [
    "Candles",
    "Range",
    "Shelf",
    "explained",
    "from_frame",
    "from_shelf",
    "history",
    "range_of",
]

_SHOWN = 8
_FOREVER_MS = 253_402_300_800_000


@attrs.frozen
class Range:
    """Candles that open in ``[start_ms, end_ms)``; None: as far as there are any."""

    start_ms: int | None = None
    end_ms: int | None = None

    def __str__(self) -> str:
        start = "the first" if self.start_ms is None else iso(self.start_ms)
        return f"from {start} up to {'the last' if self.end_ms is None else iso(self.end_ms)}"


@attrs.frozen
class Shelf:
    """A store and, where settings name them, what is known of the holes in it."""

    store: Store
    settings: Settings | None = None

    @classmethod
    def of(cls, settings: Settings) -> Shelf:
        """Return the settings' store, with what their ledger knows."""
        return cls(open_store(settings), settings)


def range_of(start_ms: object, end_ms: object) -> Range:
    """Return the range that two arguments mean.

    Raises:
        ConfigError: they are no milliseconds, or the range is empty or inverted.
    """
    start, end = _ms("start_ms", start_ms), _ms("end_ms", end_ms)
    if start is not None and end is not None and start >= end:
        raise ConfigError(
            f"start_ms {start} ({iso(start)}) is not before end_ms {end} ({iso(end)})"
        )
    return Range(start, end)


@attrs.frozen(eq=False)
class Candles:
    """Those of a range as they were read, and what of them is to be played."""

    read: pd.DataFrame
    played: pd.DataFrame


def from_frame(frame: pd.DataFrame, series: Series, within: Range, policy: Integrity) -> Candles:
    """Return the candles of a frame, own or foreign.

    Raises:
        FrameError: the frame cannot be read unambiguously, has no candle in the range,
            or fails as `judged` says; a range that it does not fill has gaps at its edges.
    """
    candles = to_candles(frame, series.interval)
    if candles.empty:
        raise FrameError(f"{series}: the frame has no rows")
    opens = candles["timestamp"]
    inside = opens >= (within.start_ms or FIRST_MS)
    if within.end_ms is not None:
        inside &= opens < within.end_ms
    if not inside.any():
        there = f"{iso(int(opens.min()))} to {iso(int(opens.max()))}"
        raise FrameError(f"{series}: no candle {within}; the frame has those of {there}")
    # a copy: whoever changes the frame afterwards does not change what is played
    chosen = candles.copy() if inside.all() else candles[inside].reset_index(drop=True)
    played = judged(chosen, series, policy, start_ms=within.start_ms, end_ms=within.end_ms)
    return Candles(chosen, played)


def from_shelf(shelf: Shelf, series: Series, within: Range, policy: Integrity) -> Candles:
    """Return stored candles.

    Raises:
        UnknownSymbol: nothing is stored of the symbol.
        StoreError: nothing of the interval, or nothing in the range; or it cannot be read.
        FrameError: as `judged` says; a range that the stored series does not fill has
            gaps at its edges.
    """
    candles = shelf.store.load(
        series.symbol, series.interval, start_ms=within.start_ms, end_ms=within.end_ms
    )
    if candles.empty:
        raise _nothing(shelf.store, series, within)
    played = judged(
        candles,
        series,
        policy,
        start_ms=within.start_ms,
        end_ms=within.end_ms,
        absent=explained(shelf, series),
    )
    return Candles(candles, played)


def history(shelf: Shelf, series: Series, start_ms: int, policy: Integrity) -> pd.DataFrame:
    """Return what is stored from `start_ms` on, up to the first hole that may be filled.

    Raises:
        FrameError: as `judged` says, of duplicates and impossible bars.
    """
    interval = series.interval
    candles = shelf.store.load(series.symbol, interval, start_ms=start_ms)
    if candles.empty:
        return candles
    absent = explained(shelf, series)
    holes = lacking(candles["timestamp"].to_numpy(), interval, absent, start_ms=start_ms)
    if holes:
        candles = candles[candles["timestamp"] < holes[0].start_ms]
    return judged(candles, series, policy, absent=absent) if len(candles) else candles


def explained(shelf: Shelf, series: Series) -> Sequence[Gap]:
    """Return the ranges that the venue is known to have no candles in."""
    if shelf.settings is None:
        return ()
    interval = series.interval
    key = (shelf.settings.exchange, series_key(series.symbol), interval.name)
    with Ledger(shelf.settings.db_path, read_only=True) as ledger:
        known = list(ledger.absent(*key))
        listing_ms, ended = ledger.listing_ms(*key), ledger.ended(*key)
    if listing_ms is not None and interval.floor(listing_ms) > 0:
        known.append(Gap(0, interval.floor(listing_ms), 0, "before the listing"))
    if ended is not None:
        known.append(Gap(interval.next_open(ended[0]), ended[1], 0, "over"))
    return known


def _nothing(store: Store, series: Series, within: Range) -> Exception:
    stats = store.get_stats(series.symbol, series.interval)
    if stats.first_ms is not None and stats.last_ms is not None:
        there = f"{iso(stats.first_ms)} to {iso(stats.last_ms)}"
        return StoreError(f"{series}: no candle {within}; stored are those of {there}")
    stored = store.series()
    key = series_key(series.symbol)
    intervals = [one.interval for one in stored if one.symbol == key]
    if intervals:
        return StoreError(
            f"{series}: nothing is stored; of {key} there is {', '.join(intervals)} "
            f"(`velas download --symbol {key} --interval {series.interval}` fetches it)"
        )
    names = tuple(dict.fromkeys(one.symbol for one in stored))
    near = near_matches(series.symbol, names)
    guess = f" (did you mean {' or '.join(near[:3])}?)" if near else ""
    there = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
    fetch = f"`velas download --symbol {key} --interval {series.interval}` fetches them"
    return UnknownSymbol(
        f"{series}: nothing is stored of {key}{guess}; stored are: "
        f"{there or f'no candles at all ({fetch})'}",
        near=near,
    )


def _ms(name: str, value: Any) -> int | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise TypeError
        ms = operator.index(value)
    except TypeError:
        raise ConfigError(
            f"{name} {value!r}: expected whole milliseconds since the epoch, UTC "
            "(velas.dates.parse_when reads dates)"
        ) from None
    if not FIRST_MS <= ms < _FOREVER_MS:
        unit = unit_of(ms)
        guess = f" (are these {'seconds' if unit == 's' else unit}?)" if unit else ""
        raise ConfigError(
            f"{name} {ms}: expected milliseconds since the epoch, from 2009 on and before the "
            f"year 10000{guess}; None is as far as there are candles"
        )
    return ms
