"""Idempotency keys: one call for all who ask, and what survives a restart."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path

import orjson
import pytest

from velas.errors import BadRequest, ConfigError, OrderUnknown, StoreError, Unavailable
from velas.idempotency import KeyedCall
from velas.ledger import Ledger
from velas.limits import RateLimitConfig, RateLimiter, RequestType
from velas.testing.clocks import ManualClock

HISTORY, ORDER = RequestType.HISTORY, RequestType.ORDER


class Calls:
    """A call that takes one second; counts how often it began and ended."""

    def __init__(self, clock: ManualClock, *outcomes: object) -> None:
        self.clock = clock
        self.outcomes = list(outcomes)
        self.began = 0
        self.ended = 0

    async def __call__(self) -> object:
        self.began += 1
        await self.clock.sleep(1)
        self.ended += 1
        outcome = self.outcomes.pop(0) if self.outcomes else {"n": self.began}
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def quick() -> ManualClock:
    return ManualClock(auto=True)


def limiter(clock: ManualClock, ledger: Ledger | None = None, **settings: float) -> RateLimiter:
    config = RateLimitConfig(**settings)  # type: ignore[arg-type]
    return RateLimiter(config, venue="venue", clock=clock, ledger=ledger)


async def test_key_done_gives_back_same_result(quick: ManualClock) -> None:
    subject, calls = limiter(quick), Calls(quick)
    first = await subject.execute_with_retry(calls, HISTORY, "k")
    assert await subject.execute_with_retry(calls, HISTORY, "k") is first
    assert calls.began == 1


async def test_key_other_key_is_another_call(quick: ManualClock) -> None:
    subject, calls = limiter(quick), Calls(quick)
    await subject.execute_with_retry(calls, HISTORY, "k")
    await subject.execute_with_retry(calls, HISTORY, "l")
    assert calls.began == 2


async def test_key_empty_is_refused(quick: ManualClock) -> None:
    with pytest.raises(ConfigError, match="must not be empty"):
        await limiter(quick).execute_with_retry(Calls(quick), HISTORY, "")


async def test_key_in_flight_is_shared(clock: ManualClock) -> None:
    subject, calls = limiter(clock), Calls(clock)
    tasks = [asyncio.create_task(subject.execute_with_retry(calls, ORDER, "k")) for _ in range(5)]
    await clock.run_for(1)
    assert await asyncio.gather(*tasks) == [{"n": 1}] * 5
    assert calls.began == 1


async def test_key_in_flight_failure_reaches_all_and_releases(clock: ManualClock) -> None:
    subject, calls = limiter(clock), Calls(clock, BadRequest("no"))
    tasks = [asyncio.create_task(subject.execute_with_retry(calls, ORDER, "k")) for _ in range(2)]
    await clock.run_for(1)
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in errors] == [BadRequest, BadRequest]
    again = asyncio.create_task(subject.execute_with_retry(calls, ORDER, "k"))
    await clock.run_for(1)
    assert await again == {"n": 2}


async def test_key_order_unknown_is_never_sent_again_however_late(quick: ManualClock) -> None:
    calls = Calls(quick, OrderUnknown("?"))
    with Ledger() as ledger:
        subject = limiter(quick, ledger, idempotency_ttl_s=100)
        for _ in range(3):
            with pytest.raises(OrderUnknown):
                await subject.execute_with_retry(calls, ORDER, "k")
            quick.advance(10_000)
        restarted = limiter(quick, ledger, idempotency_ttl_s=100)
        with pytest.raises(OrderUnknown, match="earlier process"):
            await restarted.execute_with_retry(calls, ORDER, "k")
    assert calls.began == 1


async def test_key_order_unknown_forgotten_is_called_again(quick: ManualClock) -> None:
    with Ledger() as ledger:
        subject, calls = limiter(quick, ledger), Calls(quick, OrderUnknown("?"))
        with pytest.raises(OrderUnknown):
            await subject.execute_with_retry(calls, ORDER, "k")
        subject.forget("k")
        assert await subject.execute_with_retry(calls, ORDER, "k") == {"n": 2}


async def test_key_forget_under_way_is_refused(clock: ManualClock) -> None:
    subject = limiter(clock)
    task = asyncio.create_task(subject.execute_with_retry(Calls(clock), ORDER, "k"))
    await clock.run_for(0.5)
    with pytest.raises(ConfigError, match="'k' is still under way"):
        subject.forget("k")
    await clock.run_for(1)
    await task
    subject.forget("k")
    subject.forget("never seen")


async def test_key_expired_is_called_again(quick: ManualClock) -> None:
    subject, calls = limiter(quick, idempotency_ttl_s=100), Calls(quick)
    await subject.execute_with_retry(calls, HISTORY, "k")
    quick.advance(99)
    assert await subject.execute_with_retry(calls, HISTORY, "k") == {"n": 2}


async def test_key_expired_between_sweeps_is_called_again(quick: ManualClock) -> None:
    subject, calls = limiter(quick, idempotency_ttl_s=100), Calls(quick)
    await subject.execute_with_retry(calls, HISTORY, "k")
    quick.advance(95)
    await subject.execute_with_retry(calls, HISTORY, "sweeps, and again in 12.5 s")
    quick.advance(4)
    assert await subject.execute_with_retry(calls, HISTORY, "k") == {"n": 3}


async def test_key_expired_ones_are_cleaned_away(quick: ManualClock) -> None:
    subject, calls = limiter(quick, idempotency_ttl_s=100), Calls(quick)
    for number in range(50):
        await subject.execute_with_retry(calls, HISTORY, str(number))
    quick.advance(200)
    await subject.execute_with_retry(calls, HISTORY, "last")
    assert set(subject._keyed._calls) == {"last"}


async def test_key_first_caller_cancelled_others_still_get_the_result(clock: ManualClock) -> None:
    subject, calls = limiter(clock), Calls(clock)
    first, second = (
        asyncio.create_task(subject.execute_with_retry(calls, HISTORY, "k")) for _ in range(2)
    )
    await clock.run_for(0.5)
    first.cancel()
    await clock.run_for(1)
    assert first.cancelled()
    assert await second == {"n": 1}
    assert calls.began == 1


async def test_key_all_callers_cancelled_in_flight_call_ends_and_is_kept(
    clock: ManualClock,
) -> None:
    subject, calls = limiter(clock), Calls(clock)
    task = asyncio.create_task(subject.execute_with_retry(calls, ORDER, "k"))
    await clock.run_for(0.5)
    task.cancel()
    await clock.run_for(1)
    assert calls.ended == 1
    assert await subject.execute_with_retry(calls, ORDER, "k") == {"n": 1}


async def test_key_all_callers_cancelled_waiting_call_is_never_sent(clock: ManualClock) -> None:
    subject, calls = limiter(clock, requests_per_second=0.1), Calls(clock)
    await subject.execute_with_retry(_nothing, ORDER)
    task = asyncio.create_task(subject.execute_with_retry(calls, ORDER, "k"))
    await clock.run_for(1)
    task.cancel()
    await clock.run_for(60)
    assert calls.began == 0
    again = asyncio.create_task(subject.execute_with_retry(calls, ORDER, "k"))
    await clock.run_for(1)
    assert await again == {"n": 1}


async def test_key_all_callers_cancelled_failure_is_not_repeated(clock: ManualClock) -> None:
    subject, calls = limiter(clock), Calls(clock, Unavailable("x"), Unavailable("x"))
    task = asyncio.create_task(subject.execute_with_retry(calls, HISTORY, "k"))
    await clock.run_for(0.5)
    task.cancel()
    await clock.run_for(60)
    assert calls.began == 1


async def test_key_caller_joining_a_call_about_to_be_stopped_keeps_it(clock: ManualClock) -> None:
    subject, calls = limiter(clock, requests_per_second=0.1), Calls(clock)
    await subject.execute_with_retry(_nothing, ORDER)
    first = asyncio.create_task(subject.execute_with_retry(calls, ORDER, "k"))
    await clock.run_for(1)
    first.cancel()
    await asyncio.sleep(0)  # it has left; the stop is on its way
    second = asyncio.create_task(subject.execute_with_retry(calls, ORDER, "k"))
    await clock.run_for(20)
    assert await second == {"n": 1}


async def test_key_call_stopped_under_another_caller_is_made_anew(clock: ManualClock) -> None:
    subject, calls = limiter(clock), Calls(clock)
    task = asyncio.create_task(subject.execute_with_retry(calls, HISTORY, "k"))
    await clock.run_for(0.5)
    _running(subject, "k").cancel()  # as the end of another event loop would
    await clock.run_for(2)
    assert await task == {"n": 2}


async def test_key_order_stopped_in_flight_is_unknown(clock: ManualClock) -> None:
    subject, calls = limiter(clock), Calls(clock)
    task = asyncio.create_task(subject.execute_with_retry(calls, ORDER, "k"))
    await clock.run_for(0.5)
    _running(subject, "k").cancel()
    await clock.run_for(0)
    for attempt in (task, subject.execute_with_retry(calls, ORDER, "k")):
        with pytest.raises(OrderUnknown, match="'k' was on its way"):
            await attempt
    assert calls.began == 1


@pytest.mark.parametrize("lane", [HISTORY, ORDER])
def test_key_event_loop_closed_under_the_call(clock: ManualClock, lane: RequestType) -> None:
    subject, calls = limiter(clock), Calls(clock)
    dead = asyncio.new_event_loop()
    dead.set_exception_handler(lambda *_: None)
    caller = dead.create_task(subject.execute_with_retry(calls, lane, "k"))
    dead.run_until_complete(_passes(5))
    assert calls.began == 1
    dead.close()

    async def again() -> object:
        task = asyncio.create_task(subject.execute_with_retry(calls, lane, "k"))
        await clock.run_for(1)
        return await task

    if lane is ORDER:
        with pytest.raises(OrderUnknown):
            asyncio.run(again())
    else:
        assert asyncio.run(again()) == {"n": 2}
    caller.get_coro().close()
    del caller
    gc.collect()


def test_key_shared_by_event_loops_of_two_threads() -> None:
    subject = RateLimiter()
    began, go = threading.Event(), threading.Event()
    results: list[object] = []
    count = 0

    async def call() -> str:
        nonlocal count
        count += 1
        began.set()
        await asyncio.get_running_loop().run_in_executor(None, go.wait, 10)
        return "done"

    def one() -> None:
        results.append(asyncio.run(subject.execute_with_retry(call, ORDER, "k")))

    first, second = threading.Thread(target=one), threading.Thread(target=one)
    first.start()
    assert began.wait(10)
    second.start()
    while subject._keyed._calls["k"].callers < 2:
        pass
    go.set()
    first.join(10)
    second.join(10)
    assert results == ["done", "done"]
    assert count == 1


async def test_key_late_release_of_a_replaced_call_leaves_the_new_one(quick: ManualClock) -> None:
    subject, calls = limiter(quick), Calls(quick)
    await subject.execute_with_retry(calls, ORDER, "k")
    replaced = KeyedCall("k", True, 0, asyncio.get_running_loop())
    subject._keyed._release(replaced, None)
    assert await subject.execute_with_retry(calls, ORDER, "k") == {"n": 1}


# --- with a ledger


async def test_ledger_result_survives_restart(quick: ManualClock, tmp_path: Path) -> None:
    path, calls = tmp_path / "x.db", Calls(quick)
    for _ in range(2):
        with RateLimiter(venue="venue", clock=quick, db_path=path) as subject:
            assert await subject.execute_with_retry(calls, ORDER, "k") == {"n": 1}
    assert calls.began == 1


async def test_ledger_keys_of_two_venues_do_not_meet(quick: ManualClock) -> None:
    calls = Calls(quick)
    with Ledger() as ledger:
        for venue in ("a", "b"):
            subject = RateLimiter(venue=venue, clock=quick, ledger=ledger)
            await subject.execute_with_retry(calls, ORDER, "k")
    assert calls.began == 2


async def test_ledger_failed_call_releases_key_after_restart(quick: ManualClock) -> None:
    calls = Calls(quick, BadRequest("no"))
    with Ledger() as ledger:
        with pytest.raises(BadRequest):
            await limiter(quick, ledger).execute_with_retry(calls, ORDER, "k")
        assert await limiter(quick, ledger).execute_with_retry(calls, ORDER, "k") == {"n": 2}


async def test_ledger_order_unknown_stays_unknown_after_restart(quick: ManualClock) -> None:
    calls = Calls(quick, OrderUnknown("?"))
    with Ledger() as ledger:
        with pytest.raises(OrderUnknown):
            await limiter(quick, ledger).execute_with_retry(calls, ORDER, "k")
        with pytest.raises(OrderUnknown, match="an earlier process began the order"):
            await limiter(quick, ledger).execute_with_retry(calls, ORDER, "k")
    assert calls.began == 1


async def test_ledger_in_flight_of_a_dead_process_is_called_again(quick: ManualClock) -> None:
    calls = Calls(quick)
    with Ledger() as ledger:
        ledger.begin_call("venue:k", now_ms=quick.now_ms(), expires_ms=quick.now_ms() + 9999)
        assert await limiter(quick, ledger).execute_with_retry(calls, HISTORY, "k") == {"n": 1}
        assert await limiter(quick, ledger).execute_with_retry(calls, HISTORY, "k") == {"n": 1}


async def test_ledger_key_expires_after_restart(quick: ManualClock) -> None:
    calls = Calls(quick)
    with Ledger() as ledger:
        await limiter(quick, ledger).execute_with_retry(calls, ORDER, "k")
        quick.advance(3600)
        assert await limiter(quick, ledger).execute_with_retry(calls, ORDER, "k") == {"n": 2}


async def test_ledger_result_by_own_encoding(quick: ManualClock) -> None:
    calls = Calls(quick, complex(1, 2))

    def encode(value: object) -> bytes:
        assert isinstance(value, complex)
        return orjson.dumps([value.real, value.imag])

    def decode(stored: bytes) -> object:
        return complex(*orjson.loads(stored))

    with Ledger() as ledger:
        for _ in range(2):
            result = await limiter(quick, ledger).execute_with_retry(
                calls, ORDER, "k", encode=encode, decode=decode
            )
            assert result == complex(1, 2)


async def test_ledger_result_that_is_no_json_is_returned_and_warned_of(
    quick: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    calls = Calls(quick, {1, 2})
    with Ledger() as ledger:
        subject = limiter(quick, ledger)
        for _ in range(2):
            assert await subject.execute_with_retry(calls, ORDER, "k") == {1, 2}
        assert "'k' will not survive a restart" in caplog.text
        with pytest.raises(OrderUnknown):  # the safe side: never a second order
            await limiter(quick, ledger).execute_with_retry(calls, ORDER, "k")
    assert calls.began == 1


async def test_ledger_result_that_cannot_be_read_is_refused_and_kept(quick: ManualClock) -> None:
    calls = Calls(quick)

    def decode(stored: bytes) -> object:
        raise KeyError("gone")

    with Ledger() as ledger:
        await limiter(quick, ledger).execute_with_retry(calls, ORDER, "k")
        subject = limiter(quick, ledger)
        for _ in range(2):
            with pytest.raises(ConfigError, match=r"stored result of key 'k': KeyError"):
                await subject.execute_with_retry(calls, ORDER, "k", decode=decode)
        assert await subject.execute_with_retry(calls, ORDER, "k") == {"n": 1}
    assert calls.began == 1


async def test_ledger_that_cannot_claim_stops_the_call(
    quick: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: object, **more: object) -> None:
        raise StoreError("disk on fire")

    calls = Calls(quick)
    with Ledger() as ledger:
        monkeypatch.setattr(ledger, "begin_call", broken)
        monkeypatch.setattr(ledger, "drop_call", broken)
        with pytest.raises(StoreError, match="disk on fire"):
            await limiter(quick, ledger).execute_with_retry(calls, ORDER, "k")
    assert calls.began == 0
    assert "could not be released" in caplog.text


async def _nothing() -> None:
    pass


async def _passes(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def _running(subject: RateLimiter, key: str) -> asyncio.Task[None]:
    task = subject._keyed._calls[key].task
    assert task is not None
    return task
