"""Weight windows and the pace, by themselves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velas.limit_models import RequestType, WeightLimit
from velas.windows import Pace, Ticket, Window

MINUTE = WeightLimit(60, 100)
GUARD_S = 0.15


def window(limit: WeightLimit = MINUTE, *, at_s: float = 1.0, used: int = 0) -> Window:
    return Window(limit, guard_s=GUARD_S, venue_ms=at_s * 1000, monotonic_s=at_s, used=used)


def sent(target: Window, weight: int) -> Ticket:
    ticket = Ticket(RequestType.HISTORY, weight)
    target.charge(ticket)
    return ticket


def answered(target: Window, weight: int, *, at_s: float) -> Ticket:
    ticket = sent(target, weight)
    ticket.settled_ms = at_s * 1000
    target.settle(ticket)
    return ticket


def test_roll_before_guard_has_passed_keeps_window() -> None:
    minute = window()
    answered(minute, 40, at_s=2)
    minute.roll(60_149, 60.149)
    assert minute.used == 40


def test_roll_after_guard_begins_empty_window() -> None:
    minute = window()
    answered(minute, 40, at_s=2)
    minute.roll(60_150, 60.150)
    assert minute.used == 0


def test_roll_carries_what_is_in_flight() -> None:
    minute = window()
    answered(minute, 40, at_s=2)
    sent(minute, 7)
    minute.roll(60_150, 60.150)
    assert minute.used == 7


def test_roll_in_flight_over_two_windows_is_carried_twice() -> None:
    minute = window()
    sent(minute, 7)
    minute.roll(60_150, 60.150)
    minute.roll(120_150, 120.150)
    assert minute.used == 7


@pytest.mark.parametrize(("settled_s", "carried"), [(59.849, 0), (59.851, 7), (60.1, 7)])
def test_roll_answer_near_boundary_counts_on_both_sides(settled_s: float, carried: int) -> None:
    minute = window()
    answered(minute, 7, at_s=settled_s)
    minute.roll(60_150, 60.150)
    assert minute.used == carried


def test_roll_carried_request_is_gone_one_window_later() -> None:
    minute = window()
    answered(minute, 7, at_s=60.1)
    minute.roll(60_150, 60.150)
    minute.roll(120_150, 120.150)
    assert minute.used == 0


def test_roll_after_idle_windows_carries_nothing_settled() -> None:
    minute = window()
    answered(minute, 7, at_s=59.9)
    minute.roll(600_150, 600.150)
    assert minute.used == 0


def test_roll_clock_jumps_forward_keeps_all_counts() -> None:
    minute = window()
    answered(minute, 40, at_s=2)
    minute.roll(60_150, 20.0)
    assert minute.used == 40


def test_roll_clock_steps_back_over_boundary_adds_both_windows() -> None:
    minute = window()
    answered(minute, 40, at_s=2)
    minute.roll(60_150, 60.150)
    answered(minute, 3, at_s=60.2)
    minute.roll(59_000, 60.250)
    assert minute.used == 43


def test_roll_small_forward_correction_is_an_ordinary_roll() -> None:
    minute = window()
    answered(minute, 40, at_s=2)
    minute.roll(60_150, 60.150 - 0.2)
    assert minute.used == 0


def test_realign_twice_counts_previous_window_once() -> None:
    minute = window()
    answered(minute, 40, at_s=2)
    minute.roll(60_150, 60.150)
    minute.realign(60_160, 60.160)
    minute.realign(60_170, 60.170)
    assert minute.used == 40


def test_realign_after_idle_window_forgets_the_one_before() -> None:
    minute = window()
    answered(minute, 40, at_s=2)
    minute.roll(120_150, 120.150)
    minute.realign(120_160, 120.160)
    assert minute.used == 0


def test_left_counts_to_guard_after_boundary() -> None:
    assert window(at_s=50).left_s(50_000) == pytest.approx(10.15)
    assert window(at_s=50).left_s(70_000) == 0


@pytest.mark.parametrize(
    ("used", "weight", "share", "fits"),
    [
        (94, 2, 0.96, True),
        (95, 2, 0.96, False),
        (98, 2, 1.0, True),
        (99, 2, 1.0, False),
        (0, 100, 0.96, True),  # heavier than the share: the whole limit is its cap
        (1, 100, 0.96, False),
        (96, 0, 0.96, True),
    ],
)
def test_fits_by_share_of_limit(used: int, weight: int, share: float, fits: bool) -> None:
    assert window(used=used).fits(weight, share) is fits


def test_observe_lower_figure_never_lowers() -> None:
    minute = window()
    ticket = sent(minute, 10)
    minute.observe(ticket, 3)
    assert minute.used == 10


def test_observe_figure_within_own_requests_proves_nobody() -> None:
    minute = window()
    ticket = sent(minute, 10)
    sent(minute, 10)
    minute.observe(ticket, 20)
    assert minute.used == 20


def test_observe_proven_spender_is_assumed_to_have_all_of_the_doubtful_rest() -> None:
    minute = window()
    answered(minute, 5, at_s=2)
    ticket = sent(minute, 10)
    sent(minute, 10)  # on its way: the venue's figure may or may not hold it
    minute.observe(ticket, 40)
    assert minute.used == 25 + (40 - 5 - 10)


def test_observe_request_sent_later_tightens_the_doubt() -> None:
    minute = window()
    slow = sent(minute, 10)
    minute.observe(slow, 40)
    minute.settle(slow)
    minute.observe(sent(minute, 1), 26)
    assert minute.used == 11 + max(40 - 10, 26 - 10 - 1)


def test_observe_doubt_of_a_request_sent_earlier_does_not_loosen() -> None:
    minute = window()
    slow = sent(minute, 1)
    answered(minute, 20, at_s=2)
    minute.observe(sent(minute, 1), 27)
    minute.observe(slow, 27)
    assert minute.used == 22 + (27 - 20 - 1)


def test_observe_request_of_earlier_window_is_not_trusted() -> None:
    minute = window()
    ticket = sent(minute, 10)
    minute.roll(60_150, 60.150)
    minute.observe(ticket, 90)
    assert minute.used == 10


def test_observe_request_sent_before_window_existed_is_not_trusted() -> None:
    minute = window()
    minute.observe(Ticket(RequestType.LIVE, 1), 90)
    assert minute.used == 0


def test_observe_proof_ends_with_its_window() -> None:
    minute = window()
    ticket = answered(minute, 10, at_s=2)
    minute.observe(ticket, 40)
    minute.roll(60_150, 60.150)
    assert minute.used == 0


def test_settle_of_earlier_window_does_not_count_in_this_one() -> None:
    minute = window()
    early = sent(minute, 10)
    minute.roll(60_150, 60.150)
    minute.settle(early)
    ticket = sent(minute, 1)
    minute.observe(ticket, 20)
    assert minute.used == 11 + 19


def test_refund_takes_back_once() -> None:
    minute = window()
    ticket = sent(minute, 10)
    minute.refund(ticket)
    minute.refund(ticket)
    assert minute.used == 0


@given(
    length_s=st.sampled_from([1, 10, 60, 300, 86_400]),
    start_s=st.floats(0, 1e6),
    steps=st.lists(st.tuples(st.floats(0, 400), st.integers(0, 30)), max_size=30),
)
def test_window_never_counts_less_than_an_exact_one(
    length_s: int, start_s: float, steps: list[tuple[float, int]]
) -> None:
    ours = window(WeightLimit(length_s, 100), at_s=start_s)
    exact: dict[int, int] = {}
    now_s = start_s
    for pause_s, weight in steps:
        now_s += pause_s
        ours.roll(now_s * 1000, now_s)
        sent(ours, weight)
        index = math.floor(now_s / length_s)
        exact[index] = exact.get(index, 0) + weight
        assert ours.used >= exact[index]


def test_pace_burst_then_rate() -> None:
    pace = Pace(2, 3)
    for _ in range(3):
        assert pace.delay_s(10) == 0
        pace.take()
    assert pace.delay_s(10) == pytest.approx(0.5)
    assert pace.delay_s(10.25) == pytest.approx(0.25)
    assert pace.delay_s(10.5) == 0


def test_pace_long_pause_gives_no_more_than_burst() -> None:
    pace = Pace(2, 1)
    assert pace.delay_s(0) == 0
    pace.take()
    assert pace.delay_s(1000) == 0
    pace.take()
    assert pace.delay_s(1000) == pytest.approx(0.5)


def test_pace_give_back_lets_next_go() -> None:
    pace = Pace(2, 1)
    pace.take()
    pace.give_back()
    assert pace.delay_s(0) == 0


def test_pace_clock_running_backwards_gives_nothing() -> None:
    pace = Pace(2, 1)
    assert pace.delay_s(10) == 0
    pace.take()
    assert pace.delay_s(5) == pytest.approx(0.5)


@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 5), max_size=60),
)
def test_pace_never_more_than_burst_and_rate(rate: float, burst: int, pauses: list[float]) -> None:
    pace, now_s, taken = Pace(rate, burst), 0.0, 0
    for pause_s in pauses:
        now_s += pause_s
        while pace.delay_s(now_s) == 0:
            pace.take()
            taken += 1
            assert taken <= burst + rate * now_s + 1e-6
