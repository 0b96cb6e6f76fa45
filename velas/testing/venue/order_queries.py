"""Finding orders the way both markets' queries and cancellations name them."""

from __future__ import annotations

from collections.abc import Mapping

from velas.testing.venue import order_refusal, params, refusal
from velas.testing.venue.order_ledger import Ledger, Order
from velas.testing.venue.refusal import Refused

__all__ = ["find", "page"]

Params = Mapping[str, str]

_DAY_MS = 86_400_000
_DEFAULT_ROWS, _MOST_ROWS = 500, 1000


def find(
    ledger: Ledger,
    query: Params,
    now_ms: int,
    unknown: Refused,
    *,
    names: tuple[str, str] = ("origClientOrderId", "orderId"),
) -> Order:
    """Return the visible order a request names by client id, number or both.

    Raises:
        Refused: `unknown`; -1102 when none is named, -2039 when the two disagree.
    """
    symbol = query.get("symbol", "")
    client_id, number = query.get(names[0], ""), params.number(query, names[1])
    if not client_id and number is None:
        raise order_refusal.neither_id(*names)
    if number is None:
        order = ledger.by_client_id(symbol, client_id, now_ms)
    else:
        order = ledger.by_number(symbol, number)
    if order is None or order.visible_ms > now_ms:
        raise unknown
    if client_id and order.client_id != client_id:
        raise Refused(-2039, "Client order ID is not correct for this order ID.")
    return order


def page(ledger: Ledger, query: Params, now_ms: int, *, longest_days: int) -> list[Order]:
    """Return the orders an ``allOrders`` request gets, oldest first.

    Raises:
        Refused: -1127 for a window longer than `longest_days`, -1130 for the limit.
    """
    symbol, first = query.get("symbol"), params.number(query, "orderId")
    start, end = params.time_ms(query, "startTime"), params.time_ms(query, "endTime")
    limit = params.limit(query, default=_DEFAULT_ROWS, most=_MOST_ROWS, clamp=False)
    if start is not None and end is not None:
        if start > end:
            raise refusal.inverted_range()
        if end - start > longest_days * _DAY_MS:
            text = f"More than {longest_days * 24} hours between startTime and endTime."
            raise Refused(-1127, text)
    found = [
        one
        for one in ledger
        if one.visible_ms <= now_ms
        and (symbol is None or one.symbol == symbol)
        and (first is None or one.id >= first)
        and (start is None or one.time_ms >= start)
        and (end is None or one.time_ms <= end)
    ]
    forward = first is not None or start is not None
    return found[:limit] if forward else found[-limit:]
