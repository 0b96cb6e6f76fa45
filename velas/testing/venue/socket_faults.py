"""What can go wrong with a WebSocket connection, one thing at a time."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal

import attrs

from velas.errors import ConfigError

__all__ = ["REFUSALS", "WRONG_FRAMES", "SocketFault", "SocketFaultKind", "WrongFrame"]

SocketFaultKind = Literal[
    "drop",
    "close",
    "half_open",
    "mute",
    "mute_later",
    "duplicate",
    "reorder",
    "delay",
    "lose",
    "wrong_json",
    "server_shutdown",
    "error_frame",
    "refuse",
    "withhold_close",
    "revise",
]
WrongFrame = Literal["cut", "garbage", "list", "no_data", "no_fields", "text_price"]
WRONG_FRAMES: tuple[WrongFrame, ...] = (
    "cut",
    "garbage",
    "list",
    "no_data",
    "no_fields",
    "text_price",
)
REFUSALS = (0, 429, 503)  # 0: the TCP connection is reset


@attrs.frozen
class SocketFault:
    """One thing that goes wrong with a connection. Made by the functions of this class.

    `after` is how many data frames the connection delivers first (struck: from then on),
    `seconds` a duration on the venue's clock. `streams` are names or patterns such as
    ``*@kline_1m``.
    """

    kind: SocketFaultKind
    after: int = 0
    seconds: float = 0.0
    code: int = 0
    reason: str = ""
    streams: tuple[str, ...] = ()
    nth: int | None = None
    count: int = 1
    shape: WrongFrame = "cut"
    later: int = 0

    def __attrs_post_init__(self) -> None:
        for name in ("after", "seconds", "later"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{self.kind}: {name} {getattr(self, name)!r} must not be < 0")
        if self.count < 1 or (self.nth is not None and self.nth < 1):
            raise ConfigError(f"{self.kind}: count {self.count!r}, nth {self.nth!r} begin at 1")

    @classmethod
    def drop(cls, *, after: int = 0) -> SocketFault:
        """Reset the connection (RST)."""
        return cls("drop", after)

    @classmethod
    def close(cls, code: int = 1001, reason: str = "", *, after: int = 0) -> SocketFault:
        """Close the connection cleanly, with a code and a reason."""
        return cls("close", after, code=code, reason=reason)

    @classmethod
    def half_open(cls, *, after: int = 0) -> SocketFault:
        """Keep TCP open, but send and read nothing any more; pings stay unanswered."""
        return cls("half_open", after)

    @classmethod
    def mute(cls, streams: Sequence[str] = ()) -> SocketFault:
        """Answer pings and requests but send no data, of all streams or of some."""
        return cls("mute", streams=_names(streams))

    @classmethod
    def mute_later(cls, streams: Sequence[str] = (), *, after: int = 0) -> SocketFault:
        """Fall mute, as `mute`, after some frames."""
        return cls("mute_later", after, streams=_names(streams))

    @classmethod
    def duplicate(cls, count: int = 1, *, later: int = 0, after: int = 0) -> SocketFault:
        """Send the next `count` frames twice, the second time `later` frames later."""
        return cls("duplicate", after, count=count, later=later)

    @classmethod
    def reorder(cls, window: int = 3, *, after: int = 0) -> SocketFault:
        """Send the next `window` frames in reverse order."""
        return cls("reorder", after, count=window)

    @classmethod
    def delay(cls, seconds: float, *, after: int = 0) -> SocketFault:
        """Hold all frames back for `seconds`, then send them in order."""
        return cls("delay", after, seconds)

    @classmethod
    def lose(cls, count: int = 1, *, streams: Sequence[str] = (), after: int = 0) -> SocketFault:
        """Lose the next `count` frames, of all streams or of some."""
        return cls("lose", after, count=count, streams=_names(streams))

    @classmethod
    def wrong_json(cls, shape: WrongFrame = "cut", *, after: int = 0) -> SocketFault:
        """Send the next frame broken: it is lost.

        `cut`: half of it; `garbage`: no JSON at all; `list`: ``[1,2,3]``; `no_data`: an
        object without what it should hold; `no_fields`: the event lacks its last fields;
        `text_price`: numbers are words.
        """
        if shape not in WRONG_FRAMES:
            raise ConfigError(f"shape {shape!r}: choose one of {', '.join(WRONG_FRAMES)}")
        return cls("wrong_json", after, shape=shape)

    @classmethod
    def server_shutdown(cls, seconds: float = 5.0, *, after: int = 0) -> SocketFault:
        """Send the venue's ``serverShutdown`` notice, cut the connection `seconds` later."""
        return cls("server_shutdown", after, seconds)

    @classmethod
    def error_frame(
        cls, code: int = 2, reason: str = "Invalid request", *, after: int = 0
    ) -> SocketFault:
        """Send ``{"error": {"code": ..., "msg": ...}}`` out of the blue."""
        return cls("error_frame", after, code=code, reason=reason)

    @classmethod
    def refuse(cls, seconds: float = 0.0, status: int = 0) -> SocketFault:
        """Refuse this new connection and all others for `seconds`.

        `status` is 429 or 503; 0 resets the TCP connection.
        """
        if status not in REFUSALS:
            raise ConfigError(f"status {status!r}: choose one of {REFUSALS}")
        return cls("refuse", seconds=seconds, code=status)

    @classmethod
    def withhold_close(
        cls, stream: str = "*", *, nth: int | None = None, count: int = 1
    ) -> SocketFault:
        """Never send the `nth` and the `count` - 1 following closed candles as ``x: true``.

        Counted for each kline stream that fits, from its first closed candle on; the next
        one if `nth` is None.
        """
        return cls("withhold_close", streams=(stream,), nth=nth, count=count)

    @classmethod
    def revise(cls, stream: str = "*", *, nth: int | None = None, count: int = 1) -> SocketFault:
        """Let closed candles, chosen as for `withhold_close`, differ from REST's truth."""
        return cls("revise", streams=(stream,), nth=nth, count=count)

    def names(self, stream: str) -> bool:
        """Return whether it is about a stream; without names it is about all."""
        return not self.streams or any(fnmatchcase(stream, one) for one in self.streams)


def _names(streams: Sequence[str]) -> tuple[str, ...]:
    return (streams,) if isinstance(streams, str) else tuple(streams)
