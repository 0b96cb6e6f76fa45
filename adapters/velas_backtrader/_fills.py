"""A simulated broker that fills no order at a price of before it was made."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from velas_backtrader._dates import ms_of
from velas_backtrader._filters import CandleReplayer
from velas_backtrader._library import BackBroker, Order

__all__ = ["fill_forward"]

_MADE, _TRIED = "_velas_made_ms", "_velas_tried"


def fill_forward(cerebro: Any) -> None:
    """See to it that an order waits for a bar that begins when it is there already.

    Backtrader fills at prices of the bar that comes next. If that is a longer one which has
    begun before the order (made at 10:59, on a feed of hours), its open is of the past, and
    its low and high may be. It also tries an order that waits again each time another feed
    has a bar: then on a bar that is over, whose close has moved the stop since. Here each
    bar is tried once. Where cheating is asked for (``coc``, ``coo``), all is as ever.
    """
    broker = cerebro.broker
    if isinstance(broker, BackBroker):  # it may have had another cerebro before
        # no closures: a cerebro that optimizes is pickled
        broker.submit = partial(_submit, broker, cerebro)
        broker._try_exec = partial(_try_exec, broker)


def _submit(broker: Any, cerebro: Any, order: Any, *args: Any, **options: Any) -> Any:
    # by the feeds: a strategy has the time of its last `next`, also in a timer's call
    moments = [data.datetime[0] for data in cerebro.datas if len(data)]
    moments = [one for one in moments if math.isfinite(one)]
    setattr(order, _MADE, ms_of(max(moments)) if moments else 0)
    return type(broker).submit(broker, order, *args, **options)


def _try_exec(broker: Any, order: Any) -> None:
    cheats = broker.p.coc or broker.p.coo or order.exectype == Order.Historical
    if cheats or _is_due(order):
        type(broker)._try_exec(broker, order)


def _is_due(order: Any) -> bool:
    """Whether the newest bar of an order's feed is one for it; note that it is tried."""
    data = order.data
    if not hasattr(data.lines, "timestamp") or not len(data):
        return True  # not a feed of velas
    bar = data.datetime[0], len(data)
    if getattr(order, _TRIED, None) == bar:
        return False
    made_ms = getattr(order, _MADE, 0)
    if order.exectype == Order.Close:  # the close is all that it gets of the bar
        is_due = ms_of(bar[0]) > made_ms
    else:
        if order.parent is not None and order.parent.executed.dt:
            # the stop of a bracket begins where its entry was filled
            made_ms = max(made_ms, ms_of(order.parent.executed.dt))
        is_due = _began_ms(data) >= made_ms
    if is_due:
        setattr(order, _TRIED, bar)
    return is_due


def _began_ms(data: Any) -> int:
    """Return when the newest bar began; of one that is replayed, what was added to it."""
    began = math.nan
    for one, *_ in data._filters:
        if isinstance(one, CandleReplayer):
            began = one.began(data.datetime[0])
    return int(began if math.isfinite(began) else data.timestamp[0])
