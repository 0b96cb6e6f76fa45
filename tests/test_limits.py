"""The request limiter: retries, used-weight figures, settings, sharing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from limited import MINUTE_MS, Script, limiter, minute

from velas.errors import (
    AuthError,
    BadRequest,
    BadResponse,
    Banned,
    ConfigError,
    Forbidden,
    OrderUnknown,
    RequestTimeout,
    RestrictedLocation,
    Unavailable,
)
from velas.ledger import Ledger
from velas.limits import (
    RateLimitConfig,
    RateLimiter,
    RequestType,
    WeightLimit,
    reset_shared_limiters,
    shared_limiter,
)
from velas.models import Usage
from velas.testing.clocks import ManualClock

HISTORY, LIVE, ORDER = RequestType.HISTORY, RequestType.LIVE, RequestType.ORDER


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(MINUTE_MS, auto=True)


@pytest.fixture
def manual() -> ManualClock:
    return ManualClock(MINUTE_MS)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    reset_shared_limiters()


# --- settings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("requests_per_second", 0),
        ("requests_per_second", math.nan),
        ("burst_size", 0),
        ("burst_size", 1.5),
        ("retry_attempts", 0),
        ("history_share", 0),
        ("live_share", 1.1),
        ("clock_guard_s", -1),
        ("max_wait_s", math.inf),
        ("max_refusals", 0),
        ("idempotency_ttl_s", 0),
    ],
)
def test_config_impossible_value_names_field_and_value(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be .*{value!r}"):
        RateLimitConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("window_s", "limit"), [(0, 1), (60, 0), (math.inf, 1)])
def test_weight_limit_impossible_value_is_refused(window_s: float, limit: int) -> None:
    with pytest.raises(ConfigError):
        WeightLimit(window_s, limit)


def test_config_shares_rise_from_history_to_order() -> None:
    config = RateLimitConfig()
    assert config.share(HISTORY) < config.share(LIVE) < config.share(ORDER) == 1


def test_limiter_ledger_and_db_path_together_are_refused(tmp_path: Path) -> None:
    with Ledger() as ledger, pytest.raises(ConfigError, match="not both"):
        RateLimiter(ledger=ledger, db_path=tmp_path / "x.db")


# --- one call


async def test_execute_returns_result_and_counts_usage(clock: ManualClock) -> None:
    subject = limiter(clock)
    assert await subject.execute_with_retry(Script(clock), HISTORY, weight=5) == "done"
    assert subject.usage == Usage(requests=1, weight=5, retries=0)


@pytest.mark.parametrize("weight", [-1, 1.5])
async def test_execute_impossible_weight_is_refused(clock: ManualClock, weight: int) -> None:
    with pytest.raises(ConfigError, match="weight must be"):
        await limiter(clock).execute_with_retry(Script(clock), HISTORY, weight=weight)


async def test_execute_heavier_than_limit_is_refused_unsent(clock: ManualClock) -> None:
    call = Script(clock)
    with pytest.raises(ConfigError, match=r"weight 101 .* limit is 100 in 60 s"):
        await limiter(clock, minute()).execute_with_retry(call, ORDER, weight=101)
    assert call.sent_s == []


# --- retry


@pytest.mark.parametrize("error", [Unavailable("x"), RequestTimeout("x"), BadResponse("x")])
async def test_retry_transient_error_is_sent_again(clock: ManualClock, error: Exception) -> None:
    subject = limiter(clock)
    assert await subject.execute_with_retry(Script(clock, error), HISTORY, weight=2) == "done"
    assert subject.usage == Usage(requests=2, weight=4, retries=1)


@pytest.mark.parametrize(
    "error",
    [
        Forbidden("x"),
        RestrictedLocation("x"),
        BadRequest("x"),
        AuthError("x"),
        OrderUnknown("x"),
        KeyError("x"),
    ],
)
async def test_retry_final_error_is_raised_at_once(clock: ManualClock, error: Exception) -> None:
    call = Script(clock, error)
    with pytest.raises(type(error)) as raised:
        await limiter(clock).execute_with_retry(call, HISTORY)
    assert raised.value is error
    assert len(call.sent_s) == 1


async def test_retry_attempts_used_up_raises_last_error_with_note(clock: ManualClock) -> None:
    errors = [Unavailable(str(number)) for number in range(9)]
    call = Script(clock, *errors)
    with pytest.raises(Unavailable) as raised:
        await limiter(clock, RateLimitConfig(retry_attempts=3)).execute_with_retry(call, LIVE)
    assert raised.value is errors[2]
    assert raised.value.__notes__ == ["velas gave up after 3 attempt(s)"]


async def test_retry_order_is_not_repeated_by_default(clock: ManualClock) -> None:
    call = Script(clock, Unavailable("x"))
    with pytest.raises(Unavailable):
        await limiter(clock).execute_with_retry(call, ORDER)
    assert len(call.sent_s) == 1


async def test_retry_order_that_is_safe_is_repeated(clock: ManualClock) -> None:
    call = Script(clock, Unavailable("x"))
    assert await limiter(clock).execute_with_retry(call, ORDER, safe_to_repeat=True) == "done"


async def test_retry_history_that_is_unsafe_is_not_repeated(clock: ManualClock) -> None:
    call = Script(clock, Unavailable("x"))
    with pytest.raises(Unavailable):
        await limiter(clock).execute_with_retry(call, HISTORY, safe_to_repeat=False)


async def test_retry_pauses_stay_under_doubling_and_cap(clock: ManualClock) -> None:
    config = RateLimitConfig(retry_attempts=9, backoff_base_s=1, backoff_cap_s=8)
    call = Script(clock, *(Unavailable("x") for _ in range(8)))
    await limiter(clock, config).execute_with_retry(call, HISTORY)
    pauses = [later - sooner for sooner, later in zip(call.sent_s, call.sent_s[1:], strict=False)]
    assert all(0 <= pause <= min(8, 2**n) for n, pause in enumerate(pauses))
    assert len({round(pause, 6) for pause in pauses}) == 8


async def test_retry_every_attempt_needs_budget(clock: ManualClock) -> None:
    call = Script(clock, Unavailable("x"))
    config = RateLimitConfig(weight_limits=[WeightLimit(60, 10)], backoff_base_s=0)
    await limiter(clock, config).execute_with_retry(call, HISTORY, weight=9)
    assert call.sent_s[1] >= 60


# --- used weight, limits, clock


async def test_observe_inside_call_raises_our_count(clock: ManualClock) -> None:
    subject = limiter(clock, minute())

    async def call() -> None:
        subject.observe(50, 60)

    await subject.execute_with_retry(call, HISTORY)
    assert subject.snapshot().used == 50


async def test_observe_outside_call_or_of_unknown_window_is_ignored(clock: ManualClock) -> None:
    subject, other = limiter(clock, minute()), limiter(clock, minute())
    subject.observe(50, 60)

    async def call() -> None:
        subject.observe(50, 10)
        other.observe(50, 60)

    await subject.execute_with_retry(call, HISTORY)
    assert (subject.snapshot().used, other.snapshot().used) == (1, 0)


async def test_set_weight_limits_keeps_what_is_spent(clock: ManualClock) -> None:
    subject = limiter(clock, minute())
    await subject.execute_with_retry(Script(clock), HISTORY, weight=20)
    subject.set_weight_limits([WeightLimit(60, 50), WeightLimit(300, 90), WeightLimit(60, 70)])
    windows = [(use.window_s, use.used, use.limit) for use in subject.snapshot().windows]
    assert windows == [(60, 20, 50), (300, 20, 90)]


async def test_set_weight_limits_higher_lets_waiting_go(manual: ManualClock) -> None:
    subject = limiter(manual, minute())
    await subject.execute_with_retry(Script(manual), HISTORY, weight=96)
    call = Script(manual)
    task = asyncio.create_task(subject.execute_with_retry(call, HISTORY))
    await manual.run_for(1)
    subject.set_weight_limits([WeightLimit(60, 200)])
    await manual.run_for(0)
    assert task.done()


async def test_set_weight_limits_lower_fails_waiting_that_can_never_go(
    manual: ManualClock,
) -> None:
    subject = limiter(manual, minute())
    await subject.execute_with_retry(Script(manual), HISTORY, weight=96)
    task = asyncio.create_task(subject.execute_with_retry(Script(manual), HISTORY, weight=50))
    await manual.run_for(1)
    subject.set_weight_limits([WeightLimit(60, 40)])
    with pytest.raises(ConfigError, match="weight 50 can never be sent"):
        await task


async def test_clock_offset_moves_the_boundary(clock: ManualClock) -> None:
    subject, call = limiter(clock, minute()), Script(clock)
    subject.set_clock_offset_ms(-20_000)
    await subject.execute_with_retry(call, HISTORY, weight=96)
    await subject.execute_with_retry(call, HISTORY)
    assert call.sent_s[1] == pytest.approx(20.15, abs=0.01)


async def test_clock_offset_corrected_after_boundary_counts_both_windows(
    clock: ManualClock,
) -> None:
    clock.advance(1)
    subject = limiter(clock, minute())
    await subject.execute_with_retry(Script(clock), HISTORY, weight=90)
    clock.advance(59.2)
    await subject.execute_with_retry(Script(clock), HISTORY, weight=3)
    subject.set_clock_offset_ms(-900)
    assert subject.snapshot().used == 93


async def test_clock_offset_small_correction_keeps_window(clock: ManualClock) -> None:
    subject = limiter(clock, minute())
    await subject.execute_with_retry(Script(clock), HISTORY, weight=90)
    clock.advance(60.2)
    subject.set_clock_offset_ms(5)
    assert subject.snapshot().used == 0


async def test_given_up_request_still_counts_in_next_window(clock: ManualClock) -> None:
    subject = limiter(clock, minute())
    clock.advance(57)
    call = Script(clock, RequestTimeout("x"))
    with pytest.raises(RequestTimeout):
        await subject.execute_with_retry(call, HISTORY, weight=30, safe_to_repeat=False)
    clock.advance(4)
    assert subject.snapshot().used == 30


# --- snapshot


async def test_snapshot_shows_fullest_window_and_waiting(manual: ManualClock) -> None:
    limits = [WeightLimit(60, 100), WeightLimit(300, 1000)]
    subject = limiter(manual, RateLimitConfig(weight_limits=limits))
    await subject.execute_with_retry(Script(manual), HISTORY, weight=96)
    tasks = [
        asyncio.create_task(subject.execute_with_retry(Script(manual), lane, weight=5))
        for lane in (HISTORY, HISTORY, LIVE)
    ]
    await manual.run_for(1)
    shown = subject.snapshot()
    assert (shown.venue, shown.used, shown.limit) == ("venue", 96, 100)
    assert shown.blocked_until_ms is None
    assert shown.waiting == {ORDER: 0, LIVE: 1, HISTORY: 2}
    await manual.run_for(60)
    await asyncio.gather(*tasks)


def test_snapshot_without_windows_has_no_limit(clock: ManualClock) -> None:
    shown = limiter(clock).snapshot()
    assert (shown.used, shown.limit, shown.windows) == (0, None, ())


# --- sharing


def test_shared_limiter_same_venue_is_one_object(caplog: pytest.LogCaptureFixture) -> None:
    one = shared_limiter("api.example", minute())
    assert shared_limiter("api.example", minute()) is one
    assert shared_limiter("api.example") is one
    assert shared_limiter("other.example") is not one
    assert caplog.text == ""


def test_shared_limiter_other_settings_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    one = shared_limiter("api.example", minute())
    assert shared_limiter("api.example", minute(5)) is one
    assert "other settings ignored" in caplog.text


def test_shared_limiter_reset_makes_a_new_one() -> None:
    one = shared_limiter("api.example")
    reset_shared_limiters()
    assert shared_limiter("api.example") is not one


async def test_shared_limiter_obeys_ban_of_a_ledger_given_later(clock: ManualClock) -> None:
    subject = shared_limiter("api.example", clock=clock)
    with Ledger() as ledger:
        ledger.set_ban("api.example", MINUTE_MS + 10_000_000, "418")
        shared_limiter("api.example", ledger=ledger)
        with pytest.raises(Banned):
            await subject.execute_with_retry(Script(clock), HISTORY)
