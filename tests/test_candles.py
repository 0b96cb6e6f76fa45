"""Rows of the candle frame as models."""

from __future__ import annotations

import math

import attrs
import numpy as np
import pandas as pd
from fakes import candles

from velas import frames
from velas.candles import candles_of
from velas.interval import Interval
from velas.models import Candle

HOUR = 3_600_000


def test_candles_of_a_full_frame_have_every_column_as_plain_numbers() -> None:
    frame = candles([0, HOUR])
    found = candles_of(frame, "BTC/USDT", "1h")
    assert [one.timestamp for one in found] == [0, HOUR]
    for row, one in zip(frame.to_dict("records"), found, strict=True):
        assert {name: getattr(one, name) for name in frames.COLUMNS} == row
        assert {type(getattr(one, name)) for name in frames.COLUMNS} == {int, float}
        assert (one.symbol, one.interval, one.is_closed, one.sequence, one.source) == (
            *("BTC/USDT", "1h"),
            *(True, 0, "rest"),
        )


def test_candles_of_a_venue_with_six_columns_have_none_for_the_rest() -> None:
    six = {"timestamp": [0], "open": [1.0], "high": [2.0], "low": [0.5], "close": [1.5]}
    frame = frames.coerce(pd.DataFrame({**six, "volume": [np.nan]}), Interval("1h"))
    (found,) = candles_of(frame, "A/B", "1h", is_closed=False, source="ws")
    expected = Candle(
        *("A/B", "1h", 0, 1.0, 2.0, 0.5, 1.5, 0.0, HOUR - 1), is_closed=False, source="ws"
    )
    assert math.isnan(found.volume)
    assert attrs.evolve(found, volume=0.0) == expected


def test_candles_of_partly_null_columns_are_none_where_null() -> None:
    frame = candles([0, HOUR, 2 * HOUR])
    frame["trades"] = pd.array([1, None, 3], dtype="Int64")
    frame.loc[2, "quote_volume"] = np.nan
    found = candles_of(frame, "A/B", "1h")
    assert [one.trades for one in found] == [1, None, 3]
    assert [one.quote_volume for one in found] == [1000.0, 1000.0, None]
    assert type(found[0].trades) is int


def test_candles_of_no_rows_are_none() -> None:
    assert candles_of(frames.empty(), "A/B", "1h") == []
