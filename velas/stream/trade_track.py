"""The trades of one symbol on their way to a bot: contiguous ids. No clock, no I/O."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from velas.models import Trade

__all__ = ["TradeTrack"]

_HELD = 20_000  # trades ahead of a hole; more are asked for again by REST
_KNOWN = 5_000  # ids remembered where ids say nothing about order
_NOTHING: tuple[Trade, ...] = ()


class TradeTrack:
    """Turns what is said about a symbol's trades into each once, ascending by id.

    With `contiguous` (aggregate ids that count up by one and can be looked up) no id is
    left out: `next_id` is the only one that can be delivered next, None before the first.
    Without, trades pass as they come, each id once. A trade of quantity 0 is a tombstone:
    its id counts, it is not delivered (binance-facts 5).
    """

    def __init__(self, symbol: str, *, contiguous: bool, counters: Counter[str]) -> None:
        self.symbol = symbol
        self.key = (symbol, None)
        self.contiguous = contiguous
        self.next_id: int | None = None
        self.last: Trade | None = None
        self._held: dict[int, Trade] = {}
        self._known: deque[int | str] = deque()
        self._ids: set[int | str] = set()
        self._counters = counters

    @property
    def holed(self) -> bool:
        """Whether trades wait behind a hole."""
        return bool(self._held)

    @property
    def next_held_id(self) -> int | None:
        """The first id that waits behind a hole."""
        return min(self._held, default=None)

    @property
    def ready(self) -> bool:
        """Whether trades are held that nothing is missing in front of."""
        return self.next_id in self._held

    def take(self, trade: Trade, most: int | None = None) -> Sequence[Trade]:
        """Take a trade; return those that can be delivered now, in order, at most `most`."""
        number = trade.id
        if not self.contiguous or not isinstance(number, int):
            return self._once(trade)
        if self.next_id is None:
            self.next_id = number
        if number < self.next_id:
            self._counters["late"] += 1
            return _NOTHING
        if number > self.next_id:
            self._hold(number, trade)
            return _NOTHING
        if not self._held:  # the rule
            self.next_id = number + 1
            self.last = trade
            return (trade,) if trade.quantity else _NOTHING
        self._held[number] = trade
        return self.release(most)

    def release(self, most: int | None = None) -> Sequence[Trade]:
        """Return the held trades that nothing is missing in front of, in order.

        What is more than `most` stays held.
        """
        released: list[Trade] = []
        limit = len(self._held) if most is None else most
        while self.next_id is not None and len(released) < limit:
            trade = self._held.pop(self.next_id, None)
            if trade is None:
                break
            self.next_id += 1
            self.last = trade
            if trade.quantity:
                released.append(trade)
        return released

    def skip(self, end_id: int, most: int | None = None) -> Sequence[Trade]:
        """Leave out the ids below `end_id`; return what can be delivered then."""
        self.next_id = max(self.next_id or 0, end_id)
        self._held = {number: one for number, one in self._held.items() if number >= end_id}
        return self.release(most)

    def _hold(self, number: int, trade: Trade) -> None:
        if number in self._held:
            self._counters["repeated"] += 1
        elif len(self._held) < _HELD:
            self._held[number] = trade

    def _once(self, trade: Trade) -> Sequence[Trade]:
        if trade.id in self._ids:
            self._counters["repeated"] += 1
            return _NOTHING
        self._ids.add(trade.id)
        self._known.append(trade.id)
        if len(self._known) > _KNOWN:
            self._ids.discard(self._known.popleft())
        self.last = trade
        return (trade,)
