"""At most one order for an intent: thousands of random courses of loss, delay and death.

The default run is short; `VELAS_ORDER_SCHEDULES` says how many `tox -e faults` runs, over
all workers together.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from order_sim import Outcome, Schedule, sim_loop

from velas import errors
from velas.order_models import Order
from velas.orders import OrderDesk, Patience, desk, journal, settling

SHORT = 2_000
BATCHES = 20
LONG = int(os.environ.get("VELAS_ORDER_SCHEDULES", "100000"))


def courses(seeds: range, **options: object) -> Iterator[tuple[int, Outcome]]:
    loop = sim_loop()
    try:
        for seed in seeds:
            yield seed, loop.run_until_complete(Schedule(seed, **options).run())  # type: ignore[arg-type]
    finally:
        loop.close()


def check(seeds: range) -> Counter[str]:
    print(f"seeds {seeds.start} to {seeds.stop - 1}")
    seen: Counter[str] = Counter()
    for seed, outcome in courses(seeds):
        assert outcome.problems == [], f"seed {seed}"
        seen += outcome.seen
    return seen


def notices(most: int = SHORT, **options: object) -> bool:
    """Say whether a broken desk is noticed within so many schedules."""
    try:
        return any(outcome.problems for _, outcome in courses(range(most), **options))
    except errors.VelasError:
        return True


def test_schedules_random_never_two_orders_never_unsettled() -> None:
    seen = check(range(SHORT))
    # every kind of end must have been met, or the schedules try nothing
    for what in ("died", "placed", "OrderUnknown", "OrderNotPlaced", "OrderRejected", "recovered"):
        assert seen[what] > 20, what


@pytest.mark.faults
@pytest.mark.parametrize("batch", range(BATCHES))
def test_schedules_many_never_two_orders_never_unsettled(batch: int) -> None:
    size = -(-LONG // BATCHES)
    first = 1_000_000 + batch * size
    check(range(first, first + size))


def test_schedules_notice_absence_believed_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    async def always(*_: object) -> bool:
        return True

    monkeypatch.setattr(settling.Settler, "_is_late", always)
    assert notices()


def test_schedules_notice_no_time_to_settle() -> None:
    assert notices(patience=Patience(settle_s=0.0))


def test_schedules_notice_timeout_taken_for_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_NOT_MADE", (*desk._NOT_MADE, errors.RequestTimeout))
    assert notices()


def test_schedules_notice_duplicate_taken_for_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Trusting(OrderDesk):
        async def _note(self, intent, error):  # type: ignore[no-untyped-def]
            if isinstance(error, desk._NOT_MADE) and await self._journal.refused(intent, "no"):
                raise error

    assert notices(desk=Trusting)


def test_schedules_notice_lines_moved_by_whoever_comes_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def move(self, seen, to, result):  # type: ignore[no-untyped-def]
        self._ledger.write(
            "UPDATE intent SET state = ?, result = ?, changed_ms = ?, expires_ms = ?, attempt = ?,"
            " window_ms = ? WHERE account = ? AND intent = ?",
            (
                *(to.state, result, to.changed_ms, to.expires_ms, to.attempt, to.window_ms),
                *(self._account, seen.key),
            ),
        )
        return True

    monkeypatch.setattr(journal.Journal, "_move", move)
    assert notices()


def test_schedules_notice_a_request_that_leaves_before_it_is_written_down() -> None:
    class Hasty(OrderDesk):
        async def _send(self, call, intent):  # type: ignore[no-untyped-def]
            async def sending(_: object) -> None:
                return None

            order: Order = await self._venue.send_order(intent.request, intent.client_id, sending)
            await self._journal.placed(intent, order)
            return order

    assert notices(desk=Hasty)


def test_schedules_notice_a_venue_clock_believed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling.Settler, "_gone_ms", lambda *_: 10**9)
    assert notices(6_000)
