"""The candle of the running slot: from Binance with every column, elsewhere where safe."""

from __future__ import annotations

import ccxt.async_support as ccxt_async
import pytest
from binance_venue import HOUR, MARKETS, opened
from ccxt_dialects import Bybit, Kraken, OtherVenue, ohlcv_at

from velas.errors import BadResponse, ExchangeError, Unsupported
from velas.limits import RateLimitConfig, RateLimiter
from velas.models import Candle
from velas.testing import Fault, FaultPlan, GeneratedCandles, GivenCandles, ManualClock
from velas_ccxt import CcxtExchange

OTHERS = pytest.mark.parametrize(("name", "dialect"), [("kraken", Kraken), ("bybit", Bybit)])


def row(at: int, *, length_ms: int = HOUR) -> list[str | int]:
    return [at, "1", "2", "0.5", "1.5", "3", at + length_ms - 1, "4", 5, "1", "2", "0"]


# -- Binance ----------------------------------------------------------------------------


@MARKETS
async def test_forming_candle_is_the_venue_row_in_every_column(
    clock: ManualClock, market: str
) -> None:
    clock.advance(1_234)
    async with opened(clock, market, candles=GeneratedCandles(3)) as (venue, exchange):
        found = await exchange.fetch_forming_candle("BTCUSDT", "1h")
        again = await exchange.fetch_forming_candle("BTCUSDT", "1h")
        assert found is not None
        assert found == again
        assert found.timestamp == venue.now_ms() // HOUR * HOUR
        assert found.symbol == ("BTC/USDT" if market == "spot" else "BTC/USDT:USDT")
        assert (found.is_closed, found.sequence, found.source) == (False, 0, "rest")
        clock.advance(3_600)  # now it is closed
        (page,) = (await exchange.fetch_candles("BTCUSDT", "1h", limit=1)).to_dict("records")
        assert page["timestamp"] == found.timestamp
        assert page["open"] == found.open
        assert page["low"] <= found.low <= found.high <= page["high"]
        for name in ("volume", "quote_volume", "trades", "taker_buy_base", "taker_buy_quote"):
            assert 0 <= getattr(found, name) <= page[name]
        assert page["volume"] > found.volume


@pytest.mark.parametrize(("market", "weight"), [("spot", 2), ("futures", 1)])
async def test_forming_candle_costs_the_least_weight(
    clock: ManualClock, market: str, weight: int
) -> None:
    async with opened(clock, market) as (venue, exchange):
        await exchange.fetch_forming_candle("BTCUSDT", "1m")
        record = venue.requests[-1]
        assert (record.query["limit"], record.weight) == ("1", weight)
        spent = exchange.usage
        await exchange.fetch_forming_candle("BTCUSDT", "1m")
        assert exchange.usage.since(spent).weight == weight


@MARKETS
async def test_forming_candle_of_a_market_that_stands_still_is_none(
    clock: ManualClock, market: str
) -> None:
    last = clock.now_ms() // HOUR * HOUR - HOUR
    candles = GivenCandles({("BTCUSDT", "1h"): [row(last - HOUR), row(last)]})
    async with opened(clock, market, symbols=None, candles=candles) as (_, exchange):
        assert await exchange.fetch_forming_candle("BTCUSDT", "1h") is None


@MARKETS
async def test_forming_candle_of_no_candles_is_none(clock: ManualClock, market: str) -> None:
    faults = FaultPlan.script([Fault.empty()], path="klines")
    async with opened(clock, market, faults=faults) as (_, exchange):
        assert await exchange.fetch_forming_candle("BTCUSDT", "1h") is None


async def test_forming_candle_that_ended_on_its_way_is_none() -> None:
    clock = ManualClock(1_700_000_000_000 // HOUR * HOUR - 200, auto=True)
    async with opened(clock, latency_s=0.0) as (venue, exchange):
        await exchange.server_time_ms()
        await exchange.market("BTCUSDT")
        venue.latency_s = 0.5
        assert await exchange.fetch_forming_candle("BTCUSDT", "1h") is None
        assert await exchange.fetch_forming_candle("BTCUSDT", "1h") is not None


@pytest.mark.parametrize("skew_ms", [-HOUR, HOUR, 5 * HOUR])
async def test_forming_candle_is_judged_by_the_venue_clock(
    clock: ManualClock, skew_ms: int
) -> None:
    async with opened(clock, clock_skew_ms=skew_ms) as (venue, exchange):
        found = await exchange.fetch_forming_candle("BTCUSDT", "1h")
        assert found is not None
        assert found.timestamp == venue.now_ms() // HOUR * HOUR


async def test_forming_candle_of_more_rows_than_asked_for_is_a_bad_response(
    clock: ManualClock,
) -> None:
    faults = FaultPlan.script([Fault.duplicated()], path="klines")
    limiter = RateLimiter(RateLimitConfig(retry_attempts=1), clock=clock)
    async with opened(clock, faults=faults, adapter={"limiter": limiter}) as (_, exchange):
        with pytest.raises(BadResponse, match="2 candles where at most 1"):
            await exchange.fetch_forming_candle("BTCUSDT", "1h")


async def test_forming_candle_of_a_broken_answer_is_asked_for_again(clock: ManualClock) -> None:
    faults = FaultPlan.script([Fault.server_error(), Fault.wrong("short_row")], path="klines")
    async with opened(clock, faults=faults) as (_, exchange):
        assert await exchange.fetch_forming_candle("BTCUSDT", "1h") is not None


async def test_forming_candle_of_futures_lacks_seconds(clock: ManualClock) -> None:
    async with opened(clock, "futures") as (_, exchange):
        with pytest.raises(Unsupported, match="no 1s candles"):
            await exchange.fetch_forming_candle("BTCUSDT", "1s")


async def test_forming_candle_of_a_closed_exchange_is_refused(clock: ManualClock) -> None:
    async with opened(clock) as (_, exchange):
        await exchange.server_time_ms()
        await exchange.market("BTCUSDT")
        await exchange.aclose()
        with pytest.raises(ExchangeError, match="is closed"):
            await exchange.fetch_forming_candle("BTCUSDT", "1h")


# -- other venues -----------------------------------------------------------------------


@OTHERS
async def test_forming_candle_elsewhere_has_six_columns(
    clock: ManualClock, name: str, dialect: type[OtherVenue]
) -> None:
    venue = dialect(clock)
    async with venue, CcxtExchange(name, url=venue.url, clock=clock) as exchange:
        found = await exchange.fetch_forming_candle("BTC/USDT", "1h")
        at = clock.now_ms() // HOUR * HOUR
        expected = Candle("BTC/USDT", "1h", at, *ohlcv_at(at, HOUR), at + HOUR - 1, is_closed=False)
        assert found == expected


@OTHERS
async def test_forming_candle_elsewhere_without_the_running_slot_is_none(
    clock: ManualClock, name: str, dialect: type[OtherVenue], monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = dialect.rows
    monkeypatch.setattr(dialect, "rows", lambda *args: everything(*args)[:-1])
    venue = dialect(clock)
    async with venue, CcxtExchange(name, url=venue.url, clock=clock) as exchange:
        assert await exchange.fetch_forming_candle("BTC/USDT", "1h") is None


def test_forming_candles_are_claimed_only_where_the_venue_documents_them() -> None:
    def claims(name: str) -> bool:
        return CcxtExchange(name).capabilities.forming_candles

    known = {"binance", "binancecoinm", "binanceus", "binanceusdm", "bybit", "kraken", "okx"}
    assert known <= set(ccxt_async.exchanges)
    assert all(claims(name) for name in known)
    assert not any(claims(name) for name in ("gemini", "bitstamp", "coinbase", "gate"))


async def test_forming_candle_of_a_venue_not_known_for_it_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="before they are closed"):
        await CcxtExchange("gemini").fetch_forming_candle("BTC/USDT", "1h")


async def test_forming_candle_of_a_week_is_asked_for_without_a_begin(clock: ManualClock) -> None:
    # ccxt would round the begin to a multiple of seven days, which is no Monday
    venue = Kraken(clock)
    async with venue, CcxtExchange("kraken", url=venue.url, clock=clock) as exchange:
        await exchange.fetch_forming_candle("BTC/USDT", "1w")
        assert "since" not in venue.requests[-1][1]
        await exchange.fetch_forming_candle("BTC/USDT", "1d")
        assert "since" in venue.requests[-1][1]
