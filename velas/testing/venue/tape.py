"""The public trades of a symbol, numbered without a hole, any of them computed directly.

Trade `n` happens in the n-th cell of a fixed spacing, at a random moment of it. Even
numbers are buys, odd ones sells; quantities are steps of two rising functions, so that
the volume of any range of trades is one subtraction and candles of all intervals agree
with one another and with the trades. While trading is halted the numbering stands still:
trades are laid out in trading time, which does not pass then.
"""

from __future__ import annotations

import numpy as np

from velas.testing.venue.instruments import Instrument
from velas.testing.venue.noise import key_of, smooth, unit
from velas.testing.venue.series import Int64

__all__ = ["Tape", "merged"]

_ZERO_MS = 1_483_228_800_000  # 2017-01-01, before any listing
_NOTIONAL = 400.0  # quote units of a typical trade, in dollars for USDT pairs
_PERIODS = (1, 16, 1_024, 65_536)  # each bends the volume curve by at most a fifth
_BEND = 0.2
_FEWEST_STEPS = 10  # keeps every trade above zero after rounding down
_MOST_STEPS = 1_000_000  # keeps sums over all years below 2**53, where floats are exact


class Tape:
    """Trades of one instrument: number -> time, quantity; time -> number.

    `halts` are ranges ``(start_ms, end_ms)`` without trades, as `merged` returns them.
    """

    def __init__(
        self, instrument: Instrument, seed: int, halts: list[tuple[int, int]] | None = None
    ) -> None:
        self._key = key_of(seed, instrument.symbol, "tape")
        self._step = 10.0**-instrument.quantity_decimals
        typical = _NOTIONAL / instrument.level / self._step
        self._typical_steps = min(max(_FEWEST_STEPS, round(typical)), _MOST_STEPS)
        self.spacing_ms = 200 + self._key % 600
        bounds = np.array(halts or [], dtype=np.int64).reshape(-1, 2)
        self._starts, self._ends = bounds[:, 0], bounds[:, 1]
        self._lost = np.concatenate([[0], np.cumsum(self._ends - self._starts)]).astype(np.int64)

    def time(self, number: Int64) -> Int64:
        """Return when each trade happened, ms; never falling."""
        traded = self._traded(number)
        if not len(self._starts):
            return traded
        halts = np.searchsorted(self._starts - self._lost[:-1], traded, side="right")
        return np.asarray(traded + self._lost[halts])

    def before(self, ts_ms: Int64) -> Int64:
        """Return how many trades happened before each time; also the next one's number."""
        if len(self._starts):
            begun = np.searchsorted(self._starts, ts_ms, side="right")
            running = np.append(self._ends, 0)[begun - 1] - ts_ms
            left = np.where(begun > 0, np.maximum(running, 0), 0)
            ts_ms = np.asarray(ts_ms - self._lost[begun] + left)
        cell = (ts_ms - _ZERO_MS) // self.spacing_ms
        return np.asarray(cell + (self._traded(cell) < ts_ms))

    def bought(self, number: Int64) -> Int64:
        """Return the quantity bought by takers in all trades before each, in steps."""
        return self._curve("buy", (number + 1) // 2)

    def sold(self, number: Int64) -> Int64:
        """Return the quantity sold by takers in all trades before each, in steps."""
        return self._curve("sell", number // 2)

    def quantity(self, number: Int64) -> Int64:
        """Return the size of each trade, in steps (``10 ** -quantity_decimals``)."""
        after = number + 1
        return self.bought(after) + self.sold(after) - self.bought(number) - self.sold(number)

    def _traded(self, number: Int64) -> Int64:
        jitter = (unit(self._key, number) * self.spacing_ms).astype(np.int64)
        return _ZERO_MS + number * self.spacing_ms + jitter

    def _curve(self, side: str, pairs: Int64) -> Int64:
        key = key_of(self._key, side)
        bent = pairs.astype(np.float64)
        for period in _PERIODS:
            bent += _BEND * period * smooth(key + period, pairs, period)
        return np.floor(bent * self._typical_steps).astype(np.int64)


def merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges in order, those that touch joined."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
