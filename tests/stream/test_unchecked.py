"""The candles that wait to be checked: exact, in order, compact."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from velas.interval import Interval
from velas.models import Candle
from velas.stream.unchecked import Unchecked

MINUTE = 60_000
numbers = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | numbers


def candle(slot: int, close: float = 1.5) -> Candle:
    opened = slot * MINUTE
    return Candle("BTC/USDT", "1m", opened, 1.0, 2.0, 0.5, close, 3.0, opened + MINUTE - 1)


def made(*slots: int) -> Unchecked:
    unchecked = Unchecked("BTC/USDT", Interval("1m"))
    for slot in slots:
        unchecked.add(candle(slot))
    return unchecked


def slots_of(unchecked: Unchecked) -> list[int]:
    return [one.timestamp // MINUTE for one in unchecked.take(0, 1 << 60)]


@given(
    st.builds(
        Candle,
        st.just("BTC/USDT"),
        st.just("1m"),
        *(st.integers(0, 1 << 50), numbers, numbers, numbers, numbers, numbers),
        st.integers(0, 1 << 50),
        *(maybe, st.none() | st.integers(0, 1 << 50), maybe, maybe),
        sequence=st.integers(0, 1 << 50),
        source=st.sampled_from(["ws", "rest"]),
    )
)
def test_unchecked_candle_comes_back_exactly_as_it_was(one: Candle) -> None:
    unchecked = made()
    unchecked.add(one)
    (back,) = unchecked.take(one.timestamp, one.timestamp + 1)
    assert back == one
    assert [type(value) for value in attrs.astuple(back)] == [
        type(value) for value in attrs.astuple(one)
    ]
    assert len(unchecked) == 0


@given(st.lists(st.integers(0, 30)), st.integers(0, 30), st.integers(0, 30))
def test_unchecked_candles_are_taken_by_range_whatever_the_order_they_came_in(
    slots: list[int], first: int, last: int
) -> None:
    unchecked = made(*slots)
    assert len(unchecked) == len(set(slots))
    taken = [one.timestamp // MINUTE for one in unchecked.take(first * MINUTE, last * MINUTE)]
    assert taken == [slot for slot in sorted(set(slots)) if first <= slot < last]
    assert slots_of(unchecked) == sorted(set(slots) - set(taken))


def test_unchecked_candle_added_again_replaces_the_one_before() -> None:
    unchecked = made(0, 1, 2)
    unchecked.add(candle(1, close=9.0))
    assert [one.close for one in unchecked.take(0, 3 * MINUTE)] == [1.5, 9.0, 1.5]


def test_unchecked_doubt_about_a_checked_candle_has_it_back_in_its_place() -> None:
    unchecked = made(5, 6)
    unchecked.doubt(candle(2))
    assert unchecked.doubted == {2 * MINUTE}
    assert slots_of(unchecked) == [2, 5, 6]


def test_unchecked_doubt_about_one_that_waits_keeps_what_was_delivered() -> None:
    unchecked = made(5, 6)
    unchecked.doubt(candle(5, close=9.0))
    assert [one.close for one in unchecked.take(0, 1 << 60)] == [1.5, 1.5]


def test_unchecked_knows_its_oldest_and_the_last_before_a_time() -> None:
    unchecked = made(3, 4, 7)
    assert unchecked.first_ms == 3 * MINUTE
    assert unchecked.oldest(2) == (3 * MINUTE, 4 * MINUTE)
    assert unchecked.last_before(7 * MINUTE) == 4 * MINUTE
