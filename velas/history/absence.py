"""Prove what the venue does not have: absence is proved by presence, never by silence.

An empty answer may be a fault; a candle on the far side of a hole cannot be. So a hole
is believed only when the venue, asked for what comes from its first slot on, names a
candle beyond it - or, at the end of a series, when its newest candle lies before it.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import pandas as pd

from velas import frames
from velas.history.windows import Slots, missing_slots, runs
from velas.interval import Interval
from velas.models import Gap
from velas.protocols import Exchange

__all__ = ["SETTLE_MS", "Settled", "settle"]

SETTLE_MS = 24 * 3_600_000  # the end of a series may still be published later
_MOST_ASKED = 8


@attrs.frozen
class Settled:
    """What asking about missing slots gave: candles after all, and proven absences."""

    recovered: pd.DataFrame
    absent: tuple[Gap, ...]
    pages: int


async def settle(
    exchange: Exchange,
    symbol: str,
    interval: Interval,
    slots: Slots,
    *,
    now_ms: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Settled:
    """Ask the venue about missing `slots` (ascending) until each is found or proven absent.

    Gives up on a hole whose answers prove nothing after a few rounds; such slots are in
    neither result. One request settles a hole, as a rule. No candle outside the asked
    slots is returned.
    """
    found: list[pd.DataFrame] = []
    absent: list[Gap] = []
    pages = 0
    for first, end in runs(slots):
        asked = 0
        while first < end and asked < _MOST_ASKED and not stopped():
            asked += 1
            pages += 1
            rows = await _from(exchange, symbol, interval, first, end)
            if rows.empty:
                pages += 1
                if await _ends_before(exchange, symbol, interval, first, end, now_ms):
                    absent.append(_absence(interval, first, end))
                    break
                continue
            seen = interval.slot(rows["timestamp"].to_numpy(dtype=np.int64))
            proven_to = min(end, int(seen[-1]))
            absent += [_absence(interval, *run) for run in _unseen(seen, first, proven_to)]
            found.append(rows[(seen >= first) & (seen < end)])
            first = proven_to if proven_to == end else int(seen[-1]) + 1
    return Settled(_joined(found), tuple(absent), pages)


async def _from(
    exchange: Exchange, symbol: str, interval: Interval, first: int, end: int
) -> pd.DataFrame:
    """Ask without an end, so that the answer reaches beyond the hole."""
    limit = min(exchange.capabilities.page_rows, end - first + 1)
    return await exchange.fetch_candles(
        symbol, interval, start_ms=interval.open_of(first), limit=limit
    )


async def _ends_before(
    exchange: Exchange, symbol: str, interval: Interval, first: int, end: int, now_ms: int
) -> bool:
    end_ms = interval.open_of(end)
    if end_ms > now_ms - SETTLE_MS:
        return False
    newest = await exchange.fetch_candles(symbol, interval, end_ms=end_ms, limit=1)
    return not newest.empty and interval.slot(int(newest["timestamp"].iloc[-1])) < first


def _unseen(seen: Slots, first: int, end: int) -> list[tuple[int, int]]:
    return runs(missing_slots(seen, first, end))


def _absence(interval: Interval, first: int, end: int) -> Gap:
    return Gap(interval.open_of(first), interval.open_of(end), end - first, "venue")


def _joined(found: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(found, ignore_index=True) if found else frames.empty()
