"""Resampling and replay of candles, on the grid that a venue's own candles have."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from velas.errors import ConfigError
from velas_backtrader._dates import ms_of
from velas_backtrader._grid import Grid
from velas_backtrader._library import Replayer, Resampler

__all__ = ["CandleReplayer", "CandleResampler"]

_SUMS = ("volume", "quote_volume", "trades", "taker_buy_base", "taker_buy_quote")
_FIRSTS = ("open", "timestamp", "close_time")
_A_MOMENT = 1e-6  # days


class _Growing:
    """A longer candle as far as it has come; values in the order of a feed's lines."""

    def __init__(self, data: Any, grid: Grid) -> None:
        names = data.getlinealiases()
        self._grid = grid
        self._places = {name: place for place, name in enumerate(names)}
        self._sums = [self._places[name] for name in _SUMS]
        self._firsts = [self._places[name] for name in _FIRSTS]
        self.restart()

    def restart(self) -> None:
        """Forget all bars."""
        self.values: list[float] = []
        self.end = math.inf
        self._fragment = math.nan  # the end of the slot that the series begins within
        self._is_first = True

    @property
    def is_open(self) -> bool:
        return bool(self.values)

    @property
    def is_whole(self) -> bool:
        """Whether the series has begun before the candle; what it lacks later is its gap."""
        return self.end != self._fragment

    def add(self, values: list[float], end: float) -> None:
        """Take the next bar, of the slot that ends at `end`."""
        if not self.values or end != self.end:
            self._begin(values, end)
            return
        before, self.values = self.values, values
        high, low = self._places["high"], self._places["low"]
        values[high] = max(values[high], before[high])
        values[low] = min(values[low], before[low])
        for place in self._sums:
            values[place] += before[place]
        for place in self._firsts:
            values[place] = before[place]

    def take(self) -> list[float]:
        """Return the candle, over now, and begin anew."""
        values, self.values = self.values, []
        values[self._places["datetime"]] = self.end
        return values

    def _begin(self, values: list[float], end: float) -> None:
        self.values, self.end = values, end
        open_ms = self._grid.open_of(end)
        if self._is_first and values[self._places["timestamp"]] > open_ms:
            self._fragment = end
        self._is_first = False
        values[self._places["timestamp"]] = open_ms
        values[self._places["close_time"]] = ms_of(end) - 1


class CandleResampler(Resampler):  # type: ignore[misc]
    """Makes longer candles of bars that are known by their end.

    A candle is delivered with the bar that ends it, or, where that one is missing, with
    whatever comes next. One that has begun before the first bar is not delivered, nor is
    one that is not over when the data are. The wall clock decides nothing: the last bar of
    an hour comes after the hour.
    """

    def __init__(self, data: Any) -> None:
        self._grid = _regridded(data, self.p)
        super().__init__(data)
        self._growing = _Growing(data, self._grid)
        self._delivered = -math.inf

    def restart(self) -> None:
        """Forget what an earlier run has left."""
        self._growing.restart()
        self._delivered = -math.inf

    def __call__(self, data: Any, fromcheck: bool = False, forcedata: Any = None) -> bool:
        """Take a bar out of the data; put a candle in that is over."""
        growing, now = self._growing, data.datetime[0]
        end = self._end_of(now)
        if growing.is_open and end != growing.end:
            self._deliver(data)
        growing.add(_values(data), end)
        data.backwards()
        if now == end:
            self._deliver(data)
        return True

    def check(self, data: Any, _forcedata: Any = None) -> None:
        """Put in a candle that is over, as another data's bar has come to its end."""
        growing = self._growing
        if _forcedata is None or not growing.is_open:
            return
        if _forcedata.datetime[0] >= growing.end:
            self._deliver(data)

    def last(self, data: Any) -> bool:
        """Deliver nothing: what is left is not over."""
        return False

    def _end_of(self, now: float) -> float:
        end = self._grid.end_of(now)
        if end <= self._delivered:  # it comes too late for its own candle
            end = self._grid.end_of(self._delivered + _A_MOMENT)
        return max(end, self._growing.end) if self._growing.is_open else end

    def _deliver(self, data: Any) -> None:
        growing = self._growing
        self._delivered, candle = growing.end, growing.take()
        if growing.is_whole:
            data._add2stack(candle)


class CandleReplayer(Replayer):  # type: ignore[misc]
    """Shows a longer candle as it grows, bar by bar; not one begun before the first bar."""

    def __init__(self, data: Any) -> None:
        self._grid = _regridded(data, self.p)
        super().__init__(data)
        self._growing = _Growing(data, self._grid)
        # more than one: a bar that is later than those of other feeds was here and is put back
        self._steps: deque[tuple[float, float]] = deque(maxlen=4)

    def restart(self) -> None:
        """Forget what an earlier run has left."""
        self._growing.restart()
        self._steps.clear()

    def __call__(self, data: Any, fromcheck: bool = False, forcedata: Any = None) -> bool:
        """Let a bar that begins a candle stay; put others in the place of the one before."""
        growing, now, began = self._growing, data.datetime[0], data.timestamp[0]
        end = self._grid.end_of(now)
        goes_on = growing.is_open and end == growing.end
        growing.add(_values(data), end)
        if not growing.is_whole:
            data.backwards()
            return True
        data._tick_fill(force=True)
        if goes_on:
            data.backwards(force=True)
        data._updatebar(growing.values)
        self._steps.append((now, began))
        return False

    def began(self, now: float) -> float:
        """Return when the step began that ended at a moment; NaN if it is long ago."""
        return next((began for end, began in self._steps if end == now), math.nan)

    def check(self, data: Any, _forcedata: Any = None) -> None:
        """Do nothing: a candle grows by its bars alone."""


def _regridded(data: Any, params: Any) -> Grid:
    for name, default in type(params)._getpairs().items():
        value = getattr(params, name)
        if name not in ("timeframe", "compression") and value != default:
            raise ConfigError(
                f"{name}={value!r}: candles lie on the venue's grid and have the time of their "
                "end, nothing moves them; leave it out"
            )
    grid = Grid(params.timeframe, params.compression)
    grid.check_made_of(data.grid)
    data.grid = grid
    return grid


def _values(data: Any) -> list[float]:
    return [line[0] for line in data.itersize()]
