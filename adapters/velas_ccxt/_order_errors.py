"""What a failed order request means: no order, an order, or nobody knows (facts 2, 8)."""

from __future__ import annotations

from velas import errors
from velas_ccxt._errors import Reply

__all__ = ["order_error"]

_DUPLICATE = -4116
_REJECTED = -2010  # Spot: the engine's refusals, duplicates among them
_OVERLOADED = -1008  # refused before execution, on both markets
_SPOT_FILTER = -1013
# USDT-M's own codes of filters (common definition, error codes), and too many decimals
_RULES = frozenset(
    {-1111, -2025, -4001, -4002, -4003, -4004, -4005, -4006, -4007, -4013, -4014, -4016}
    | {-4023, -4024, -4045, -4105, -4106, -4107, -4131, -4164}
)
# USDT-M's other refusals of orders
_REFUSED = frozenset(
    {-2018, -2019, -2020, -2021, -2022, -2023, -2024, -2026, -2027, -2028, -4015, -4108, -4120}
    | {-5021, -5022}
)
# answered by what stands before the venue's engine
_BEFORE_THE_ENGINE = (401, 403, 418, 429, 451)
_NOT_EXECUTED = "Service Unavailable."  # USDT-M, HTTP 503: failed for sure


def order_error(known: errors.VelasError, reply: Reply, *, spot: bool) -> errors.VelasError:
    """Return the error an order call ends with, for what `_errors` made of the reply.

    Spot's 5xx all leave the order's fate open; of USDT-M's 503 those with these words
    say that nothing was executed. Where in doubt, it is open: asking costs a request,
    a second order costs money.
    """
    code, text = reply.code_and_text()
    message = str(known)
    if not reply.status:
        return known  # nothing was sent, or nothing came back: `_errors` knows which
    if code == _DUPLICATE or (code == _REJECTED and text.startswith("Duplicate")):
        return errors.DuplicateOrder(message)
    if code == _OVERLOADED:
        return errors.OrderNotPlaced(message)
    if not 400 <= reply.status < 500:
        failed = not spot and reply.status == 503 and code is not None and text == _NOT_EXECUTED
        return errors.OrderNotPlaced(message) if failed else _open(known, message)
    if reply.status == 409 or (code is None and reply.status not in _BEFORE_THE_ENGINE):
        return _open(known, message)  # of whatever stands in between, for all that is known
    if code == _SPOT_FILTER or code in _RULES or text.startswith("Filter failure"):
        return errors.OrderRejected(message, by_a_rule=True)
    if code in _REFUSED:
        return errors.OrderRejected(message)
    return known


def _open(known: errors.VelasError, message: str) -> errors.VelasError:
    # whatever code comes with it
    if isinstance(known, errors.RequestTimeout | errors.Unavailable | errors.BadResponse):
        return known
    return errors.Unavailable(message)
