"""What need not be asked: slots that the venue is known not to have."""

from __future__ import annotations

from velas.history.absence import SETTLE_MS
from velas.history.windows import Slots, subtract
from velas.interval import Interval
from velas.ledger import Ledger

__all__ = ["worth_asking"]


def worth_asking(
    ledger: Ledger,
    series: tuple[str, str, str],
    slots: Slots,
    *,
    last_stored: int | None,
    now_ms: int,
) -> Slots:
    """Return `slots` without those the venue is known not to have.

    `series` is exchange, symbol and interval; `last_stored` the slot of its newest row.
    That a series is over counts while that row is the venue's newest candle, not from
    a clock that was ahead, and never for the last day.
    """
    interval = Interval(series[2])
    slots = subtract(slots, ledger.settled(*series, now_ms=now_ms), interval)
    ended = ledger.ended(*series)
    if ended is None or last_stored is None:
        return slots
    newest_ms, asked_ms = ended
    if asked_ms > now_ms or last_stored != interval.slot(newest_ms):
        return slots
    return slots[(slots <= last_stored) | (slots >= interval.slot(asked_ms - SETTLE_MS))]
