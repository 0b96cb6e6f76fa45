"""Why a bar is impossible, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain

import pandas as pd

__all__ = ["reason"]

_PRICES = ("open", "high", "low", "close")
_SUMS = ("volume", "quote_volume", "taker_buy_base", "taker_buy_quote", "trades")
_ORDER = (  # no less than the other
    ("high", "low"),
    ("high", "open"),
    ("open", "low"),
    ("high", "close"),
    ("close", "low"),
    ("volume", "taker_buy_base"),
    ("quote_volume", "taker_buy_quote"),
)


def reason(bar: pd.Series) -> str:
    """Return the first thing that is wrong with what `velas.frames.check` calls impossible."""
    return next(chain(_single(bar), _compared(bar)), "impossible")


def _single(bar: pd.Series) -> Iterator[str]:
    for name in _PRICES:
        if not 0 < bar[name] < math.inf:
            yield f"{name} is {bar[name]}"
    for name in _SUMS:
        value = bar[name]
        is_unknown = pd.isna(value) and name != "volume"  # the others may be
        if not is_unknown and not 0 <= value < math.inf:
            yield f"{name} is {value}"


def _compared(bar: pd.Series) -> Iterator[str]:
    for more, less in _ORDER:
        if bar[less] > bar[more]:
            yield f"{more} {bar[more]} is below {less} {bar[less]}"
