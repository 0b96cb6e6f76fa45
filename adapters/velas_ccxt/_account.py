"""What tells one account from another in the journal, and nothing of its key."""

from __future__ import annotations

import hashlib

from velas.credentials import Credentials

__all__ = ["account_mark"]


def account_mark(credentials: Credentials) -> str:
    """Return a digest of the key, the same always."""
    if credentials.api_key is None:
        return "no key"
    key = b"velas account " + credentials.api_key.reveal().encode()
    return hashlib.sha256(key).hexdigest()[:12]
