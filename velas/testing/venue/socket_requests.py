"""SUBSCRIBE and the other requests a client may send over its socket (binance-facts 3.2)."""

from __future__ import annotations

from collections.abc import Collection

import attrs
import orjson

from velas.testing.venue import frames_out
from velas.testing.venue.streams import MOST_STREAMS

__all__ = ["Reply", "reply_to"]

_LONGEST = 4096  # bytes: longer requests were seen to be ignored without a word
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_BAD_VALUE, _BAD_REQUEST, _BAD_JSON, _TOO_MANY = 1, 2, 3, 4
_LONGEST_ID = 36


@attrs.frozen
class Reply:
    """What a request brings about: a text to send (None: nothing) and changes."""

    text: bytes | None = None
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    combined: bool | None = None
    too_many: bool = False


def reply_to(text: bytes, streams: Collection[str], *, combined: bool) -> Reply:
    """Return the venue's reply to a request of a connection with these streams."""
    if len(text) > _LONGEST:
        return Reply()
    try:
        request = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Reply(frames_out.error(_BAD_JSON, f"Invalid JSON: {error}"))
    if not isinstance(request, dict):
        return _refused("expected an object")
    method, request_id = request.get("method"), request.get("id")
    if not _is_id(request_id):
        return _refused("request ID must be an integer, a short text or null")
    if method not in _METHODS:
        missing = "missing field `method`" if method is None else f"unknown variant `{method}`"
        return _refused(f"{missing}, expected one of {', '.join(_METHODS)}", request_id)
    params = request.get("params", [])
    if method == "LIST_SUBSCRIPTIONS":
        return _done(list(streams), request_id)
    if not isinstance(params, list):
        return _refused("params must be a list", request_id)
    if method in ("SET_PROPERTY", "GET_PROPERTY"):
        return _property(method, params, request_id, combined=combined)
    return _subscription(method, params, request_id, streams)


def _subscription(
    method: str, params: list[object], request_id: object, streams: Collection[str]
) -> Reply:
    names = tuple(dict.fromkeys(name for name in params if isinstance(name, str)))
    if not params or len({str(name) for name in params}) != len(names):
        return _refused("params must be a list of stream names", request_id)
    done = _done(None, request_id)
    if method == "UNSUBSCRIBE":
        return attrs.evolve(done, unsubscribe=names)
    if len({*streams, *names}) > MOST_STREAMS:
        return Reply(frames_out.error(_TOO_MANY, "Too many subscriptions"), too_many=True)
    return attrs.evolve(done, subscribe=names)


def _property(method: str, params: list[object], request_id: object, *, combined: bool) -> Reply:
    if not params or params[0] != "combined":
        return Reply(frames_out.error(0, "Unknown property", request_id))
    if method == "GET_PROPERTY":
        return _done(combined, request_id)
    value = params[1] if len(params) == 2 else None
    if not isinstance(value, bool):
        text = "Invalid value type: expected Boolean"
        return Reply(frames_out.error(_BAD_VALUE, text, request_id))
    return attrs.evolve(_done(None, request_id), combined=value)


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return value.isalnum() and len(value) <= _LONGEST_ID
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _refused(message: str, request_id: object = None) -> Reply:
    return Reply(frames_out.error(_BAD_REQUEST, f"Invalid request: {message}", request_id))


def _done(result: object, request_id: object) -> Reply:
    return Reply(orjson.dumps({"result": result, "id": request_id}))
