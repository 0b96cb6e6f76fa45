"""`PollingFeed` on a clock moved by hand: what it asks for, when, and what it delivers."""

from __future__ import annotations

import asyncio
import itertools

import pandas as pd
import pytest
from fakes import Ask
from polled import MINUTE, START, LiveExchange, live, running

from velas.adapter import ExchangeAdapter
from velas.clock import SYSTEM_CLOCK
from velas.errors import ConfigError, FeedError, Unsupported
from velas.models import Candle, Subscription
from velas.polling import PollingFeed
from velas.protocols import Feed
from velas.testing import ManualClock

BTC = Subscription("candles", "BTC/USDT", "1m")
TRADES = Subscription("trades", "BTC/USDT")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START + 10_000)  # 50 s before the end of the slot


# -- as built -----------------------------------------------------------------------------


def test_feed_keeps_the_protocol(clock: ManualClock) -> None:
    assert isinstance(PollingFeed(live(clock)), Feed)


def test_feed_takes_the_clock_and_margin_of_an_adapter(clock: ManualClock) -> None:
    from velas_ccxt import BinanceSpot

    adapter = BinanceSpot(url="http://127.0.0.1:9", clock=clock, margin_ms=700)
    assert isinstance(adapter, ExchangeAdapter)
    feed = PollingFeed(adapter)
    assert feed.clock is clock
    assert feed._margin_ms == 700


def test_feed_of_another_exchange_takes_the_system_clock(clock: ManualClock) -> None:
    assert PollingFeed(live(clock)).clock is SYSTEM_CLOCK


@pytest.mark.parametrize("margin_s", [-1.0, float("inf"), float("nan")])
def test_feed_with_an_impossible_margin_is_refused(clock: ManualClock, margin_s: float) -> None:
    with pytest.raises(ConfigError, match="margin_s"):
        PollingFeed(live(clock), margin_s=margin_s)


@pytest.mark.parametrize(
    ("claims", "lacking"),
    [
        ({"trades": False}, "trades"),
        ({"trades_by_id": False}, "trades"),
        ({"book_ticker": False}, "book_ticker"),
    ],
)
def test_channels_are_those_of_the_exchange(
    clock: ManualClock, claims: dict[str, object], lacking: str
) -> None:
    feed = PollingFeed(live(clock, **claims))
    assert lacking not in feed.channels
    with pytest.raises(Unsupported, match=lacking):
        feed.subscribe(lacking, ["BTC/USDT"])  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match=lacking):
        feed.watch(Subscription(lacking, "BTC/USDT"))  # type: ignore[arg-type]


def test_watch_an_interval_the_venue_lacks_is_unsupported(clock: ManualClock) -> None:
    with pytest.raises(Unsupported, match="3m candles; it has 1m, 5m, 1h"):
        PollingFeed(live(clock)).watch(Subscription("candles", "BTC/USDT", "3m"))


# -- closed candles -----------------------------------------------------------------------


async def test_candles_begin_with_the_slot_that_runs(clock: ManualClock) -> None:
    async with running(live(clock), BTC) as heard:
        await clock.run_for(51.9)
        assert heard.closed == []
        await clock.run_for(0.2)
        assert heard.closed == [START]
        await clock.run_for(120)
        assert heard.closed == [START, START + MINUTE, START + 2 * MINUTE]
        assert heard.times_s == pytest.approx([52.0, 112.0, 172.0], abs=0.02)


async def test_candles_have_every_column_and_say_where_they_are_from(clock: ManualClock) -> None:
    exchange = live(clock)
    async with running(exchange, BTC) as heard:
        await clock.run_for(52.1)
        row = exchange.series["BTC/USDT", "1m"].set_index("timestamp").loc[START]
        assert [one for one in heard.candles if one.is_closed] == [
            Candle("BTC/USDT", "1m", START, *row.tolist())
        ]
        assert heard.candles[-1].source == "rest"


async def test_candles_cost_one_request_of_the_rows_that_are_due(clock: ManualClock) -> None:
    exchange = live(clock)
    async with running(exchange, BTC):
        await clock.run_for(112.1)
        assert exchange.asks == [
            Ask("BTC/USDT", "1m", START, None, 1),
            Ask("BTC/USDT", "1m", START + MINUTE, None, 1),
        ]


async def test_candles_from_a_time_on_come_in_pages(clock: ManualClock) -> None:
    exchange = live(clock)
    async with running(exchange) as heard:
        heard.feed.watch(BTC, from_ms=START - 24 * MINUTE - 1)
        await clock.run_for(0)
        assert heard.closed == list(range(START - 24 * MINUTE, START, MINUTE))
        assert [ask.limit for ask in exchange.asks] == [10, 10, 4]


async def test_candles_beyond_a_hole_longer_than_a_page_are_found(clock: ManualClock) -> None:
    exchange = live(clock)
    rows = exchange.series["BTC/USDT", "1m"]
    hole = (rows["timestamp"] >= START - 30 * MINUTE) & (rows["timestamp"] < START - 5 * MINUTE)

    def by_slots(ask: Ask) -> pd.DataFrame:  # as venues whose pages are spans of time
        assert ask.start_ms is not None
        inside = rows["timestamp"].between(ask.start_ms, ask.start_ms + (ask.limit - 1) * MINUTE)
        return rows[~hole & inside & (rows["timestamp"] < START)]

    exchange.fault = by_slots
    async with running(exchange) as heard:
        heard.feed.watch(BTC, from_ms=START - 30 * MINUTE)
        await clock.run_for(0)
        assert heard.closed == list(range(START - 5 * MINUTE, START, MINUTE))


async def test_candle_not_there_yet_is_asked_again_ever_more_slowly(clock: ManualClock) -> None:
    exchange = live(clock, forming_candles=False)
    late_ms = START + 60_000 + 20_000
    exchange.fault = lambda ask: None if clock.now_ms() >= late_ms else _none(exchange)
    async with running(exchange, BTC) as heard:
        await clock.run_for(80)
        asked = [round(at, 3) for at in exchange.asked_s]
        assert asked == [52.0, 52.5, 53.5, 55.5, 59.5, 64.5, 69.5, 74.5]
        assert heard.times_s == [74.5]
        await clock.run_for(37.4)
        assert heard.closed == [START, START + MINUTE]
        assert heard.times_s[-1] == 112.0


async def test_candle_the_venue_never_had_is_passed_over(clock: ManualClock) -> None:
    exchange = live(clock)
    rows = exchange.series["BTC/USDT", "1m"]
    exchange.series["BTC/USDT", "1m"] = rows[rows["timestamp"] != START]
    async with running(exchange, BTC) as heard:
        await clock.run_for(130)
        assert heard.closed == [START + MINUTE]
        assert max(heard.times_s) < 118  # the back-off is at most 5 s


async def test_candles_published_in_part_are_delivered_in_part(clock: ManualClock) -> None:
    exchange = live(clock, forming_candles=False)
    rows = exchange.series["BTC/USDT", "1m"]
    exchange.fault = lambda ask: (
        rows[rows["timestamp"] == START] if len(exchange.asks) == 1 else None
    )
    async with running(exchange) as heard:
        clock.advance(170)
        heard.feed.watch(BTC, from_ms=START)
        await clock.run_for(0)
        assert heard.closed == [START]
        await clock.run_for(0.5)
        assert heard.closed == [START, START + MINUTE]


async def test_candles_of_older_slots_than_asked_for_are_not_delivered(clock: ManualClock) -> None:
    exchange = live(clock)
    rows = exchange.series["BTC/USDT", "1m"]
    exchange.fault = lambda ask: rows[rows["timestamp"].between(START - 10 * MINUTE, START)]
    async with running(exchange, BTC) as heard:
        await clock.run_for(60)
        assert heard.closed == [START]


async def test_clock_that_was_set_forward_is_noticed_within_a_minute(clock: ManualClock) -> None:
    exchange = live(clock, forming_candles=False)
    async with running(exchange, Subscription("candles", "BTC/USDT", "1h")) as heard:
        clock._start_ms += 3_600_000  # as after a suspend: no time has passed for sleepers
        await clock.run_for(61)
        assert len(heard.closed) == 1


async def test_series_of_several_symbols_and_intervals_keep_apart(clock: ManualClock) -> None:
    exchange = live(clock, "BTC/USDT", "ETH/USDT")
    async with running(exchange) as heard:
        for symbol in ("BTC/USDT", "ETH/USDT"):
            for interval in ("1m", "5m"):
                heard.feed.watch(Subscription("candles", symbol, interval))
        await clock.run_for(600)
        for symbol in ("BTC/USDT", "ETH/USDT"):
            for interval, step in (("1m", MINUTE), ("5m", 5 * MINUTE)):
                found = [
                    one.timestamp
                    for one in heard.candles
                    if one.is_closed and (one.symbol, one.interval) == (symbol, interval)
                ]
                first = START // step * step
                assert found == list(range(first, START + 610_000 - 2_000 - step + 1, step))


# -- forming candles ----------------------------------------------------------------------


async def test_forming_candles_come_at_most_every_two_seconds(clock: ManualClock) -> None:
    exchange = live(clock)
    async with running(exchange, BTC) as heard:
        await clock.run_for(40)
        times = [at for at, what, _ in exchange.calls if what == "forming"]
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert len(times) >= 18
        assert min(gaps) >= 2 - 1e-3
        assert not any(one.is_closed or one.sequence for one in heard.forming)


async def test_forming_candle_never_comes_before_the_closed_one_ahead_of_it(
    clock: ManualClock,
) -> None:
    async with running(live(clock), BTC) as heard:
        await clock.run_for(600)
        newest = 0
        for one in heard.candles:
            assert one.timestamp >= newest
            newest = one.timestamp + (MINUTE if one.is_closed else 0)
        assert len(heard.forming) > 250


async def test_forming_candles_of_slots_before_the_first_are_not_delivered(
    clock: ManualClock,
) -> None:
    async with running(live(clock)) as heard:
        heard.feed.watch(BTC, from_ms=START + MINUTE)
        await clock.run_for(70)
        assert {one.timestamp for one in heard.forming} == {START + MINUTE}


async def test_forming_candles_go_on_while_a_closed_one_is_missing(clock: ManualClock) -> None:
    exchange = live(clock)
    exchange.fault = lambda ask: _none(exchange)
    async with running(exchange, BTC) as heard:
        await clock.run_for(100)
        assert any(one.timestamp == START + MINUTE for one in heard.forming)


async def test_forming_candles_of_a_venue_without_are_not_asked_for(clock: ManualClock) -> None:
    exchange = live(clock, forming_candles=False)
    async with running(exchange, BTC) as heard:
        await clock.run_for(120)
        assert exchange.calls == []
        assert heard.closed


@pytest.mark.parametrize(
    ("claims", "per_second"),
    [
        ({"weight_per_minute": 6000, "page_weight": 2}, 5.0),
        ({"weight_per_minute": 2400, "page_weight": 2}, 2.0),
        ({"weight_per_minute": None, "requests_per_second": 10.0}, 1.0),
        ({"weight_per_minute": None, "requests_per_second": None}, 0.2),
    ],
)
async def test_forming_candles_of_many_series_stay_within_a_tenth_of_the_budget(
    clock: ManualClock, claims: dict[str, object], per_second: float
) -> None:
    symbols = [f"C{number}/USDT" for number in range(60)]
    exchange = live(clock, *symbols, **claims)
    async with running(exchange) as heard:
        for symbol in symbols:
            heard.feed.watch(Subscription("candles", symbol, "1h"))
        period_s = 60 / per_second
        settled_s = 2 * period_s
        await clock.run_for(settled_s + 3 * period_s)
        asked = [at for at, what, _ in exchange.calls if what == "forming"]
        spent = sum(at >= settled_s for at in asked)
        assert abs(spent - 3 * 60) <= 4
        # spread over time: no tenth of the period has much more than a tenth of the requests
        busiest = max(
            sum(at <= one < at + period_s / 10 for one in asked) for at in asked if at >= settled_s
        )
        assert busiest <= 12


# -- trades and book tickers --------------------------------------------------------------


async def test_trades_begin_after_the_newest_and_miss_none(clock: ManualClock) -> None:
    async with running(live(clock), TRADES) as heard:
        await clock.run_for(60)
        ids = [trade.id for trade in heard.trades]
        assert ids[0] == 11  # 0 to 10 were there before
        assert ids == list(range(11, 11 + len(ids)))
        assert len(ids) >= 58


async def test_trades_from_an_id_on_are_caught_up_page_by_page(clock: ManualClock) -> None:
    exchange = live(clock)
    exchange.page_trades = 500
    clock.advance(2_000)
    async with running(exchange) as heard:
        heard.feed.watch(TRADES, from_id=3)
        await clock.run_for(0.1)
        assert [trade.id for trade in heard.trades] == list(range(3, 2_011))


async def test_trades_where_there_are_none_yet_begin_with_a_later_one(clock: ManualClock) -> None:
    early = ManualClock(START - 5_000)
    async with running(live(early), TRADES) as heard:
        await early.run_for(30)
        assert heard.trades[0].id <= 2
        assert [trade.id for trade in heard.trades] == list(
            range(int(heard.trades[0].id), 1 + int(heard.trades[-1].id))
        )


async def test_book_tickers_come_at_a_pace(clock: ManualClock) -> None:
    exchange = live(clock)
    async with running(exchange, Subscription("book_ticker", "BTC/USDT")) as heard:
        await clock.run_for(20)
        assert 10 <= len(heard.tickers) <= 12
        assert {ticker.symbol for ticker in heard.tickers} == {"BTC/USDT"}


# -- adding and removing ------------------------------------------------------------------


async def test_run_with_nothing_watched_waits(clock: ManualClock) -> None:
    exchange = live(clock)
    async with running(exchange) as heard:
        await clock.run_for(600)
        assert not heard.running.done()
        assert exchange.asks == exchange.calls == []


async def test_unwatch_ends_a_series_and_leaves_the_others(clock: ManualClock) -> None:
    exchange = live(clock, "BTC/USDT", "ETH/USDT")
    eth = Subscription("candles", "ETH/USDT", "1m")
    async with running(exchange, BTC, eth) as heard:
        await clock.run_for(52.1)
        heard.feed.unwatch(BTC)
        assert heard.feed.watched == (eth,)
        await clock.run_for(60)
        closed = [(one.symbol, one.timestamp) for one in heard.candles if one.is_closed]
        assert [at for name, at in closed if name == "BTC/USDT"] == [START]
        assert [at for name, at in closed if name == "ETH/USDT"] == [START, START + MINUTE]


async def test_watch_again_begins_where_it_is_told(clock: ManualClock) -> None:
    async with running(live(clock), BTC) as heard:
        await clock.run_for(52.1)
        heard.feed.unwatch(BTC)
        await clock.run_for(240)
        heard.feed.watch(BTC, from_ms=START + MINUTE)
        await clock.run_for(0)
        assert heard.closed == [START + n * MINUTE for n in range(5)]


async def test_watch_twice_delivers_once(clock: ManualClock) -> None:
    async with running(live(clock), BTC) as heard:
        heard.feed.watch(BTC)
        await clock.run_for(52.1)
        assert heard.closed == [START]


async def test_subscribe_in_two_spellings_delivers_once(clock: ManualClock) -> None:
    feed = PollingFeed(live(clock), clock=clock)
    feed.subscribe("candles", ["BTCUSDT", "BTC/USDT"], intervals=["1m"])
    found: list[Candle] = []
    feed.on_candle = found.append
    async with feed:
        task = asyncio.ensure_future(feed.run())
        await clock.run_for(52.1)
        assert [one.symbol for one in found if one.is_closed] == ["BTC/USDT"]
    await asyncio.wait_for(task, 30)


async def test_unwatch_what_is_not_watched_does_nothing(clock: ManualClock) -> None:
    PollingFeed(live(clock)).unwatch(BTC)


async def test_watch_on_a_closed_feed_is_refused(clock: ManualClock) -> None:
    feed = PollingFeed(live(clock))
    await feed.aclose()
    with pytest.raises(FeedError, match="closed"):
        feed.watch(BTC)


async def test_aclose_by_a_callback_ends_run_and_returns(clock: ManualClock) -> None:
    feed = PollingFeed(live(clock), clock=clock)
    feed.watch(BTC, from_ms=START - 5 * MINUTE)
    said: list[str] = []

    async def once(candle: Candle) -> None:
        await feed.aclose()
        said.append("closed")

    feed.on_candle = once
    task = asyncio.ensure_future(feed.run())
    await clock.run_for(1)
    await asyncio.wait_for(task, 30)
    await clock.run_for(600)
    assert said[:1] == ["closed"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


def _none(exchange: LiveExchange) -> pd.DataFrame:
    return exchange.series["BTC/USDT", "1m"].iloc[:0]
