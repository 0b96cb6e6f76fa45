"""A simulated broker that fills no order at a price of before it was made."""

from __future__ import annotations

import weakref
from typing import Any

from velas_backtrader._dates import ms_of
from velas_backtrader._library import BackBroker

__all__ = ["fill_forward"]

_FORWARD: weakref.WeakSet[Any] = weakref.WeakSet()
_MADE = "_velas_made_ms"


def fill_forward(broker: Any) -> None:
    """See to it that an order waits for a bar that begins when it is there already.

    Backtrader fills at prices of the bar that comes next. If that is a longer one which has
    begun before the order (made at 10:59, on a feed of hours), its open is of the past, and
    its low and high may be. Where cheating is asked for (``coc``, ``coo``), all is as ever.
    """
    if broker in _FORWARD or not isinstance(broker, BackBroker):
        return
    _FORWARD.add(broker)
    submit, try_exec = broker.submit, broker._try_exec

    def submit_dated(order: Any, *args: Any, **options: Any) -> Any:
        setattr(order, _MADE, ms_of(order.owner.datetime[0]))
        return submit(order, *args, **options)

    def try_exec_forward(order: Any) -> None:
        if broker.p.coc or broker.p.coo or _has_begun_since(order):
            try_exec(order)

    broker.submit, broker._try_exec = submit_dated, try_exec_forward


def _has_begun_since(order: Any) -> bool:
    """Whether the newest bar of an order's feed began when the order was there."""
    data, made_ms = order.data, getattr(order, _MADE, None)
    opens = getattr(data.lines, "timestamp", None)
    if made_ms is None or opens is None or data.replaying or not len(data):
        return True
    if order.parent is not None and order.parent.executed.dt:
        # the stop of a bracket begins where its entry was filled
        made_ms = max(made_ms, ms_of(order.parent.executed.dt))
    return bool(opens[0] >= made_ms)
