"""Candles made up from a seed: any range at once, the same on every machine, no state.

The price is a fractal path: noise on lattices of 30 s, 2 min, 8 min ... 4 years, each
wider one stronger by the square root, straight lines between the points. Volume and
trade counts come from the `Tape`. So candles of all intervals agree with one another:
``open(n + 1) == close(n)``, an hour's high is the highest high of its minutes, its volume
their sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

from velas.interval import Interval
from velas.testing.venue.instruments import Instrument
from velas.testing.venue.noise import key_of, unit
from velas.testing.venue.series import Float64, Int64, Row, Series
from velas.testing.venue.tape import Tape, merged
from velas.testing.venue.wire import price_texts, quantity_texts, quote_texts

__all__ = ["GeneratedCandles"]

_CELL_MS = 30_000
_TOP = 11  # the widest lattice has 30 s * 4**11, four years
_YEAR_CELLS = 365.25 * 86_400_000 / _CELL_MS
_VOLATILITY = 0.6  # a year, as of a large coin
_QUARTERS = np.arange(4) / 4.0
_CHUNK_CELLS = 1 << 18  # bounds the memory of one computation to a few MB
_NEVER = 4_102_444_800_000  # year 2100


class GeneratedCandles:
    """Candles of any symbol and interval, computed from `seed` when asked for.

    `first_ms` (one for all or by symbol) overrides when trading began, `last_ms` when it
    ended (delisted: nothing opens at or after it). `outages` by symbol, or under ``"*"``
    for all, are ranges ``(start_ms, end_ms)`` without trading: a candle whose whole slot
    lies in one does not exist, as at the real venue. The first candle opens at the slot
    that holds the first moment.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        first_ms: int | Mapping[str, int] | None = None,
        last_ms: int | Mapping[str, int] | None = None,
        outages: Mapping[str, Iterable[tuple[int, int]]] | None = None,
    ) -> None:
        self.seed = seed
        self._first_ms = first_ms
        self._last_ms = last_ms
        self._outages = {name: list(ranges) for name, ranges in (outages or {}).items()}

    @property
    def symbols(self) -> tuple[str, ...]:
        """Empty: any symbol can be made up."""
        return ()

    def series(self, instrument: Instrument, interval: Interval) -> Series:
        """Return the series of any instrument and interval."""
        symbol = instrument.symbol
        first = _pick(self._first_ms, symbol, instrument.listed_ms)
        slots = _Slots(interval, first, self._last(instrument), self._halts(symbol))
        path = _path(symbol, instrument.level, self.seed)
        return _GeneratedSeries(instrument, interval, slots, path, self.tape(instrument))

    def tape(self, instrument: Instrument) -> Tape:
        """Return the trades of an instrument: none in an outage or after its last moment."""
        last = self._last(instrument)
        over = [(last, last + _NEVER)] if last < _NEVER else []
        return Tape(instrument, self.seed, merged(self._halts(instrument.symbol) + over))

    def prices(self, instrument: Instrument, times_ms: Int64) -> Float64:
        """Return the path's price at each time (ascending), rounded to the tick."""
        path = _path(instrument.symbol, instrument.level, self.seed)
        return np.round(path.at(times_ms), instrument.price_decimals)

    def _last(self, instrument: Instrument) -> int:
        return _pick(self._last_ms, instrument.symbol, instrument.delisted_ms or _NEVER)

    def _halts(self, symbol: str) -> list[tuple[int, int]]:
        return self._outages.get("*", []) + self._outages.get(symbol, [])


class _Path:
    """The price of one symbol as a function of time; its logarithm on a 30 s lattice."""

    def __init__(self, symbol: str, level: float, seed: int) -> None:
        self._key = key_of(seed, symbol, "path")
        self._level = level

    def at(self, times_ms: Int64) -> Float64:
        if not len(times_ms):
            return np.empty(0)
        first = int(times_ms[0]) // _CELL_MS
        lattice = self.lattice(first, int(times_ms[-1]) // _CELL_MS + 1)
        return self.price(_between(lattice, first, times_ms))

    def price(self, logarithm: Float64) -> Float64:
        return self._level * np.exp(logarithm)

    def lattice(self, first: int, last: int, width: int = 0) -> Float64:
        # Each lattice is the next wider one, filled in, plus its own noise: the cost of
        # all twelve together is a third more than that of the finest alone.
        cells = 4.0**width
        swing = 0.5 * _VOLATILITY * np.sqrt(cells / _YEAR_CELLS)
        own = unit(self._key + width, np.arange(first, last + 1)) * (2 * swing) - swing
        if width == _TOP:
            return np.asarray(own)
        wide = self.lattice(first >> 2, (last >> 2) + 1, width + 1)
        filled = (wide[:-1, None] + np.diff(wide)[:, None] * _QUARTERS).ravel()
        skip = first & 3
        return np.asarray(own + filled[skip : skip + len(own)])


@lru_cache(maxsize=1024)
def _path(symbol: str, level: float, seed: int) -> _Path:
    return _Path(symbol, level, seed)


def _between(lattice: Float64, first: int, times_ms: Int64) -> Float64:
    cell = times_ms // _CELL_MS
    part = (times_ms - cell * _CELL_MS) / _CELL_MS
    left = lattice[cell - first]
    return np.asarray(left + (lattice[cell - first + 1] - left) * part)


class _Slots:
    """Which slots of the grid hold a candle; candle number <-> slot."""

    def __init__(
        self, interval: Interval, first_ms: int, last_ms: int, outages: list[tuple[int, int]]
    ) -> None:
        self._interval = interval
        self._first = interval.slot(first_ms)
        self._end = max(self._first, interval.slot(interval.ceil(last_ms)))
        lows: list[int] = []
        highs: list[int] = []
        for start_ms, end_ms in merged(outages):
            low = max(self._first, interval.slot(interval.ceil(start_ms)))
            high = min(self._end, interval.slot(end_ms))
            if low < high:
                lows.append(low)
                highs.append(high)
        self._lows = np.array(lows, dtype=np.int64)
        lengths = np.array(highs, dtype=np.int64) - self._lows
        self._lengths = lengths
        self._absent = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self._turns = self._lows - self._first - self._absent[:-1]

    def before_slot(self, slot: int) -> int:
        slot = min(max(slot, self._first), self._end)
        absent = np.clip(slot - self._lows, 0, self._lengths).sum()
        return slot - self._first - int(absent)

    def before(self, ts_ms: int) -> int:
        return self.before_slot(self._interval.slot(self._interval.ceil(ts_ms)))

    def slots(self, start: int, stop: int) -> Int64:
        number = np.arange(start, stop, dtype=np.int64)
        skipped = np.searchsorted(self._turns, number, side="right")
        return np.asarray(self._first + number + self._absent[skipped])


class _GeneratedSeries:
    def __init__(
        self, instrument: Instrument, interval: Interval, slots: _Slots, path: _Path, tape: Tape
    ) -> None:
        self._instrument = instrument
        self._interval = interval
        self._slots = slots
        self._path = path
        self._tape = tape

    def before(self, ts_ms: int) -> int:
        return self._slots.before(ts_ms)

    def closed(self, now_ms: int) -> int:
        return self._slots.before_slot(self._interval.slot(now_ms))

    def rows(self, start: int, stop: int, now_ms: int) -> list[Row]:
        if start >= stop:
            return []
        slots = self._slots.slots(start, stop)
        opens = self._interval.open_of(slots)
        ends = self._interval.open_of(slots + 1)
        prices = self._prices(opens, np.minimum(ends, now_ms + 1))
        return self._wire(opens, ends, np.minimum(ends, now_ms + 1), prices)

    def forming(self, times_ms: Int64) -> list[Row | None]:
        slots = self._interval.slot(times_ms)
        opens, ends = self._interval.open_of(slots), self._interval.open_of(slots + 1)
        exists = {
            slot: self._slots.before_slot(slot + 1) > self._slots.before_slot(slot)
            for slot in set(slots.tolist())
        }
        upto = times_ms + 1
        rows = self._wire(opens, ends, upto, self._prices(opens, upto))
        return [
            row if exists[slot] else None for row, slot in zip(rows, slots.tolist(), strict=True)
        ]

    def _prices(self, opens: Int64, ends: Int64) -> Float64:
        parts = []
        at = 0
        while at < len(opens):
            last = int(np.searchsorted(ends, opens[at] + _CHUNK_CELLS * _CELL_MS, side="right"))
            stop = max(at + 1, last)
            parts.append(self._extremes(opens[at:stop], ends[at:stop]))
            at = stop
        return self._path.price(np.concatenate(parts, axis=1))

    def _extremes(self, opens: Int64, ends: Int64) -> Float64:
        first = int(opens[0]) // _CELL_MS
        lattice = self._path.lattice(first, int(ends[-1]) // _CELL_MS + 2)
        at_open = _between(lattice, first, opens)
        at_close = _between(lattice, first, ends)
        # lattice points inside each candle; a candle shorter than a cell may have none
        inner = np.stack([-(-opens // _CELL_MS) - first, ends // _CELL_MS + 1 - first])
        none = inner[0] >= inner[1]
        pairs = inner.T.ravel()
        top = np.where(none, at_open, np.maximum.reduceat(lattice, pairs)[::2])
        bottom = np.where(none, at_open, np.minimum.reduceat(lattice, pairs)[::2])
        high = np.maximum(top, np.maximum(at_open, at_close))
        low = np.minimum(bottom, np.minimum(at_open, at_close))
        return np.stack([at_open, high, low, at_close])

    def _wire(self, opens: Int64, ends: Int64, upto: Int64, prices: Float64) -> list[Row]:
        one = self._instrument
        rounded = np.round(prices, one.price_decimals)
        edges = np.stack([self._tape.before(opens), self._tape.before(upto)])
        trades = edges[1] - edges[0]
        taken = self._tape.bought(edges[1]) - self._tape.bought(edges[0])
        total = taken + self._tape.sold(edges[1]) - self._tape.sold(edges[0])
        typical = rounded.mean(axis=0) * 10.0**-one.quantity_decimals
        opened, high, low, closed = (price_texts(one, column) for column in rounded)
        columns = (
            opens.tolist(),
            opened,
            high,
            low,
            closed,
            quantity_texts(one, total),
            (ends - 1).tolist(),
            quote_texts(one, total * typical),
            trades.tolist(),
            quantity_texts(one, taken),
            quote_texts(one, taken * typical),
            ["0"] * len(opens),
        )
        return list(zip(*columns, strict=True))


def _pick(given: int | Mapping[str, int] | None, symbol: str, default: int) -> int:
    if given is None:
        return default
    return given if isinstance(given, int) else given.get(symbol, default)
