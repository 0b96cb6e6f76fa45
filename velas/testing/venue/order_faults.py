"""What can go wrong with an order: whether the engine has it and what the client hears."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from velas.errors import ConfigError
from velas.testing.venue.faults import SERVER_ERRORS, Fault, FaultKind

__all__ = ["ORDER_RATES", "OrderFault", "Then", "drawn"]

Then = Literal["answer", "silence", "reset", "timeout"]

_SILENCE_S = 30.0
_THEN: tuple[Then, ...] = ("answer", "silence", "reset", "timeout")
_INTERNAL = "Internal error; unable to process your request. Please try again."
_THROTTLED = (
    "Request throttled by system-level protection. "
    "Reduce-only/close-position orders are exempt. Please try again."
)
_TIMEOUTS = (408, 504)
_ACCEPTS = ("unanswered", "reset_after", "error_after", "late", "invisible", "filter_change")
_UNKNOWN_STATUS = "Send status unknown; execution status unknown."

ORDER_RATES: Mapping[FaultKind, float] = {
    "lost": 0.03,
    "unanswered": 0.03,
    "reset_before": 0.02,
    "reset_after": 0.02,
    "error_before": 0.04,
    "error_after": 0.04,
    "throttled": 0.01,
    "late": 0.02,
    "invisible": 0.02,
}


@attrs.frozen
class OrderFault(Fault):
    """One thing that goes wrong with one signed request. Made by the functions of this class.

    Give it to `FaultPlan.script` or draw it by `FaultPlan.random` with `ORDER_RATES`; a
    `path` such as ``"POST /api/v3/order"`` leaves queries alone. `accepted` says whether the
    request reaches the engine, which may still refuse it. Silence lasts 30 s of real time
    unless said otherwise, or until the client hangs up; all else is on the venue's clock.
    """

    code: int = 0
    message: str = ""
    then: Then = "answer"
    filters: Mapping[str, Mapping[str, Any] | None] = attrs.field(factory=dict)
    fields: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def fate(self) -> Literal["silence", "reset", ""]:
        """What becomes of the connection, empty when the request is answered."""
        if self.kind in ("lost", "unanswered") or self.then == "silence":
            return "silence"
        if self.kind in ("reset_before", "reset_after") or self.then == "reset":
            return "reset"
        return ""

    @property
    def silence_s(self) -> float:
        """How long a silence lasts unless the client hangs up, real seconds."""
        own = self.kind in ("lost", "unanswered") and self.seconds is not None
        return (self.seconds or 0.0) if own else _SILENCE_S

    @property
    def accepted(self) -> bool:
        """Whether the request reaches the engine."""
        return self.kind in _ACCEPTS

    @classmethod
    def no_answer(cls, *, accepted: bool, seconds: float = _SILENCE_S) -> OrderFault:
        """Never answer; hang up after `seconds` of real time, or when the client does."""
        return cls("unanswered" if accepted else "lost", seconds)

    @classmethod
    def broken_off(cls, *, accepted: bool) -> OrderFault:
        """Reset the connection (RST) instead of answering."""
        return cls("reset_after" if accepted else "reset_before")

    @classmethod
    def error(cls, status: int, code: int, message: str, *, accepted: bool = False) -> OrderFault:
        """Answer this error object with this HTTP status."""
        return cls(_error(accepted), status=status, code=code, message=message)

    @classmethod
    def gateway(cls, status: int = 502, *, accepted: bool) -> OrderFault:
        """Answer HTTP 500, 502, 503 or 504 with a page that says nothing of the order."""
        if status not in SERVER_ERRORS:
            raise ConfigError(f"status {status!r}: choose one of {SERVER_ERRORS}")
        return cls(_error(accepted), status=status)

    @classmethod
    def backend_timeout(cls, *, accepted: bool, status: int = 0) -> OrderFault:
        """Answer -1007, execution unknown; HTTP 504 on spot and 408 on futures unless said."""
        if status and status not in _TIMEOUTS:
            raise ConfigError(f"status {status!r}: choose one of {_TIMEOUTS}")
        text = f"Timeout waiting for response from backend server. {_UNKNOWN_STATUS}"
        return cls(_error(accepted), status=status, code=-1007, message=text)

    @classmethod
    def unexpected_response(cls, *, accepted: bool) -> OrderFault:
        """Answer -1006, execution unknown, with HTTP 500."""
        text = "An unexpected response was received from the message bus. Execution status unknown."
        return cls(_error(accepted), status=500, code=-1006, message=text)

    @classmethod
    def unknown_error(cls, *, accepted: bool) -> OrderFault:
        """Answer the 503 of futures that leaves execution unknown."""
        text = "Unknown error, please check your request or try again later."
        return cls(_error(accepted), status=503, code=-1000, message=text)

    @classmethod
    def service_unavailable(cls) -> OrderFault:
        """Answer the 503 that says the request certainly failed."""
        return cls.error(503, -1001, "Service Unavailable.")

    @classmethod
    def internal_error(cls) -> OrderFault:
        """Answer -1001 with HTTP 503: certainly failed."""
        return cls.error(503, -1001, _INTERNAL)

    @classmethod
    def throttled(cls) -> OrderFault:
        """Answer -1008 with HTTP 503: certainly failed. Reducing orders are let through."""
        return cls("throttled", status=503, code=-1008, message=_THROTTLED)

    @classmethod
    def out_of_time(cls) -> OrderFault:
        """Answer -1021 as to a clock that is wrong."""
        return cls.error(400, -1021, "Timestamp for this request is outside of the recvWindow.")

    @classmethod
    def too_many_orders(cls, retry_after_s: float | None = 10.0) -> OrderFault:
        """Answer 429 with -1015, and Retry-After unless None; only this once."""
        text = "Too many new orders; current limit is 100 orders per 10 SECOND."
        return cls("error_before", retry_after_s, status=429, code=-1015, message=text)

    @classmethod
    def duplicate_id(cls) -> OrderFault:
        """Answer that an open order has the client id, whether there is one or not."""
        return cls("duplicate")

    @classmethod
    def late(cls, seconds: float, *, then: Then = "timeout") -> OrderFault:
        """Let the request reach the engine in `seconds`, judged by its recvWindow there.

        The client hears at once that the time is up (-1007), or nothing: ``silence``,
        ``reset``.
        """
        if then == "answer":
            raise ConfigError("a late order has no answer: choose silence, reset or timeout")
        return cls("late", seconds, then=_known(then))

    @classmethod
    def invisible(cls, seconds: float, *, then: Then = "timeout") -> OrderFault:
        """Take the order but let no query find it for `seconds`; its id is taken at once.

        `then` is what the client hears: the true ``answer``, ``timeout`` (-1007),
        ``silence`` or ``reset``.
        """
        return cls("invisible", seconds, then=_known(then))

    @classmethod
    def filter_change(
        cls, filters: Mapping[str, Mapping[str, Any] | None], **fields: Any
    ) -> OrderFault:
        """Change the row of the request's symbol just before it is judged.

        Arguments as in `StandInVenue.change_symbol`.
        """
        return cls("filter_change", filters=filters, fields=fields)


def drawn(kind: FaultKind, draw: random.Random) -> OrderFault:
    """Return a fault of a kind of `ORDER_RATES`, its details drawn."""
    match kind:
        case "lost" | "unanswered":
            return OrderFault.no_answer(accepted=kind == "unanswered")
        case "error_before":
            return draw.choice(_REFUSALS)() if draw.random() < 0.5 else _unknown(draw, False)
        case "error_after":
            return _unknown(draw, True)
        case "throttled":
            return OrderFault.throttled()
        case "duplicate":
            return OrderFault.duplicate_id()
        case "late":
            return OrderFault.late(draw.uniform(1.0, 8.0), then=draw.choice(_THEN[1:]))
        case "invisible":
            return OrderFault.invisible(draw.uniform(0.5, 5.0), then=draw.choice(_THEN))
        case _:
            return OrderFault(kind)


def _unknown(draw: random.Random, accepted: bool) -> OrderFault:
    made: OrderFault = draw.choice(
        (
            OrderFault.backend_timeout(accepted=accepted),
            OrderFault.unexpected_response(accepted=accepted),
            OrderFault.unknown_error(accepted=accepted),
            *(OrderFault.gateway(status, accepted=accepted) for status in SERVER_ERRORS),
        )
    )
    return made


_REFUSALS: tuple[Callable[[], OrderFault], ...] = (
    OrderFault.service_unavailable,
    OrderFault.internal_error,
    OrderFault.too_many_orders,
    OrderFault.out_of_time,
)


def _error(accepted: bool) -> FaultKind:
    return "error_after" if accepted else "error_before"


def _known(then: Then) -> Then:
    if then not in _THEN:
        raise ConfigError(f"then {then!r}: choose one of {', '.join(_THEN)}")
    return then
