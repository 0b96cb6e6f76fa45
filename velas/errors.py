"""Every error velas raises, as one tree, with "may I retry?" as a type.

    VelasError
    ├── ConfigError                 settings, command line, dates (also ValueError)
    ├── FrameError                  a frame that is no candle frame (also ValueError)
    ├── AdapterError
    │   ├── UnknownAdapter          no adapter of that name (also LookupError)
    │   ├── MissingDependency       an extra is not installed (also ImportError)
    │   ├── BrokenAdapter           installed, but importing it fails (also ImportError)
    │   └── Unsupported             this venue cannot do that
    ├── ExchangeError
    │   ├── Unavailable             network or 5xx (Transient, also ConnectionError)
    │   ├── RequestTimeout          no answer in time (Transient, also TimeoutError)
    │   ├── BadResponse             an answer that is not what was asked (Transient)
    │   ├── RateLimited             429: wait `retry_after_s` (Transient)
    │   ├── Banned                  418: wait until `until_ms` (Transient)
    │   ├── Forbidden               403: web application firewall; never retried
    │   ├── RestrictedLocation      451: the venue refuses this country; never retried
    │   ├── AuthError               key, signature, permission or clock
    │   │   └── TimestampRefused    the request's time is too old or ahead: never executed
    │   ├── BadRequest              the venue refuses the arguments (also ValueError)
    │   │   └── TooOld              it lies further back than the venue looks up
    │   ├── UnknownSymbol           no such market (also LookupError)
    │   ├── OrderNotFound           the venue does not know the order (also LookupError)
    │   ├── OrderRejected           the order was judged and refused; it does not exist
    │   │   ├── OrderInvalid        refused by the market's own rules (also ValueError)
    │   │   ├── DuplicateOrder      refused, as an order with its client id exists
    │   │   └── TradingOff          refused by `trading.mode` or `trading.max_notional`
    │   ├── OrderNotPlaced          not executed, and no order exists (Transient)
    │   └── OrderUnknown            the order's fate is unknown; never sent again blindly
    ├── FeedError
    └── StoreError
        ├── StoreCorrupt            a damaged file, named
        ├── StoreLocked             another process holds the series
        └── StoreFull               no space left; the old file is intact (also OSError)

`Transient` marks what may be tried again when the request itself is safe to repeat.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AdapterError",
    "AuthError",
    "BadRequest",
    "BadResponse",
    "Banned",
    "BrokenAdapter",
    "ConfigError",
    "DuplicateOrder",
    "ExchangeError",
    "FeedError",
    "Forbidden",
    "FrameError",
    "MissingDependency",
    "OrderInvalid",
    "OrderNotFound",
    "OrderNotPlaced",
    "OrderRejected",
    "OrderUnknown",
    "RateLimited",
    "RequestTimeout",
    "RestrictedLocation",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "TimestampRefused",
    "TooOld",
    "TradingOff",
    "Transient",
    "Unavailable",
    "UnknownAdapter",
    "UnknownSymbol",
    "Unsupported",
    "VelasError",
]


class VelasError(Exception):
    """Root of everything velas raises on purpose."""


class Transient(VelasError):
    """Marker: the same request may succeed later."""


class ConfigError(VelasError, ValueError):
    """A setting, option, date or interval that cannot be used."""


class FrameError(VelasError, ValueError):
    """A frame that does not have the shape of a candle frame."""


class AdapterError(VelasError):
    """An adapter cannot be found, loaded or asked for this."""


class UnknownAdapter(AdapterError, LookupError):
    """No adapter of that name is installed."""


class MissingDependency(AdapterError, ImportError):
    """The adapter needs a package that is not installed."""


class BrokenAdapter(AdapterError, ImportError):
    """The adapter is installed but cannot be imported."""


class Unsupported(AdapterError):
    """The venue, or this adapter for it, cannot do what was asked."""


class ExchangeError(VelasError):
    """The venue, or the way to it, failed."""


class Unavailable(ExchangeError, Transient, ConnectionError):
    """The venue could not be reached or answered with a server error."""


class RequestTimeout(ExchangeError, Transient, TimeoutError):
    """The venue did not answer in time."""


class BadResponse(ExchangeError, Transient):
    """The venue's answer is not what the endpoint promises."""


class RateLimited(ExchangeError, Transient):
    """The venue says 429; `retry_after_s` is its waiting time, if it named one."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Banned(ExchangeError, Transient):
    """The venue says 418; the address is banned until `until_ms`, if it said so."""

    def __init__(
        self, message: str, *, until_ms: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.until_ms = until_ms
        self.retry_after_s = retry_after_s


class Forbidden(ExchangeError):
    """The venue's firewall refuses the request (HTTP 403)."""


class RestrictedLocation(ExchangeError):
    """The venue refuses to serve this location (HTTP 451)."""


class AuthError(ExchangeError):
    """Key, signature, permission or timestamp were refused."""


class TimestampRefused(AuthError):
    """The request's timestamp is outside of what the venue accepts; it was not executed."""


class BadRequest(ExchangeError, ValueError):
    """The venue refuses the request's arguments."""


class TooOld(BadRequest):
    """The venue has what was asked for no longer: it lies too far back."""


class UnknownSymbol(ExchangeError, LookupError):
    """The venue lists no such market; `near` names the most similar ones."""

    def __init__(self, message: str, *, near: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.near = near


class OrderRejected(ExchangeError):
    """The order was judged and refused; it does not exist.

    `by_a_rule` says that a filter of the market was the venue's reason.
    """

    def __init__(self, message: str = "", *, by_a_rule: bool = False) -> None:
        super().__init__(message)
        self.by_a_rule = by_a_rule


class OrderInvalid(OrderRejected, ValueError):
    """The order breaks rules of its market; `violations` are all of them."""

    def __init__(self, message: str, *, violations: Sequence[object] = ()) -> None:
        super().__init__(message, by_a_rule=True)
        self.violations = tuple(violations)


class DuplicateOrder(OrderRejected):
    """The venue has an order with this client id already."""


class TradingOff(OrderRejected):
    """The settings do not let this order leave; nothing was sent."""


class OrderNotFound(ExchangeError, LookupError):
    """The venue does not know this order, or not yet: young ones can be invisible."""


class OrderNotPlaced(ExchangeError, Transient):
    """The order was not executed and does not exist; it may be sent again."""


class OrderUnknown(ExchangeError):
    """Whether the order exists is unknown: ask the venue, never resend blindly."""


class FeedError(VelasError):
    """A live feed cannot go on."""


class StoreError(VelasError):
    """The candle store cannot do what was asked."""


class StoreCorrupt(StoreError):
    """A file of the store is damaged; `path` names it."""

    def __init__(self, message: str, *, path: str = "") -> None:
        # without a default it could not be unpickled on its way out of another process
        super().__init__(message)
        self.path = path


class StoreLocked(StoreError):
    """Another process holds the series' lock for too long."""


class StoreFull(StoreError, OSError):
    """No space left on the device; what was stored before is intact."""
