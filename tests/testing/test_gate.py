"""429 and 418: when the venue refuses, for how long, and who did not listen."""

from __future__ import annotations

from velas.testing.venue.gate import Gate, Refusal
from velas.testing.venue.weights import WeightWindow

START = 1_700_000_040_000  # 20 s into a minute
NEXT = 1_700_000_040_000 // 60_000 * 60_000 + 60_000


def _gate(limit: int = 10, *, retry_after: bool = True, in_flight_s: float = 0.0) -> Gate:
    return Gate(WeightWindow(limit), retry_after=retry_after, in_flight_s=in_flight_s)


def _over(gate: Gate, now_ms: int = START) -> Refusal:
    gate.admit(10, now_ms)
    refusal = gate.admit(1, now_ms)
    assert refusal is not None
    return refusal


def test_gate_within_the_limit_admits() -> None:
    assert _gate().admit(10, START) is None


def test_gate_over_the_limit_says_when_to_come_back() -> None:
    refusal = _over(_gate())
    assert (refusal.status, refusal.retry_after_s) == (429, (NEXT - START) // 1000)
    assert "10 request weight per 1 MINUTE" in refusal.message


def test_gate_without_retry_after_names_no_time() -> None:
    assert _over(_gate(retry_after=False)).retry_after_s is None


def test_gate_next_window_admits_again() -> None:
    gate = _gate()
    _over(gate)
    assert gate.admit(1, NEXT) is None
    assert (gate.refused, gate.bans) == (1, 0)


def test_gate_ignored_429_becomes_418_after_three_more() -> None:
    gate = _gate()
    _over(gate)
    statuses = [getattr(gate.admit(1, START + i), "status", 200) for i in range(1, 5)]
    assert statuses == [429, 429, 429, 418]
    assert (gate.bans, gate.ignored_retry_after, gate.refused) == (1, 4, 5)


def test_gate_ban_names_its_end_and_outlasts_the_window() -> None:
    gate = _gate()
    _over(gate)
    for i in range(1, 5):
        refusal = gate.admit(1, START + i)
    assert refusal is not None
    assert f"IP banned until {START + 4 + 120_000}." in refusal.message
    assert refusal.retry_after_s == 120
    assert gate.admit(1, NEXT + 60_000) is not None


def test_gate_request_during_ban_prolongs_it() -> None:
    gate = _gate()
    gate.ban(100, START)
    refusal = gate.admit(1, START + 50_000)
    assert refusal is not None
    assert refusal.retry_after_s == 100
    assert gate.admit(1, START + 150_000) is None
    assert gate.ignored_bans == 1


def test_gate_second_ban_is_twice_as_long_and_at_most_three_days() -> None:
    gate = _gate()
    waits = []
    now = START
    for _ in range(14):
        _over(gate, now)
        for _ in range(4):
            refusal = gate.admit(1, now)
        assert refusal is not None
        assert refusal.retry_after_s is not None
        waits.append(refusal.retry_after_s)
        now += refusal.retry_after_s * 1000 + 120_000
    assert waits[:3] == [120, 240, 480]
    assert waits[-1] == 3 * 86_400


def test_gate_requests_in_flight_are_forgiven() -> None:
    gate = _gate(in_flight_s=0.25)
    _over(gate)
    answers = [gate.admit(1, START + 100) for _ in range(20)]
    assert {answer.status for answer in answers if answer} == {429}
    assert (gate.bans, gate.ignored_retry_after) == (0, 0)
    gate.admit(1, START + 250)
    assert gate.ignored_retry_after == 1


def test_gate_scripted_429_is_meant_and_not_the_budgets() -> None:
    gate = _gate()
    assert gate.refuse(5, START).retry_after_s == 5
    late = gate.admit(1, START + 4_000)
    assert late is not None
    assert (late.status, late.retry_after_s, late.scripted) == (429, 1, True)
    assert gate.admit(1, START + 5_000) is None
    assert (gate.refused, gate.ignored_retry_after) == (0, 1)


def test_gate_scripted_429_without_time_lasts_to_the_window() -> None:
    gate = _gate()
    assert gate.refuse(None, START).retry_after_s is None
    assert gate.admit(1, NEXT - 1) is not None
    assert gate.admit(1, NEXT) is None


def test_gate_scripted_ban_is_no_fault_of_the_client() -> None:
    gate = _gate()
    refusal = gate.ban(2, START)
    assert (refusal.status, refusal.scripted) == (418, True)
    assert (gate.bans, gate.refused) == (0, 0)
    assert gate.admit(1, START + 2_000) is None
