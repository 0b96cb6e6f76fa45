"""What the venue remembers of connections: each one, and how many in five minutes."""

from __future__ import annotations

from collections import deque
from typing import Literal

import attrs

__all__ = ["Ending", "SocketRecord", "Window"]

Ending = Literal[
    "client",
    "drop",
    "close",
    "server_shutdown",
    "life",
    "no_pong",
    "too_many_messages",
    "too_many_streams",
    "slow",
    "offline",
    "venue",
]


@attrs.frozen
class SocketRecord:
    """One attempt to connect as the venue saw it; times by the venue's clock, ms.

    `streams` is how many it asked for last. `refused` is the HTTP status of a refusal, 0
    for a reset, None if the connection was accepted. `ended` is who or what ended it, None
    while it is open; `frames` is how many data frames it was sent.
    """

    time_ms: int
    path: str
    streams: int = 0
    refused: int | None = None
    ended: Ending | None = None
    ended_ms: int | None = None
    frames: int = 0


class Window:
    """Counts moments within the last `length_ms`; `most` is the highest count ever."""

    def __init__(self, length_ms: int) -> None:
        self._length_ms = length_ms
        self._moments: deque[int] = deque()
        self.most = 0

    def add(self, now_ms: int) -> int:
        """Count one more and return how many are in the window now."""
        self._moments.append(now_ms)
        while self._moments[0] <= now_ms - self._length_ms:
            self._moments.popleft()
        self.most = max(self.most, len(self._moments))
        return len(self._moments)
