"""Intents whose fate is open: settled after a restart, or by their owner's word."""

from __future__ import annotations

import attrs
import pytest
from deskkit import FOUND, RECV_WINDOW_MS, REQUEST, START_MS, Venue, desk_of, jumping

from velas import errors
from velas.ledger import Ledger
from velas.orders import Fence, Journal, client_id_of


@jumping
async def test_recover_settles_every_open_intent() -> None:
    venue, ledger = Venue(), Ledger()
    journal = Journal(ledger, "me")
    requests = {name: attrs.evolve(REQUEST, intent=name) for name in ("ready", "first", "lost")}
    lines = {
        name: journal.claim(one, client_id_of(name), now_ms=1) for name, one in requests.items()
    }
    for name in ("first", "lost"):
        journal.sending(lines[name], Fence(START_MS - 60_000, RECV_WINDOW_MS), now_ms=2)
    venue.there = [FOUND]
    settled = {one.key: one for one in await desk_of(venue, ledger).recover()}
    assert {key: one.state for key, one in settled.items()} == {
        "ready": "absent",
        "first": "placed",
        "lost": "absent",
    }
    assert settled["first"].order is not None
    assert journal.unsettled() == []
    assert venue.sent == []


@jumping
async def test_recover_too_late_for_the_venue_s_memory_leaves_it_open() -> None:
    # it may have been canceled, and forgotten since: not found proves nothing
    venue, ledger = Venue(), Ledger()
    journal = Journal(ledger, "me")
    line = journal.claim(REQUEST, client_id_of("first"), now_ms=1)
    journal.sending(line, Fence(START_MS - 4 * 86_400_000, RECV_WINDOW_MS), now_ms=2)
    (line,) = await desk_of(venue, ledger).recover()
    assert line.state == "sent"
    with pytest.raises(errors.OrderUnknown, match="cannot prove"):
        await desk_of(venue, ledger).place(REQUEST)
    assert venue.sent == []


@jumping
async def test_recover_venue_silent_leaves_it_open(caplog: pytest.LogCaptureFixture) -> None:
    venue, ledger = Venue(), Ledger()
    journal = Journal(ledger, "me")
    journal.sending(journal.claim(REQUEST, client_id_of("first"), now_ms=1), None, now_ms=2)
    (line,) = await desk_of(venue, ledger).recover()
    assert line.state == "sent"
    assert "'first'" in caplog.text


@jumping
async def test_recover_nothing_open_asks_nothing() -> None:
    venue = Venue()
    assert await desk_of(venue).recover() == []
    assert venue.asked == []


@jumping
async def test_declare_absent_takes_the_owner_s_word() -> None:
    venue = Venue(errors.Unavailable("502"))
    venue.fence = False
    desk = desk_of(venue)
    with pytest.raises(errors.ConfigError, match="there is none"):
        await desk.declare_absent("first")
    with pytest.raises(errors.OrderUnknown, match="declare_absent"):
        await desk.place(REQUEST)
    began_s = venue.monotonic_s()
    with pytest.raises(errors.OrderUnknown):
        await desk.place(REQUEST)
    assert venue.monotonic_s() - began_s < 5  # it was asked for long enough before
    assert (await desk.declare_absent("first")).state == "absent"
    assert (await desk.place(REQUEST)).id == "7"
    with pytest.raises(errors.ConfigError, match="is placed"):
        await desk.declare_absent("first")
