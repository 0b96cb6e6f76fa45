"""The limiter against a simulated venue that counts weight by its own, skewed clock."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter

import pytest

from velas.errors import Banned, RateLimited, RequestTimeout
from velas.limits import RateLimitConfig, RateLimiter, RequestType, WeightLimit
from velas.testing.clocks import ManualClock

LIMIT = 2400
START_MS = 1_700_000_000_000 // 60_000 * 60_000 + 23_000
SHORT_SEEDS = range(4)
LONG_SEEDS = range(100, 160)


class Venue:
    """Counts weight in UTC minutes of its own clock; breaking the limit twice bans."""

    def __init__(self, clock: ManualClock, rng: random.Random, *, offset_ms: float) -> None:
        self.clock = clock
        self.rng = rng
        self.offset_ms = offset_ms
        self.used: Counter[int] = Counter()
        self.refused = 0
        self.bans = 0
        self.sent_s: list[float] = []
        self.script: list[Exception] = []

    def latency_s(self) -> float:
        slow = self.rng.random() < 0.01
        return self.rng.uniform(1, 20) if slow else self.rng.expovariate(1 / 0.04)

    def arrive(self, weight: int) -> int:
        minute = int((self.clock.now_ms() + self.offset_ms) // 60_000)
        self.used[minute] += weight
        if self.used[minute] > LIMIT:
            self.refused += 1
            self.bans += self.refused > 1
            raise RateLimited("429", retry_after_s=60)
        return self.used[minute]

    async def request(self, limiter: RateLimiter, weight: int) -> None:
        self.sent_s.append(self.clock.monotonic_s())
        if self.script:
            raise self.script.pop(0)
        await self.clock.sleep(self.latency_s())
        used = self.arrive(weight)
        await self.clock.sleep(self.latency_s())
        limiter.observe(used, 60)
        if self.rng.random() < 0.01:
            raise RequestTimeout("no answer")


class Run:
    """A limiter and a venue whose clocks differ, with workers that ask without end."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = ManualClock(START_MS)
        offset_ms = self.rng.uniform(-70_000, 70_000)
        self.venue = Venue(self.clock, self.rng, offset_ms=offset_ms)
        self.limiter = RateLimiter(
            RateLimitConfig(weight_limits=[WeightLimit(60, LIMIT)]),
            venue="venue",
            clock=self.clock,
            random=self.rng,
        )
        # Our measure of the venue's clock is wrong by up to the guard.
        self.limiter.set_clock_offset_ms(offset_ms + self.rng.uniform(-140, 140))
        self.order_waits_s: list[float] = []

    async def ask(self, lane: RequestType, weight: int) -> None:
        async def call() -> None:
            await self.venue.request(self.limiter, weight)

        await self.limiter.execute_with_retry(call, lane, weight=weight, safe_to_repeat=True)

    async def history(self) -> None:
        while True:
            await self.ask(RequestType.HISTORY, self.rng.choice((2, 2, 5, 10)))

    async def orders(self) -> None:
        while True:
            await self.clock.sleep(self.rng.uniform(0.5, 3))
            began_s = self.clock.monotonic_s()

            async def call(began_s: float = began_s) -> None:
                self.order_waits_s.append(self.clock.monotonic_s() - began_s)
                await self.venue.request(self.limiter, 1)

            with contextlib.suppress(RequestTimeout):
                await self.limiter.execute_with_retry(call, RequestType.ORDER)

    async def saturate(self, seconds: float, *, workers: int, others: tuple[str, ...] = ()) -> None:
        tasks = [asyncio.create_task(self.history()) for _ in range(workers)]
        tasks += [asyncio.create_task(getattr(self, name)()) for name in others]
        await self.clock.run_for(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def somebody_else(self) -> None:
        while True:
            into_window_s = (self.clock.now_ms() + self.venue.offset_ms) / 1000 % 60
            await self.clock.sleep(60 - into_window_s)
            for _ in range(50):
                await self.clock.sleep(0.02)
                self.venue.arrive(10)

    def full_minutes(self) -> list[int]:
        # Without the last one, which is cut short, and the first two: until the budget is used
        # up for the first time, what is on its way at the boundary counts on both sides.
        return [self.venue.used[minute] for minute in sorted(self.venue.used)[2:-1]]


async def check_saturated(seed: int) -> None:
    run = Run(seed)
    await run.saturate(300, workers=run.rng.choice((8, 20, 40)))
    assert run.venue.refused == 0, f"seed {seed}: limit passed, {run.venue.used}"
    assert min(run.full_minutes()) >= 0.95 * LIMIT, f"seed {seed}: {run.full_minutes()}"


@pytest.mark.parametrize("seed", SHORT_SEEDS)
async def test_saturated_history_uses_budget_and_never_passes_it(seed: int) -> None:
    await check_saturated(seed)


@pytest.mark.faults
@pytest.mark.parametrize("seed", LONG_SEEDS)
async def test_saturated_history_many_seeds(seed: int) -> None:
    await check_saturated(seed)


@pytest.mark.parametrize("seed", SHORT_SEEDS)
async def test_orders_hardly_wait_while_history_saturates(seed: int) -> None:
    run = Run(seed)
    await run.saturate(200, workers=20, others=("orders",))
    assert run.venue.refused == 0, f"seed {seed}"
    assert len(run.order_waits_s) > 20, f"seed {seed}"
    assert max(run.order_waits_s) < 0.01, f"seed {seed}: {run.order_waits_s}"


@pytest.mark.parametrize("seed", SHORT_SEEDS)
async def test_another_spender_on_the_address_is_seen_and_left_room(seed: int) -> None:
    run = Run(seed)
    await run.saturate(240, workers=20, others=("somebody_else",))
    assert run.venue.refused == 0, f"seed {seed}: {run.venue.used}"
    assert min(run.full_minutes()) >= 0.9 * LIMIT, f"seed {seed}: {run.full_minutes()}"


@pytest.mark.parametrize("seed", SHORT_SEEDS)
@pytest.mark.parametrize(
    ("refusal", "silent_s"),
    [
        (RateLimited("429", retry_after_s=7), 7),
        (Banned("418", retry_after_s=150), 150),
        (Banned("418"), 120),
    ],
    ids=["429", "418", "418-unnamed"],
)
async def test_after_refusal_nothing_is_sent_before_its_end(
    seed: int, refusal: Exception, silent_s: float
) -> None:
    run = Run(seed)
    tasks = [asyncio.create_task(run.history()) for _ in range(20)]
    tasks.append(asyncio.create_task(run.orders()))
    await run.clock.run_for(run.rng.uniform(1, 100))
    run.venue.script.append(refusal)
    while run.venue.script:
        await run.clock.run_for(0.05)
    refused_s = run.venue.sent_s[-1]
    count = len(run.venue.sent_s)
    await run.clock.run_for(refused_s + silent_s - run.clock.monotonic_s())
    assert len(run.venue.sent_s) == count, f"seed {seed}"
    await run.clock.run_for(70)
    assert len(run.venue.sent_s) > count, f"seed {seed}"
    assert run.venue.refused == 0, f"seed {seed}"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
