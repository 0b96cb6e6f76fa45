import attrs
import pytest
from fakes import HOUR, NOW, FakeExchange, FakeStore, candles

from velas.errors import ConfigError, UnknownSymbol
from velas.history import Plan, Wanted, make_plan
from velas.interval import Interval
from velas.ledger import Ledger
from velas.models import Gap

LAST = NOW // HOUR - 1  # slot of the newest closed candle
FIRST = LAST - 99
ONE = Interval("1h")


@pytest.fixture
def ledger():
    with Ledger() as ledger:
        yield ledger


@pytest.fixture
def exchange():
    return FakeExchange({("X/Y", "1h"): candles([s * HOUR for s in range(FIRST, LAST + 2)])})


def stored(*slots: int) -> FakeStore:
    store = FakeStore()
    if slots:
        store.save(candles([s * HOUR for s in slots]), "X/Y", "1h")
    return store


def wanted(**options) -> Wanted:
    options.setdefault("start_ms", FIRST * HOUR)
    return Wanted(symbols=("X/Y",), intervals=(ONE,), **options)


async def planned(exchange, store, ledger, **options):
    plan = await make_plan(exchange, store, ledger, wanted(**options))
    return plan.series[0]


def spans(series) -> list[tuple[str, int, int]]:
    return [(r.kind, r.start_ms // HOUR, r.end_ms // HOUR) for r in series.ranges]


async def test_plan_empty_store_wants_all_closed_candles(exchange, ledger):
    series = await planned(exchange, stored(), ledger)
    assert spans(series) == [("tail", FIRST, LAST + 1)]
    assert (series.candles, series.requests) == (100, 12)


async def test_plan_pages_and_weight_are_what_the_download_will_ask(exchange, ledger):
    plan = await make_plan(exchange, stored(), ledger, wanted())
    assert (plan.requests, plan.weight) == (12, 24)


async def test_plan_partly_stored_wants_head_hole_and_tail(exchange, ledger):
    store = stored(*range(FIRST + 10, FIRST + 20), *range(FIRST + 25, FIRST + 30))
    series = await planned(exchange, store, ledger)
    assert spans(series) == [
        ("head", FIRST, FIRST + 10),
        ("hole", FIRST + 20, FIRST + 25),
        ("tail", FIRST + 30, LAST + 1),
    ]


async def test_plan_near_holes_share_a_page(exchange, ledger):
    store = stored(*[s for s in range(FIRST, LAST + 1) if s not in (FIRST + 2, FIRST + 5)])
    series = await planned(exchange, store, ledger)
    assert (len(series.ranges), series.requests) == (2, 1)


async def test_plan_known_absences_are_not_asked_again(exchange, ledger):
    store = stored(*range(FIRST, FIRST + 40), *range(FIRST + 50, LAST + 1))
    hole = Gap((FIRST + 40) * HOUR, (FIRST + 50) * HOUR, 10, "venue")
    ledger.add_absent("fake", "X/Y".replace("/", ""), "1h", [hole], now_ms=NOW)
    assert (await planned(exchange, store, ledger)).ranges == ()


async def test_plan_listing_is_probed_once_ever_and_clips_the_head(exchange, ledger):
    for _ in range(2):
        series = await planned(exchange, stored(), ledger, start_ms=(FIRST - 500) * HOUR)
        assert spans(series) == [("tail", FIRST, LAST + 1)]
    assert [ask.start_ms for ask in exchange.asks] == [0]


async def test_plan_listed_after_the_range_is_an_error_that_says_when(exchange, ledger):
    series = await planned(
        exchange, stored(), ledger, start_ms=(FIRST - 9) * HOUR, end_ms=(FIRST - 2) * HOUR
    )
    assert "first 1h candle" in series.error


async def test_plan_update_starts_at_the_first_stored_candle(exchange, ledger):
    store = stored(*range(FIRST + 50, FIRST + 60))
    series = await planned(exchange, store, ledger, start_ms=None, update=True)
    assert spans(series) == [("tail", FIRST + 60, LAST + 1)]
    assert exchange.asks == []


async def test_plan_update_of_a_complete_series_is_empty(exchange, ledger):
    store = stored(*range(FIRST, LAST + 1))
    series = await planned(exchange, store, ledger, start_ms=None, update=True)
    assert (series.requests, exchange.asks) == (0, [])


async def test_plan_months_reach_back_by_the_calendar(exchange, ledger):
    exchange.capabilities = attrs.evolve(exchange.capabilities, probe_listing=False)
    series = await planned(exchange, stored(), ledger, start_ms=None, months=1)
    assert series.start_ms == ONE.floor(NOW - 31 * 24 * HOUR)


async def test_plan_candle_that_is_just_closing_is_not_wanted(exchange, ledger):
    exchange.now_ms = (LAST + 1) * HOUR + 1_000
    series = await planned(exchange, stored(), ledger)
    assert spans(series) == [("tail", FIRST, LAST)]


async def test_plan_venue_of_few_newest_rows_is_not_asked_beyond(exchange, ledger):
    exchange.capabilities = attrs.evolve(exchange.capabilities, newest_rows=20, probe_listing=False)
    series = await planned(exchange, stored(), ledger)
    assert spans(series) == [("tail", LAST - 19, LAST + 1)]


async def test_plan_unknown_symbol_is_named_and_the_others_planned(exchange, ledger):
    want = Wanted(symbols=("NOPE", "X/Y"), intervals=(ONE,), start_ms=FIRST * HOUR)
    plan = await make_plan(exchange, stored(), ledger, want)
    assert [series.error for series in plan.series] == ["no NOPE", None]


async def test_plan_strict_unknown_symbol_raises(exchange, ledger):
    want = Wanted(symbols=("NOPE",), intervals=(ONE,), start_ms=FIRST * HOUR, strict=True)
    with pytest.raises(UnknownSymbol):
        await make_plan(exchange, stored(), ledger, want)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_ms": NOW + HOUR}, "future"),
        ({"end_ms": NOW + HOUR}, "future"),
        ({"start_ms": 20 * HOUR, "end_ms": 10 * HOUR}, "not before"),
        ({"start_ms": 20 * HOUR, "end_ms": 20 * HOUR}, "not before"),
    ],
)
async def test_plan_impossible_range_is_refused(exchange, ledger, options, message):
    with pytest.raises(ConfigError, match=message):
        await make_plan(exchange, stored(), ledger, wanted(**options))


async def test_plan_interval_the_venue_lacks_is_refused_with_the_choices(exchange, ledger):
    want = Wanted(symbols=("X/Y",), intervals=(Interval("3m"),))
    with pytest.raises(ConfigError, match="1h, 2h, 1d"):
        await make_plan(exchange, stored(), ledger, want)


async def test_plan_nothing_wanted_is_refused(exchange, ledger):
    with pytest.raises(ConfigError, match="nothing"):
        await make_plan(exchange, stored(), ledger, Wanted(symbols=(), intervals=(ONE,)))


def test_plan_minutes_first_window_is_free():
    plan = Plan("fake", (), page_weight=2, weight_per_minute=10)
    assert plan.minutes == 0
    assert attrs.evolve(plan, requests_per_second=2.0).minutes == 0
