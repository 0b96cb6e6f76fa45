"""Which request gets which fault."""

from __future__ import annotations

import pytest

from velas.errors import ConfigError
from velas.testing import Fault, FaultPlan
from velas.testing.venue.faults import DEFAULT_RATES, FaultKind

KLINES = "/api/v3/klines"


def _kinds(plan: FaultPlan, requests: int, path: str = KLINES) -> list[FaultKind | None]:
    faults = [plan.take(path, f"n={number}") for number in range(requests)]
    return [fault.kind if fault else None for fault in faults]


def test_plan_default_has_no_fault() -> None:
    assert _kinds(FaultPlan(), 3) == [None, None, None]


def test_script_gives_each_matching_request_its_own() -> None:
    plan = FaultPlan.script([Fault.empty(), None, Fault.reset()], path="/klines")
    assert plan.take("/api/v3/time", "") is None
    assert _kinds(plan, 4) == ["empty", None, "reset", None]


def test_plan_of_plans_takes_the_first_that_has_one() -> None:
    plan = FaultPlan(
        FaultPlan.script([None, Fault.empty()]), FaultPlan.script([Fault.reset(), Fault.reset()])
    )
    plan.note_refused(KLINES, "")
    assert _kinds(plan, 3) == ["reset", "empty", None]


@pytest.mark.parametrize("seed", range(5))
def test_random_same_seed_gives_the_same_faults(seed: int) -> None:
    first, second = (_kinds(FaultPlan.random(seed), 500) for _ in range(2))
    assert first == second, f"seed {seed}"


def test_random_meets_every_kind_of_its_rates() -> None:
    assert {kind for kind in _kinds(FaultPlan.random(7), 5_000) if kind} == set(DEFAULT_RATES)


def test_random_can_make_every_kind() -> None:
    kinds: list[FaultKind] = ["forbidden", "restricted", "silence", "duplicated", "shuffled"]
    plan = FaultPlan.random(1, rates=dict.fromkeys(kinds, 0.2))
    assert set(_kinds(plan, 200)) == set(kinds)


def test_random_same_request_gets_through_after_three() -> None:
    plan = FaultPlan.random(1, rates={"reset": 1.0})
    assert [bool(plan.take(KLINES, "same")) for _ in range(8)] == [True] * 3 + [False] + [
        True
    ] * 3 + [False]


def test_random_refused_request_counts_as_failed() -> None:
    plan = FaultPlan.random(1, rates={"reset": 1.0})
    for _ in range(3):
        plan.note_refused(KLINES, "same")
    assert plan.take(KLINES, "same") is None


def test_random_only_limits_it_to_paths() -> None:
    plan = FaultPlan.random(1, rates={"reset": 1.0}, only=["/klines"])
    assert plan.take("/api/v3/time", "") is None
    assert plan.take(KLINES, "") is not None


@pytest.mark.parametrize("rates", [{"reset": -0.1}, {"reset": 0.6, "empty": 0.5}])
def test_random_impossible_rates_are_refused(rates: dict[FaultKind, float]) -> None:
    with pytest.raises(ConfigError, match="rates"):
        FaultPlan.random(1, rates=rates)


def test_fault_unknown_status_or_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match="501"):
        Fault.server_error(501)
    with pytest.raises(ConfigError, match="round"):
        Fault.wrong("round")  # type: ignore[arg-type]
