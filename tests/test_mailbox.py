"""The mailbox: order, room, and only the newest of what is conflated."""

from __future__ import annotations

import asyncio
import random

import pytest

from velas.mailbox import Mailbox


async def emptied(mailbox: Mailbox[str]) -> list[str]:
    mailbox.close()
    return [event async for event in mailbox.drain()]


async def test_drain_gives_events_in_order() -> None:
    mailbox: Mailbox[str] = Mailbox(10)
    for event in "abc":
        mailbox.put(event)
    assert await emptied(mailbox) == ["a", "b", "c"]


async def test_put_latest_keeps_the_newest_in_the_place_of_the_first() -> None:
    mailbox: Mailbox[str] = Mailbox(10)
    mailbox.put_latest("old", "key")
    mailbox.put("kept")
    mailbox.put_latest("new", "key")
    assert (len(mailbox), mailbox.conflated) == (2, 1)
    assert await emptied(mailbox) == ["new", "kept"]


async def test_put_latest_of_other_keys_is_kept_apart() -> None:
    mailbox: Mailbox[str] = Mailbox(10)
    mailbox.put_latest("a", 1)
    mailbox.put_latest("b", 2)
    assert (len(mailbox), mailbox.conflated) == (2, 0)
    assert await emptied(mailbox) == ["a", "b"]


async def test_put_latest_after_the_last_was_taken_queues_again() -> None:
    mailbox: Mailbox[str] = Mailbox(10)
    events = mailbox.drain()
    mailbox.put_latest("a", "key")
    assert await anext(events) == "a"
    mailbox.put_latest("b", "key")
    assert await anext(events) == "b"
    assert (len(mailbox), mailbox.conflated) == (0, 0)


async def test_put_overtakes_what_waits_under_the_key() -> None:
    mailbox: Mailbox[str] = Mailbox(10)
    mailbox.put_latest("forming", "key")
    mailbox.put_latest("other", "else")
    mailbox.put("closed", overtakes="key")
    assert len(mailbox) == 2
    assert await emptied(mailbox) == ["other", "closed"]


async def test_put_latest_after_it_was_overtaken_comes_later() -> None:
    mailbox: Mailbox[str] = Mailbox(10)
    mailbox.put_latest("forming 1", "key")
    mailbox.put("closed 1", overtakes="key")
    mailbox.put_latest("forming 2", "key")
    assert await emptied(mailbox) == ["closed 1", "forming 2"]


async def test_put_overtaking_nothing_is_just_put() -> None:
    mailbox: Mailbox[str] = Mailbox(10)
    mailbox.put("closed", overtakes="key")
    assert await emptied(mailbox) == ["closed"]


async def test_room_counts_what_must_be_kept_alone() -> None:
    mailbox: Mailbox[str] = Mailbox(2)
    mailbox.put_latest("forming", "key")
    assert mailbox.room == 2
    mailbox.put("a")
    mailbox.put("b")
    assert mailbox.room == 0
    events = mailbox.drain()
    assert [await anext(events), await anext(events)] == ["forming", "a"]
    assert mailbox.room == 1


async def test_notes_take_no_room_and_keep_their_place() -> None:
    mailbox: Mailbox[str] = Mailbox(1)
    assert not mailbox.put_note("note 1", "key", 2)
    mailbox.put("kept")
    assert not mailbox.put_note("note 2", "key", 2)
    assert (mailbox.room, len(mailbox)) == (0, 3)
    assert await emptied(mailbox) == ["note 1", "kept", "note 2"]


async def test_notes_of_a_key_wait_the_newest_only() -> None:
    mailbox: Mailbox[str] = Mailbox(10)
    mailbox.put_note("a 1", "a", 2)
    mailbox.put_note("b 1", "b", 2)
    mailbox.put_note("a 2", "a", 2)
    assert mailbox.put_note("a 3", "a", 2)
    assert (len(mailbox), mailbox.conflated) == (3, 0)
    assert await emptied(mailbox) == ["b 1", "a 2", "a 3"]
    assert len(mailbox) == 0


async def test_notes_that_nobody_takes_do_not_make_the_queue_grow() -> None:
    mailbox: Mailbox[str] = Mailbox(10)
    mailbox.put_latest("forming", "key")
    for number in range(10_000):
        mailbox.put_note(f"note {number}", "key", 3)
    assert len(mailbox) == 4
    assert len(mailbox._queue) < 100
    assert await emptied(mailbox) == ["forming", "note 9997", "note 9998", "note 9999"]


@pytest.mark.parametrize("put", ["put", "put_latest", "put_note", "close"])
async def test_drain_waits_and_is_woken(put: str) -> None:
    mailbox: Mailbox[str] = Mailbox(10)
    found: list[str] = []

    async def consume() -> None:
        found.extend([event async for event in mailbox.drain()])

    task = asyncio.ensure_future(consume())
    await asyncio.sleep(0)
    assert not task.done()
    expected = ["a"]
    if put == "put":
        mailbox.put("a")
    elif put == "put_latest":
        mailbox.put_latest("a", "key")
    elif put == "put_note":
        mailbox.put_note("a", "key", 1)
    else:
        expected = []
    mailbox.close()
    assert mailbox.closed
    await asyncio.wait_for(task, 30)
    assert found == expected


async def test_drain_cancelled_while_it_waits_loses_nothing() -> None:
    mailbox: Mailbox[str] = Mailbox(10)
    waiting = asyncio.ensure_future(anext(mailbox.drain()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    mailbox.put("a")
    assert await emptied(mailbox) == ["a"]


async def test_close_lets_what_is_queued_be_consumed() -> None:
    mailbox: Mailbox[str] = Mailbox(10)
    mailbox.put("a")
    mailbox.close()
    mailbox.close()
    assert [event async for event in mailbox.drain()] == ["a"]


@pytest.mark.parametrize("seed", range(20))
async def test_any_order_of_use_keeps_what_must_be_kept_and_the_newest(seed: int) -> None:
    draw = random.Random(seed)
    mailbox: Mailbox[tuple[str, int]] = Mailbox(10_000)
    events = mailbox.drain()
    kept: list[int] = []
    newest: dict[str, int] = {}  # what must still come of a key, unless it is overtaken
    taken: list[tuple[str, int]] = []
    for number in range(500):
        key, action = draw.choice("abc"), draw.random()
        if action < 0.4:
            mailbox.put_latest((key, number), key)
            newest[key] = number
        elif action < 0.7:
            mailbox.put(("", number), overtakes=key)
            kept.append(number)
            newest.pop(key, None)
        elif len(mailbox):
            event = await anext(events)
            taken.append(event)
            if newest.get(event[0]) == event[1]:
                del newest[event[0]]
        assert len(mailbox) == len(kept) - sum(not key for key, _ in taken) + len(newest)
    mailbox.close()
    taken.extend([event async for event in events])
    assert [number for key, number in taken if not key] == kept, f"seed {seed}"
    for key in "abc":
        of_key = [number for name, number in taken if name == key]
        assert of_key == sorted(of_key), f"seed {seed}"
        assert key not in newest or of_key[-1] == newest[key], f"seed {seed}"
