import asyncio
import random

import pandas as pd
import pytest
from fakes import HOUR, NOW, Ask, FakeExchange, FakeStore, candles

from velas import frames
from velas.errors import BadRequest, Banned, ConfigError, StoreFull, Unavailable
from velas.history import Wanted, make_plan, run_plan
from velas.interval import Interval
from velas.ledger import Ledger

LAST = NOW // HOUR - 1
FIRST = LAST - 199
ONE = Interval("1h")
OUTAGE = range(FIRST + 90, FIRST + 120)
SYMBOLS = ("A/Y", "B/Y", "C/Y")


@pytest.fixture
def ledger():
    with Ledger() as ledger:
        yield ledger


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def exchange():
    opens = [s * HOUR for s in range(FIRST, LAST + 2) if s not in OUTAGE]
    return FakeExchange({(name, "1h"): candles(opens) for name in SYMBOLS})


async def download(exchange, store, ledger, symbols=SYMBOLS, *, update=False, **options):
    want = Wanted(symbols=symbols, intervals=(ONE,), start_ms=FIRST * HOUR, update=update)
    plan = await make_plan(exchange, store, ledger, want)
    return await run_plan(exchange, store, ledger, plan, **options)


def venue_rows(exchange: FakeExchange, symbol: str) -> pd.DataFrame:
    rows = exchange.series[symbol, "1h"]
    return rows[rows["timestamp"] <= LAST * HOUR].reset_index(drop=True)


def assert_complete(exchange, store, symbols=SYMBOLS) -> None:
    for symbol in symbols:
        pd.testing.assert_frame_equal(store.load(symbol, "1h"), venue_rows(exchange, symbol))


async def test_download_stores_every_candle_and_explains_the_outage(exchange, store, ledger):
    report = await download(exchange, store, ledger)
    assert_complete(exchange, store)
    assert report.ok
    for series in report.series:
        assert [(gap.missing, gap.reason) for gap in series.gaps] == [(len(OUTAGE), "venue")]
        assert (series.rows_added, series.rows_total) == (170, 170)
        assert (series.first_ms, series.last_ms) == (FIRST * HOUR, LAST * HOUR)


async def test_download_again_adds_nothing_and_asks_nothing(exchange, store, ledger):
    await download(exchange, store, ledger)
    asked = len(exchange.asks)
    report = await download(exchange, store, ledger, update=True)
    assert len(exchange.asks) == asked
    assert [series.rows_added for series in report.series] == [0, 0, 0]
    assert report.usage.requests == 0


async def test_download_reports_pages_only_when_durable(exchange, store, ledger):
    told = []
    await download(
        exchange, store, ledger, on_stored=lambda s: told.append((s.rows, store.commits))
    )
    assert sum(rows for rows, _ in told) == 3 * 170
    assert all(commits > 0 for rows, commits in told if rows)


async def test_download_one_failing_symbol_is_named_and_stops_no_other(exchange, store, ledger):
    def fault(ask: Ask):
        if ask.symbol == "B/Y" and ask.start_ms:
            raise BadRequest("B/Y is broken")

    exchange.fault = fault
    report = await download(exchange, store, ledger)
    assert [series.error for series in report.series] == [None, "B/Y is broken", None]
    assert_complete(exchange, store, ("A/Y", "C/Y"))
    assert not report.ok


async def test_download_failure_keeps_the_pages_that_came(exchange, store, ledger):
    def fault(ask: Ask):
        if ask.start_ms == (FIRST + 54) * HOUR:
            raise BadRequest("no")

    exchange.fault = fault
    report = await download(exchange, store, ledger, ("A/Y",), pages_in_flight=1)
    assert report.series[0].rows_added == 54
    exchange.fault = lambda ask: None
    await download(exchange, store, ledger, ("A/Y",))
    assert_complete(exchange, store, ("A/Y",))


async def test_download_venue_that_refuses_is_not_asked_by_the_other_series(
    exchange, store, ledger
):
    def fault(ask: Ask):
        if ask.start_ms:
            raise Banned("banned", until_ms=NOW)

    exchange.fault = fault
    report = await download(exchange, store, ledger, parallel=1, pages_in_flight=1)
    assert [series.error for series in report.series] == ["banned"] * 3
    assert sum(bool(ask.start_ms) for ask in exchange.asks) == 1


async def test_download_silent_venue_is_given_up_after_nobody_was_answered(exchange, store, ledger):
    def fault(ask: Ask):
        if ask.start_ms:
            raise Unavailable("down")

    exchange.fault = fault
    report = await download(exchange, store, ledger, parallel=1, pages_in_flight=1)
    assert [series.error for series in report.series] == ["down"] * 3
    assert [ask.symbol for ask in exchange.asks if ask.start_ms] == ["A/Y", "B/Y"]
    assert all(series.unreachable for series in report.series)


async def test_download_one_dead_symbol_alone_does_not_condemn_the_venue(exchange, store, ledger):
    def fault(ask: Ask):
        if ask.symbol == "A/Y" and ask.start_ms:
            raise Unavailable("down")

    exchange.fault = fault
    report = await download(exchange, store, ledger, parallel=1, pages_in_flight=1)
    assert [series.error for series in report.series] == ["down", None, None]
    assert_complete(exchange, store, ("B/Y", "C/Y"))


async def test_download_silence_about_candles_is_no_success(exchange, store, ledger):
    exchange.fault = lambda ask: frames.empty()
    report = await download(exchange, store, ledger, ("A/Y",))
    (series,) = report.series
    assert not report.ok
    assert [(gap.missing, gap.reason) for gap in series.gaps] == [
        (200, "asked for, but the venue's answers prove nothing")
    ]


async def test_download_end_that_never_came_is_named(exchange, store, ledger):
    def fault(ask: Ask):
        late = ask.start_ms is None or ask.start_ms > (FIRST + 130) * HOUR
        return frames.empty() if late else None

    exchange.fault = fault
    report = await download(exchange, store, ledger, ("A/Y",))
    assert not report.ok
    assert report.series[0].gaps[-1].end_ms == (LAST + 1) * HOUR


async def test_download_candle_not_published_yet_is_named_and_no_failure(store, ledger):
    rows = candles([s * HOUR for s in range(FIRST, LAST)])
    exchange = FakeExchange({("A/Y", "1h"): rows})
    report = await download(exchange, store, ledger, ("A/Y",))
    assert report.ok
    assert [gap.reason for gap in report.series[0].gaps] == ["not published by the venue yet"]


async def test_download_hole_filled_by_the_venue_later_is_fetched_then(store, ledger):
    opens = [s * HOUR for s in range(FIRST, LAST + 1)]
    exchange = FakeExchange({("A/Y", "1h"): candles([*opens[:-3], *opens[-2:]])})
    await download(exchange, store, ledger, ("A/Y",))
    exchange.series["A/Y", "1h"] = candles([s * HOUR for s in range(FIRST, LAST + 30)])
    exchange.now_ms += 2 * HOUR
    await download(exchange, store, ledger, ("A/Y",))
    assert frames.gaps(store.load("A/Y", "1h")["timestamp"].to_numpy(), "1h") == []


async def test_download_newest_stored_candles_are_read_again_with_the_next(store, ledger):
    opens = [s * HOUR for s in range(FIRST, LAST + 2)]
    exchange = FakeExchange({("A/Y", "1h"): candles(opens)})
    await download(exchange, store, ledger, ("A/Y",))
    exchange.series["A/Y", "1h"] = candles(opens, price=200.0)
    exchange.now_ms += HOUR
    await download(exchange, store, ledger, ("A/Y",))
    assert list(store.load("A/Y", "1h")["open"].tail(4) > 150) == [False, True, True, True]


async def test_download_update_fetches_again_what_was_stored_once(exchange, store, ledger):
    await download(exchange, store, ledger, ("A/Y",))
    store.save(store.load("A/Y", "1h", start_ms=(FIRST + 50) * HOUR), "A/Y", "1h")
    want = Wanted(symbols=("A/Y",), intervals=(ONE,), update=True)
    plan = await make_plan(exchange, store, ledger, want)
    await run_plan(exchange, store, ledger, plan)
    assert_complete(exchange, store, ("A/Y",))


async def test_download_commit_that_failed_is_tried_once_more(exchange, store, ledger, monkeypatch):
    monkeypatch.setattr("velas.history.series._COMMIT_AFTER_S", 0.0)
    failures = [StoreFull("no space left")]

    def fail(symbol: str) -> None:
        if failures:
            raise failures.pop()

    store.fail = fail
    report = await download(exchange, store, ledger, ("A/Y",), pages_in_flight=3)
    assert report.series[0].error == "no space left"
    assert report.series[0].rows_total > 0


async def test_download_impossible_parallelism_is_refused(exchange, store, ledger):
    for options in ({"parallel": 0}, {"pages_in_flight": 0}):
        with pytest.raises(ConfigError, match="at least 1"):
            await download(exchange, store, ledger, **options)


async def test_plan_that_fails_leaves_no_task_behind(exchange, store, ledger):
    def fault(ask: Ask):
        raise Banned("banned", until_ms=NOW)

    exchange.fault = fault
    with pytest.raises(Banned):
        await download(exchange, store, ledger)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_download_full_disk_is_an_error_of_the_series(exchange, store, ledger):
    def fail(symbol: str) -> None:
        if symbol == "BY":
            raise StoreFull("no space left")

    store.fail = fail
    report = await download(exchange, store, ledger)
    assert [series.error for series in report.series] == [None, "no space left", None]


async def test_download_stopped_keeps_what_came_and_resumes_exactly(exchange, store, ledger):
    stop = asyncio.Event()
    exchange.fault = lambda ask: stop.set() if len(exchange.asks) > 25 else None
    report = await download(exchange, store, ledger, stop=stop, pages_in_flight=3)
    assert report.interrupted
    assert not report.ok
    kept = sum(series.rows_total for series in report.series)
    assert 0 < kept < 3 * 170
    exchange.fault = lambda ask: None
    again = await download(exchange, store, ledger)
    assert sum(series.rows_added for series in again.series) == 3 * 170 - kept
    assert_complete(exchange, store)


async def test_download_cancelled_keeps_what_came(exchange, store, ledger):
    started = asyncio.Event()
    exchange.fault = lambda ask: started.set() if len(exchange.asks) > 25 else None
    task = asyncio.create_task(download(exchange, store, ledger, pages_in_flight=3))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.commits > 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_download_bar_off_the_grid_inside_a_full_window_is_not_lost(store, ledger):
    opens = [s * HOUR for s in range(FIRST, LAST + 1)]
    opens += [(FIRST + 3) * HOUR + 1, (FIRST + 4) * HOUR + 60_000, (FIRST + 4) * HOUR + 61_000]
    exchange = FakeExchange({("A/Y", "1h"): candles(sorted(opens))})
    await download(exchange, store, ledger, ("A/Y",))
    assert_complete(exchange, store, ("A/Y",))


@pytest.mark.parametrize("seed", range(20))
async def test_download_random_faults_end_in_the_venues_series(seed, exchange, store, ledger):
    rng = random.Random(seed)

    def fault(ask: Ask):
        lot = rng.random()
        if lot < 0.2:
            return frames.empty()
        if lot < 0.3:
            raise BadRequest("by chance")
        return None

    exchange.fault = fault
    for _ in range(30):
        report = await download(
            exchange,
            store,
            ledger,
            parallel=rng.randint(1, 3),
            pages_in_flight=rng.randint(1, 8),
        )
        if report.ok and all(one.last_ms == LAST * HOUR for one in report.series):
            break
    assert_complete(exchange, store)
    assert all(gap.reason == "venue" for one in report.series for gap in one.gaps)


async def test_download_years_without_candles_are_skipped_not_paged_through(store, ledger):
    old, new = range(FIRST - 5_000, FIRST - 4_990), range(LAST - 10, LAST + 1)
    opens = [s * HOUR for s in (*old, *new)]
    exchange = FakeExchange({("A/Y", "1h"): candles(opens)})
    want = Wanted(symbols=("A/Y",), intervals=(ONE,), start_ms=(FIRST - 5_000) * HOUR)
    plan = await make_plan(exchange, store, ledger, want)
    assert plan.requests > 500
    report = await run_plan(exchange, store, ledger, plan, pages_in_flight=2)
    assert_complete(exchange, store, ("A/Y",))
    assert report.ok
    assert len(exchange.asks) < 20


async def test_download_series_that_ended_is_soon_known_to_have_ended(store, ledger):
    exchange = FakeExchange({("A/Y", "1h"): candles([s * HOUR for s in range(FIRST, FIRST + 9)])})
    await download(exchange, store, ledger, ("A/Y",))
    asked = len(exchange.asks)
    report = await download(exchange, store, ledger, ("A/Y",))
    assert report.ok
    assert all(ask.end_ms is None or ask.end_ms > NOW - 25 * HOUR for ask in exchange.asks[asked:])


async def test_download_stopped_while_the_venue_is_silent_does_not_wait_for_it(
    exchange, store, ledger
):
    stop, never = asyncio.Event(), asyncio.Event()
    answers = exchange.fetch_candles
    asked = 0

    async def silent(*args, **options):
        nonlocal asked
        asked += 1
        if asked == 12:
            stop.set()
        if asked > 8:
            await never.wait()
        return await answers(*args, **options)

    exchange.fetch_candles = silent
    report = await download(exchange, store, ledger, stop=stop, pages_in_flight=4, parallel=3)
    assert report.interrupted
    assert sum(series.rows_total for series in report.series) == 5 * 9  # three asks were probes


async def test_download_that_fails_stores_the_pages_that_came_with_the_failure(
    exchange, store, ledger
):
    def fault(ask: Ask):
        if ask.start_ms == (FIRST + 9) * HOUR:
            raise BadRequest("no")

    exchange.fault = fault
    report = await download(exchange, store, ledger, ("A/Y",), pages_in_flight=4)
    assert report.series[0].rows_added == 3 * 9


async def test_download_series_that_goes_on_after_all_is_fetched_whole(store, ledger):
    exchange = FakeExchange({("A/Y", "1h"): candles([s * HOUR for s in range(FIRST, FIRST + 9)])})
    await download(exchange, store, ledger, ("A/Y",))
    opens = [s * HOUR for s in range(FIRST, LAST + 99)]
    exchange.series["A/Y", "1h"] = candles(opens)
    exchange.now_ms += 2 * HOUR
    for _ in range(2):
        report = await download(exchange, store, ledger, ("A/Y",))
    assert report.ok
    assert list(store.load("A/Y", "1h")["timestamp"]) == opens[: 200 + 2]


async def test_download_venue_clock_that_was_ahead_hides_nothing_later(store, ledger):
    opens = [s * HOUR for s in range(FIRST, LAST + 400)]
    exchange = FakeExchange({("A/Y", "1h"): candles(opens[:200])})
    exchange.now_ms += 30 * 24 * HOUR
    await download(exchange, store, ledger, ("A/Y",))
    exchange.series["A/Y", "1h"] = candles(opens)
    exchange.now_ms -= 20 * 24 * HOUR
    for _ in range(2):
        report = await download(exchange, store, ledger, ("A/Y",))
    assert report.ok
    assert frames.gaps(store.load("A/Y", "1h")["timestamp"].to_numpy(), "1h") == []
    assert report.series[0].last_ms == LAST * HOUR + 10 * 24 * HOUR
