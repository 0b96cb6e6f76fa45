"""What may enter a recording: public questions and their answers, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson

from velas.errors import ConfigError

__all__ = ["HOST", "check_public", "clean_response", "clean_uri", "trimmed"]

HOST = "recorded.invalid"  # RFC 6761: no such host can ever exist

# by venue: Binance Spot, Binance USDT-M, Kraken, Bybit
_PUBLIC = (
    r"/api/v3/(ping|time|exchangeInfo|klines|aggTrades|trades|depth|avgPrice|ticker/\w+)",
    r"/fapi/v[12]/(ping|time|exchangeInfo|klines|aggTrades|trades|depth|premiumIndex|ticker/\w+)",
    r"/0/public/\w+",
    r"/v5/market/[\w-]+",
)
_HEADERS = re.compile(r"content-type|retry-after|x-mbx-used-weight(-\w+)?", re.IGNORECASE)
# of a signed request; and two that only say when it was sent, so it could never match again
_SIGNED = re.compile(r"sign|api-?_?key|listen_?key|token|secret|passphrase|nonce", re.IGNORECASE)
_MOMENTARY = ("timestamp", "recvwindow")
_SIGNED_HEADERS = re.compile(
    r"sign|key|token|secret|passphrase|authorization|cookie", re.IGNORECASE
)


def check_public(
    method: str, url: str, headers: Mapping[str, str], *, body: object, allowed: Collection[str]
) -> None:
    """Refuse a request whose answer might be about an account; before it is sent.

    `allowed` are paths beyond those known to be public.

    Raises:
        ConfigError: which rule it breaks; names neither a value nor a key.
    """
    parts = urlsplit(url)
    where = f"{method} {parts.path}"
    if method != "GET" or body:
        raise ConfigError(f"{where} is not recorded: only GET without a body is")
    if parts.path not in allowed and not any(re.fullmatch(known, parts.path) for known in _PUBLIC):
        raise ConfigError(
            f"{where} is not recorded: not known to be public (--public {parts.path} says it is)"
        )
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    signed = [name for name in names if _SIGNED.search(name)]
    signed += [name for name in headers if _SIGNED_HEADERS.search(name)]
    if signed:
        raise ConfigError(f"{where} is not recorded: it is signed ({', '.join(sorted(signed))})")


def clean_uri(uri: str) -> str:
    """Return an address with the neutral host, its parameters sorted."""
    parts = urlsplit(uri)
    query = sorted(
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name.lower() not in _MOMENTARY
    )
    return f"https://{HOST}{parts.path}" + (f"?{urlencode(query)}" if query else "")


def clean_response(response: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return status, body and the allowed headers of an answer; None if it is no 200."""
    if response["status"]["code"] != 200:
        return None
    headers = {
        name.lower(): value
        for name, value in response["headers"].items()
        if _HEADERS.fullmatch(name)
    }
    return {"status": response["status"], "headers": headers, "body": response["body"]}


def trimmed(body: bytes, ids: Collection[str]) -> bytes:
    """Return an exchangeInfo document of these markets only; any other body as it is."""
    if b'"symbols"' not in body:
        return body
    document = orjson.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("symbols"), list):
        return body
    kept = [row for row in document["symbols"] if row.get("symbol") in ids]
    return orjson.dumps({**document, "symbols": kept})
