"""New connections per host, over all feeds of the process."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from velas.testing import ManualClock
from velas_cryptofeed._budget import MOST, Budget, budget_of


@given(st.lists(st.floats(0, 50), max_size=80), st.integers(1, 7))
def test_budget_any_pace_of_asking_stays_within_the_window(steps: list[float], most: int) -> None:
    budget = Budget(most=most, window_s=30.0)
    now, moments = 0.0, []
    for step in steps:
        now += step
        delay = budget.reserve(now)
        assert delay >= 0.0
        moments.append(now + delay)
    assert all(last - first >= -1e-9 for first, last in pairwise(moments))
    for first, last in zip(moments, moments[most:], strict=False):
        assert last - first >= 30.0 - 1e-9


def test_budget_below_the_limit_never_waits() -> None:
    budget = Budget()
    assert [budget.reserve(0.0) for _ in range(MOST)] == [0.0] * MOST
    assert budget.reserve(0.0) == 300.0


def test_budget_of_a_host_is_shared_on_one_clock_only() -> None:
    clock, other = ManualClock(), ManualClock()
    assert budget_of("a", clock) is budget_of("a", clock)
    assert budget_of("a", clock) is not budget_of("b", clock)
    assert budget_of("a", clock) is not budget_of("a", other)
