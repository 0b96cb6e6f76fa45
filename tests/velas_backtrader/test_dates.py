from __future__ import annotations

import datetime as dt

import backtrader as bt
import numpy as np
import pytest

from velas_backtrader._dates import day_numbers

EPOCH = dt.datetime(1970, 1, 1)


def theirs(ms: np.ndarray) -> np.ndarray:
    return np.array([bt.date2num(EPOCH + dt.timedelta(milliseconds=int(one))) for one in ms])


@pytest.mark.parametrize(
    ("first_ms", "last_ms", "count"),
    [
        (1_230_768_000_000, 4_102_444_800_000, 900_000),  # 2009 to 2100
        (-62_135_510_400_000, 253_402_300_799_999, 100_000),  # the years 1 to 9999
    ],
)
def test_day_numbers_are_those_of_backtrader_to_the_last_bit(
    first_ms: int, last_ms: int, count: int
) -> None:
    ms = np.random.default_rng(7).integers(first_ms, last_ms, count)
    assert np.array_equal(day_numbers(ms).view(np.int64), theirs(ms).view(np.int64))


def test_day_numbers_of_every_second_of_a_day() -> None:
    ms = 1_700_006_400_000 + np.arange(86_400) * 1_000
    assert np.array_equal(day_numbers(ms).view(np.int64), theirs(ms).view(np.int64))


def test_day_numbers_of_nothing_are_none() -> None:
    assert len(day_numbers(np.empty(0, dtype=np.int64))) == 0
