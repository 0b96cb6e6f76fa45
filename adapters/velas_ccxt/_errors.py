"""From ccxt's errors and a venue's reply to the errors of velas: one table."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import attrs

from velas import errors

__all__ = ["TABLE", "Leaving", "Reply", "clean", "translate"]

ErrorType = type[errors.VelasError]
Leaving = Callable[[str, str, object], Awaitable[None]]


@attrs.define
class Reply:
    """What came back for one call: the last HTTP reply, `status` 0 if there was none.

    `raw` asks to leave the body of a 200 as text, else `document` is its JSON. `judged`
    is the error that ccxt read in the body, as told from one of the status alone or of
    reading on. `leaving(method, url, body)` is awaited right before each request leaves;
    what it raises is raised as it is, and that request is not sent.
    """

    raw: bool = False
    leaving: Leaving | None = attrs.field(default=None, repr=False)
    stopped: Exception | None = attrs.field(default=None, repr=False)
    status: int = 0
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: str = attrs.field(default="", repr=False)
    document: Any = attrs.field(default=None, repr=False)
    judged: Exception | None = attrs.field(default=None, repr=False)

    async def send(self, method: str, url: str, body: object) -> None:
        """Forget what came back for an earlier request of the call; another leaves now."""
        self.status, self.headers, self.body = 0, {}, ""
        self.document = self.judged = None
        if self.leaving is not None:
            try:
                await self.leaving(method, url, body)
            except Exception as error:
                self.stopped = error
                raise

    def code_and_text(self) -> tuple[int | None, str]:
        """Return Binance's error code and message, (None, body) where it has none."""
        document = self.document
        if not isinstance(document, dict):
            return None, self.body
        code, text = document.get("code"), document.get("msg")
        if isinstance(code, str) and re.fullmatch(r"-?\d{1,6}", code):
            code = int(code)
        if not isinstance(code, int) or isinstance(code, bool):
            return None, self.body
        return code, text if isinstance(text, str) else self.body


# by the class's name, so that neither an older nor a newer ccxt breaks the import
TABLE: Mapping[str, ErrorType] = {
    "BaseError": errors.ExchangeError,
    "ExchangeError": errors.ExchangeError,
    "AuthenticationError": errors.AuthError,
    "PermissionDenied": errors.AuthError,
    "AccountNotEnabled": errors.AuthError,
    "AccountSuspended": errors.AuthError,
    "ArgumentsRequired": errors.BadRequest,
    "BadRequest": errors.BadRequest,
    "BadSymbol": errors.UnknownSymbol,
    "OperationRejected": errors.BadRequest,
    "NoChange": errors.BadRequest,
    "MarginModeAlreadySet": errors.BadRequest,
    "MarketClosed": errors.OrderRejected,
    "ManualInteractionNeeded": errors.AuthError,
    "RestrictedLocation": errors.RestrictedLocation,
    "InsufficientFunds": errors.OrderRejected,
    "InvalidAddress": errors.BadRequest,
    "AddressPending": errors.BadRequest,
    "InvalidOrder": errors.OrderRejected,
    "OrderNotFound": errors.OrderNotFound,
    "OrderNotCached": errors.BadRequest,
    "OrderImmediatelyFillable": errors.OrderRejected,
    "OrderNotFillable": errors.OrderRejected,
    "DuplicateOrderId": errors.DuplicateOrder,
    "ContractUnavailable": errors.OrderRejected,
    "NotSupported": errors.Unsupported,
    "InvalidProxySettings": errors.ConfigError,
    "ExchangeClosedByUser": errors.ExchangeError,
    "OperationFailed": errors.Unavailable,
    "NetworkError": errors.Unavailable,
    "DDoSProtection": errors.RateLimited,
    "RateLimitExceeded": errors.RateLimited,
    "ExchangeNotAvailable": errors.Unavailable,
    "OnMaintenance": errors.Unavailable,
    "InvalidNonce": errors.TimestampRefused,
    "ChecksumError": errors.BadResponse,
    "RequestTimeout": errors.RequestTimeout,
    "BadResponse": errors.BadResponse,
    "NullResponse": errors.BadResponse,
    "CancelPending": errors.BadRequest,
    "UnsubscribeError": errors.ExchangeError,
}

# HTTP statuses that mean the same at every venue and weigh more than ccxt's class
_STATUS: Mapping[int, ErrorType] = {
    401: errors.AuthError,
    403: errors.Forbidden,
    408: errors.RequestTimeout,
    418: errors.Banned,
    429: errors.RateLimited,
    451: errors.RestrictedLocation,
}
# Binance's codes, where ccxt has none, another for each host, or too coarse a one
_CODE: Mapping[int, ErrorType] = {
    -1000: errors.Unavailable,
    -1001: errors.Unavailable,
    -1003: errors.RateLimited,
    -1006: errors.Unavailable,
    -1007: errors.RequestTimeout,
    -1008: errors.Unavailable,
    -1013: errors.OrderRejected,
    -1015: errors.RateLimited,
    -1021: errors.TimestampRefused,
    -1022: errors.AuthError,
    -1121: errors.UnknownSymbol,
    -2010: errors.OrderRejected,
    -2011: errors.OrderNotFound,
    -2013: errors.OrderNotFound,
    -2014: errors.AuthError,
    -2015: errors.AuthError,
    -2026: errors.OrderNotFound,  # archived: unfilled and older than 90 days
    -4116: errors.DuplicateOrder,
    -4166: errors.TooOld,  # USDT-M aggTrades: older than 48 hours
    -5028: errors.TimestampRefused,  # USDT-M: too late at the matching engine
}
_TOLD_BY_STATUS = (errors.Unavailable, errors.RequestTimeout, errors.BadResponse)
_BANNED_UNTIL = re.compile(r"banned until (\d{13})")
_SECRET = re.compile(r"(?i)((?:signature|api-?_?key|secret|token)[\"']?\s*[=:]\s*)\S+")
_QUERY = re.compile(r"(\w+://[^\s?]+)\?\S*")
_SHOWN = 200


def translate(error: Exception, reply: Reply, *, venue: str, now_ms: int) -> errors.VelasError:
    """Return the velas error for what ccxt raised over `reply`.

    The HTTP status decides first, then the venue's code, then ccxt's class. Its text has
    no query string, so neither a key nor a signature.
    """
    code, text = reply.code_and_text()
    if reply.status < 400 and reply.document is None:
        code, text = None, _cause(error)
    status = f"HTTP {reply.status} " if reply.status else ""
    message = f"{venue}: {status}{'' if code is None else f'{code} '}{clean(text)}".rstrip()
    kind = _kind(error, reply.status, code)
    banned = _BANNED_UNTIL.search(reply.body)
    if kind is errors.Banned or (kind is errors.RateLimited and banned):
        return _banned(message, reply, banned, now_ms)
    if kind is errors.RateLimited:
        return errors.RateLimited(message, retry_after_s=_retry_after_s(reply, now_ms))
    return kind(message)


def _kind(error: Exception, status: int, code: int | None) -> ErrorType:
    if status in _STATUS:
        return _STATUS[status]
    if code is not None and code in _CODE:
        return _CODE[code]
    if status >= 500:
        return errors.RequestTimeout if status == 504 else errors.Unavailable
    if isinstance(error.__cause__, aiohttp.ClientError):
        return errors.Unavailable  # a body cut short: ccxt has no name for that
    names = [one.__name__ for one in type(error).__mro__]
    kind = next((TABLE[name] for name in names if name in TABLE), errors.ExchangeError)
    if 400 <= status < 500 and (kind is errors.ExchangeError or issubclass(kind, _TOLD_BY_STATUS)):
        return errors.BadRequest  # the venue answered, and will say the same again
    return kind


def _banned(message: str, reply: Reply, until: re.Match[str] | None, now_ms: int) -> errors.Banned:
    wait_s = _retry_after_s(reply, now_ms)
    # the message's time is the venue's clock, the header's end ours: the limiter, which knows
    # both clocks, takes the later
    ends = int(until[1]) if until else None if wait_s is None else now_ms + int(wait_s * 1000)
    return errors.Banned(message, until_ms=ends, retry_after_s=wait_s)


def _retry_after_s(reply: Reply, now_ms: int) -> float | None:
    value = next((v for k, v in reply.headers.items() if k.lower() == "retry-after"), "").strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now_ms / 1000)
    except ValueError:
        return None


def _cause(error: BaseException) -> str:
    cause = error.__cause__
    if cause is None:
        return str(error)
    return f"{type(cause).__name__} {cause}"


def clean(text: str) -> str:
    """Return a text on one line, short, without query strings, keys and signatures."""
    shown = _SECRET.sub(r"\1***", _QUERY.sub(r"\1", " ".join(text.split())))
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
