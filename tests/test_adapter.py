from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import attrs
import numpy as np
import pandas as pd
import pytest

from velas import frames
from velas.adapter import ExchangeAdapter, lane, limit_config
from velas.errors import BadResponse, UnknownSymbol, Unsupported
from velas.interval import Interval
from velas.limits import RateLimiter, RequestType, WeightLimit
from velas.models import Capabilities, Market
from velas.protocols import Exchange
from velas.settings import Limits
from velas.testing import ManualClock
from velas.testing.contracts.exchange import ExchangeContract

NOW_MS = 1_700_000_123_456
HOUR = 3_600_000


class Minimal(ExchangeAdapter):
    """What a third party writes: three requests, here answered from memory."""

    opens: tuple[int, ...] = tuple(range(NOW_MS // HOUR * HOUR - 300 * HOUR, NOW_MS, HOUR))

    def __init__(self, clock: ManualClock, **claims: object) -> None:
        capabilities = Capabilities(intervals=("1h", "1d"), page_rows=20)
        capabilities = attrs.evolve(capabilities, **claims)
        super().__init__("minimal", capabilities, RateLimiter(clock=clock), clock=clock)
        self.listed = [Market("BTC/USDT", "BTCUSDT", "BTC", "USDT")]
        self.pages = 0
        self.closings = 0

    async def _counted(self) -> None:
        async def nothing() -> None:
            await asyncio.sleep(0)

        await self.limiter.execute_with_retry(nothing, self.request_type)

    async def _ask_markets(self) -> Mapping[str, Market]:
        await self._counted()
        return {market.symbol: market for market in self.listed}

    async def _ask_time_ms(self) -> tuple[int, float]:
        await self._counted()
        return self.clock.now_ms(), 0.0

    async def _ask_candles(
        self, market: Market, interval: Interval, start_ms: int | None, end_ms: int, rows: int
    ) -> pd.DataFrame:
        await self._counted()
        self.pages += 1
        found = [at for at in self.opens if (start_ms or 0) <= at < end_ms]
        kept = found[:rows] if start_ms is not None else found[-rows:]
        ones = np.ones(len(kept))
        frame = pd.DataFrame({"timestamp": np.array(kept, dtype=np.int64)})
        for name in ("open", "high", "low", "close", "volume"):
            frame[name] = ones
        return frames.coerce(frame, interval)

    async def _close(self) -> None:
        self.closings += 1


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS, auto=True)


class TestMinimal(ExchangeContract):
    @pytest.fixture
    async def exchange(self, clock: ManualClock) -> AsyncIterator[Exchange]:
        async with Minimal(clock) as exchange:
            yield exchange


async def opens_of(exchange: Minimal, start_ms: int, end_ms: int) -> list[int]:
    pages = exchange.iter_candles("BTC/USDT", "1h", start_ms=start_ms, end_ms=end_ms)
    return [int(at) async for page in pages for at in page["timestamp"]]


@pytest.mark.parametrize("probe", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 7, 20, 500])
async def test_iter_candles_gives_every_candle_whatever_the_page(
    clock: ManualClock, rows: int, probe: bool
) -> None:
    exchange = Minimal(clock, page_rows=rows, probe_listing=probe)
    shifted = {at + 14_800 if index % 7 == 3 else at for index, at in enumerate(exchange.opens)}
    crowded = {exchange.opens[100] + late for late in (1, 2, 3_000_000)}
    exchange.opens = tuple(sorted(shifted | crowded))
    due_ms = clock.now_ms() - 2_000
    closed = [at for at in exchange.opens if at + HOUR <= due_ms]
    assert await opens_of(exchange, 0 if probe else closed[0] - 50 * HOUR, NOW_MS) == closed


async def test_iter_candles_goes_on_after_a_hole_of_many_pages(clock: ManualClock) -> None:
    exchange = Minimal(clock)
    exchange.opens = (*exchange.opens[:30], *exchange.opens[250:])
    start_ms, end_ms = exchange.opens[0], exchange.opens[-5]
    assert await opens_of(exchange, start_ms, end_ms) == list(exchange.opens[:-5])


class Forgetful(Minimal):
    """Answers some of its pages, by number, with none or with half of their rows."""

    silent: frozenset[int] = frozenset()
    halved: frozenset[int] = frozenset()

    async def _ask_candles(
        self, market: Market, interval: Interval, start_ms: int | None, end_ms: int, rows: int
    ) -> pd.DataFrame:
        page = await super()._ask_candles(market, interval, start_ms, end_ms, rows)
        if self.pages in self.silent:
            return page.iloc[:0]
        return page.iloc[: -(-len(page) // 2)] if self.pages in self.halved else page


@pytest.mark.parametrize("probe", [True, False])
@pytest.mark.parametrize("number", range(1, 20))
@pytest.mark.parametrize("how", ["silent", "halved"])
async def test_iter_candles_after_one_page_that_lacks_rows_loses_none(
    clock: ManualClock, how: str, number: int, probe: bool
) -> None:
    exchange = Forgetful(clock, probe_listing=probe)
    setattr(exchange, how, frozenset({number}))
    closed = [at for at in exchange.opens if at + HOUR <= clock.now_ms() - 2_000]
    assert await opens_of(exchange, closed[0], NOW_MS) == closed


@pytest.mark.parametrize("probe", [True, False])
@pytest.mark.parametrize("seed", range(10))
async def test_iter_candles_of_a_series_with_holes_and_faults_loses_none(
    clock: ManualClock, seed: int, probe: bool
) -> None:
    rng = np.random.default_rng(seed)
    exchange = Forgetful(clock, probe_listing=probe, page_rows=int(rng.integers(2, 20)))
    exchange.opens = tuple(at for at in exchange.opens[:-20] if at // HOUR % 40 > 25)
    exchange.silent = frozenset(rng.choice(400, 40, replace=False).tolist())
    start_ms = exchange.opens[0] - 100 * HOUR
    assert await opens_of(exchange, start_ms, NOW_MS) == list(exchange.opens)


async def test_iter_candles_jumps_over_years_without_candles(clock: ManualClock) -> None:
    exchange = Minimal(clock)
    exchange.opens = (HOUR, *exchange.opens[:5], *exchange.opens[200:210])
    assert await opens_of(exchange, 0, NOW_MS) == list(exchange.opens)
    assert exchange.pages < 60


async def test_iter_candles_ends_where_the_series_ended_years_ago(clock: ManualClock) -> None:
    exchange = Minimal(clock)
    exchange.opens = tuple(range(HOUR, 50 * HOUR, HOUR))
    assert await opens_of(exchange, 0, NOW_MS) == list(exchange.opens)
    assert exchange.pages < 30


async def test_iter_candles_of_a_venue_that_contradicts_itself_is_an_error(
    clock: ManualClock,
) -> None:
    exchange = Forgetful(clock)
    exchange.silent = frozenset(range(1, 1_000))
    with pytest.raises(BadResponse, match="contradict"):
        await opens_of(exchange, exchange.opens[0], NOW_MS)


async def test_iter_candles_where_pages_end_early_goes_on_behind_any_hole(
    clock: ManualClock,
) -> None:
    class Bounded(Minimal):
        reaches = False

        async def _ask_candles(
            self, market: Market, interval: Interval, start_ms: int | None, end_ms: int, rows: int
        ) -> pd.DataFrame:
            if start_ms is None:
                start_ms = end_ms - rows * HOUR
            end_ms = min(end_ms, start_ms + rows * HOUR)
            return await super()._ask_candles(market, interval, start_ms, end_ms, rows)

    exchange = Bounded(clock)
    exchange.opens = (*exchange.opens[:30], *exchange.opens[150:170])
    assert await opens_of(exchange, exchange.opens[0], NOW_MS) == list(exchange.opens)


async def test_iter_candles_fetches_a_few_pages_ahead_and_no_more(clock: ManualClock) -> None:
    exchange = Minimal(clock)
    pages = exchange.iter_candles("BTCUSDT", "1h", start_ms=exchange.opens[0], end_ms=NOW_MS)
    await anext(pages)
    for _ in range(20):
        await asyncio.sleep(0)
    assert exchange.pages == exchange.pages_ahead
    await pages.aclose()  # type: ignore[attr-defined]


async def test_iter_candles_error_of_a_page_reaches_the_reader(clock: ManualClock) -> None:
    exchange = Minimal(clock)
    start_ms = exchange.opens[0]
    await exchange.market("BTCUSDT")
    await exchange.server_time_ms()
    exchange._closed = True
    with pytest.raises(Exception, match="closed"):
        await opens_of(exchange, start_ms, NOW_MS)


class Slow(Minimal):
    """Tells the time, each answer so many seconds there and so many back."""

    ways: Sequence[tuple[float, float]] = ()

    async def _ask_time_ms(self) -> tuple[int, float]:
        there_s, back_s = self.ways[0]
        self.ways = self.ways[1:]
        self.clock.advance(there_s)  # type: ignore[attr-defined]
        told_ms = self.clock.now_ms()
        self.clock.advance(back_s)  # type: ignore[attr-defined]
        return told_ms, there_s + back_s


@pytest.mark.parametrize(
    ("ways", "behind_s"),
    [
        ([(0.3, 0.1)], 0.1),
        ([(40.0, 0.0), (0.2, 0.2)], 0.0),  # the slow answer happened to say more
        ([(0.0, 40.0), (0.2, 0.2)], 0.2),
        ([(9.0, 3.0), (1.0, 1.0), (5.0, 2.0)], 1.0),
    ],
)
async def test_server_time_is_never_ahead_however_slow_the_answers(
    clock: ManualClock, ways: Sequence[tuple[float, float]], behind_s: float
) -> None:
    exchange = Slow(clock)
    exchange.ways = ways
    told_ms = await exchange.server_time_ms()
    assert clock.now_ms() - told_ms == round(behind_s * 1000)
    assert exchange.ways == []


async def test_market_id_of_several_is_the_active_spot_one(clock: ManualClock) -> None:
    exchange = Minimal(clock)
    spot = exchange.listed[0]
    swap = attrs.evolve(spot, symbol="BTC/USDT:BTC", type="swap")
    exchange.listed = [swap, spot]
    assert (await exchange.market("BTCUSDT")).type == "spot"
    exchange.listed = [swap, attrs.evolve(spot, active=False)]
    await exchange.markets(refresh=True)
    assert (await exchange.market("BTCUSDT")).type == "swap"


def _sharing(*active: bool) -> list[Market]:
    names = [("EURT", "USD"), ("EUR", "TUSD")]
    return [
        Market(f"{base}/{quote}", f"{base}_{quote}", base, quote, active=one)
        for (base, quote), one in zip(names, active, strict=True)
    ]


@pytest.mark.parametrize("active", [True, False])
async def test_market_whose_folder_is_anothers_too_is_refused(
    clock: ManualClock, active: bool
) -> None:
    exchange = Minimal(clock)
    exchange.listed += _sharing(active, active)
    for symbol in ("EURT/USD", "EUR/TUSD", "EUR_TUSD"):
        with pytest.raises(UnknownSymbol, match="'EURTUSD'") as caught:
            await exchange.market(symbol)
        assert "EURT/USD" in str(caught.value)
        assert "EUR/TUSD" in str(caught.value)
    assert (await exchange.market("BTC/USDT")).symbol == "BTC/USDT"


async def test_market_that_alone_is_active_keeps_the_folder(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = Minimal(clock)
    exchange.listed += _sharing(True, False)
    assert (await exchange.market("EURT/USD")).symbol == "EURT/USD"
    with pytest.raises(UnknownSymbol, match="EURT/USD"):
        await exchange.market("EUR/TUSD")
    await exchange.markets(refresh=True)
    assert [one.levelname for one in caplog.records if "EURTUSD" in one.message] == ["WARNING"]


async def test_market_that_can_have_no_folder_is_listed_all_the_same(clock: ManualClock) -> None:
    exchange = Minimal(clock)
    exchange.listed.append(Market("A?/USDT", "A?", "A?", "USDT"))
    assert (await exchange.market("A?/USDT")).id == "A?"


async def test_market_without_anything_alike_names_nothing(clock: ManualClock) -> None:
    with pytest.raises(UnknownSymbol) as caught:
        await Minimal(clock).market("ZZZ")
    assert caught.value.near == ()
    assert "similar" not in str(caught.value)


async def test_trades_by_id_need_the_capability(clock: ManualClock) -> None:
    with pytest.raises(Unsupported, match="by id"):
        await Minimal(clock, trades=True).fetch_trades("BTCUSDT", from_id=1)


async def test_capabilities_without_the_request_are_the_adapters_bug(clock: ManualClock) -> None:
    exchange = Minimal(clock, trades=True, book_ticker=True)
    with pytest.raises(NotImplementedError):
        await exchange.fetch_trades("BTCUSDT")
    with pytest.raises(NotImplementedError):
        await exchange.fetch_book_ticker("BTCUSDT")


async def test_aclose_twice_closes_once(clock: ManualClock) -> None:
    exchange = Minimal(clock)
    await exchange.aclose()
    await exchange.aclose()
    assert exchange.closings == 1


def test_lane_ends_with_its_block(clock: ManualClock) -> None:
    exchange = Minimal(clock)
    with lane(RequestType.LIVE):
        assert exchange.request_type is RequestType.LIVE
    assert exchange.request_type is RequestType.HISTORY


def test_limit_config_takes_the_settings_before_the_venue() -> None:
    windows = (WeightLimit(60, 100),)
    asked = Limits(requests_per_second=3.0, burst_size=2, retry_attempts=4, max_wait_s=9.0)
    found = limit_config(asked, weight_limits=windows, requests_per_second=50)
    assert (found.requests_per_second, found.burst_size, found.retry_attempts) == (3.0, 2, 4)
    assert (found.max_wait_s, found.weight_limits) == (9.0, windows)
    assert limit_config(Limits(), requests_per_second=50).requests_per_second == 50
    assert limit_config(None, weight_limits=windows).weight_limits == windows


async def test_server_time_follows_a_clock_that_is_put_in_place_of_the_first(
    clock: ManualClock,
) -> None:
    exchange = Minimal(clock)
    assert await exchange.server_time_ms() == NOW_MS
    exchange.clock = ManualClock(NOW_MS + HOUR)  # as the feed of a tape does
    assert await exchange.server_time_ms() == NOW_MS + HOUR
