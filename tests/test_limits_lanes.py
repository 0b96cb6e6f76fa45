"""Who goes first, who waits, who gives up: lanes, cancellation, threads and event loops."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from velas.budget import _Timer
from velas.errors import ConfigError
from velas.limits import RateLimitConfig, RateLimiter, RequestType, WeightLimit
from velas.testing.clocks import ManualClock, ScaledClock

HISTORY, LIVE, ORDER = RequestType.HISTORY, RequestType.LIVE, RequestType.ORDER
MINUTE_MS = 1_700_000_040_000


async def passes_until(happened: Callable[[], bool]) -> None:
    for _ in range(50):
        if happened():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never happened")


class Bench:
    """A limiter whose requests only note that they were sent."""

    def __init__(self, config: RateLimitConfig) -> None:
        self.clock = ManualClock(MINUTE_MS)
        self.limiter = RateLimiter(config, clock=self.clock)
        self.sent: list[tuple[str, float]] = []

    def ask(self, name: str, lane: RequestType, weight: int = 1) -> asyncio.Task[None]:
        async def call() -> None:
            self.sent.append((name, round(self.clock.monotonic_s(), 3)))

        return asyncio.create_task(self.limiter.execute_with_retry(call, lane, weight=weight))

    async def fill(self, weight: int) -> None:
        await self.ask("fill", ORDER, weight)
        self.sent.clear()

    def names(self) -> list[str]:
        return [name for name, _ in self.sent]


@pytest.fixture
def bench() -> Bench:
    return Bench(RateLimitConfig(weight_limits=[WeightLimit(60, 100)]))


@pytest.fixture
def paced() -> Bench:
    return Bench(RateLimitConfig(requests_per_second=2))


async def test_lanes_higher_goes_first_and_fifo_within(paced: Bench) -> None:
    await paced.fill(1)
    wanted = [("h1", HISTORY), ("h2", HISTORY), ("l1", LIVE), ("o1", ORDER), ("l2", LIVE)]
    tasks = [paced.ask(name, lane) for name, lane in wanted]
    await paced.clock.run_for(3)
    await asyncio.gather(*tasks)
    assert paced.sent == [("o1", 0.5), ("l1", 1.0), ("l2", 1.5), ("h1", 2.0), ("h2", 2.5)]


async def test_lanes_shares_leave_room_for_higher(bench: Bench) -> None:
    await bench.fill(96)
    tasks = [bench.ask("h", HISTORY)]
    await bench.clock.run_for(1)
    tasks += [bench.ask("l", LIVE, 2), bench.ask("l2", LIVE), bench.ask("o", ORDER, 2)]
    await bench.clock.run_for(1)
    assert bench.names() == ["l", "o"]
    await bench.clock.run_for(60)
    await asyncio.gather(*tasks)


async def test_lanes_order_goes_while_history_waits(bench: Bench) -> None:
    await bench.fill(96)
    waiting = bench.ask("h", HISTORY)
    await bench.clock.run_for(1)
    await bench.ask("o", ORDER, 4)
    assert bench.names() == ["o"]
    await bench.clock.run_for(60)
    await waiting


async def test_lanes_small_request_does_not_overtake_heavy_one_before_it(bench: Bench) -> None:
    await bench.fill(50)
    tasks = [bench.ask("heavy", HISTORY, 60), bench.ask("small", HISTORY, 1)]
    await bench.clock.run_for(1)
    assert bench.names() == []
    await bench.clock.run_for(60)
    assert bench.names() == ["heavy", "small"]
    await asyncio.gather(*tasks)


async def test_lanes_heavier_than_its_share_goes_alone(bench: Bench) -> None:
    await bench.ask("heavy", HISTORY, 100)
    assert bench.limiter.snapshot().used == 100


async def test_lanes_waiting_wakes_when_window_turns(bench: Bench) -> None:
    await bench.fill(96)
    task = bench.ask("h", HISTORY)
    await bench.clock.run_for(61)
    await task
    assert bench.sent == [("h", 60.15)]


async def test_lanes_order_with_shorter_wait_reschedules_the_timer() -> None:
    limits = [WeightLimit(10, 30), WeightLimit(600, 100)]
    bench = Bench(RateLimitConfig(weight_limits=limits, history_share=0.2))
    await bench.fill(25)
    history = bench.ask("h", HISTORY)  # its share of the long window is used up
    await bench.clock.run_for(1)
    order = bench.ask("o", ORDER, 20)  # only the short one is in its way
    await bench.clock.run_for(10)
    assert bench.names() == ["o"]
    assert order.done()
    history.cancel()


async def test_cancel_waiting_request_releases_its_place(paced: Bench) -> None:
    await paced.fill(1)
    first, second = paced.ask("a", HISTORY), paced.ask("b", HISTORY)
    await paced.clock.run_for(0.1)
    first.cancel()
    await paced.clock.run_for(1)
    assert paced.sent == [("b", 0.5)]
    assert second.done()


async def test_cancel_only_waiting_request_leaves_no_timer(paced: Bench) -> None:
    await paced.fill(1)
    task = paced.ask("a", HISTORY)
    await paced.clock.run_for(0.1)
    assert paced.clock.sleepers == 1
    task.cancel()
    await paced.clock.run_for(0)
    assert paced.clock.sleepers == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancel_at_the_moment_of_the_turn_gives_the_turn_to_the_next(bench: Bench) -> None:
    config = RateLimitConfig(requests_per_second=2, weight_limits=[WeightLimit(60, 100)])
    bench = Bench(config)
    await bench.fill(5)
    first, second = bench.ask("a", HISTORY), bench.ask("b", HISTORY)
    await bench.clock.run_for(0.1)
    bench.clock.advance(0.4)
    await passes_until(lambda: bench.limiter.snapshot().waiting[HISTORY] == 1)
    first.cancel()  # its turn has come, but it has not woken yet
    await bench.clock.run_for(0)
    assert bench.names() == ["b"]
    assert second.done()
    assert bench.limiter.snapshot().used == 6
    assert bench.limiter.usage.requests == 2


async def test_cancel_at_the_moment_of_the_turn_after_a_stop(bench: Bench) -> None:
    bench.limiter._budget.ban(MINUTE_MS + 10_000, "418")
    first, second = bench.ask("a", HISTORY), bench.ask("b", HISTORY)
    await bench.clock.run_for(0.1)
    bench.clock.advance(11)
    await passes_until(lambda: bench.limiter.snapshot().waiting[HISTORY] == 1)
    first.cancel()
    await bench.clock.run_for(0)
    assert bench.names() == ["b"]
    assert second.done()


async def test_cancel_at_the_moment_of_an_error_keeps_the_count(bench: Bench) -> None:
    await bench.fill(96)
    task = bench.ask("h", HISTORY, 50)
    await bench.clock.run_for(0.1)
    bench.limiter.set_weight_limits([WeightLimit(60, 40)])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.limiter.snapshot().used == 96


async def test_many_waiting_share_one_timer(bench: Bench) -> None:
    await bench.fill(96)
    tasks = [bench.ask(str(number), HISTORY) for number in range(2000)]
    await bench.clock.run_for(1)
    assert bench.clock.sleepers == 1
    await bench.clock.run_for(60)
    assert len(bench.sent) == 96
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_clock_that_fails_reaches_those_who_wait(
    paced: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(seconds: float) -> None:
        raise RuntimeError("no time")

    monkeypatch.setattr(paced.clock, "sleep", broken)
    await paced.fill(1)
    with pytest.raises(RuntimeError, match="no time"):
        await paced.ask("a", HISTORY)


async def test_wait_is_logged_for_debugging(paced: Bench, caplog: pytest.LogCaptureFixture) -> None:
    await paced.fill(1)
    with caplog.at_level("DEBUG", logger="velas.budget"):
        task = paced.ask("a", HISTORY)
        await paced.clock.run_for(1)
        await task
    assert [r.getMessage() for r in caplog.records] == [": history request of weight 1 waits"]


async def test_heavier_than_limit_leaves_nothing_behind(bench: Bench) -> None:
    with pytest.raises(ConfigError):
        await bench.ask("a", HISTORY, 101)
    assert bench.limiter.snapshot().waiting[HISTORY] == 0


def test_event_loops_one_after_another_share_a_budget() -> None:
    bench = Bench(RateLimitConfig(weight_limits=[WeightLimit(60, 100)]))

    async def once() -> None:
        await bench.ask("a", ORDER, 30)

    for _ in range(3):
        asyncio.run(once())
    assert bench.limiter.snapshot().used == 90


@contextmanager
def closed_under(bench: Bench, lane: RequestType, *weights: int) -> Iterator[None]:
    """Requests that wait in an event loop which is closed without cancelling them."""
    dead = asyncio.new_event_loop()
    dead.set_exception_handler(lambda *_: None)  # it complains of the tasks it takes along

    async def leave() -> list[asyncio.Task[None]]:
        tasks = [bench.ask("dead", lane, weight) for weight in weights]
        for _ in range(9):  # until its timer is running
            await asyncio.sleep(0)
        return tasks

    tasks = dead.run_until_complete(leave())
    dead.close()
    yield
    while tasks:
        coroutine = tasks.pop().get_coro()
        assert coroutine is not None
        coroutine.close()
    gc.collect()


def test_event_loop_closed_under_waiting_requests_does_not_hold_up_others() -> None:
    config = RateLimitConfig(requests_per_second=2, weight_limits=[WeightLimit(60, 100)])
    bench = Bench(config)

    async def others() -> None:
        task = bench.ask("alive", HISTORY)
        await bench.clock.run_for(1)
        await task

    asyncio.run(bench.fill(1))
    with closed_under(bench, ORDER, 1, 1):
        asyncio.run(others())
    assert bench.sent == [("alive", 0.5)]
    assert bench.limiter.snapshot().used == 2


def test_event_loop_closed_under_waiting_requests_gets_no_earlier_timer() -> None:
    config = RateLimitConfig(requests_per_second=2, weight_limits=[WeightLimit(60, 100)])
    bench = Bench(config)

    async def others() -> None:
        task = bench.ask("order", ORDER)
        await bench.clock.run_for(1)
        await task
        task = bench.ask("history", HISTORY)
        await bench.clock.run_for(60)
        await task

    bench.clock.advance(1)
    asyncio.run(bench.fill(96))
    with closed_under(bench, HISTORY, 1):
        asyncio.run(others())
    assert bench.sent == [("order", 1.5), ("history", 60.15)]


def test_event_loop_closed_under_a_request_that_becomes_hopeless(bench: Bench) -> None:
    asyncio.run(bench.fill(96))
    with closed_under(bench, HISTORY, 50):
        bench.limiter.set_weight_limits([WeightLimit(60, 40)])
    assert bench.limiter.snapshot().waiting[HISTORY] == 0
    assert bench.limiter.snapshot().used == 96


async def test_timer_that_was_replaced_does_nothing(bench: Bench) -> None:
    await bench.fill(96)
    task = bench.ask("h", HISTORY)
    await bench.clock.run_for(1)
    budget = bench.limiter._budget
    await budget._fire(asyncio.get_running_loop(), _Timer(0.0))
    await bench.clock.run_for(60)
    await task
    assert bench.sent == [("h", 60.15)]


def test_threads_with_their_own_loops_share_a_budget_and_wake_one_another() -> None:
    clock = ScaledClock(200)
    limiter = RateLimiter(
        RateLimitConfig(weight_limits=[WeightLimit(60, 100)], clock_guard_s=1), clock=clock
    )
    sent: list[int] = []

    async def call() -> None:
        sent.append(int((clock.now_ms() - 1000) // 60_000))

    async def several() -> None:
        calls = (limiter.execute_with_retry(call, HISTORY, weight=4) for _ in range(15))
        await asyncio.gather(*calls)

    threads = [threading.Thread(target=asyncio.run, args=(several(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(sent) == 60
    assert all(sent.count(window) <= 25 for window in set(sent))
    assert limiter.usage.requests == 60
