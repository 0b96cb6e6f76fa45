from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import hypothesis.strategies as st
from hypothesis import given, settings

from velas.interval import Interval
from velas_backtrader._align import Alignment, Bar, Block

M = 60_000
BTC, ETH, HOUR = ("BTCUSDT", "1m"), ("ETHUSDT", "1m"), ("BTCUSDT", "1h")


def bar(key: tuple[str, str], end: int) -> Bar:
    """Return a candle that ends in minute `end`."""
    return Bar(key, end * M - Interval(key[1]).length_ms, end * M, [float(end)])


def aligned(*keys: tuple[str, str], reached: int = 0) -> Alignment:
    alignment = Alignment()
    for key in keys:
        alignment.add(key, reached * M, settled=True, history=None)
    alignment.began(0)
    return alignment


def taken(alignment: Alignment) -> list[list[tuple[str, int]]]:
    moments = []
    while alignment.due:
        moments.append([(one.key[0][:3], one.end_ms // M) for one in alignment.take()])
    return moments


def test_candle_waits_for_the_other_series() -> None:
    alignment = aligned(BTC, ETH)
    alignment.put(bar(BTC, 1))
    alignment.put(bar(BTC, 2))
    assert not alignment.due
    assert alignment.laggards() == {ETH: 0}
    alignment.put(bar(ETH, 1))
    assert taken(alignment) == [[("BTC", 1), ("ETH", 1)]]


def test_absent_candle_is_not_waited_for() -> None:
    alignment = aligned(BTC, ETH)
    alignment.put(bar(BTC, 1))
    alignment.absent(ETH, M)
    assert taken(alignment) == [[("BTC", 1)]]
    alignment.put(bar(ETH, 3))
    alignment.put(bar(BTC, 2))
    assert taken(alignment) == [[("BTC", 2)]]


def test_longer_series_is_waited_for_where_it_ends_only() -> None:
    alignment = aligned(BTC, HOUR)
    for minute in range(1, 61):
        alignment.put(bar(BTC, minute))
    assert len(taken(alignment)) == 59
    alignment.put(bar(HOUR, 60))
    assert taken(alignment) == [[("BTC", 60), ("BTC", 60)]]


def test_force_gives_up_waiting_for_one_moment() -> None:
    alignment = aligned(BTC, ETH)
    alignment.put(bar(BTC, 1))
    alignment.put(bar(BTC, 2))
    alignment.force(alignment.next_end_ms)
    assert taken(alignment) == [[("BTC", 1)]]
    alignment.put(bar(ETH, 1))  # late, but in its order
    alignment.put(bar(ETH, 2))
    assert taken(alignment) == [[("ETH", 1)], [("BTC", 2), ("ETH", 2)]]


def test_nothing_waits_at_the_end() -> None:
    alignment = aligned(BTC, ETH)
    alignment.put(bar(BTC, 1))
    alignment.force(math.inf)
    assert taken(alignment) == [[("BTC", 1)]]
    assert alignment.laggards() == {}


def test_series_that_begin_with_the_stream_begin_together() -> None:
    alignment = Alignment()
    for key in (BTC, ETH, HOUR):
        alignment.add(key, 0, settled=False, history=None)
    alignment.began(10 * M + 1)  # by a clock that is ahead of the venue's
    alignment.put(bar(BTC, 9))
    assert not alignment.due
    alignment.put(bar(ETH, 9))
    assert taken(alignment) == [[("BTC", 9), ("ETH", 9)]]


def test_nothing_is_due_before_the_stream_begins() -> None:
    alignment = Alignment()
    block = Block([0], [M], [array("d", [1.0])])
    alignment.add(BTC, M, settled=True, history=block)
    assert not alignment.due
    alignment.began(M)
    assert alignment.due


def test_history_comes_first_and_its_newest_candle_is_known() -> None:
    block = Block([0, M], [M, 2 * M], [array("d", [1.0, 2.0])])
    alignment = Alignment()
    alignment.add(BTC, 2 * M, settled=True, history=block)
    alignment.add(ETH, 0, settled=True, history=None)
    alignment.began(2 * M + 5)
    alignment.put(bar(BTC, 3))
    for minute in (1, 2, 3):
        alignment.put(bar(ETH, minute))
    assert alignment.waiting(BTC) == 3
    first, second, third = (alignment.take()[0] for _ in range(3))
    assert [first.newest, second.newest] == [False, True]
    assert [list(one.row) for one in (first, second, third)] == [[1.0], [2.0], [3.0]]


@given(
    there=st.lists(st.sets(st.integers(1, 20)), min_size=2, max_size=4),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_moments_are_those_of_a_backtest_in_whatever_order_series_come(
    there: Sequence[set[int]], order: object
) -> None:
    keys = [(f"S{number:02}", "1m") for number in range(len(there))]
    alignment = aligned(*keys)
    said = {key: sorted(minutes) for key, minutes in zip(keys, there, strict=True)}
    moments = []
    while any(said.values()):
        key = order.choice([one for one, left in said.items() if left])  # type: ignore[attr-defined]
        alignment.put(bar(key, said[key].pop(0)))
        if not said[key]:
            alignment.absent(key, 20 * M)
        moments += taken(alignment)
        for one, minutes in zip(keys, there, strict=True):
            if not minutes:
                alignment.absent(one, 20 * M)
    moments += taken(alignment)
    expected = [
        [(key[0], end) for key, minutes in zip(keys, there, strict=True) if end in minutes]
        for end in sorted(set().union(*there))
    ]
    assert moments == expected
