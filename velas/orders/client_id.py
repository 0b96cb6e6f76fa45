"""The client order id of an intent: the same one always, in every venue's alphabet."""

from __future__ import annotations

import base64
import hashlib

__all__ = ["client_id_of"]

_PREFIX = "velas-"
_LENGTH = 24  # of base32, so 120 bits: they fit into a UUID with a byte to tell it by


def client_id_of(intent: str) -> str:
    """Return the client order id of an intent key: 30 lower-case letters, digits and ``-``.

    A pure function of the key, so that an order can be found again although everything
    else is lost. Binance allows 36 characters of ``[a-zA-Z0-9-_]`` on both markets.

    >>> client_id_of("rebalance 2026-01-05 BTC")
    'velas-znpieekgrdsxp4zln7tchsld'
    """
    digest = hashlib.sha256(intent.encode()).digest()
    return _PREFIX + base64.b32encode(digest).decode().lower()[:_LENGTH]
