"""Why the venue refuses a request: HTTP status, its own code, its words.

The texts are the venue's, because clients match on them (binance-facts 1.3, 2, 6).
"""

from __future__ import annotations

import orjson

__all__ = [
    "Refused",
    "bad_combination",
    "illegal",
    "invalid",
    "invalid_interval",
    "invalid_symbol",
    "inverted_range",
    "missing",
    "no_such_path",
    "too_old",
    "wrong_depth",
]


class Refused(Exception):
    """The venue's answer to a request it does not like: HTTP `status`, `code`, `message`.

    `retry_after_s` becomes a Retry-After header.
    """

    def __init__(
        self, code: int, message: str, *, status: int = 400, retry_after_s: int | None = None
    ) -> None:
        super().__init__(f"HTTP {status}, {code}: {message}")
        self.retry_after_s = retry_after_s
        self.status = status
        self.code = code
        self.message = message

    @property
    def body(self) -> bytes:
        """The JSON error object."""
        return orjson.dumps({"code": self.code, "msg": self.message})


def missing(name: str) -> Refused:
    """Return the refusal of a request without a mandatory parameter."""
    return Refused(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def illegal(name: str, legal: str) -> Refused:
    """Return the refusal of a value with characters outside the `legal` pattern."""
    return Refused(
        -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    )


def invalid(name: str) -> Refused:
    """Return the refusal of a value out of range."""
    return Refused(-1130, f"Data sent for parameter '{name}' is not valid.")


def bad_combination() -> Refused:
    """Return the refusal of parameters that exclude one another."""
    return Refused(-1128, "Combination of optional parameters invalid.")


def invalid_symbol() -> Refused:
    """Return the refusal of a symbol that is not listed."""
    return Refused(-1121, "Invalid symbol.")


def invalid_interval() -> Refused:
    """Return the refusal of an interval the market does not have."""
    return Refused(-1120, "Invalid interval.")


def inverted_range() -> Refused:
    """Return the refusal, on futures, of a start after the end."""
    return Refused(-1023, "Start time is greater than end time.")


def too_old() -> Refused:
    """Return the refusal, on futures, of aggregate trades before the look-back window."""
    return Refused(-4166, "Search window is restricted to recent 48 hours.")


def wrong_depth(limit: int) -> Refused:
    """Return the refusal, on futures, of a book size that is not on the list."""
    return Refused(-4021, f"{limit} is not valid depth limit")


def no_such_path(path: str, method: str) -> Refused:
    """Return the refusal of a path the stand-in does not serve."""
    return Refused(-5000, f"Path {path}, Method {method} is invalid", status=404)
