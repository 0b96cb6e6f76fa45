"""Signed requests: whose they are, whether untouched, whether in time (binance-facts 2)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from urllib.parse import parse_qsl

import attrs

from velas.testing.venue import order_refusal, refusal
from velas.testing.venue.account import Account
from velas.testing.venue.refusal import Refused

__all__ = ["Call", "Signed", "Signing"]

_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_WINDOW = re.compile(r"[0-9]{1,20}(\.[0-9]{1,3})?", re.ASCII)
_SIGNATURE = re.compile(r"(^|&)signature=([^&]*)")
_LONGEST_WINDOW_MS = 60_000
_DEFAULT_WINDOW_MS = 5_000
_AHEAD_MS = 1_000
_MICROSECONDS = 100_000_000_000_000
_UNAUTHORIZED = 401


@attrs.frozen
class Call:
    """One request as sent: raw query and body, and the parameters of both.

    A parameter in both is taken from the query.
    """

    method: str
    path: str
    query: str = attrs.field(repr=False)
    body: str = attrs.field(repr=False)
    key: str | None
    params: Mapping[str, str] = attrs.field(repr=False)

    @classmethod
    def read(cls, method: str, path: str, query: str, body: str, key: str | None) -> Call:
        """Return the call of a request line, a form body and a key."""
        params = {**dict(_pairs(body)), **dict(_pairs(query))}
        return cls(method, path, query, body, key, params)

    @property
    def identity(self) -> str:
        """The parameters without what changes with each attempt."""
        changing = ("timestamp", "signature", "recvWindow")
        kept = (f"{name}={value}" for name, value in self.params.items() if name not in changing)
        return "&".join(kept)


@attrs.frozen
class Signed:
    """When a signed request was made, and how old it may get, ms of the client's clock."""

    account: Account
    timestamp_ms: int
    window_ms: Fraction

    def check(self, now_ms: int, *, engine: bool = False) -> None:
        """Refuse a request that is too old or ahead. Raises: Refused -1021, -5028."""
        if self.timestamp_ms >= now_ms + _AHEAD_MS:
            raise order_refusal.ahead_of_time()
        if now_ms - self.timestamp_ms > self.window_ms:
            raise order_refusal.outside_window(engine=engine)


class Signing:
    """Knows the accounts and judges who signed a request.

    Source of the rules: binance-facts 2. A key is malformed when it is missing or has other
    characters than letters, digits, ``-`` and ``_``.
    """

    def __init__(self, accounts: Iterable[Account], *, spot: bool) -> None:
        self._accounts = {account.api_key: account for account in accounts}
        self._spot = spot

    def verify(self, call: Call, now_ms: int) -> Signed:
        """Return who signed and when. Raises: Refused -2014, -2015, -1102, -1131, -1022, -1021."""
        account = self._account(call.key)
        if len(_pairs(call.query)) != len(dict(_pairs(call.query))):
            raise Refused(-1101, "Duplicate values for a parameter detected.")
        signed = Signed(account, self._timestamp(call), self._window(call))
        given = call.params.get("signature", "")
        if not given:
            raise refusal.missing("signature")
        payload = _unsigned(call.query) + _unsigned(call.body)
        right = hmac.new(account.api_secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(given.lower().encode(), right.encode()):
            raise Refused(-1022, "Signature for this request is not valid.")
        signed.check(now_ms)
        return signed

    def _account(self, key: str | None) -> Account:
        if key is None or not _KEY.fullmatch(key):
            raise Refused(-2014, "API-key format invalid.", status=_UNAUTHORIZED)
        account = self._accounts.get(key)
        if account is None:
            text = "Invalid API-key, IP, or permissions for action."
            raise Refused(-2015, text, status=_UNAUTHORIZED)
        return account

    def _timestamp(self, call: Call) -> int:
        text = call.params.get("timestamp", "")
        if not text:
            raise refusal.missing("timestamp")
        if not (text.isascii() and text.isdecimal() and len(text) <= 20):
            raise refusal.illegal("timestamp", "^[0-9]{1,20}$")
        value = int(text)
        # spot takes microseconds too, whatever the header says
        return value // 1000 if self._spot and value >= _MICROSECONDS else value

    def _window(self, call: Call) -> Fraction:
        text = call.params.get("recvWindow")
        if text is None:
            return Fraction(_DEFAULT_WINDOW_MS)
        if not _WINDOW.fullmatch(text) or ("." in text and not self._spot):
            raise refusal.illegal("recvWindow", "^[0-9]{1,20}$")
        window = Fraction(text)
        if window > _LONGEST_WINDOW_MS:
            raise Refused(-1131, "recvWindow must be less than 60000.")
        return window


def _pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


def _unsigned(text: str) -> str:
    return _SIGNATURE.sub("", text)
