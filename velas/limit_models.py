"""What a request limiter is told and what it shows: lanes, limits, settings, a snapshot."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping

import attrs

from velas.errors import ConfigError

__all__ = ["LimiterSnapshot", "RateLimitConfig", "RequestType", "WeightLimit", "WindowUse"]


class RequestType(enum.Enum):
    """The lane of a request; a lane that stands earlier here goes first."""

    ORDER = "order"
    """Anything that moves money or knows where it is; may use the whole budget."""
    LIVE = "live"
    """Repair and fallback of live data, which loses its worth within seconds."""
    HISTORY = "history"
    """Downloads and metadata; can wait."""


def _positive(_: object, attribute: attrs.Attribute[float], value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise ConfigError(f"{attribute.name} must be a positive number, not {value!r}")


def _not_negative(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value < math.inf:
        raise ConfigError(f"{attribute.name} must be zero or a positive number, not {value!r}")


def _at_least_one(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ConfigError(f"{attribute.name} must be a whole number of at least 1, not {value!r}")


def _share(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value <= 1:
        raise ConfigError(f"{attribute.name} must be above 0 and at most 1, not {value!r}")


@attrs.frozen
class WeightLimit:
    """At most `limit` weight in every fixed window of `window_s` seconds.

    The windows begin at whole multiples of `window_s` since the Unix epoch by the
    venue's clock: a UTC clock minute for 60.
    """

    window_s: float = attrs.field(validator=_positive)
    limit: int = attrs.field(validator=_at_least_one)


def _limits(value: Iterable[WeightLimit]) -> tuple[WeightLimit, ...]:
    return tuple(value)


@attrs.frozen
class RateLimitConfig:
    """How fast, how often and how long; every field has a default that is safe.

    Attributes:
        requests_per_second: pace of a venue that counts requests; None: no pace.
        burst_size: requests that may go at once after a pause.
        retry_attempts: how often a request is sent before its failure is final; 1: once.
        weight_limits: the venue's weight windows; replaceable at runtime.
        history_share: part of a window that HISTORY may fill.
        live_share: part of a window that LIVE (and HISTORY before it) may fill.
        clock_guard_s: how wrong our idea of the venue's clock may be, either way.
        refusal_margin_s: waited on top of what a 429 or 418 names.
        max_wait_s: a 429 or 418 that takes longer than this is raised, not waited out.
        max_refusals: so many 429 or 418 of one request, and it is raised.
        backoff_base_s: longest pause before the first repeat; doubles each time.
        backoff_cap_s: longest pause before any repeat.
        idempotency_ttl_s: how long a key gives back its first result.

    Raises:
        ConfigError: a value that cannot be used; names the field.
    """

    requests_per_second: float | None = attrs.field(default=None, validator=_positive)
    burst_size: int = attrs.field(default=1, validator=_at_least_one)
    retry_attempts: int = attrs.field(default=6, validator=_at_least_one)
    weight_limits: tuple[WeightLimit, ...] = attrs.field(
        default=(), converter=_limits, kw_only=True
    )
    history_share: float = attrs.field(default=0.96, validator=_share, kw_only=True)
    live_share: float = attrs.field(default=0.98, validator=_share, kw_only=True)
    clock_guard_s: float = attrs.field(default=0.15, validator=_not_negative, kw_only=True)
    refusal_margin_s: float = attrs.field(default=1.0, validator=_not_negative, kw_only=True)
    max_wait_s: float = attrs.field(default=900.0, validator=_not_negative, kw_only=True)
    max_refusals: int = attrs.field(default=10, validator=_at_least_one, kw_only=True)
    backoff_base_s: float = attrs.field(default=0.5, validator=_not_negative, kw_only=True)
    backoff_cap_s: float = attrs.field(default=30.0, validator=_not_negative, kw_only=True)
    idempotency_ttl_s: float = attrs.field(default=3600.0, validator=_positive, kw_only=True)

    def share(self, lane: RequestType) -> float:
        """Return the part of a window that a lane may fill, 0 to 1."""
        shares = {RequestType.HISTORY: self.history_share, RequestType.LIVE: self.live_share}
        return shares.get(lane, 1.0)


@attrs.frozen
class WindowUse:
    """How full one weight window is, by our count and the venue's word."""

    window_s: float
    used: int
    limit: int


@attrs.frozen
class LimiterSnapshot:
    """A limiter at one moment; `used` and `limit` are those of its fullest window.

    `limit` is None for a venue without weight windows; `blocked_until_ms` is when a 429
    or 418 ends, by the local clock, None when nothing is blocked.
    """

    venue: str
    used: int
    limit: int | None
    blocked_until_ms: int | None
    waiting: Mapping[RequestType, int]
    windows: tuple[WindowUse, ...] = ()
