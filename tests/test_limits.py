"""The request limiter: retries, refusals, used-weight figures, settings, sharing."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from velas.errors import (
    AuthError,
    BadRequest,
    BadResponse,
    Banned,
    ConfigError,
    Forbidden,
    OrderUnknown,
    RateLimited,
    RequestTimeout,
    RestrictedLocation,
    StoreError,
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
MINUTE_MS = 1_700_000_040_000  # a UTC minute begins here


class Script:
    """A call that raises what it is told, then returns; remembers when it was sent."""

    def __init__(self, clock: ManualClock, *errors: BaseException) -> None:
        self.clock = clock
        self.errors = list(errors)
        self.sent_s: list[float] = []

    async def __call__(self) -> str:
        self.sent_s.append(self.clock.monotonic_s())
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


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


def limiter(
    clock: ManualClock, config: RateLimitConfig | None = None, ledger: Ledger | None = None
) -> RateLimiter:
    return RateLimiter(config, venue="venue", clock=clock, ledger=ledger, random=random.Random(1))


def minute(limit: int = 100) -> RateLimitConfig:
    return RateLimitConfig(weight_limits=[WeightLimit(60, limit)])


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
