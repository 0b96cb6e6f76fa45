"""The venue's refusals of signed requests and orders, code and words (binance-facts 2, 6, 8)."""

from __future__ import annotations

from velas.testing.venue.refusal import Refused

__all__ = [
    "PLAIN_NUMBER",
    "ahead_of_time",
    "cancel_rejected",
    "duplicate",
    "filter_failure",
    "insufficient",
    "neither_id",
    "no_such_order",
    "outside_window",
    "rejected",
    "superfluous",
    "too_many_orders",
    "too_precise",
]

PLAIN_NUMBER = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"


def outside_window(*, engine: bool = False) -> Refused:
    """Return the refusal of a request older than its recvWindow, on futures by the engine."""
    if engine:
        return Refused(-5028, "Timestamp for this request is outside of the ME recvWindow.")
    return Refused(-1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_time() -> Refused:
    """Return the refusal of a request from the future."""
    return Refused(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def superfluous(name: str) -> Refused:
    """Return the refusal of a parameter the order type does not have."""
    return Refused(-1106, f"Parameter '{name}' sent when not required.")


def neither_id(first: str, second: str) -> Refused:
    """Return the refusal of a query for an order that names none."""
    return Refused(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def too_precise(name: str, *, spot: bool) -> Refused:
    """Return the refusal of a number with more decimals than the asset has."""
    if spot:
        return Refused(-1111, f"Parameter '{name}' has too much precision.")
    return Refused(-1111, "Precision is over the maximum defined for this asset.")


def filter_failure(name: str, *, engine: bool = False) -> Refused:
    """Return the refusal by a Spot filter, before the engine or by it."""
    return Refused(-2010 if engine else -1013, f"Filter failure: {name}")


def rejected(message: str) -> Refused:
    """Return the Spot engine's refusal of a new order."""
    return Refused(-2010, message)


def insufficient(*, spot: bool) -> Refused:
    """Return the refusal of an order the account cannot pay for."""
    if spot:
        return rejected("Account has insufficient balance for requested action.")
    return Refused(-2019, "Margin is insufficient.")


def duplicate(*, spot: bool) -> Refused:
    """Return the refusal of a client id that an open order has."""
    return (
        rejected("Duplicate order sent.")
        if spot
        else Refused(-4116, "ClientOrderId is duplicated.")
    )


def no_such_order() -> Refused:
    """Return the refusal of a query for an order the venue does not know."""
    return Refused(-2013, "Order does not exist.")


def cancel_rejected() -> Refused:
    """Return the refusal to cancel what is not open."""
    return Refused(-2011, "Unknown order sent.")


def too_many_orders(limit: int, count: int, interval: str, retry_after_s: int | None) -> Refused:
    """Return the refusal of an order above the account's order rate."""
    return Refused(
        -1015,
        f"Too many new orders; current limit is {limit} orders per {count} {interval}.",
        status=429,
        retry_after_s=retry_after_s,
    )
