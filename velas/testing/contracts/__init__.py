"""One suite per contract: an adapter subclasses it and overrides one fixture."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from velas.testing.contracts.exchange import ExchangeContract
    from velas.testing.contracts.feed import FeedContract
    from velas.testing.contracts.store import StoreContract

__all__ = ["ExchangeContract", "FeedContract", "StoreContract"]

_HOMES = {"ExchangeContract": "exchange", "FeedContract": "feed", "StoreContract": "store"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
