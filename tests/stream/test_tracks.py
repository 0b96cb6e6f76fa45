"""The tracks against every order, repetition and loss of what they are told."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from velas.interval import Interval
from velas.models import Candle, Trade
from velas.stream.candle_track import CandleTrack
from velas.stream.trade_track import TradeTrack

MINUTE = 60_000
COUNT = 12


def candle(slot: int, trades: int = 100, *, closed: bool = True) -> Candle:
    opened = slot * MINUTE
    return Candle(
        *("BTC/USDT", "1m", opened, 1.0, 2.0, 0.5, 1.5, 3.0, opened + MINUTE - 1),
        *(4.0, trades, 1.0, 2.0, closed, 0, "ws"),
    )


def trade(number: int) -> Trade:
    return Trade("BTC/USDT", number, number, Decimal(1), Decimal(1), False)


def track(first: int = 0, *, opened: bool = True, memory: int = 1000) -> CandleTrack:
    made = CandleTrack(
        "BTC/USDT", Interval("1m"), first * MINUTE, memory=memory, counters=Counter()
    )
    made.open = opened
    return made


slots = st.lists(st.integers(-3, COUNT), max_size=60)


@given(slots, st.sets(st.integers(0, COUNT)))
def test_candle_track_any_order_delivers_the_dense_beginning(
    told: list[int], also: set[int]
) -> None:
    one = track()
    delivered = [got for slot in told for got in one.close(candle(slot))]
    there = {slot for slot in told if slot >= 0}
    dense = 0
    while dense in there:
        dense += 1
    assert [got.timestamp // MINUTE for got in delivered] == list(range(dense))
    assert [got.sequence for got in delivered] == list(range(1, dense + 1))
    # and whatever REST says afterwards only adds what was missing
    delivered += [got for slot in sorted(also) for got in one.close(candle(slot))]
    there |= also
    while dense in there:
        dense += 1
    assert [got.timestamp // MINUTE for got in delivered] == list(range(dense))


@given(slots)
def test_candle_track_not_open_keeps_everything_until_it_is(told: list[int]) -> None:
    late, early = track(opened=False), track()
    expected = [got for slot in told for got in early.close(candle(slot))]
    assert all(not late.close(candle(slot)) for slot in told)
    late.open = True
    assert list(late.release()) == expected


@given(slots, st.integers(0, COUNT))
def test_candle_track_skip_leaves_out_and_goes_on(told: list[int], upto: int) -> None:
    one = track()
    delivered = [got for slot in told for got in one.close(candle(slot))]
    delivered += one.skip(upto * MINUTE)
    opens = [got.timestamp // MINUTE for got in delivered]
    assert opens == sorted(set(opens))
    assert one.next_ms >= upto * MINUTE
    assert one.next_ms // MINUTE not in {slot for slot in told if slot >= upto}


@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(1, 50)), max_size=40))
def test_candle_track_forming_never_goes_back(told: list[tuple[int, int]]) -> None:
    one = track()
    news = [(slot, count) for slot, count in told if one.update(candle(slot, count, closed=False))]
    counts = [count for slot, count in news]
    assert {slot for slot, _ in news} <= {0}
    assert counts == sorted(set(counts))


def test_candle_track_forming_of_the_next_slot_waits_for_the_close() -> None:
    one = track()
    assert not one.update(candle(1, 5, closed=False))
    assert one.seen_ms == MINUTE
    assert one.forming is None
    one.close(candle(0))
    assert one.forming == candle(1, 5, closed=False)


def test_candle_track_before_it_is_open_gives_no_forming_candle() -> None:
    one = track(opened=False)
    assert not one.update(candle(0, 5, closed=False))
    assert one.forming == candle(0, 5, closed=False)


def test_candle_track_after_a_close_nothing_is_forming() -> None:
    one = track()
    one.update(candle(0, 5, closed=False))
    one.close(candle(0))
    assert one.forming is None


def test_candle_track_a_later_close_shows_that_the_one_before_is_over() -> None:
    one = track()
    one.close(candle(3))
    assert one.seen_ms == 3 * MINUTE
    assert one.next_held_ms == 3 * MINUTE


def test_candle_track_that_begins_earlier_keeps_the_forming_candle_for_later() -> None:
    one = track(first=2)
    one.update(candle(2, 5, closed=False))
    one.begin_at(MINUTE)
    assert one.forming is None
    one.close(candle(1))
    assert one.forming == candle(2, 5, closed=False)


def test_candle_track_close_told_differently_again_is_a_contradiction() -> None:
    one = track()
    one.close(candle(0))
    one.unchecked.take(0, MINUTE)
    one.close(candle(0))
    assert not one.unchecked.doubted
    one.close(attrs.evolve(candle(0), close=9.0))
    assert one.unchecked.doubted == {0}
    assert list(one.unchecked.take(0, MINUTE)) == list(one.memory)


def test_candle_track_holds_a_bounded_number_behind_a_hole() -> None:
    one = track()
    for slot in range(1, 5_000):
        one.close(candle(slot))
    assert len(one.close(candle(0))) == 1_000
    assert one.next_ms == 1_000 * MINUTE


def test_candle_track_releases_no_more_than_asked_and_the_rest_later() -> None:
    one = track()
    for slot in range(1, 10):
        one.close(candle(slot))
    assert [got.sequence for got in one.close(candle(0), 4)] == [1, 2, 3, 4]
    assert one.ready
    assert [got.sequence for got in one.release(0)] == []
    assert [got.sequence for got in one.release()] == [5, 6, 7, 8, 9, 10]
    assert not one.ready


def test_candle_track_memory_is_bounded_and_follows_a_revision() -> None:
    one = track(memory=3)
    for slot in range(5):
        one.close(candle(slot))
    before = one.memory[0]
    after = attrs.evolve(before, close=9.0)
    one.revise(before, after)
    assert [kept.timestamp // MINUTE for kept in one.memory] == [2, 3, 4]
    assert one.memory[0] == after


@settings(max_examples=200)
@given(st.lists(st.integers(90, 120), max_size=80))
def test_trade_track_any_order_delivers_the_contiguous_beginning(told: list[int]) -> None:
    one = TradeTrack("BTC/USDT", contiguous=True, counters=Counter())
    delivered = [got.id for number in told for got in one.take(trade(number))]
    if told:
        dense = told[0]
        while dense in told:
            dense += 1
        assert delivered == list(range(told[0], dense))


def test_trade_track_releases_no_more_than_asked_and_the_rest_later() -> None:
    one = TradeTrack("BTC/USDT", contiguous=True, counters=Counter())
    one.take(trade(1))
    for number in range(3, 10):
        one.take(trade(number))
    assert [got.id for got in one.take(trade(2), 3)] == [2, 3, 4]
    assert one.ready
    assert [got.id for got in one.skip(5, 0)] == []
    assert [got.id for got in one.release()] == [5, 6, 7, 8, 9]
    assert not one.ready


def test_trade_track_tombstone_behind_a_hole_is_not_delivered() -> None:
    one = TradeTrack("BTC/USDT", contiguous=True, counters=Counter())
    one.take(trade(1))
    one.take(attrs.evolve(trade(3), quantity=Decimal(0)))
    one.take(trade(4))
    assert [got.id for got in one.take(trade(2))] == [2, 4]


@given(st.lists(st.integers(0, 10), max_size=40))
def test_trade_track_without_order_delivers_each_id_once(told: list[int]) -> None:
    one = TradeTrack("BTC/USDT", contiguous=False, counters=Counter())
    delivered = [got.id for number in told for got in one.take(trade(number))]
    assert delivered == list(dict.fromkeys(told))
