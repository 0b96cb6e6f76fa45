"""The order desk, one situation at a time, on a clock that jumps."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import attrs
import pytest
from deskkit import FOUND, RECV_WINDOW_MS, REQUEST, START_MS, Venue, desk_of, jumping

from velas import errors
from velas.ledger import Ledger
from velas.orders import Journal, Patience


@jumping
async def test_place_answered_is_sent_once_and_noted() -> None:
    venue, ledger = Venue(), Ledger()
    order = await desk_of(venue, ledger).place(REQUEST)
    assert order == attrs.evolve(FOUND, intent="first")
    assert len(venue.sent) == 1
    assert venue.asked == []
    line = Journal(ledger, "me").get("first")
    assert line is not None
    assert (line.state, line.order) == ("placed", order)


@jumping
async def test_place_again_returns_the_order_as_it_is_now() -> None:
    venue = Venue()
    desk = desk_of(venue)
    await desk.place(REQUEST)
    venue.there = [attrs.evolve(FOUND, status="filled", filled=Decimal(1))]
    order = await desk.place(REQUEST)
    assert (order.status, order.intent) == ("filled", "first")
    assert len(venue.sent) == 1


@jumping
async def test_place_again_at_once_returns_what_was_noted_of_a_young_order() -> None:
    venue = Venue()
    desk = desk_of(venue)
    first = await desk.place(REQUEST)
    assert await desk.place(REQUEST) == first  # the venue does not show it yet
    assert len(venue.sent) == 1


@jumping
async def test_place_again_an_order_that_the_venue_has_forgotten_is_not_open() -> None:
    venue = Venue()
    desk = desk_of(venue)
    await desk.place(REQUEST)
    await asyncio.sleep(86_400)
    with pytest.raises(errors.OrderNotFound, match="placed as order 7, which the venue does not"):
        await desk.place(REQUEST)
    assert len(venue.sent) == 1


@jumping
async def test_place_again_venue_silent_is_told() -> None:
    venue = Venue()
    desk = desk_of(venue)
    await desk.place(REQUEST)
    venue.there = [errors.Unavailable("down")]
    with pytest.raises(errors.Unavailable, match="down"):
        await desk.place(REQUEST)
    assert len(venue.sent) == 1


@jumping
async def test_place_again_client_id_is_somebody_elses_by_now_returns_the_own_order() -> None:
    venue = Venue(attrs.evolve(FOUND, status="filled", filled=Decimal(1)))
    desk = desk_of(venue)
    first = await desk.place(REQUEST)
    venue.there = [attrs.evolve(FOUND, id="8", quantity=Decimal(3))]
    assert await desk.place(REQUEST) == first


@jumping
async def test_place_answer_lost_is_found_by_asking() -> None:
    venue = Venue(errors.RequestTimeout("10 s"))
    venue.there = [None, errors.Unavailable("502"), None, FOUND]
    order = await desk_of(venue).place(REQUEST)
    assert order.id == "7"
    assert len(venue.sent) == 1
    assert len(venue.asked) == 4


@jumping
async def test_place_absent_is_sent_again_only_after_the_fence() -> None:
    venue = Venue(errors.Unavailable("502"))
    await desk_of(venue, patience=Patience(settle_s=10.0)).place(REQUEST)
    first, second = venue.sent
    assert second - first > RECV_WINDOW_MS / 1000 + 10.0
    late = [at for at in venue.asked if at - first > RECV_WINDOW_MS / 1000 + 10.0]
    assert len(late) == 2
    assert venue.measured == 2


@jumping
async def test_place_absent_too_late_is_not_sent_again() -> None:
    venue = Venue(errors.Unavailable("502"))
    desk = desk_of(venue, resend_s=5.0)
    with pytest.raises(errors.OrderNotPlaced, match="no order exists after 1 attempt"):
        await desk.place(REQUEST)
    assert len(venue.sent) == 1
    order = await desk.place(REQUEST)  # wanted anew
    assert order.id == "7"
    assert len(venue.sent) == 2


@jumping
async def test_place_without_a_fence_is_never_sent_again() -> None:
    venue = Venue(errors.Unavailable("502"))
    venue.fence = False
    desk = desk_of(venue)
    for _ in range(2):
        with pytest.raises(errors.OrderUnknown, match="cannot prove that it has not"):
            await desk.place(REQUEST)
    assert len(venue.sent) == 1
    venue.there = [FOUND]
    assert (await desk.place(REQUEST)).id == "7"


@jumping
async def test_place_venue_silent_is_unknown_and_names_the_intent() -> None:
    venue = Venue(errors.Unavailable("502"))
    venue.there = [errors.Unavailable("down")] * 100
    with pytest.raises(errors.OrderUnknown, match=r"'first'.*down.*not sent again") as raised:
        await desk_of(venue).place(REQUEST)
    assert not isinstance(raised.value, errors.Transient)
    assert len(venue.sent) == 1


@jumping
async def test_place_unreadable_answer_to_the_question_proves_nothing() -> None:
    venue = Venue(errors.Unavailable("502"))
    venue.there = [errors.BadResponse("half an answer")] * 100
    with pytest.raises(errors.OrderUnknown, match="half an answer"):
        await desk_of(venue).place(REQUEST)
    assert len(venue.sent) == 1


@jumping
async def test_place_key_revoked_while_asking_is_unknown_at_once() -> None:
    venue = Venue(errors.Unavailable("502"))
    venue.there = [errors.AuthError("-2015")]
    with pytest.raises(errors.OrderUnknown, match="-2015"):
        await desk_of(venue).place(REQUEST)
    assert len(venue.asked) == 1


@jumping
async def test_place_refused_is_raised_and_the_intent_may_be_placed_again() -> None:
    venue, ledger = Venue(errors.OrderRejected("no money")), Ledger()
    desk = desk_of(venue, ledger)
    with pytest.raises(errors.OrderRejected, match="no money"):
        await desk.place(REQUEST)
    line = Journal(ledger, "me").get("first")
    assert line is not None
    assert (line.state, line.reason) == ("refused", "no money")
    assert (await desk.place(REQUEST)).id == "7"


@jumping
async def test_place_nothing_left_raises_and_leaves_the_line_ready() -> None:
    venue, ledger = Venue(errors.ConfigError("no key")), Ledger()
    with pytest.raises(errors.ConfigError, match="no key"):
        await desk_of(venue, ledger).place(REQUEST)
    line = Journal(ledger, "me").get("first")
    assert line is not None
    assert (line.state, line.attempt) == ("ready", 0)


@jumping
@pytest.mark.parametrize(
    "error",
    [
        errors.TimestampRefused("-1021"),
        errors.OrderNotPlaced("503 Service Unavailable."),
        errors.RateLimited("429"),
    ],
)
async def test_place_passing_refusal_is_sent_again_at_once(error: Exception) -> None:
    venue = Venue(error, error)
    assert (await desk_of(venue).place(REQUEST)).id == "7"
    assert len(venue.sent) == 3
    assert venue.sent[-1] < 2.0
    assert venue.asked == []


@jumping
async def test_place_passing_refusals_without_end_give_up() -> None:
    venue = Venue(*[errors.OrderNotPlaced("503")] * 50)
    with pytest.raises(errors.OrderNotPlaced, match="after 5 attempt"):
        await desk_of(venue).place(REQUEST)
    assert len(venue.sent) == 5


@jumping
async def test_place_duplicate_is_asked_for() -> None:
    venue = Venue(errors.DuplicateOrder("-2010 Duplicate order sent."))
    venue.there = [None, FOUND]
    assert (await desk_of(venue).place(REQUEST)).id == "7"
    assert len(venue.sent) == 1


@jumping
async def test_place_order_changed_by_hand_is_still_ours() -> None:
    venue = Venue(errors.Unavailable("502"))
    venue.there = [attrs.evolve(FOUND, quantity=Decimal("0.5"), price=Decimal(99))]
    order = await desk_of(venue).place(REQUEST)
    assert (order.id, order.quantity) == ("7", Decimal("0.5"))
    assert len(venue.sent) == 1


@jumping
async def test_place_own_id_used_before_by_an_older_order_is_sent_again() -> None:
    older = attrs.evolve(
        FOUND, id="3", client_id="mine", quantity=Decimal(9), timestamp=START_MS - 3_600_000
    )
    venue = Venue(errors.Unavailable("502"))
    venue.there = [older] * 12
    request = attrs.evolve(REQUEST, client_id="mine")
    assert (await desk_of(venue).place(request)).id == "7"
    assert len(venue.sent) == 2


@jumping
async def test_place_own_id_with_a_young_order_of_other_numbers_is_unknown() -> None:
    other = attrs.evolve(FOUND, id="3", client_id="mine", quantity=Decimal(9))
    venue = Venue(errors.Unavailable("502"))
    venue.there = [other] * 200
    with pytest.raises(errors.OrderUnknown, match="has order 3 of this client id, but another"):
        await desk_of(venue).place(attrs.evolve(REQUEST, client_id="mine"))
    assert len(venue.sent) == 1


@jumping
async def test_place_answer_about_another_order_is_not_believed() -> None:
    venue = Venue(attrs.evolve(FOUND, id="999", client_id="somebody-else"))
    venue.there = [FOUND]
    assert (await desk_of(venue).place(REQUEST)).id == "7"
    assert len(venue.sent) == 1


@jumping
async def test_place_venue_clock_that_jumps_ahead_proves_nothing() -> None:
    venue = Venue(errors.Unavailable("502"))
    honest = venue.venue_time_ms

    async def hasty(*, fresh: bool = False) -> int:
        return await honest(fresh=fresh) + (60_000 if venue.monotonic_s() < 10 else 0)

    venue.venue_time_ms = hasty  # type: ignore[method-assign]
    await desk_of(venue).place(REQUEST)
    first, second = venue.sent
    assert second - first > RECV_WINDOW_MS / 1000 + 15


@jumping
async def test_place_first_asks_whether_another_journal_has_placed_it() -> None:
    venue = Venue()
    venue.asks_first = True
    venue.there = [FOUND]
    order = await desk_of(venue).place(REQUEST)
    assert (order.id, order.intent) == ("7", "first")
    assert venue.sent == []
    venue.there = [errors.Unavailable("down")]
    with pytest.raises(errors.Unavailable):  # not asked, not sent
        await desk_of(venue).place(REQUEST)
    assert venue.sent == []
    await desk_of(venue).place(REQUEST)
    assert len(venue.sent) == 1


@jumping
async def test_place_is_judged_before_every_request() -> None:
    venue, judged = Venue(errors.Unavailable("502")), []

    async def judge() -> None:
        judged.append(len(venue.sent))
        if len(judged) > 1:
            raise errors.TradingOff("too much")

    desk = desk_of(venue)
    with pytest.raises(errors.TradingOff):
        await desk.place(REQUEST, judge=judge)
    assert judged == [0, 1]
    assert len(venue.sent) == 1


@jumping
async def test_place_illegal_order_leaves_no_trace() -> None:
    venue, ledger = Venue(), Ledger()

    async def judge() -> None:
        raise errors.OrderInvalid("no")

    with pytest.raises(errors.OrderInvalid):
        await desk_of(venue, ledger).place(REQUEST, judge=judge)
    assert Journal(ledger, "me").get("first") is None


@jumping
async def test_place_journal_fails_after_the_request_left_is_unknown_not_nothing_sent() -> None:
    venue, ledger = Venue(errors.Unavailable("502")), Ledger()
    desk = desk_of(venue, ledger)
    placing = asyncio.ensure_future(desk.place(REQUEST))
    await asyncio.sleep(0.05)
    ledger.close()
    with pytest.raises(errors.OrderUnknown, match="the journal cannot be used"):
        await placing


@jumping
async def test_place_two_tasks_one_intent_send_once() -> None:
    venue = Venue()
    desk = desk_of(venue)
    venue.there = [FOUND]
    one, two = await asyncio.gather(desk.place(REQUEST), desk.place(REQUEST))
    assert one == two
    assert len(venue.sent) == 1
    assert desk._locks == {}


@jumping
async def test_place_two_processes_one_intent_send_once() -> None:
    venue, ledger = Venue(), Ledger()
    venue.there = [FOUND] * 4
    orders = await asyncio.gather(*(desk_of(venue, ledger).place(REQUEST) for _ in range(3)))
    assert {one.id for one in orders} == {"7"}
    assert len(venue.sent) == 1


@jumping
async def test_place_canceled_while_sending_is_settled_by_the_next_call() -> None:
    venue, ledger = Venue(), Ledger()
    placing = asyncio.ensure_future(desk_of(venue, ledger).place(REQUEST))
    await asyncio.sleep(0.05)
    placing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await placing
    venue.there = [FOUND]
    assert (await desk_of(venue, ledger).place(REQUEST)).id == "7"
    assert len(venue.sent) == 1


@jumping
async def test_place_without_intent_is_refused() -> None:
    with pytest.raises(errors.ConfigError, match="needs an intent key"):
        await desk_of(Venue()).place(attrs.evolve(REQUEST, intent=None))


@jumping
async def test_place_own_client_id_is_used() -> None:
    venue, ledger = Venue(), Ledger()
    await desk_of(venue, ledger).place(attrs.evolve(REQUEST, client_id="mine-1"))
    line = Journal(ledger, "me").get("first")
    assert line is not None
    assert line.client_id == "mine-1"


@jumping
async def test_place_journal_cannot_be_written_sends_nothing() -> None:
    venue, ledger = Venue(), Ledger()
    ledger.write(
        "CREATE TEMP TRIGGER full BEFORE UPDATE ON intent BEGIN SELECT RAISE(FAIL, 'full'); END", ()
    )
    with pytest.raises(errors.StoreError, match="full"):
        await desk_of(venue, ledger).place(REQUEST)
    assert venue.sent == []


@jumping
async def test_place_end_cannot_be_noted_returns_the_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    venue, ledger = Venue(), Ledger()
    ledger.write(
        "CREATE TEMP TRIGGER full BEFORE UPDATE ON intent WHEN NEW.state = 'placed'"
        " BEGIN SELECT RAISE(FAIL, 'full'); END",
        (),
    )
    assert (await desk_of(venue, ledger).place(REQUEST)).id == "7"
    assert "could not be noted" in caplog.text
    ledger.write("DROP TRIGGER full", ())
    venue.there = [FOUND, FOUND]
    assert (await desk_of(venue, ledger).place(REQUEST)).id == "7"
    assert len(venue.sent) == 1


async def test_place_journal_on_disk_is_written_off_the_loop(tmp_path) -> None:
    venue = Venue()
    with Ledger(tmp_path / "velas.db") as ledger:
        assert (await desk_of(venue, ledger).place(REQUEST)).id == "7"
        line = Journal(ledger, "me").get("first")
        assert line is not None
        assert line.state == "placed"
