"""Candle series you can trust: exchange, live feed and store behind three contracts.

    settings = velas.load_settings("config.yaml")
    async with velas.open_exchange(settings) as exchange: ...
    store = velas.open_store(settings)
    async with velas.open_stream(settings, exchange, store) as stream: ...
    order = velas.OrderRequest("BTC/USDT", "buy", "limit", "0.002", "40000", intent="first buy")
    await exchange.create_order(order)  # at most one for an intent; off by default

Names are loaded on first use, so that `import velas` reads nothing and costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from velas.config import Pair, Secret, Settings, describe, load_pairs, load_settings
    from velas.errors import (
        AdapterError,
        AuthError,
        BadRequest,
        BadResponse,
        Banned,
        BrokenAdapter,
        ConfigError,
        DuplicateOrder,
        ExchangeError,
        FeedError,
        Forbidden,
        FrameError,
        MissingDependency,
        OrderInvalid,
        OrderNotFound,
        OrderNotPlaced,
        OrderRejected,
        OrderUnknown,
        RateLimited,
        RequestTimeout,
        RestrictedLocation,
        StoreCorrupt,
        StoreError,
        StoreFull,
        StoreLocked,
        TimestampRefused,
        TooOld,
        TradingOff,
        Transient,
        Unavailable,
        UnknownAdapter,
        UnknownSymbol,
        Unsupported,
        VelasError,
    )
    from velas.interval import INTERVALS, Interval
    from velas.ledger import Ledger
    from velas.limits import RateLimitConfig, RateLimiter, RequestType
    from velas.models import (
        AppendResult,
        BookTicker,
        Candle,
        Capabilities,
        Finding,
        Gap,
        Market,
        Order,
        OrderRequest,
        Position,
        SeriesId,
        SeriesStats,
        Subscription,
        Trade,
        Usage,
    )
    from velas.orders import Intent
    from velas.polling import PollingFeed
    from velas.protocols import Exchange, Feed, FormingCandles, Rotatable, Store
    from velas.registry import open_exchange, open_feed, open_ledger, open_store, open_stream
    from velas.stream import Stream
    from velas.validation import (
        MarketState,
        NotJudged,
        OrderValidator,
        Policy,
        RuleResult,
        Verdict,
        Violation,
    )

    __version__: str

__all__ = [
    "INTERVALS",
    "AdapterError",
    "AppendResult",
    "AuthError",
    "BadRequest",
    "BadResponse",
    "Banned",
    "BookTicker",
    "BrokenAdapter",
    "Candle",
    "Capabilities",
    "ConfigError",
    "DuplicateOrder",
    "Exchange",
    "ExchangeError",
    "Feed",
    "FeedError",
    "Finding",
    "Forbidden",
    "FormingCandles",
    "FrameError",
    "Gap",
    "Intent",
    "Interval",
    "Ledger",
    "Market",
    "MarketState",
    "MissingDependency",
    "NotJudged",
    "Order",
    "OrderInvalid",
    "OrderNotFound",
    "OrderNotPlaced",
    "OrderRejected",
    "OrderRequest",
    "OrderUnknown",
    "OrderValidator",
    "Pair",
    "Policy",
    "PollingFeed",
    "Position",
    "RateLimitConfig",
    "RateLimited",
    "RateLimiter",
    "RequestTimeout",
    "RequestType",
    "RestrictedLocation",
    "Rotatable",
    "RuleResult",
    "Secret",
    "SeriesId",
    "SeriesStats",
    "Settings",
    "Store",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "Stream",
    "Subscription",
    "TimestampRefused",
    "TooOld",
    "Trade",
    "TradingOff",
    "Transient",
    "Unavailable",
    "UnknownAdapter",
    "UnknownSymbol",
    "Unsupported",
    "Usage",
    "VelasError",
    "Verdict",
    "Violation",
    "__version__",
    "describe",
    "load_pairs",
    "load_settings",
    "open_exchange",
    "open_feed",
    "open_ledger",
    "open_store",
    "open_stream",
]

# one source of truth would be nicer, but type checkers only read plain imports; a test
# holds the two lists together
_HOMES = {
    "config": ("Pair", "Secret", "Settings", "describe", "load_pairs", "load_settings"),
    "interval": ("INTERVALS", "Interval"),
    "ledger": ("Ledger",),
    "limits": ("RateLimitConfig", "RateLimiter", "RequestType"),
    "models": (
        "AppendResult",
        "BookTicker",
        "Candle",
        "Capabilities",
        "Finding",
        "Gap",
        "Market",
        "Order",
        "OrderRequest",
        "Position",
        "SeriesId",
        "SeriesStats",
        "Subscription",
        "Trade",
        "Usage",
    ),
    "orders": ("Intent",),
    "polling": ("PollingFeed",),
    "protocols": ("Exchange", "Feed", "FormingCandles", "Rotatable", "Store"),
    "registry": ("open_exchange", "open_feed", "open_ledger", "open_store", "open_stream"),
    "stream": ("Stream",),
    "validation": (
        "MarketState",
        "NotJudged",
        "OrderValidator",
        "Policy",
        "RuleResult",
        "Verdict",
        "Violation",
    ),
}
# reached as velas.frames
_ROOMS = (
    "adapter",
    "charts",
    "frames",
    "history",
    "orders",
    "regimes",
    "status",
    "testing",
    "validation",
)
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("velas")
    if name in _ROOMS:
        return import_module(f"velas.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'velas' has no attribute {name!r}")
    # what is exported and has no other home is an error
    value: object = getattr(import_module(f"velas.{_HOME.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
