"""A bounded queue for one consumer, in which only the newest of some events waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from typing import Generic, TypeVar

__all__ = ["Mailbox"]

T = TypeVar("T")
_Cell = list[object]  # [the event, its key, whether it is a note]; event None: gone, skip
_GONE = 64  # cells without an event that may lie in the queue in any case


class Mailbox(Generic[T]):
    """Events on their way to one consumer of the same event loop.

    What is put with a `key` waits at most once per key: a newer one takes its place in
    the queue. What is put without is kept; `size` of those are its room. The mailbox
    itself refuses nothing: whoever puts asks for `room` first, or drops. Notes take no
    room: so many of each key wait, the newest.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.conflated = 0  # how many were replaced by a newer one of their key
        self._queue: deque[T | _Cell] = deque()
        self._cells: dict[Hashable, _Cell] = {}
        self.kept = 0  # how many wait that were put without a key
        self._notes: dict[Hashable, deque[_Cell]] = {}
        self._noted = 0
        self._gone = 0
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._error: BaseException | None = None

    def __len__(self) -> int:
        return self.kept + len(self._cells) + self._noted

    @property
    def room(self) -> int:
        """How many more events without a key fit."""
        return self.size - self.kept

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        return self._closed

    def put(self, event: T, *, overtakes: Hashable = None) -> None:
        """Queue an event that must be kept; what waits under key `overtakes` is dropped."""
        if overtakes is not None:
            cell = self._cells.pop(overtakes, None)
            if cell is not None:
                cell[0] = None
                self._gone += 1
        self.kept += 1
        self._queue.append(event)
        if self._waiter is not None:
            self._wake()

    def put_latest(self, event: T, key: Hashable) -> None:
        """Queue an event of which only the newest of its key matters."""
        cell = self._cells.get(key)
        if cell is not None:
            cell[0] = event
            self.conflated += 1
            return
        cell = [event, key, False]
        self._cells[key] = cell
        self._queue.append(cell)
        if self._waiter is not None:
            self._wake()

    def put_note(self, event: T, key: Hashable, most: int) -> bool:
        """Queue an event that takes no room; the newest `most` of its key wait.

        Returns whether an older one of the key is gone for it.
        """
        notes = self._notes.get(key)
        if notes is None:
            notes = self._notes[key] = deque()
        crowded = len(notes) >= most
        if crowded:
            notes.popleft()[0] = None
            self._noted -= 1
            self._gone += 1
            self._sweep()
        cell: _Cell = [event, key, True]
        notes.append(cell)
        self._noted += 1
        self._queue.append(cell)
        if self._waiter is not None:
            self._wake()
        return crowded

    def close(self, error: BaseException | None = None) -> None:
        """End the iteration once everything queued is consumed, with `error` if given."""
        self._closed = True
        self._error = self._error or error
        self._wake()

    async def drain(self) -> AsyncIterator[T]:
        """Iterate over the events; ends, or raises, when the mailbox is closed and empty."""
        queue, cells = self._queue, self._cells
        while True:
            while queue:
                entry = queue.popleft()
                if not isinstance(entry, list):
                    self.kept -= 1
                    yield entry
                    continue
                event, key, is_note = entry
                if event is None:
                    self._gone -= 1
                    continue
                if is_note:
                    self._note_taken(key)
                else:
                    del cells[key]
                yield event  # type: ignore[misc]
            if self._closed:
                if self._error is not None:
                    raise self._error
                return
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _note_taken(self, key: Hashable) -> None:
        notes = self._notes[key]
        notes.popleft()
        self._noted -= 1
        if not notes:
            del self._notes[key]

    def _sweep(self) -> None:
        # a consumer that takes nothing must not make the queue grow by what is gone
        if self._gone > _GONE + len(self):
            there = [one for one in self._queue if not isinstance(one, list) or one[0] is not None]
            self._queue.clear()
            self._queue.extend(there)
            self._gone = 0

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
