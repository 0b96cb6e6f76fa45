"""What can go wrong, and when: faults by script or by seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import attrs

from velas.errors import ConfigError

__all__ = ["DEFAULT_RATES", "Fault", "FaultKind", "FaultPlan", "WrongShape"]

FaultKind = Literal[
    "latency",
    "silence",
    "reset",
    "reset_midway",
    "cut_off",
    "cut_json",
    "server_error",
    "too_many",
    "banned",
    "forbidden",
    "restricted",
    "wrong",
    "empty",
    "duplicated",
    "shuffled",
    "skew",
    "lost",
    "unanswered",
    "reset_before",
    "reset_after",
    "error_before",
    "error_after",
    "duplicate",
    "throttled",
    "late",
    "invisible",
    "filter_change",
]
WrongShape = Literal["html", "object", "scalars", "short_row", "error"]
_OF_ORDERS: tuple[FaultKind, ...] = (
    "lost", "unanswered", "reset_before", "reset_after", "error_before", "error_after",
    "duplicate", "throttled", "late", "invisible",
)  # fmt: skip
SERVER_ERRORS = (500, 502, 503, 504)
WRONG_SHAPES: tuple[WrongShape, ...] = ("html", "object", "scalars", "short_row", "error")

DEFAULT_RATES: Mapping[FaultKind, float] = {
    "latency": 0.05,
    "reset": 0.02,
    "reset_midway": 0.02,
    "cut_off": 0.02,
    "cut_json": 0.02,
    "server_error": 0.03,
    "too_many": 0.005,
    "banned": 0.002,
    "wrong": 0.03,
    "empty": 0.02,
    "skew": 0.002,
}


@attrs.frozen
class Fault:
    """One thing that goes wrong with one request. Made by the functions of this class.

    A signed request is refused without effect by those that answer an HTTP error; the others
    spoil the answer to what was done. `order_faults.OrderFault` has those made for orders.

    `seconds` is a duration on the venue's clock, `status` an HTTP status, `shape` what
    a wrong answer looks like, `skew_ms` where the venue's clock jumps to.
    """

    kind: FaultKind
    seconds: float | None = None
    status: int = 0
    shape: WrongShape = "html"
    skew_ms: int = 0

    @property
    def fate(self) -> Literal["silence", "reset", ""]:
        """What becomes of the connection, empty when the request is answered."""
        return self.kind if self.kind in ("silence", "reset") else ""

    @property
    def silence_s(self) -> float:
        """How long a silence lasts unless the client hangs up, real seconds."""
        return self.seconds or 0.0

    @classmethod
    def latency(cls, seconds: float) -> Fault:
        """Answer rightly, but `seconds` late."""
        return cls("latency", seconds)

    @classmethod
    def silence(cls, seconds: float = 30.0) -> Fault:
        """Never answer; hang up after `seconds` of real time, or when the client does."""
        return cls("silence", seconds)

    @classmethod
    def reset(cls, *, midway: bool = False) -> Fault:
        """Reset the connection (RST) instead of answering, or in the middle of the body."""
        return cls("reset_midway" if midway else "reset")

    @classmethod
    def truncated(cls, *, honest_length: bool = False) -> Fault:
        """Send half the body: short of its Content-Length, or as broken JSON that fits it."""
        return cls("cut_json" if honest_length else "cut_off")

    @classmethod
    def server_error(cls, status: int = 503) -> Fault:
        """Answer HTTP 500, 502, 503 or 504."""
        if status not in SERVER_ERRORS:
            raise ConfigError(f"status {status!r}: choose one of {SERVER_ERRORS}")
        return cls("server_error", status=status)

    @classmethod
    def too_many(cls, retry_after_s: float | None = 1.0) -> Fault:
        """Answer 429 and refuse everything for that long.

        None: without a Retry-After header, until the weight window ends.
        """
        return cls("too_many", retry_after_s, status=429)

    @classmethod
    def banned(cls, seconds: float = 2.0) -> Fault:
        """Answer 418 with its end and refuse everything until then."""
        return cls("banned", seconds, status=418)

    @classmethod
    def forbidden(cls) -> Fault:
        """Answer 403, as the firewall in front of the venue does."""
        return cls("forbidden", status=403)

    @classmethod
    def restricted(cls) -> Fault:
        """Answer 451, as to a country the venue does not serve."""
        return cls("restricted", status=451)

    @classmethod
    def wrong(cls, shape: WrongShape = "html") -> Fault:
        """Answer 200 with the wrong thing.

        `html`: a web page; `object`: ``{}``; `scalars`: a list without rows; `short_row`:
        the last row lacks its last fields; `error`: an error object.
        """
        if shape not in WRONG_SHAPES:
            raise ConfigError(f"shape {shape!r}: choose one of {', '.join(WRONG_SHAPES)}")
        return cls("wrong", shape=shape)

    @classmethod
    def empty(cls) -> Fault:
        """Answer ``[]`` although there are rows."""
        return cls("empty")

    @classmethod
    def duplicated(cls) -> Fault:
        """Send the last row of a list twice."""
        return cls("duplicated")

    @classmethod
    def shuffled(cls) -> Fault:
        """Send the rows of a list newest first."""
        return cls("shuffled")

    @classmethod
    def skew(cls, skew_ms: int) -> Fault:
        """Set the venue's clock `skew_ms` off its true time, then answer rightly."""
        return cls("skew", skew_ms=skew_ms)


class FaultPlan:
    """Which request gets which fault; the first of several plans that has one wins.

    One plan belongs to one venue: it counts the requests it sees. The default has none.
    """

    def __init__(self, *plans: FaultPlan) -> None:
        self._plans = plans

    @classmethod
    def script(cls, faults: Iterable[Fault | None], *, path: str | None = None) -> FaultPlan:
        """Give the n-th request whose path ends in `path` the n-th fault; then none.

        ``"/order"`` is any method, ``"POST /api/v3/order"`` one.
        """
        return _Script(list(faults), path)

    @classmethod
    def random(
        cls,
        seed: int,
        *,
        rates: Mapping[FaultKind, float] | None = None,
        max_in_a_row: int = 3,
        only: Sequence[str] | None = None,
    ) -> FaultPlan:
        """Draw faults by `seed`: kind -> probability per request, `DEFAULT_RATES` if None.

        The same request (path and query) fails at most `max_in_a_row` times in a row, so
        five retries always get through; `only` limits it to paths that end so. The same
        order of requests gets the same faults. `order_faults.ORDER_RATES` are for orders.

        Raises:
            ConfigError: the probabilities are negative or above 1 together.
        """
        return _Random(seed, DEFAULT_RATES if rates is None else rates, max_in_a_row, only)

    def take(self, path: str, query: str) -> Fault | None:
        """Return the fault for the request that just arrived, None for none.

        `path` begins with the method; `query` are all parameters but time and signature.
        """
        found = [plan.take(path, query) for plan in self._plans]
        return next((fault for fault in found if fault is not None), None)

    def note_refused(self, path: str, query: str) -> None:
        """Learn that the request was refused anyway; it counts as failed."""
        for plan in self._plans:
            plan.note_refused(path, query)


class _Script(FaultPlan):
    def __init__(self, faults: list[Fault | None], path: str | None) -> None:
        super().__init__()
        self._faults = faults
        self._path = path or ""
        self._next = 0

    def take(self, path: str, query: str) -> Fault | None:
        if not path.endswith(self._path) or self._next >= len(self._faults):
            return None
        self._next += 1
        return self._faults[self._next - 1]


class _Random(FaultPlan):
    def __init__(
        self,
        seed: int,
        rates: Mapping[FaultKind, float],
        max_in_a_row: int,
        only: Sequence[str] | None,
    ) -> None:
        super().__init__()
        if any(rate < 0 for rate in rates.values()) or sum(rates.values()) > 1:
            raise ConfigError(f"fault rates {dict(rates)!r} must be >= 0 and sum to at most 1")
        self._random = random.Random(seed)
        self._kinds: list[FaultKind | None] = [*rates, None]
        self._weights = [*rates.values(), 1 - sum(rates.values())]
        self._most = max_in_a_row
        self._only = tuple(only or ("",))
        self._runs: dict[str, int] = {}

    def take(self, path: str, query: str) -> Fault | None:
        if not path.endswith(self._only):
            return None
        # drawn for every request, so that one request's luck does not shift the others'
        kind = self._random.choices(self._kinds, self._weights)[0]
        fault = None if kind is None else self._drawn(kind)
        key = f"{path}?{query}"
        if fault is None or self._runs.get(key, 0) >= self._most:
            self._runs.pop(key, None)
            return None
        self._runs[key] = self._runs.get(key, 0) + 1
        return fault

    def note_refused(self, path: str, query: str) -> None:
        key = f"{path}?{query}"
        self._runs[key] = self._runs.get(key, 0) + 1

    def _drawn(self, kind: FaultKind) -> Fault:
        if kind not in _OF_ORDERS:
            return self._make(kind)
        from velas.testing.venue.order_faults import drawn  # which needs `Fault`

        return drawn(kind, self._random)

    def _make(self, kind: FaultKind) -> Fault:
        draw = self._random
        match kind:
            case "latency":
                return Fault.latency(draw.uniform(0.01, 0.2))
            case "server_error":
                return Fault.server_error(draw.choice(SERVER_ERRORS))
            case "too_many":
                return Fault.too_many(1.0)
            case "banned":
                return Fault.banned(2.0)
            case "forbidden":
                return Fault.forbidden()
            case "restricted":
                return Fault.restricted()
            case "silence":
                return Fault.silence()
            case "wrong":
                return Fault.wrong(draw.choice(WRONG_SHAPES))
            case "skew":
                return Fault.skew(draw.randrange(-2_000, 2_001))
            case _:
                return Fault(kind)
