"""Sending an answer, whole or broken in the way a fault says."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping

import attrs
import orjson
from aiohttp import web

from velas.testing.venue.faults import Fault, WrongShape

__all__ = ["Answer", "broken", "deliver", "failed_gateway", "faulty_status", "reset_connection"]

_HTML = b"<html><head><title>%d</title></head><body><h1>%d</h1></body></html>"
_JSON = "application/json;charset=UTF-8"
_LARGE = 1 << 20  # bodies above are compressed beside the loop
_ROW_KEEPS = 4  # fields left of a row cut short


@attrs.frozen
class Answer:
    """An HTTP answer before it is sent."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    content_type: str = _JSON


def faulty_status(fault: Fault) -> tuple[int, bytes, str] | None:
    """Return status, body and type of a fault that replaces the answer, else None."""
    status = fault.status
    if fault.kind == "forbidden":
        return status, _HTML % (status, status), "text/html"
    if fault.kind == "restricted":
        text = "Service unavailable from a restricted location."
        return status, orjson.dumps({"code": 0, "msg": text}), _JSON
    if fault.kind == "server_error":
        failed = failed_gateway(status)
        return status, failed.body, failed.content_type
    return None


def failed_gateway(status: int, *, in_words: bool = True) -> Answer:
    """Return what is answered with HTTP 500, 502, 503 or 504 and no further explanation.

    `in_words` False is a page of whatever stands in front of the venue: the venue's own
    words would tell what became of an order.
    """
    if status in (502, 504) or not in_words:
        return Answer(status, _HTML % (status, status), {}, "text/html")
    text = (
        "Service Unavailable."
        if status == 503
        else "Internal error; unable to process your request. Please try again."
    )
    return Answer(status, orjson.dumps({"code": -1001, "msg": text}), {})


def broken(body: bytes, fault: Fault) -> bytes:
    """Return what is left of a good body, for the faults that spoil its content."""
    match fault.kind:
        case "cut_json":
            return body[: len(body) // 2]
        case "empty":
            return b"[]"
        case "wrong":
            return _wrong(body, fault.shape)
        case "duplicated" | "shuffled":
            return _reordered(body, twice=fault.kind == "duplicated")
        case _:
            return body


async def deliver(
    request: web.Request,
    answer: Answer,
    fault: Fault | None,
    closing: asyncio.Event,
    *,
    gzip: bool = False,
) -> web.StreamResponse:
    """Send `answer`, or what `fault` makes of the connection."""
    kind = fault.kind if fault is not None else None
    fate = fault.fate if fault is not None else ""
    if fault is not None and fate == "silence":
        await _wait(closing, fault.silence_s)
        reset_connection(request)
    elif fate == "reset":
        reset_connection(request)
    elif kind in ("reset_midway", "cut_off"):
        return await _half(request, answer, reset=kind == "reset_midway")
    response = web.Response(
        status=answer.status,
        body=answer.body,
        headers={**answer.headers, "Content-Type": answer.content_type},
        zlib_executor_size=_LARGE,
    )
    if gzip and "gzip" in request.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response


def reset_connection(request: web.Request) -> None:
    """Reset the TCP connection (RST) under a request."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # linger for no time: close() then sends RST, not FIN
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _half(request: web.Request, answer: Answer, *, reset: bool) -> web.StreamResponse:
    response = web.StreamResponse(
        status=answer.status, headers={**answer.headers, "Content-Type": answer.content_type}
    )
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if reset:
        # the client must have the first half before the reset throws away the rest
        await asyncio.sleep(0.01)
        reset_connection(request)
    elif request.transport is not None:
        request.transport.close()
    return response


async def _wait(closing: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(closing.wait(), seconds)
    except TimeoutError:
        return


def _wrong(body: bytes, shape: WrongShape) -> bytes:
    match shape:
        case "html":
            return _HTML % (200, 200)
        case "object":
            return b"{}"
        case "scalars":
            return b"[1,2,3]"
        case "error":
            return orjson.dumps({"code": -1000, "msg": "An unknown error occurred."})
        case "short_row":
            return _short_row(body)


def _short_row(body: bytes) -> bytes:
    rows = orjson.loads(body)
    if not isinstance(rows, list) or not rows or not isinstance(rows[-1], list):
        return b"{}"
    return orjson.dumps([*rows[:-1], rows[-1][:_ROW_KEEPS]])


def _reordered(body: bytes, *, twice: bool) -> bytes:
    rows = orjson.loads(body)
    if not isinstance(rows, list):
        return body
    return orjson.dumps(rows + rows[-1:] if twice else rows[::-1])
