"""The Binance adapters at a venue that fails, refuses, bans or is silent."""

from __future__ import annotations

from typing import Any

import pytest
from binance_venue import MARKETS, newest, opened

from velas import frames
from velas.errors import (
    BadRequest,
    Banned,
    Forbidden,
    RestrictedLocation,
    Unavailable,
)
from velas.limits import RateLimitConfig, RateLimiter
from velas.testing import Fault, FaultPlan, ManualClock
from velas_ccxt import BinanceSpot

PASSING = {
    "reset": Fault.reset(),
    "reset midway": Fault.reset(midway=True),
    "cut off": Fault.truncated(),
    "cut json": Fault.truncated(honest_length=True),
    "500": Fault.server_error(500),
    "503": Fault.server_error(503),
    "504": Fault.server_error(504),
    "429": Fault.too_many(3.0),
    "429 without header": Fault.too_many(None),
    "418": Fault.banned(5.0),
    "html": Fault.wrong("html"),
    "object": Fault.wrong("object"),
    "scalars": Fault.wrong("scalars"),
    "short row": Fault.wrong("short_row"),
    "error": Fault.wrong("error"),
    "duplicated": Fault.duplicated(),
    "shuffled": Fault.shuffled(),
    "latency": Fault.latency(0.5),
}


@MARKETS
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
async def test_candles_after_a_passing_fault_are_right(
    clock: ManualClock, market: str, fault: Fault
) -> None:
    faults = FaultPlan.script([fault], path="klines")
    async with opened(clock, market, faults=faults) as (venue, exchange):
        start, end = newest(venue, 20)
        page = await exchange.fetch_candles("BTCUSDT", "1h", start_ms=start, end_ms=end)
        assert frames.digest(page) == frames.digest(
            venue.frame("BTCUSDT", "1h", start_ms=start, end_ms=end)
        )
        assert exchange.usage.retries == (fault.kind != "latency")


@pytest.mark.parametrize("path", ["exchangeInfo", "time"])
@pytest.mark.parametrize("shape", ["html", "object", "scalars"])
async def test_metadata_after_a_wrong_answer_is_asked_again(
    clock: ManualClock, path: str, shape: Any
) -> None:
    faults = FaultPlan.script([Fault.wrong(shape)], path=path)
    async with opened(clock, faults=faults) as (venue, exchange):
        assert len(await exchange.fetch_candles("BTCUSDT", "1h", limit=1)) == 1
        assert venue.count(path) == 2


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault.forbidden(), Forbidden), (Fault.restricted(), RestrictedLocation)],
)
async def test_candles_refused_for_good_are_not_asked_again(
    clock: ManualClock, fault: Fault, kind: type[Exception]
) -> None:
    async with opened(clock, faults=FaultPlan.script([fault], path="klines")) as (venue, exchange):
        with pytest.raises(kind):
            await exchange.fetch_candles("BTCUSDT", "1h", limit=1)
        assert venue.count("klines") == 1


async def test_candles_of_a_venue_that_is_down_fail_after_the_retries(clock: ManualClock) -> None:
    faults = FaultPlan.script([Fault.server_error()] * 99, path="klines")
    limiter = RateLimiter(RateLimitConfig(retry_attempts=3), clock=clock)
    async with opened(clock, faults=faults, adapter={"limiter": limiter}) as (venue, exchange):
        with pytest.raises(Unavailable, match="503"):
            await exchange.fetch_candles("BTCUSDT", "1h", limit=1)
        assert venue.count("klines") == 3


async def test_candles_of_nothing_listening_are_unavailable(clock: ManualClock) -> None:
    limiter = RateLimiter(RateLimitConfig(retry_attempts=1), clock=clock)
    async with BinanceSpot(url="http://127.0.0.1:9", clock=clock, limiter=limiter) as exchange:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
            await exchange.fetch_candles("BTCUSDT", "1h", limit=1)


async def test_candles_of_a_silent_venue_time_out_and_are_asked_again(clock: ManualClock) -> None:
    faults = FaultPlan.script([Fault.silence()], path="klines")
    async with opened(clock, faults=faults, adapter={"timeout_s": 0.3}) as (venue, exchange):
        assert len(await exchange.fetch_candles("BTCUSDT", "1h", limit=1)) == 1
        assert venue.count("klines") == 2


async def test_candles_during_a_long_ban_say_when_it_ends(clock: ManualClock) -> None:
    faults = FaultPlan.script([Fault.banned(86_400)], path="klines")
    limiter = RateLimiter(RateLimitConfig(max_wait_s=60), clock=clock)
    async with opened(clock, faults=faults, adapter={"limiter": limiter}) as (_, exchange):
        with pytest.raises(Banned) as caught:
            await exchange.fetch_candles("BTCUSDT", "1h", limit=1)
        assert caught.value.until_ms is not None
        assert abs(caught.value.until_ms - clock.now_ms() - 86_400_000) < 5_000


async def test_trades_before_the_lookback_are_a_bad_request(clock: ManualClock) -> None:
    async with opened(clock, "futures") as (venue, exchange):
        with pytest.raises(BadRequest, match="-4166"):
            await exchange.fetch_trades("BTCUSDT", from_id=1)
        assert venue.count("aggTrades") == 1
