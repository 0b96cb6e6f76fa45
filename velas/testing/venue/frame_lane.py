"""The frames of one connection on their way out, and the faults that meet them there."""

from __future__ import annotations

from collections import deque

import orjson

from velas.testing.venue.frames_out import Frame
from velas.testing.venue.socket_faults import SocketFault, WrongFrame

__all__ = ["FrameLane"]

_MOST_HELD = 100_000  # frames of a connection that is held back


class FrameLane:
    """Loses, repeats, reorders, holds back and breaks frames as it was told."""

    def __init__(self, *, combined: bool) -> None:
        self.combined = combined
        self.held_until_ms = 0
        self._mutes: list[SocketFault] = []
        self._losing: list[list[SocketFault | int]] = []
        self._repeating: SocketFault | None = None
        self._to_repeat = 0
        self._repeats: list[tuple[int, bytes]] = []
        self._shuffled: list[bytes] = []
        self._to_shuffle = 0
        self._breaking: list[WrongFrame] = []
        self._held: deque[bytes] = deque(maxlen=_MOST_HELD)
        self._passed = 0

    def spoil(self, fault: SocketFault, now_ms: int) -> None:
        """Let a fault meet the next frames."""
        match fault.kind:
            case "mute" | "mute_later":
                self._mutes.append(fault)
            case "lose":
                self._losing.append([fault, fault.count])
            case "duplicate":
                self._repeating, self._to_repeat = fault, fault.count
            case "reorder":
                self._to_shuffle = max(self._to_shuffle, fault.count)
            case "delay":
                self.held_until_ms = max(self.held_until_ms, now_ms + round(fault.seconds * 1000))
            case "wrong_json":
                self._breaking.append(fault.shape)
            case _:
                raise AssertionError(f"{fault.kind} is no fault of frames")

    def is_mute(self, stream: str) -> bool:
        """Return whether a stream's frames are swallowed."""
        return any(fault.names(stream) for fault in self._mutes)

    def put(self, frame: Frame, now_ms: int) -> list[bytes]:
        """Take a frame and return what goes out now."""
        if self._lost(frame.stream):
            return []
        self._passed += 1
        out = self._in_order(self._broken(frame.text(combined=self.combined)))
        out += self._repeated(out)
        if now_ms < self.held_until_ms:
            self._held.extend(out)
            return []
        return [*self.release(), *out]

    def release(self) -> list[bytes]:
        """Return what was held back, once its time is over."""
        held = list(self._held)
        self._held.clear()
        return held

    def _lost(self, stream: str) -> bool:
        for losing in self._losing:
            fault, left = losing
            if isinstance(fault, SocketFault) and isinstance(left, int) and fault.names(stream):
                losing[1] = left - 1
                if left == 1:
                    self._losing.remove(losing)
                return True
        return False

    def _broken(self, text: bytes) -> bytes:
        return _wrong(text, self._breaking.pop(0)) if self._breaking else text

    def _in_order(self, text: bytes) -> list[bytes]:
        if not self._to_shuffle:
            return [text]
        self._shuffled.append(text)
        if len(self._shuffled) < self._to_shuffle:
            return []
        out, self._shuffled, self._to_shuffle = self._shuffled[::-1], [], 0
        return out

    def _repeated(self, out: list[bytes]) -> list[bytes]:
        fault = self._repeating
        for text in out if fault is not None else ():
            if fault is not None and self._to_repeat > 0:
                self._to_repeat -= 1
                self._repeats.append((self._passed + fault.later, text))
        due = [text for at, text in self._repeats if at <= self._passed]
        if due:
            self._repeats = [one for one in self._repeats if one[0] > self._passed]
        return due


def _wrong(text: bytes, shape: WrongFrame) -> bytes:
    match shape:
        case "cut":
            return text[: len(text) // 2]
        case "garbage":
            return b"\xef\xbf\xbd <oops>"
        case "list":
            return b"[1,2,3]"
        case "no_data":
            return b'{"stream":null,"data":null}'
        case "no_fields":
            return orjson.dumps(_short(orjson.loads(text)))
        case "text_price":
            return orjson.dumps(_worded(orjson.loads(text)))


def _short(document: object) -> object:
    # the innermost object that holds the event's fields loses the second half of them
    if not isinstance(document, dict):
        return document
    for key in ("data", "k"):
        if isinstance(document.get(key), dict):
            return {**document, key: _short(document[key])}
    fields = list(document.items())
    return dict(fields[: len(fields) // 2])


def _worded(document: object) -> object:
    if isinstance(document, dict):
        return {
            key: value if key in ("stream", "e", "s", "i") else _worded(value)
            for key, value in document.items()
        }
    return document if isinstance(document, bool) else "many"
