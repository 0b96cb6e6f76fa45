import numpy as np
from fakes import HOUR, NOW, FakeExchange, candles

from velas import frames
from velas.history.absence import SETTLE_MS, settle
from velas.interval import Interval
from velas.models import Gap

GRID = Interval("1h")
BASE = (NOW - 30 * 24 * HOUR) // HOUR


def venue(*slots: int) -> FakeExchange:
    opens = [(BASE + slot) * HOUR for slot in slots]
    return FakeExchange({("X/Y", "1h"): candles(opens)})


async def ask(exchange: FakeExchange, *slots: int):
    wanted = np.array([BASE + slot for slot in slots], dtype=np.int64)
    return await settle(exchange, "X/Y", GRID, wanted, now_ms=NOW)


def gap(first: int, end: int) -> Gap:
    return Gap((BASE + first) * HOUR, (BASE + end) * HOUR, end - first, "venue")


def slots_of(settled) -> list[int]:
    return [int(ts) // HOUR - BASE for ts in settled.recovered["timestamp"]]


async def test_settle_candle_beyond_the_hole_proves_it_with_one_request():
    exchange = venue(1, 2, 6, 7)
    settled = await ask(exchange, 3, 4, 5)
    assert settled.absent == (gap(3, 6),)
    assert settled.recovered.empty
    assert len(exchange.asks) == settled.pages == 1


async def test_settle_candles_inside_are_recovered_and_the_rest_proven():
    settled = await ask(venue(1, 2, 4, 7, 8), 3, 4, 5, 6)
    assert slots_of(settled) == [4]
    assert settled.absent == (gap(3, 4), gap(5, 7))


async def test_settle_hole_longer_than_a_page_is_walked_through():
    settled = await ask(venue(*range(0, 25)), *range(2, 24))
    assert slots_of(settled) == list(range(2, 24))
    assert settled.absent == ()


async def test_settle_series_that_ended_long_ago_is_proven_by_its_newest_candle():
    settled = await ask(venue(1, 2), 3, 4)
    assert settled.absent == (gap(3, 5),)


async def test_settle_end_of_a_series_is_believed_only_when_a_day_has_passed():
    exchange = venue(1, 2)
    exchange.now_ms = (BASE + 5) * HOUR + SETTLE_MS - 1
    settled = await settle(
        exchange, "X/Y", GRID, np.array([BASE + 3, BASE + 4]), now_ms=exchange.now_ms
    )
    assert settled.absent == (gap(3, 4),)


async def test_settle_only_empty_answers_prove_nothing_and_end():
    exchange = venue(1, 2, 5)
    exchange.fault = lambda ask: frames.empty()
    settled = await ask(exchange, 3, 4)
    assert settled.absent == ()
    assert settled.recovered.empty
    assert len(exchange.asks) < 20


async def test_settle_one_empty_answer_is_asked_again():
    exchange = venue(1, 2, 3, 5)
    exchange.fault = lambda ask: frames.empty() if len(exchange.asks) <= 2 else None
    settled = await ask(exchange, 3, 4)
    assert slots_of(settled) == [3]
    assert settled.absent == (gap(4, 5),)
