"""Prove what the venue does not have: absence is proved by presence, never by silence.

An empty answer may be a fault; a candle on the far side of a hole cannot be. So a hole
is believed only when the venue, asked for what comes from its first slot on, names a
candle beyond it - or, at the end of a series, when its newest candle lies before it.
"""

from __future__ import annotations

import attrs
import numpy as np
import pandas as pd

from velas import frames
from velas.history.windows import Slots, missing_slots, runs
from velas.interval import Interval
from velas.models import Gap
from velas.protocols import Exchange

__all__ = ["SETTLE_MS", "Settled", "next_candle_ms", "settle"]

SETTLE_MS = 24 * 3_600_000  # the end of a series may still be published later
_MOST_FRUITLESS = 4


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
        fruitless = 0
        while first < end and fruitless < _MOST_FRUITLESS:
            pages += 1
            rows = await _from(exchange, symbol, interval, first, end)
            if rows.empty:
                pages += 1
                fruitless += 1
                settled_to = min(end, interval.slot(now_ms - SETTLE_MS))
                if await _is_over(exchange, symbol, interval, first, end):
                    absent += [_absence(interval, first, settled_to)] * (settled_to > first)
                    break
                continue
            seen = interval.slot(rows["timestamp"].to_numpy(dtype=np.int64))
            proven_to = min(end, int(seen[-1]))
            absent += [_absence(interval, *run) for run in _unseen(seen, first, proven_to)]
            found.append(rows[(seen >= first) & (seen < end)])
            first = proven_to if proven_to == end else int(seen[-1]) + 1
    return Settled(_joined(found), tuple(absent), pages)


async def next_candle_ms(
    exchange: Exchange, symbol: str, interval: Interval, start_ms: int, end_ms: int
) -> int:
    """Return where the next candle from `start_ms` on opens, `end_ms` if there is none.

    Where the answers prove nothing, it is `start_ms` itself. So an empty page in the
    middle of years without candles is not followed by all the others.
    """
    rows = await exchange.fetch_candles(symbol, interval, start_ms=start_ms, limit=1)
    if not rows.empty:
        return min(end_ms, int(rows["timestamp"].iloc[0]))
    first, end = interval.slot(start_ms), interval.slot(end_ms)
    return end_ms if await _is_over(exchange, symbol, interval, first, end) else start_ms


async def _from(
    exchange: Exchange, symbol: str, interval: Interval, first: int, end: int
) -> pd.DataFrame:
    """Ask without an end, so that the answer reaches beyond the hole."""
    limit = min(exchange.capabilities.page_rows, end - first + 1)
    return await exchange.fetch_candles(
        symbol, interval, start_ms=interval.open_of(first), limit=limit
    )


async def _is_over(
    exchange: Exchange, symbol: str, interval: Interval, first: int, end: int
) -> bool:
    newest = await exchange.fetch_candles(symbol, interval, end_ms=interval.open_of(end), limit=1)
    return not newest.empty and interval.slot(int(newest["timestamp"].iloc[-1])) < first


def _unseen(seen: Slots, first: int, end: int) -> list[tuple[int, int]]:
    return runs(missing_slots(seen, first, end))


def _absence(interval: Interval, first: int, end: int) -> Gap:
    return Gap(interval.open_of(first), interval.open_of(end), end - first, "venue")


def _joined(found: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(found, ignore_index=True) if found else frames.empty()
