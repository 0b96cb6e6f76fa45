import attrs
import numpy as np
import pandas as pd
from fakes import HOUR, NOW, FakeExchange, candles

from velas import frames
from velas.history.absence import Inquiry
from velas.interval import Interval
from velas.models import Gap

GRID = Interval("1h")
BASE = (NOW - 30 * 24 * HOUR) // HOUR


def venue(*slots: int) -> FakeExchange:
    opens = [(BASE + slot) * HOUR for slot in slots]
    return FakeExchange({("X/Y", "1h"): candles(opens)})


@attrs.frozen
class Settled:
    recovered: pd.DataFrame
    absent: tuple[Gap, ...]


async def ask(exchange: FakeExchange, *slots: int) -> Settled:
    wanted = np.array([BASE + slot for slot in slots], dtype=np.int64)
    inquiry = Inquiry(exchange, "X/Y", GRID, wanted)
    answers = []
    while inquiry.open:
        answers.append(await inquiry.ask())
    rows = pd.concat([answer.recovered for answer in answers], ignore_index=True)
    return Settled(rows, tuple(gap for answer in answers for gap in answer.absent))


def gap(first: int, end: int) -> Gap:
    return Gap((BASE + first) * HOUR, (BASE + end) * HOUR, end - first, "venue")


def slots_of(settled) -> list[int]:
    return [int(ts) // HOUR - BASE for ts in settled.recovered["timestamp"]]


async def test_settle_candle_beyond_the_hole_proves_it_with_one_request():
    exchange = venue(1, 2, 6, 7)
    settled = await ask(exchange, 3, 4, 5)
    assert settled.absent == (gap(3, 6),)
    assert settled.recovered.empty
    assert len(exchange.asks) == 1


async def test_settle_candles_inside_are_recovered_and_the_rest_proven():
    settled = await ask(venue(1, 2, 4, 7, 8), 3, 4, 5, 6)
    assert slots_of(settled) == [4]
    assert settled.absent == (gap(3, 4), gap(5, 7))


async def test_settle_hole_longer_than_a_page_is_walked_through():
    settled = await ask(venue(*range(0, 25)), *range(2, 24))
    assert slots_of(settled) == list(range(2, 24))
    assert settled.absent == ()


async def test_settle_behind_the_newest_candle_nothing_is_absent_but_the_series_over():
    inquiry = Inquiry(venue(1, 2), "X/Y", GRID, np.array([BASE + 3, BASE + 4]))
    answer = await inquiry.ask()
    assert answer.absent == ()
    assert answer.newest_ms == (BASE + 2) * HOUR
    assert not inquiry.open


async def test_settle_silence_about_a_hole_does_not_end_a_series_that_goes_on():
    exchange = venue(1, 2, 5)
    exchange.fault = lambda ask: frames.empty() if len(exchange.asks) == 1 else None
    settled = await ask(exchange, 3, 4)
    assert settled.absent == (gap(3, 5),)


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


async def test_settle_many_holes_within_a_page_cost_one_request():
    exchange = venue(1, 3, 5, 7, 9)
    settled = await ask(exchange, 2, 4, 6, 8)
    assert settled.absent == (gap(2, 3), gap(4, 5), gap(6, 7), gap(8, 9))
    assert len(exchange.asks) == 1


async def test_settle_venue_that_ignores_the_start_proves_nothing():
    exchange = venue(*range(1, 60))
    exchange.capabilities = attrs.evolve(exchange.capabilities, probe_listing=False)
    newest = exchange.series["X/Y", "1h"].tail(10).reset_index(drop=True)
    exchange.fault = lambda ask: newest
    settled = await ask(exchange, 3, 4)
    assert settled.absent == ()
    assert len(exchange.asks) < 20


async def test_settle_candle_in_front_of_the_hole_proves_it_for_any_venue():
    exchange = venue(1, 2, 6)
    exchange.capabilities = attrs.evolve(exchange.capabilities, probe_listing=False)
    assert (await ask(exchange, 3, 4, 5)).absent == (gap(3, 6),)


async def test_settle_two_bars_of_one_slot_at_a_pages_edge_are_both_kept():
    exchange = venue(*range(1, 30))
    rows = exchange.series["X/Y", "1h"]
    edge = rows["timestamp"] == (BASE + 11) * HOUR
    twin = rows[edge].assign(timestamp=(BASE + 11) * HOUR + 60_000)
    exchange.series["X/Y", "1h"] = pd.concat([rows, twin]).sort_values("timestamp")
    for first in range(2, 12):
        settled = await ask(exchange, *range(first, 25))
        assert slots_of(settled).count(11) >= 2 or first > 11


async def test_settle_silent_venue_is_left_after_a_bounded_number_of_questions():
    exchange = venue(1, 500)
    exchange.fault = lambda ask: frames.empty()
    await ask(exchange, *range(2, 400, 2))
    assert len(exchange.asks) < 100
