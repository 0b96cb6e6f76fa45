"""Frames of Binance that are not data: acks, errors, the notice of a shutdown."""

from __future__ import annotations

import json
from typing import Literal

import attrs

__all__ = ["DATA", "Verdict", "judge"]

DATA = '{"stream":"'  # how a combined event begins; a name that begins with ! is a notice
_NOTICE = "serverShutdown"


@attrs.frozen
class Verdict:
    """What to do about a frame: nothing, skip it as bad, move to a new socket, handle it."""

    kind: Literal["nothing", "bad", "shutdown", "data"]
    reason: str = ""


def judge(frame: str | bytes) -> Verdict:
    """Return what a frame means that does not look like an event of a stream."""
    try:
        message = json.loads(frame)
    except ValueError as error:
        return Verdict("bad", f"no JSON ({error}): {frame[:80]!r}")
    if not isinstance(message, dict):
        return Verdict("bad", f"no object: {frame[:80]!r}")
    if "error" in message:
        return Verdict("bad", f"the venue reports {message['error']!r}")
    data = message.get("data")
    event = data.get("e") if isinstance(data, dict) else message.get("e")
    if event == _NOTICE or message.get("stream") == f"!{_NOTICE}":
        return Verdict("shutdown", "the venue announced its shutdown")
    if isinstance(message.get("stream"), str) and isinstance(data, dict):
        return Verdict("data")
    if "result" in message or "lastUpdateId" in message:  # an ack, or a bare order book
        return Verdict("nothing")
    return Verdict("bad", f"neither an event nor an answer: {frame[:80]!r}")
