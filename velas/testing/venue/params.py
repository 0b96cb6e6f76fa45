"""Reading query parameters the way the venue does, with its refusals."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from velas.testing.venue import refusal

__all__ = ["limit", "number", "required", "symbol_list", "time_ms"]

Params = Mapping[str, str]

_MICROSECONDS = 100_000_000_000_000  # 1e14: a time in us, which spot also takes
_DIGITS = "^[0-9]{1,20}$"


def required(params: Params, name: str) -> str:
    """Return a mandatory parameter. Raises: Refused -1102."""
    value = params.get(name, "")
    if not value:
        raise refusal.missing(name)
    return value


def number(params: Params, name: str) -> int | None:
    """Return a whole number, None when absent. Raises: Refused -1100, -1102."""
    text = params.get(name)
    if text is None:
        return None
    if not text:
        raise refusal.missing(name)
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise refusal.illegal(name, _DIGITS)
    return int(text)


def time_ms(params: Params, name: str) -> int | None:
    """Return a time in ms, also when it was sent in us; None when absent."""
    value = number(params, name)
    if value is not None and value >= _MICROSECONDS:
        return value // 1000
    return value


def limit(params: Params, *, default: int, most: int, clamp: bool) -> int:
    """Return the page size; above `most` it is cut or refused. Raises: Refused -1130."""
    value = number(params, "limit")
    if value is None:
        return default
    if value == 0 or (value > most and not clamp):
        raise refusal.invalid("limit")
    return min(value, most)


def symbol_list(params: Params, name: str) -> list[str] | None:
    """Return a JSON list of texts, None when absent. Raises: Refused -1100."""
    text = params.get(name)
    if not text:
        return None
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        values = [text]  # permissions may also come as a bare word
    if isinstance(values, list) and values and all(isinstance(value, str) for value in values):
        return values
    raise refusal.illegal(name, '^\\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\\]$')
