"""The time of a tape: jumps, stops at sleepers, paces, hands over at its end."""

from __future__ import annotations

import asyncio

import pytest

from velas.testing import ManualClock
from velas_replay._clock import FastClock, PacedClock, answering, hold_up_frames

START_MS = 1_700_000_000_000
SECOND = 1_000_000_000


def at(seconds: float) -> int:
    return START_MS * 1_000_000 + round(seconds * SECOND)


@pytest.fixture
def pace() -> ManualClock:
    return ManualClock(5)


@pytest.fixture
def fast(pace: ManualClock) -> FastClock:
    return FastClock(lambda: at(0), pace)


def paced(pace: ManualClock, speed: float) -> PacedClock:
    return PacedClock(lambda: at(0), pace, speed)


async def test_fast_clock_shows_where_the_tape_is(fast: FastClock) -> None:
    assert (fast.now_ms(), fast.monotonic_s()) == (START_MS, 0.0)
    await fast.run_to(at(1.5))
    assert (fast.now_ms(), fast.monotonic_s()) == (START_MS + 1_500, 1.5)
    await fast.run_to(at(1.0))  # a step of the recorder's clock
    assert fast.monotonic_s() == 1.5


async def test_fast_clock_wakes_each_sleeper_at_its_own_moment_in_order(fast: FastClock) -> None:
    woken: list[tuple[str, float]] = []

    async def every(name: str, seconds: float) -> None:
        while True:
            await fast.sleep(seconds)
            woken.append((name, fast.monotonic_s()))

    tasks = [asyncio.ensure_future(every("b", 2.0)), asyncio.ensure_future(every("a", 1.5))]
    await fast.run_to(at(4.2))
    assert woken == [("a", 1.5), ("b", 2.0), ("a", 3.0), ("b", 4.0)]
    assert fast.monotonic_s() == pytest.approx(4.2)
    for task in tasks:
        task.cancel()


async def test_fast_clock_lets_what_was_woken_go_several_steps(fast: FastClock) -> None:
    seen: list[float] = []

    async def chain() -> None:
        await fast.sleep(1.0)
        for _ in range(5):
            await asyncio.sleep(0)
        seen.append(fast.monotonic_s())

    task = asyncio.ensure_future(chain())
    await fast.run_to(at(10))
    assert (seen, task.done()) == ([1.0], True)


async def test_fast_clock_stands_while_a_recording_answers(fast: FastClock) -> None:
    seen: list[float] = []

    async def ask() -> None:
        await fast.sleep(1.0)
        with answering():
            for _ in range(500):
                await asyncio.sleep(0)
        seen.append(fast.monotonic_s())

    task = asyncio.ensure_future(ask())
    await fast.run_to(at(10))
    assert (seen, task.done()) == ([1.0], True)


async def test_fast_clock_sleep_of_nothing_lets_others_run(fast: FastClock) -> None:
    ran: list[int] = []
    asyncio.get_running_loop().call_soon(ran.append, 1)
    await fast.sleep(0)
    assert ran == [1]


async def test_fast_clock_cancelled_sleeper_is_passed_over(fast: FastClock) -> None:
    task = asyncio.ensure_future(fast.sleep(1.0))
    await fast.run_to(at(0.5))
    task.cancel()
    await fast.run_to(at(5))
    assert task.cancelled()


async def test_fast_clock_runs_ahead_for_a_callback_that_sleeps(fast: FastClock) -> None:
    hold_up_frames()
    await fast.run_to(at(1))
    fast.frame_taken(True)
    await asyncio.wait_for(fast.sleep(60.0), 30)
    assert fast.monotonic_s() == 61.0


async def test_fast_clock_does_not_run_ahead_for_other_sleepers(fast: FastClock) -> None:
    await fast.run_to(at(1))
    fast.frame_taken(True)
    task = asyncio.ensure_future(fast.sleep(60.0))
    for _ in range(100):
        await asyncio.sleep(0)
    assert (task.done(), fast.monotonic_s()) == (False, 1.0)
    task.cancel()


async def test_fast_clock_after_the_tape_goes_on_with_the_clock_underneath(
    fast: FastClock, pace: ManualClock
) -> None:
    task = asyncio.ensure_future(fast.sleep(10.0))
    await fast.run_to(at(4))
    fast.finish()
    await pace.run_for(5.9)
    assert (task.done(), fast.now_ms()) == (False, START_MS + 9_900)
    await pace.run_for(0.2)
    assert task.done()
    await asyncio.wait_for(asyncio.gather(fast.sleep(1.0), pace.run_for(1.0)), 30)


@pytest.mark.parametrize("speed", [1.0, 10.0, 0.5])
async def test_paced_clock_reaches_frames_at_its_pace(pace: ManualClock, speed: float) -> None:
    clock = paced(pace, speed)
    reached: list[float] = []

    async def frames() -> None:
        for seconds in (0.0, 3.0, 3.0, 10.0):
            await clock.run_to(at(seconds))
            reached.append(pace.monotonic_s())
            assert clock.now_ms() >= START_MS + seconds * 1000

    task = asyncio.ensure_future(frames())
    await pace.run_for(20 / speed)
    assert task.done()
    assert reached == pytest.approx([0.0, 3.0 / speed, 3.0 / speed, 10.0 / speed])


async def test_paced_clock_time_flows_between_frames(pace: ManualClock) -> None:
    clock = paced(pace, 10.0)
    task = asyncio.ensure_future(clock.run_to(at(60)))
    await pace.run_for(2.5)
    assert clock.monotonic_s() == pytest.approx(25.0)
    task.cancel()


async def test_paced_clock_sleepers_wait_for_the_tape_to_start(pace: ManualClock) -> None:
    clock = paced(pace, 2.0)
    task = asyncio.ensure_future(clock.sleep(10.0))
    await pace.run_for(100.0)
    assert (task.done(), clock.monotonic_s()) == (False, 0.0)
    running = asyncio.ensure_future(clock.run_to(at(20)))
    await pace.run_for(4.9)
    assert not task.done()
    await pace.run_for(0.2)
    assert task.done()
    running.cancel()


async def test_paced_clock_of_a_tape_that_never_ran_goes_on(pace: ManualClock) -> None:
    clock = paced(pace, 2.0)
    clock.finish()
    task = asyncio.ensure_future(clock.sleep(10.0))
    await pace.run_for(5.1)
    assert task.done()
