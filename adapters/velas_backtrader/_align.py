"""Several live series as one sequence of moments: who is waited for, and what is due next."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import attrs

from velas.interval import Interval

__all__ = ["Alignment", "Bar", "Block", "Key"]

Key = tuple[str, str]  # folder name of the symbol, interval


@attrs.frozen
class Bar:
    """A candle that is over: its values in the order of the lines.

    `newest` says that there was no later one when it came.
    """

    key: Key
    open_ms: int
    end_ms: int
    row: Sequence[float]
    newest: bool = False


@attrs.define
class Block:
    """Many candles of one series as columns, one for each line: its history."""

    opens: Sequence[int] = ()
    ends: Sequence[int] = ()
    columns: Sequence[array[float]] = ()
    newest_ms: int | None = None  # the end of the newest candle when the stream began
    at: int = 0

    def __len__(self) -> int:
        return len(self.ends) - self.at

    def pop(self, key: Key) -> Bar:
        """Take out the first candle."""
        at, self.at = self.at, self.at + 1
        row = [column[at] for column in self.columns]
        end_ms = self.ends[at]
        return Bar(key, self.opens[at], end_ms, row, newest=end_ms == self.newest_ms)


@attrs.define
class _Line:
    """One series: what waits of it, and up to when all of it is known."""

    interval: Interval
    reached_ms: int
    settled: bool  # whether it is known where it begins
    history: Block = attrs.Factory(Block)
    bars: deque[Bar] = attrs.Factory(deque)

    @property
    def waiting(self) -> int:
        return len(self.history) + len(self.bars)

    @property
    def next_end_ms(self) -> float:
        if len(self.history):
            return self.history.ends[self.history.at]
        return self.bars[0].end_ms if self.bars else math.inf

    def pop(self, key: Key) -> Bar:
        return self.history.pop(key) if len(self.history) else self.bars.popleft()


class Alignment:
    """Holds candles back until those of the other series that end together are known.

    A candle that ends at T is due when every other series has reached T: delivered what
    ends up to then, or declared it absent. `force` gives up waiting for the laggards.
    Each series stays in order. No clock, no thread.
    """

    def __init__(self) -> None:
        self._lines: dict[Key, _Line] = {}
        self._forced_ms = -math.inf
        self._began = False

    def add(self, key: Key, reached_ms: int, *, settled: bool, history: Block | None) -> None:
        """Take a series on; nothing of it that ends up to `reached_ms` is to come.

        One that is not `settled` begins with the stream: its first candle shows where.
        """
        interval = Interval(key[1])
        self._lines[key] = _Line(interval, reached_ms, settled, history or Block())

    def put(self, bar: Bar) -> None:
        """Take the next candle of a series."""
        line = self._lines[bar.key]
        if not line.settled:
            self._settle(bar)
        line.bars.append(bar)
        line.reached_ms = max(line.reached_ms, bar.end_ms)

    def absent(self, key: Key, end_ms: int) -> None:
        """Take it that nothing more that ends up to `end_ms` will come of a series."""
        line = self._lines[key]
        line.reached_ms = max(line.reached_ms, end_ms)

    def force(self, end_ms: float) -> None:
        """Wait for nobody any more of what ends up to `end_ms`."""
        self._forced_ms = max(self._forced_ms, end_ms)

    @property
    def due(self) -> bool:
        """Whether the next moment is complete, or is not waited for any more."""
        next_ms = self.next_end_ms
        if next_ms == math.inf or next_ms <= self._forced_ms:
            return next_ms < math.inf
        return self._began and not self.laggards()

    @property
    def next_end_ms(self) -> float:
        """When the candles of the next moment end; infinite if none waits."""
        return min((line.next_end_ms for line in self._lines.values()), default=math.inf)

    def laggards(self) -> Mapping[Key, int]:
        """Return the series that the next moment waits for, and what each has reached."""
        next_ms = self.next_end_ms
        if next_ms == math.inf:
            return {}
        return {
            key: line.reached_ms
            for key, line in self._lines.items()
            if not line.waiting and line.reached_ms < line.interval.floor(int(next_ms))
        }

    def take(self) -> Sequence[Bar]:
        """Return the candles of the next moment; only while `due`."""
        end_ms = self.next_end_ms
        return [line.pop(key) for key, line in self._lines.items() if line.next_end_ms == end_ms]

    def waiting(self, key: Key) -> int:
        """Return how many candles of a series wait."""
        return self._lines[key].waiting

    def reached(self) -> Iterable[tuple[Key, Interval, int]]:
        """Iterate over the series and what each has reached."""
        for key, line in self._lines.items():
            yield key, line.interval, line.reached_ms

    def began(self, now_ms: int) -> None:
        """Note when the stream began to listen; until then nothing is due."""
        self._began = True
        for line in self._lines.values():
            line.history.newest_ms = line.interval.floor(now_ms)
            if not line.settled:
                line.reached_ms = line.interval.floor(now_ms)

    def _settle(self, bar: Bar) -> None:
        # all that begin with the stream do so at the same moment of the venue
        for key, line in self._lines.items():
            if key[1] == bar.key[1] and not line.settled:
                line.reached_ms = line.interval.floor(bar.open_ms)
                line.settled = True
