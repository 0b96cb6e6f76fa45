"""The request limiter after 429 and 418: waiting, bans, and the ledger that remembers them."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path

import pytest
from limited import MINUTE_MS, Script, limiter, minute

from velas.errors import (
    Banned,
    RateLimited,
    StoreError,
    Unavailable,
)
from velas.ledger import Ledger
from velas.limits import (
    RateLimitConfig,
    RateLimiter,
    RequestType,
    WeightLimit,
)
from velas.testing.clocks import ManualClock

HISTORY, LIVE, ORDER = RequestType.HISTORY, RequestType.LIVE, RequestType.ORDER


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(MINUTE_MS, auto=True)


@pytest.fixture
def manual() -> ManualClock:
    return ManualClock(MINUTE_MS)


# --- 429 and 418


async def test_429_waiting_time_is_obeyed_by_all_lanes(manual: ManualClock) -> None:
    subject, call = limiter(manual), Script(manual, RateLimited("429", retry_after_s=7))
    tasks = [asyncio.create_task(subject.execute_with_retry(call, HISTORY))]
    await manual.run_for(1)
    other = Script(manual)
    tasks += [asyncio.create_task(subject.execute_with_retry(other, lane)) for lane in RequestType]
    await manual.run_for(6.9)
    assert (len(call.sent_s), len(other.sent_s)) == (1, 0)
    await manual.run_for(1)
    await asyncio.gather(*tasks)
    assert min(other.sent_s + call.sent_s[1:]) >= 8


async def test_429_without_waiting_time_waits_for_next_window(clock: ManualClock) -> None:
    clock.advance(20)
    call = Script(clock, RateLimited("429"))
    await limiter(clock, minute()).execute_with_retry(call, HISTORY)
    assert 60 < call.sent_s[1] < 63


async def test_429_again_without_waiting_time_waits_for_longer_window(clock: ManualClock) -> None:
    clock.advance(1)
    limits = [WeightLimit(10, 100), WeightLimit(600, 100)]
    call = Script(clock, RateLimited("429"), RateLimited("429"), RateLimited("429"))
    config = RateLimitConfig(weight_limits=limits, max_wait_s=5000)
    await limiter(clock, config).execute_with_retry(call, HISTORY)
    waits = [sent // 10 for sent in call.sent_s]
    assert waits[:2] == [0, 1]
    assert call.sent_s[2] > 200


async def test_429_without_waiting_time_nor_windows_waits_longer_each_time(
    clock: ManualClock,
) -> None:
    call = Script(clock, *(RateLimited("429") for _ in range(9)))
    await limiter(clock).execute_with_retry(call, HISTORY)
    pauses = [later - sooner for sooner, later in zip(call.sent_s, call.sent_s[1:], strict=False)]
    assert pauses[0] < 4
    assert 60 < pauses[8] < 63


async def test_429_of_requests_sent_before_the_stop_is_one_offence(manual: ManualClock) -> None:
    subject = limiter(manual)

    async def refused() -> str:
        await manual.sleep(1)
        raise RateLimited("429")

    tasks = [
        asyncio.create_task(subject.execute_with_retry(refused, HISTORY, safe_to_repeat=False))
        for _ in range(5)
    ]
    await manual.run_for(1.1)
    await asyncio.gather(*tasks, return_exceptions=True)
    blocked_ms = subject.snapshot().blocked_until_ms
    assert blocked_ms is not None
    assert blocked_ms < manual.now_ms() + 3100


async def test_418_later_of_both_ends_counts(clock: ManualClock) -> None:
    error = Banned("418", until_ms=MINUTE_MS + 300_000, retry_after_s=20)
    call = Script(clock, error)
    await limiter(clock).execute_with_retry(call, HISTORY)
    assert 300 < call.sent_s[1] < 302


async def test_418_end_is_by_the_venues_clock(clock: ManualClock) -> None:
    call = Script(clock, Banned("418", until_ms=MINUTE_MS + 300_000))
    subject = limiter(clock)
    subject.set_clock_offset_ms(100_000)
    await subject.execute_with_retry(call, HISTORY)
    assert 200 < call.sent_s[1] < 202


async def test_418_unnamed_doubles(clock: ManualClock) -> None:
    call = Script(clock, Banned("418"), Banned("418"))
    await limiter(clock).execute_with_retry(call, HISTORY)
    assert call.sent_s == pytest.approx([0, 121, 121 + 241], abs=0.1)


async def test_418_absurd_end_is_cut_to_longest_ban(clock: ManualClock) -> None:
    subject = limiter(clock)
    with pytest.raises(Banned):
        await subject.execute_with_retry(Script(clock, Banned("x", until_ms=10**16)), HISTORY)
    blocked_ms = subject.snapshot().blocked_until_ms
    assert blocked_ms is not None
    assert blocked_ms == pytest.approx(MINUTE_MS + 3 * 86_400_000, abs=2000)


async def test_refusal_longer_than_max_wait_is_raised_at_once(clock: ManualClock) -> None:
    error = Banned("418", retry_after_s=1000)
    call = Script(clock, error)
    with pytest.raises(Banned) as raised:
        await limiter(clock).execute_with_retry(call, HISTORY)
    assert raised.value is error
    assert clock.monotonic_s() < 1


async def test_refusal_max_wait_of_one_call_overrides(clock: ManualClock) -> None:
    call = Script(clock, Banned("418", retry_after_s=1000))
    assert await limiter(clock).execute_with_retry(call, HISTORY, max_wait_s=2000) == "done"


async def test_refusals_are_summed_up_to_max_wait(clock: ManualClock) -> None:
    call = Script(clock, *(RateLimited("429", retry_after_s=400) for _ in range(5)))
    with pytest.raises(RateLimited):
        await limiter(clock).execute_with_retry(call, HISTORY)
    assert len(call.sent_s) == 3


async def test_refusals_are_bounded_in_number(clock: ManualClock) -> None:
    call = Script(clock, *(RateLimited("429", retry_after_s=1) for _ in range(20)))
    with pytest.raises(RateLimited) as raised:
        await limiter(clock).execute_with_retry(call, HISTORY)
    assert len(call.sent_s) == 10
    assert raised.value.__notes__ == ["velas gave up after 10 attempt(s)"]


async def test_refusals_do_not_use_up_ordinary_attempts(clock: ManualClock) -> None:
    errors = [RateLimited("429", retry_after_s=1), Unavailable("x")] * 2
    config = RateLimitConfig(retry_attempts=3)
    call = Script(clock, *errors)
    assert await limiter(clock, config).execute_with_retry(call, HISTORY) == "done"


@pytest.mark.parametrize(
    ("error", "kind"),
    [(Banned("418", retry_after_s=1000), Banned), (RateLimited("429", retry_after_s=1000), None)],
    ids=["418", "429"],
)
async def test_stop_too_long_is_told_to_later_requests_unsent(
    clock: ManualClock, error: Exception, kind: type[Banned] | None
) -> None:
    subject, later = limiter(clock), Script(clock)
    with pytest.raises(type(error)):
        await subject.execute_with_retry(Script(clock, error), HISTORY)
    with pytest.raises(kind or RateLimited, match=r"until 2023-11-14T22:30:\d\d\+00:00") as raised:
        await subject.execute_with_retry(later, HISTORY)
    assert later.sent_s == []
    assert isinstance(raised.value, (Banned, RateLimited))
    assert raised.value.retry_after_s == pytest.approx(1001)


async def test_stop_too_long_is_told_to_those_who_wait(manual: ManualClock) -> None:
    subject = limiter(manual, minute())
    await subject.execute_with_retry(Script(manual), HISTORY, weight=96)
    waiting = asyncio.create_task(subject.execute_with_retry(Script(manual), HISTORY))
    await manual.run_for(1)
    with pytest.raises(Banned):
        await subject.execute_with_retry(
            Script(manual, Banned("418", retry_after_s=1000)), ORDER, safe_to_repeat=False
        )
    with pytest.raises(Banned, match="longer than max_wait_s=900"):
        await waiting
    assert sum(subject.snapshot().waiting.values()) == 0


async def test_stop_shorter_than_the_present_one_changes_nothing(manual: ManualClock) -> None:
    subject = limiter(manual)

    async def refused(after_s: float, retry_after_s: float) -> None:
        await manual.sleep(after_s)
        raise RateLimited("429", retry_after_s=retry_after_s)

    tasks = [
        asyncio.create_task(
            subject.execute_with_retry(partial(refused, *n), HISTORY, safe_to_repeat=False)
        )
        for n in ((1, 100), (2, 3))
    ]
    await manual.run_for(3)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert subject.snapshot().blocked_until_ms == MINUTE_MS + 102_000


async def test_after_stop_one_goes_first_and_orders_do_not_wait_for_it(
    manual: ManualClock,
) -> None:
    subject = limiter(manual)
    refusal = Script(manual, RateLimited("429", retry_after_s=5))
    with pytest.raises(RateLimited):
        await subject.execute_with_retry(refusal, ORDER)
    sent: list[str] = []

    async def slow(name: str) -> None:
        sent.append(name)
        await manual.sleep(2)

    def ask(name: str, lane: RequestType) -> asyncio.Task[None]:
        return asyncio.create_task(subject.execute_with_retry(lambda: slow(name), lane))

    tasks = [ask(name, HISTORY) for name in "abc"]
    await manual.run_for(6.5)
    assert sent == ["a"]
    tasks.append(ask("order", ORDER))
    await manual.run_for(0.1)
    assert sent == ["a", "order"]
    await manual.run_for(2)
    assert sorted(sent) == ["a", "b", "c", "order"]
    await manual.run_for(2)
    await asyncio.gather(*tasks)


async def test_after_stop_first_request_that_hangs_holds_back_half_a_minute(
    manual: ManualClock,
) -> None:
    subject = limiter(manual)
    refusal = Script(manual, RateLimited("429", retry_after_s=5))
    with pytest.raises(RateLimited):
        await subject.execute_with_retry(refusal, ORDER)
    hanging = asyncio.create_task(subject.execute_with_retry(lambda: manual.sleep(1e6), HISTORY))
    await manual.run_for(7)
    call = Script(manual)
    task = asyncio.create_task(subject.execute_with_retry(call, HISTORY))
    await manual.run_for(40)
    assert call.sent_s == pytest.approx([36], abs=0.1)
    await task
    hanging.cancel()


async def test_after_stop_first_request_refused_keeps_others_back(manual: ManualClock) -> None:
    subject = limiter(manual)
    call = Script(manual, *(RateLimited("429", retry_after_s=5) for _ in range(2)))
    tasks = [asyncio.create_task(subject.execute_with_retry(call, HISTORY))]
    await manual.run_for(1)
    others = Script(manual)
    tasks += [asyncio.create_task(subject.execute_with_retry(others, HISTORY)) for _ in range(5)]
    await manual.run_for(20)
    await asyncio.gather(*tasks)
    assert len(call.sent_s) + len(others.sent_s) == 2 + 6


async def test_refusal_is_warned_of(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await limiter(clock).execute_with_retry(
            Script(clock, RateLimited("too many", retry_after_s=3)), HISTORY
        )
    assert "nothing is sent for 4.0 s: too many" in caplog.text


# --- bans and the ledger


async def test_ban_is_remembered_and_obeyed_after_restart(clock: ManualClock) -> None:
    with Ledger() as ledger:
        with pytest.raises(Banned):
            await limiter(clock, ledger=ledger).execute_with_retry(
                Script(clock, Banned("418", retry_after_s=1000)), HISTORY
            )
        call = Script(clock)
        with pytest.raises(Banned, match="as the ledger remembers"):
            await limiter(clock, ledger=ledger).execute_with_retry(call, HISTORY)
        clock.advance(1002)
        assert await limiter(clock, ledger=ledger).execute_with_retry(call, HISTORY) == "done"


async def test_ban_ledger_that_fails_does_not_hide_the_ban(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: object) -> None:
        raise StoreError("disk on fire")

    with Ledger() as ledger:
        monkeypatch.setattr(ledger, "set_ban", broken)
        with pytest.raises(Banned):
            await limiter(clock, ledger=ledger).execute_with_retry(
                Script(clock, Banned("418", retry_after_s=1000)), HISTORY
            )
    assert "could not be remembered: disk on fire" in caplog.text


async def test_ban_closed_ledger_gives_way_to_the_one_before(clock: ManualClock) -> None:
    with Ledger() as first:
        subject = limiter(clock, ledger=first)
        with Ledger() as second:
            subject.use_ledger(second)
            subject.use_ledger(second)
        with pytest.raises(Banned):
            await subject.execute_with_retry(
                Script(clock, Banned("418", retry_after_s=1000)), HISTORY
            )
        assert first.ban_until_ms("venue") > 0


async def test_db_path_is_a_ledger_of_the_limiters_own(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "velas.db"
    call = Script(clock, Banned("418", retry_after_s=1000))
    config = RateLimitConfig(max_wait_s=1)
    with RateLimiter(config, venue="venue", clock=clock, db_path=path) as subject:
        with pytest.raises(Banned):
            await subject.execute_with_retry(call, HISTORY)
        subject.close()
    with Ledger(path) as again:
        assert again.ban_until_ms("venue") > 0


def test_close_without_ledger_is_harmless() -> None:
    RateLimiter().close()
