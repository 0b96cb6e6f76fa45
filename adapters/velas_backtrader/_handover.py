"""What the thread of the stream and that of cerebro have in common."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from typing import Literal, TypeVar

from velas_backtrader._align import Alignment, Bar, Key

__all__ = ["Handover", "State"]

State = Literal["connected", "delayed", "disconnected"]
T = TypeVar("T")


class Handover:
    """Candles on their way from a stream to cerebro, in moments; for two threads.

    The stream's side puts and ends, cerebro's side takes and stops. There is no limit to
    what may wait: closed candles come as slowly as time passes, or are history.
    """

    def __init__(self, alignment: Alignment, *, lockstep: bool) -> None:
        self._alignment = alignment
        self._lockstep = lockstep
        self._change = threading.Condition()
        self._states: defaultdict[Key, deque[State]] = defaultdict(deque)
        self._error: BaseException | None = None
        self._ended = False
        self._stopped = False
        self._cancel: Callable[[], None] | None = None

    # -- the stream's side -------------------------------------------------------------------

    def open(self, cancel: Callable[[], None]) -> bool:
        """Say how to interrupt the stream; return whether it is wanted at all."""
        with self._change:
            self._cancel = cancel
            return not self._stopped

    def update(self, change: Callable[[Alignment], T]) -> T:
        """Change the alignment; in lockstep, wait until what is due now was taken."""
        with self._change:
            result = change(self._alignment)
            self._change.notify_all()
            while self._lockstep and self._alignment.due and not self._stopped:
                self._change.wait()
        return result

    def tell(self, key: Key, state: State) -> None:
        """Let a series know how its connection is."""
        with self._change:
            self._states[key].append(state)

    def connected(self, keys: Collection[Key]) -> None:
        """Let series know that a socket for them is open; none named, all."""
        with self._change:
            for key, _, _ in self._alignment.reached():
                if not keys or key in keys:
                    self._states[key].append("connected")

    def end(self, error: BaseException | None = None) -> None:
        """Note that nothing more will come; an `error` reaches whoever takes."""
        with self._change:
            self._ended, self._error = True, error
            self._alignment.force(math.inf)
            self._cancel = None
            self._change.notify_all()

    # -- cerebro's side ----------------------------------------------------------------------

    def take(self, wait_s: float) -> Sequence[Bar]:
        """Return the candles of the next moment; none, if none is due within `wait_s`.

        Raises:
            Whatever the stream has failed with, once all is taken.
        """
        until_s = time.monotonic() + wait_s
        with self._change:
            while not (self._alignment.due or self._ended or self._stopped):
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    return ()
                self._change.wait(left_s)
            if self._stopped:
                return ()
            if self._alignment.due:
                moment = self._alignment.take()
                self._change.notify_all()
                return moment
            error, self._error = self._error, None
        if error is not None:
            raise error
        return ()

    def states(self, key: Key) -> Sequence[State]:
        """Return, once, how the connection of a series has been since."""
        with self._change:
            states = self._states.pop(key, ())
        return list(states)

    def waiting(self, key: Key) -> int:
        """Return how many candles of a series wait."""
        with self._change:
            return self._alignment.waiting(key)

    @property
    def due(self) -> bool:
        """Whether there are candles to take."""
        with self._change:
            return self._alignment.due

    @property
    def over(self) -> bool:
        """Whether there is nothing to take any more, and nothing will come."""
        with self._change:
            return self._stopped or (self._ended and not self._alignment.due)

    @property
    def stopped(self) -> bool:
        """Whether cerebro's side has had enough."""
        with self._change:
            return self._stopped

    def stop(self) -> None:
        """Interrupt the stream; nothing is taken any more."""
        with self._change:
            self._stopped = True
            if self._cancel is not None:
                self._cancel()
                self._cancel = None
            self._change.notify_all()
