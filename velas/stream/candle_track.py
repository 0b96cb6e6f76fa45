"""One candle series on its way to a bot: order, density, duplicates. No clock, no I/O."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

import attrs

from velas.candles import same_row
from velas.interval import Interval
from velas.models import Candle
from velas.stream.unchecked import Unchecked

__all__ = ["CandleTrack"]

_HELD = 1_000  # closed candles ahead of a hole; more are asked for again by REST
_NOTHING: tuple[Candle, ...] = ()


class CandleTrack:
    """Turns what is said about one series, in any order, into its dense sequence.

    `next_ms` is the open time of the only closed candle that can be delivered next.
    `seen_ms` is the latest open time anything was heard of: when it is later than
    `next_ms`, that candle is over. Until `open` is set everything waits.
    """

    def __init__(
        self, symbol: str, interval: Interval, next_ms: int, *, memory: int, counters: Counter[str]
    ) -> None:
        self.symbol = symbol
        self.interval = interval
        self.key = (symbol, interval.name)
        self.next_ms = next_ms
        self.seen_ms = next_ms
        self.sequence = 0
        self.open = False
        self.forming: Candle | None = None
        self.unchecked = Unchecked(symbol, interval)  # not compared with REST yet
        self._memory: deque[Candle] = deque(maxlen=memory)
        self._held: dict[int, Candle] = {}
        self._final: set[int] = set()  # of those held
        self._later: Candle | None = None
        self._counters = counters

    @property
    def memory(self) -> Sequence[Candle]:
        """The newest closed candles, oldest first."""
        return self._memory

    @property
    def due_ms(self) -> int:
        """When the next candle is over."""
        return self.interval.end_of(self.next_ms)

    @property
    def next_held_ms(self) -> int | None:
        """The open time of the first closed candle that waits behind a hole."""
        return min(self._held, default=None)

    @property
    def ready(self) -> bool:
        """Whether closed candles are held that nothing is missing in front of."""
        return self.open and self.next_ms in self._held

    def update(self, candle: Candle) -> bool:
        """Take a forming candle; say whether it is news to be delivered now."""
        if candle.timestamp != self.next_ms:
            self._aside(candle)
            return False
        before, count = self.forming, candle.trades
        # a venue that counts trades says with them which of two is the newer
        if before is not None and count is not None and count <= (before.trades or 0):
            self._counters["repeated" if count == before.trades else "late"] += 1
            return False
        self.forming = candle
        return self.open

    def close(
        self, candle: Candle, most: int | None = None, *, final: bool = False
    ) -> Sequence[Candle]:
        """Take a closed candle; return what `release` does.

        One that is `final` need not be compared with what REST says later.
        """
        open_ms = self.interval.floor(candle.timestamp)
        if open_ms < self.next_ms:
            self._again(candle)
            return _NOTHING
        self.seen_ms = max(self.seen_ms, open_ms)
        self._hold(open_ms, candle)
        if final and self._held.get(open_ms) is candle:
            self._final.add(open_ms)
        return self.release(most)

    def release(self, most: int | None = None) -> Sequence[Candle]:
        """Return the held candles that nothing is missing in front of, in order.

        What is more than `most` stays held.
        """
        if not self.ready:
            return _NOTHING
        released: list[Candle] = []
        limit = len(self._held) if most is None else most
        while len(released) < limit and self.next_ms in self._held:
            released.append(self._accept(self._held.pop(self.next_ms)))
        self._catch_up()
        return released

    def skip(self, end_ms: int, most: int | None = None) -> Sequence[Candle]:
        """Leave out what opens before `end_ms`; return what can be delivered then."""
        self.next_ms = max(self.next_ms, end_ms)
        self.forming = None
        self._held = {open_ms: one for open_ms, one in self._held.items() if open_ms >= end_ms}
        self._final &= self._held.keys()
        released = self.release(most)
        self._catch_up()
        return released

    def remember(self, candles: Sequence[Candle]) -> None:
        """Put history in its place among what is known."""
        if not self._memory or (candles and candles[0].timestamp > self._memory[-1].timestamp):
            self._memory.extend(candles)
            return
        known = {candle.timestamp: candle for candle in (*candles, *self._memory)}
        self._memory.clear()
        self._memory.extend(known[timestamp] for timestamp in sorted(known))

    def begin_at(self, open_ms: int) -> None:
        """Begin earlier than was thought; before anything was delivered."""
        if not self.sequence and open_ms < self.next_ms:
            self.next_ms = open_ms
            if self.forming is not None:
                self._later, self.forming = self._later or self.forming, None

    def revise(self, before: Candle, after: Candle) -> None:
        """Put the venue's later word in the place of a delivered candle."""
        for place in range(len(self._memory) - 1, -1, -1):
            if self._memory[place].timestamp == before.timestamp:
                self._memory[place] = after
                return

    def _accept(self, candle: Candle) -> Candle:
        self.sequence += 1
        delivered = attrs.evolve(candle, sequence=self.sequence)
        self._memory.append(delivered)
        if self.next_ms in self._final:
            self._final.discard(self.next_ms)
        else:
            self.unchecked.add(delivered)
        self.next_ms = self.interval.next_open(self.next_ms)
        self.seen_ms = max(self.seen_ms, self.next_ms)
        self.forming = None
        return delivered

    def _catch_up(self) -> None:
        later, self._later = self._later, None
        if later is not None and self.interval.floor(later.timestamp) >= self.next_ms:
            if self.interval.floor(later.timestamp) == self.next_ms:
                self.forming = later
            else:
                self._later = later

    def _aside(self, candle: Candle) -> None:
        open_ms = self.interval.floor(candle.timestamp)
        if open_ms < self.next_ms:
            self._counters["late"] += 1
            return
        self.seen_ms = max(self.seen_ms, open_ms)
        if self._later is None or candle.timestamp >= self._later.timestamp:
            self._later = candle

    def _hold(self, open_ms: int, candle: Candle) -> None:
        if open_ms in self._held:
            self._counters["repeated"] += 1
            return
        if len(self._held) >= _HELD:
            last = max(self._held)
            if open_ms > last:
                return
            del self._held[last]
            self._final.discard(last)
        self._held[open_ms] = candle

    def _again(self, candle: Candle) -> None:
        self._counters["repeated"] += 1
        for known in reversed(self._memory):
            if known.timestamp <= candle.timestamp:
                if known.timestamp == candle.timestamp and not same_row(known, candle):
                    self.unchecked.doubt(known)  # REST decides
                return
