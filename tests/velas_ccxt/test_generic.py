from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import attrs
import pytest
from aiohttp import web
from ccxt_dialects import Bybit, Kraken, OtherVenue, ohlcv_at
from realdata import market_data

from velas.config import Settings, load_settings
from velas.errors import (
    AuthError,
    BadResponse,
    ConfigError,
    Unavailable,
    UnknownAdapter,
    Unsupported,
)
from velas.limits import RateLimitConfig, RateLimiter
from velas.registry import open_exchange
from velas.testing import ManualClock, StandInVenue
from velas_ccxt import BinanceFutures, BinanceSpot, CcxtExchange, catalog

HOUR = 3_600_000


@asynccontextmanager
async def opened(
    name: str, clock: ManualClock, **options: Any
) -> AsyncIterator[tuple[OtherVenue, CcxtExchange]]:
    dialect = {"bybit": Bybit, "kraken": Kraken}[name]
    venue = dialect(clock)
    async with venue, CcxtExchange(name, url=venue.url, clock=clock, **options) as exchange:
        yield venue, exchange


def once(clock: ManualClock) -> RateLimiter:
    return RateLimiter(RateLimitConfig(retry_attempts=1), clock=clock)


# -- what is known without I/O ------------------------------------------------------------


def test_capabilities_of_kraken_reach_back_720_candles_with_the_forming_one() -> None:
    known = CcxtExchange("kraken").capabilities
    assert (known.page_rows, known.newest_rows) == (718, 718)
    assert known.intervals == ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w")
    assert known.requests_per_second == 1
    assert not known.full_candles
    assert not known.probe_listing


def test_capabilities_of_bybit_have_the_page_size_ccxt_knows() -> None:
    known = CcxtExchange("bybit").capabilities
    assert (known.page_rows, known.newest_rows) == (1000, None)
    assert known.weight_per_minute is None


def test_capabilities_without_a_known_page_size_are_careful() -> None:
    assert CcxtExchange("gemini").capabilities.page_rows == 500


def test_kind_is_spot_where_there_is_spot() -> None:
    spot, derivatives = CcxtExchange("bybit"), CcxtExchange("bybit", kind="derivatives")
    assert (spot.name, spot.linear_settle) == ("bybit", False)
    assert (derivatives.name, derivatives.linear_settle) == ("bybit_derivatives", True)


async def test_derivatives_are_opened_by_name_and_are_the_same() -> None:
    assert "bybit_derivatives" in catalog()
    assert "nobody_derivatives" not in catalog()
    settings = load_settings(environ={}, exchange="bybit_derivatives")
    async with open_exchange(settings) as exchange:
        assert isinstance(exchange, CcxtExchange)
        assert (exchange.name, exchange.linear_settle) == ("bybit_derivatives", True)


def test_kind_is_derivatives_where_there_is_no_spot() -> None:
    exchange = CcxtExchange("krakenfutures")
    assert (exchange.name, exchange.linear_settle) == ("krakenfutures", True)


def test_kind_the_venue_lacks_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="kraken has no derivatives"):
        CcxtExchange("kraken", kind="derivatives")


def test_kind_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of spot, derivatives"):
        CcxtExchange("kraken", kind="options")  # type: ignore[arg-type]


def test_unknown_id_names_near_ones() -> None:
    with pytest.raises(UnknownAdapter, match="did you mean kraken"):
        CcxtExchange("krakken")


@pytest.mark.parametrize("name", [None, "zzzzzzzz", "Exchange", "errors"])
def test_unknown_id_is_refused(name: str | None) -> None:
    with pytest.raises(UnknownAdapter, match="ccxt knows no exchange"):
        CcxtExchange(name)


def test_venue_without_candles_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    import ccxt.async_support as ccxt_async

    class mute(ccxt_async.kraken):  # type: ignore[misc,name-defined]
        def describe(self) -> Any:
            return self.deep_extend(super().describe(), {"has": {"fetchOHLCV": "emulated"}})

    monkeypatch.setattr(ccxt_async, "kraken", mute)
    with pytest.raises(Unsupported, match="no candles"):
        CcxtExchange("kraken")


def test_catalog_lists_ccxt_without_building_anything() -> None:
    known = catalog()
    assert len(known) == len(list(known)) > 90
    assert "kraken" in known
    assert "nosuch" not in known
    exchange = known["kraken"]()
    assert exchange.name == "kraken"
    assert known["kraken"] is known["kraken"]


def test_catalog_class_takes_settings() -> None:
    settings = Settings(exchange="bybit")
    assert catalog()["kraken"].from_settings(settings).name == "kraken"
    assert CcxtExchange.from_settings(settings).name == "bybit"


async def test_from_settings_takes_address_and_limits(clock: ManualClock) -> None:
    async with Kraken(clock) as venue:
        settings = Settings(exchange="kraken")
        limits = attrs.evolve(settings.limits, requests_per_second=50.0, retry_attempts=3)
        rest = attrs.evolve(settings.rest, url=venue.url, timeout_s=4.0)
        settings = attrs.evolve(settings, rest=rest, limits=limits)
        async with CcxtExchange.from_settings(settings) as exchange:
            assert exchange.limiter.config.requests_per_second == 50
            assert exchange.limiter.config.retry_attempts == 3
            assert "BTC/USDT" in await exchange.markets()


def test_every_ccxt_venue_can_be_built_or_says_why_not() -> None:
    code = (
        "from velas_ccxt import catalog\n"
        "from velas.errors import Unsupported\n"
        "built = 0\n"
        "for name, make in catalog().items():\n"
        "    try:\n"
        "        exchange = make()\n"
        "    except Unsupported:\n"
        "        continue\n"
        "    assert exchange.capabilities.page_rows > 0, name\n"
        "    assert exchange.limiter.venue, name\n"
        "    built += 1\n"
        "print(built)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 80


@pytest.mark.parametrize("generic_first", [True, False])
@pytest.mark.parametrize(
    ("ours", "kind", "limit"), [(BinanceSpot, "spot", 6000), (BinanceFutures, "derivatives", 2400)]
)
def test_limiter_of_one_host_is_one_whichever_adapter_comes_first(
    ours: type[BinanceSpot | BinanceFutures],
    kind: Literal["spot", "derivatives"],
    limit: int,
    generic_first: bool,
) -> None:
    generic = CcxtExchange("binance", kind=kind) if generic_first else None
    exchange = ours()
    generic = generic or CcxtExchange("binance", kind=kind)
    assert generic.limiter is exchange.limiter
    assert generic.limiter.venue in ("api.binance.com", "fapi.binance.com")
    assert generic.limiter.snapshot().limit == limit


async def test_limiter_takes_the_used_weight_a_venue_tells(clock: ManualClock) -> None:
    async with StandInVenue("spot", clock=clock, symbols=["BTCUSDT"]) as venue:
        ours = BinanceSpot(url=venue.rest_url, clock=clock)
        generic = CcxtExchange("binance", url=venue.rest_url, clock=clock)
        async with ours, generic:
            await generic.markets()
            assert generic.limiter.snapshot().used == venue.requests[-1].used_weight


# -- candles over HTTP ----------------------------------------------------------------------


async def test_candles_equal_the_venue(clock: ManualClock) -> None:
    async with opened("bybit", clock) as (_venue, exchange):
        page = await exchange.fetch_candles("BTC/USDT", "1h", limit=50)
        for row in page.itertuples():
            expected = ohlcv_at(row.timestamp, HOUR)
            assert (row.open, row.high, row.low, row.close, row.volume) == expected
            assert row.close_time == row.timestamp + HOUR - 1


async def test_candles_of_recorded_rows_equal_them(clock: ManualClock) -> None:
    recording = json.loads((market_data() / "other_venues/bybit_http_public.json").read_text())
    reply = recording["routes"]["/spot/quote/v1/kline"]["GET"][0]["data"]["result"]
    rows = [row for row in reply if row[0] + 300_000 < clock.now_ms()]
    listed = [[str(row[0]), *map(str, row[1:6]), str(row[7])] for row in reversed(rows)]
    async with opened("bybit", clock) as (venue, exchange):
        venue.bodies["/kline"] = [Bybit.wrapped({"category": "spot", "list": listed}, "1")]
        page = await exchange.fetch_candles("BTC/USDT", "5m", start_ms=rows[0][0])
    assert len(page) == len(rows) > 0
    for name, index in (("timestamp", 0), ("open", 1), ("high", 2), ("close", 4), ("volume", 5)):
        assert page[name].to_list() == [float(row[index]) for row in rows]


async def test_candles_only_the_market_kind_is_downloaded(clock: ManualClock) -> None:
    async with opened("bybit", clock) as (venue, exchange):
        assert list(await exchange.markets()) == ["BTC/USDT"]
        assert venue.count("instruments-info") == 1


async def test_candles_older_than_the_venue_reaches_are_none(clock: ManualClock) -> None:
    async with opened("kraken", clock) as (_venue, exchange):
        start = clock.now_ms() - 5_000 * HOUR
        page = await exchange.fetch_candles(
            "BTC/USDT", "1h", start_ms=start, end_ms=start + 100 * HOUR
        )
        assert page.empty


async def test_candles_as_far_back_as_the_venue_says_are_there(clock: ManualClock) -> None:
    async with opened("kraken", clock) as (_venue, exchange):
        reach = exchange.capabilities.newest_rows
        start = clock.now_ms() // HOUR * HOUR - reach * HOUR
        page = await exchange.fetch_candles("BTC/USDT", "1h", start_ms=start)
        assert page["timestamp"].iloc[0] == start
        assert len(page) == reach


async def test_candles_ask_for_no_more_than_the_range(clock: ManualClock) -> None:
    async with opened("bybit", clock) as (venue, exchange):
        start = clock.now_ms() // HOUR * HOUR - 20 * HOUR
        await exchange.fetch_candles("BTC/USDT", "1h", start_ms=start, end_ms=start + 3 * HOUR)
        assert venue.requests[-1][1]["limit"] == "5"


@pytest.mark.parametrize(
    "rows",
    [
        [["garbage"]],
        [[str(1_700_000_000), "1", "2", "0.5", "1", "1", "0"]],
        [[str(1_699_990_000_000 // HOUR * HOUR), "1", "2", None, "1", "1", "0"]],
        [["1699990000000", "1"]],
        [None],
        ["text"],
    ],
)
async def test_candles_of_garbage_are_a_bad_response(clock: ManualClock, rows: Any) -> None:
    async with opened("bybit", clock, limiter=once(clock)) as (venue, exchange):
        venue.bodies["/kline"] = [Bybit.wrapped({"category": "spot", "list": rows}, "1")]
        with pytest.raises(BadResponse):
            await exchange.fetch_candles("BTC/USDT", "1h", limit=5)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (web.Response(status=503, text="busy"), Unavailable),
        (web.json_response({"retCode": 10003, "retMsg": "API key is invalid."}), AuthError),
        (web.Response(text="<html>", content_type="text/html"), BadResponse),
    ],
)
async def test_errors_of_the_venue_are_errors_of_velas(
    clock: ManualClock, answer: web.Response, kind: type[Exception]
) -> None:
    async with opened("bybit", clock, limiter=once(clock)) as (venue, exchange):
        await exchange.server_time_ms()
        venue.bodies["instruments-info"] = [answer]
        with pytest.raises(kind):
            await exchange.markets()


async def test_candles_after_a_passing_fault_are_right(clock: ManualClock) -> None:
    async with opened("bybit", clock) as (venue, exchange):
        venue.bodies["/kline"] = [web.Response(status=502), web.Response(status=500)]
        assert len(await exchange.fetch_candles("BTC/USDT", "1h", limit=5)) == 5
        assert exchange.usage.retries == 2


async def test_server_time_without_an_endpoint_is_the_local_clock(clock: ManualClock) -> None:
    async with opened("kraken", clock) as (venue, exchange):
        exchange._client.exchange.has["fetchTime"] = False
        assert await exchange.server_time_ms() == clock.now_ms()
        assert venue.requests == []


async def test_requests_keep_the_pace_ccxt_counts(clock: ManualClock) -> None:
    async with opened("bybit", clock) as (_venue, exchange):
        await exchange.fetch_candles("BTC/USDT", "1h", limit=5)
        start_s = clock.monotonic_s()
        for _ in range(10):
            await exchange.fetch_candles("BTC/USDT", "1h", limit=5)
        # ccxt counts 5 units of 20 ms for a page of candles
        assert clock.monotonic_s() - start_s == pytest.approx(1.0, abs=0.11)
