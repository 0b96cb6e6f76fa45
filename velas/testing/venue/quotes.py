"""Prices and trades of the moment, behind every endpoint that is not a candle."""

from __future__ import annotations

import numpy as np

from velas.testing.venue.generated import GeneratedCandles
from velas.testing.venue.instruments import Instrument
from velas.testing.venue.noise import key_of, unit
from velas.testing.venue.series import CandleSource, Float64, Int64
from velas.testing.venue.tape import Tape

__all__ = ["Quotes"]


class Quotes:
    """The last price of an instrument at any time, and its tape of trades."""

    def __init__(self, candles: CandleSource, seed: int, *, tombstones: float = 0.0) -> None:
        self._candles = candles
        self._seed = seed
        self._tombstones = tombstones
        self._tapes: dict[str, Tape] = {}

    def tape(self, instrument: Instrument) -> Tape:
        """Return the trades of an instrument."""
        symbol = instrument.symbol
        tape = self._tapes.get(symbol)
        if tape is None:
            if isinstance(self._candles, GeneratedCandles):
                tape = self._candles.tape(instrument)
            else:
                tape = Tape(instrument, self._seed)
            self._tapes[symbol] = tape
        return tape

    def void(self, instrument: Instrument, numbers: Int64) -> list[bool]:
        """Return which ids are tombstones: aggregate trades of nothing."""
        if not self._tombstones:
            return [False] * len(numbers)
        key = key_of(self._seed, instrument.symbol, "tombstones")
        return [draw < self._tombstones for draw in unit(key, numbers).tolist()]

    def prices(self, instrument: Instrument, times_ms: Int64) -> Float64:
        """Return the price at each time (ascending), in quote units."""
        return self._candles.prices(instrument, times_ms)

    def price(self, instrument: Instrument, now_ms: int) -> float:
        """Return the price at one time."""
        return float(self.prices(instrument, np.array([now_ms], dtype=np.int64))[0])
