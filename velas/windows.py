"""The windows in which a venue counts weight, and the pace of one that counts requests."""

from __future__ import annotations

import math

import attrs

from velas.limit_models import RequestType, WeightLimit

__all__ = ["Pace", "Ticket", "Window"]

_UNSEEN = (-1, 0, 0)
_ROUNDING = 1e-9


@attrs.define(eq=False)
class Ticket:
    """One request that was let through.

    `sent_s` is monotonic; `settled_ms` is when (venue clock) the venue has certainly
    counted it, infinity while it is on its way; `seen` holds what a response can be
    judged by: each window's epoch, the request's number in it, the weight settled before.
    """

    lane: RequestType
    weight: int
    sent_s: float = 0.0
    settled_ms: float = math.inf
    seen: dict[Window, tuple[int, int, int]] = attrs.field(factory=dict)


class Window:
    """The current fixed window of one `WeightLimit`, counted so that it errs upwards.

    A request counts when it is sent. We switch to the next window only `guard` after
    our estimate of the boundary, when the venue has certainly switched; every request
    that was on its way within `guard` of the boundary may have landed on either side and
    counts on both. If the clock itself jumped, all that was sent counts on both.
    Not thread-safe; times are the caller's: venue clock in ms, monotonic in s.
    """

    def __init__(
        self,
        limit: WeightLimit,
        *,
        guard_s: float,
        venue_ms: float,
        monotonic_s: float,
        used: int = 0,
    ) -> None:
        self.limit = limit
        self._guard_ms = guard_s * 1000
        self._length_ms = limit.window_s * 1000
        self._epoch = 0
        self._sent = 0
        self._ours = used
        self._previous = 0
        self._settled = 0
        self._judge = 0
        self._others_least = 0
        self._others_most = 0
        self._tickets: list[Ticket] = []
        self._open(self._index_at(venue_ms), venue_ms, monotonic_s)

    @property
    def used(self) -> int:
        """Weight that counts in this window: ours and, once proven, others'."""
        # Never below ours: a low figure may just precede requests that are on their way.
        proven = self._others_least > 0
        return self._ours + (max(self._others_least, self._others_most) if proven else 0)

    def roll(self, venue_ms: float, monotonic_s: float) -> None:
        """Switch to the window of this moment if it is another one."""
        index = self._index_at(venue_ms)
        if index == self._index:
            return
        # Twice the guard: the estimates before and after a small correction may each be off by it.
        jumped = monotonic_s < self._due_s - 2 * self._guard_ms / 1000
        if jumped or index < self._index:
            self.realign(venue_ms, monotonic_s)
            return
        boundary_ms = index * self._length_ms
        on_the_way = [t for t in self._tickets if t.settled_ms >= boundary_ms - self._guard_ms]
        self._previous = self.used if index == self._index + 1 else 0
        carried = sum(ticket.weight for ticket in on_the_way)
        self._ours = carried
        self._tickets = on_the_way
        self._open(index, venue_ms, monotonic_s)

    def realign(self, venue_ms: float, monotonic_s: float) -> None:
        """Take the window of this moment, keeping all counts: the clock was corrected."""
        # Where the boundary really was is unknown now: all of the last two may be in this one.
        self._ours = self.used + self._previous
        self._previous = 0
        self._open(self._index_at(venue_ms), venue_ms, monotonic_s)

    def fits(self, weight: int, share: float) -> bool:
        """Say whether a request may go now in a lane that may fill `share`."""
        cap = math.floor(self.limit.limit * share)
        # A request that is heavier than its lane's share could never go: it gets the whole limit.
        return self.used + weight <= (cap if weight <= cap else self.limit.limit)

    def left_s(self, venue_ms: float) -> float:
        """Return the seconds until we switch to the next window."""
        return max(0.0, self._end_ms() - venue_ms) / 1000

    def charge(self, ticket: Ticket) -> None:
        """Count a request that is being sent."""
        self._sent += 1
        ticket.seen[self] = (self._epoch, self._sent, self._settled)
        if ticket.weight:
            self._ours += ticket.weight
            self._tickets.append(ticket)

    def refund(self, ticket: Ticket) -> None:
        """Take back a request that was counted but never sent."""
        if ticket in self._tickets:
            self._tickets.remove(ticket)
            self._ours -= ticket.weight

    def settle(self, ticket: Ticket) -> None:
        """Note that the venue answered: it has counted this request."""
        if self._epoch == ticket.seen.get(self, _UNSEEN)[0]:
            self._settled += ticket.weight

    def observe(self, ticket: Ticket, used: int) -> None:
        """Learn from the used weight in the response to `ticket` that others spend too."""
        epoch, number, settled = ticket.seen.get(self, _UNSEEN)
        # Sent in an earlier window: the figure may be of either, and an old one is too high.
        if epoch != self._epoch:
            return
        # The figure holds some of our requests still on their way, nobody knows which. What exceeds
        # them all is others' for certain; it may be all that exceeds what was settled before the
        # request. The tightest such bound is that of the request sent last.
        self._others_least = max(self._others_least, used - self._ours)
        if number >= self._judge:
            self._judge = number
            self._others_most = used - settled - ticket.weight

    def _index_at(self, venue_ms: float) -> int:
        return math.floor((venue_ms - self._guard_ms) / self._length_ms)

    def _end_ms(self) -> float:
        return (self._index + 1) * self._length_ms + self._guard_ms

    def _open(self, index: int, venue_ms: float, monotonic_s: float) -> None:
        self._index = index
        self._due_s = monotonic_s + (self._end_ms() - venue_ms) / 1000
        self._epoch += 1
        self._settled = 0
        self._judge = 0
        self._others_least = 0
        self._others_most = 0


class Pace:
    """A token bucket: `rate` requests per second, `burst` at once after a pause.

    Our own and not aiolimiter's: that one belongs to one event loop and reads the loop's
    clock, while this budget is shared by all loops and threads and reads an injected one.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at_s: float | None = None

    def delay_s(self, monotonic_s: float) -> float:
        """Return the seconds until the next request may go, 0 for now."""
        if self._at_s is not None:
            gained = max(0.0, monotonic_s - self._at_s) * self._rate
            self._tokens = min(self._burst, self._tokens + gained)
        self._at_s = monotonic_s
        missing = 1 - self._tokens
        # Rounding: ten tenths of a second must make a whole token.
        return missing / self._rate if missing > _ROUNDING else 0.0

    def take(self) -> None:
        """Spend one request."""
        self._tokens -= 1

    def give_back(self) -> None:
        """Take back a request that was never sent."""
        self._tokens += 1
