"""The clocks that tests move by hand."""

from __future__ import annotations

import asyncio
import threading

import pytest
from fastforward import fast_forward

from velas.clock import Clock
from velas.errors import ConfigError
from velas.testing import LoopClock, ManualClock, ScaledClock


async def _note(clock: Clock, seconds: float, name: str, notes: list[tuple[str, float]]) -> None:
    await clock.sleep(seconds)
    notes.append((name, clock.monotonic_s()))


def test_manual_clock_untouched_stands_still() -> None:
    clock = ManualClock(1_000)
    assert (clock.now_ms(), clock.monotonic_s()) == (1_000, 0.0)


def test_manual_clock_advance_moves_both_times() -> None:
    clock = ManualClock(1_000)
    clock.advance(2.5)
    assert (clock.now_ms(), clock.monotonic_s()) == (3_500, 2.5)


def test_manual_clock_backwards_is_refused() -> None:
    with pytest.raises(ConfigError, match="-1"):
        ManualClock().advance(-1)


async def test_manual_clock_advance_wakes_those_due_earliest_first() -> None:
    clock, notes = ManualClock(), list[tuple[str, float]]()
    tasks = [asyncio.create_task(_note(clock, s, n, notes)) for s, n in ((3, "c"), (1, "a"))]
    late = asyncio.create_task(_note(clock, 9, "z", notes))
    await asyncio.sleep(0)
    clock.advance(5)
    await asyncio.gather(*tasks)
    assert [name for name, _ in notes] == ["a", "c"]
    assert clock.sleepers == 1
    late.cancel()


async def test_manual_clock_run_for_wakes_each_at_its_own_moment() -> None:
    clock, notes = ManualClock(), list[tuple[str, float]]()

    async def twice() -> None:
        await _note(clock, 1, "first", notes)
        await _note(clock, 1, "second", notes)

    task = asyncio.create_task(twice())
    await clock.run_for(5)
    await task
    assert notes == [("first", 1.0), ("second", 2.0)]
    assert clock.monotonic_s() == 5


async def test_manual_clock_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await clock.run_for(2)
    assert clock.sleepers == 0


async def test_manual_clock_cancelled_sleeper_due_is_not_woken() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    clock.advance(2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert task.cancelled()


async def test_manual_clock_auto_jumps_and_parallel_sleeps_overlap() -> None:
    clock = ManualClock(auto=True)
    await asyncio.gather(*(clock.sleep(10) for _ in range(5)))
    assert clock.monotonic_s() == 10


async def test_manual_clock_auto_never_runs_backwards() -> None:
    clock = ManualClock(auto=True)
    await asyncio.gather(clock.sleep(10), clock.sleep(1))
    assert clock.monotonic_s() == 10


async def test_manual_clock_sleep_of_nothing_returns() -> None:
    clock = ManualClock()
    await clock.sleep(-1)
    assert clock.monotonic_s() == 0


def test_manual_clock_moved_from_another_thread_wakes_a_sleeper() -> None:
    clock = ManualClock()

    async def sleeper() -> float:
        task = asyncio.create_task(clock.sleep(1))
        await asyncio.sleep(0)
        mover = threading.Thread(target=clock.advance, args=(1,))
        mover.start()
        await task
        mover.join()
        return clock.monotonic_s()

    assert asyncio.run(sleeper()) == 1


def test_manual_clock_sleeper_of_a_closed_loop_is_harmless() -> None:
    clock = ManualClock()
    loop = asyncio.new_event_loop()
    task = loop.create_task(clock.sleep(1))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    clock.advance(2)
    assert clock.sleepers == 0
    # the loop is gone on purpose: no complaint about its unfinished task
    setattr(task, "_log_destroy_pending", False)  # noqa: B010


async def test_scaled_clock_runs_faster_than_the_machine() -> None:
    clock = ScaledClock(1000, start_ms=0)
    before = asyncio.get_running_loop().time()
    await clock.sleep(20)
    real = asyncio.get_running_loop().time() - before
    assert real < 10
    assert clock.now_ms() >= 19_000
    assert clock.monotonic_s() >= 19


def test_scaled_clock_starts_at_the_machines_time() -> None:
    assert ScaledClock(1).now_ms() > 1_700_000_000_000


@pytest.mark.parametrize("factor", [0, -1, float("nan")])
def test_scaled_clock_impossible_factor_is_refused(factor: float) -> None:
    with pytest.raises(ConfigError, match="factor"):
        ScaledClock(factor)


async def test_loop_clock_is_the_loops_own_time() -> None:
    clock = LoopClock(start_ms=5_000)
    loop = asyncio.get_running_loop()
    zero_s = loop.time() - clock.monotonic_s()
    await clock.sleep(0.01)
    assert clock.monotonic_s() == pytest.approx(loop.time() - zero_s, abs=0.01)
    assert clock.monotonic_s() >= 0.01
    assert 5_010 <= clock.now_ms() <= 5_000 + int(1000 * (loop.time() - zero_s)) + 1


@fast_forward
async def test_loop_clock_on_a_loop_that_jumps_sleeps_a_day_at_once() -> None:
    clock = LoopClock()
    begins_ms = clock.now_ms()
    await asyncio.gather(clock.sleep(86_400.0), clock.sleep(10.0))
    assert clock.monotonic_s() == 86_400.0
    assert clock.now_ms() - begins_ms == 86_400_000


@fast_forward
async def test_loop_clock_moves_with_the_shortest_sleep() -> None:
    clock = LoopClock()
    await clock.sleep(168.185628)
    before_s = clock.monotonic_s()
    for _ in range(3):
        if (left_s := before_s + 1.5e-10 - clock.monotonic_s()) > 0:
            await clock.sleep(left_s)
    assert before_s < clock.monotonic_s() < before_s + 1e-5
