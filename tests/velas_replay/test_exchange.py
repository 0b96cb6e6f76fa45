"""An exchange that plays a recording: what it answers, what it refuses, what it leaves alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pandas as pd
import pytest

import velas
from velas import registry
from velas.config import load_settings
from velas.errors import ConfigError, ExchangeError, Transient, Unsupported
from velas.models import OrderRequest
from velas.testing import StandInVenue
from velas_replay import NotRecorded, ReplayExchange
from velas_replay.record import STAND_IN_MS

HOUR = 3_600_000
NEWEST = STAND_IN_MS // HOUR * HOUR - HOUR
ORIGINAL = aiohttp.ClientSession._request


def opens(page: pd.DataFrame) -> list[int]:
    return [int(value) for value in page["timestamp"]]


async def three(exchange: velas.Exchange) -> list[int]:
    return opens(await exchange.fetch_candles("BTC/USDT", "1h", limit=3))


# -- what it answers ------------------------------------------------------------------


async def test_replay_of_the_same_request_may_be_repeated(spot_tape: Path) -> None:
    async with ReplayExchange(spot_tape) as exchange:
        for _ in range(3):
            assert await three(exchange) == [NEWEST - 2 * HOUR, NEWEST - HOUR, NEWEST]


async def test_replay_time_stands_where_it_was_recorded(spot_tape: Path) -> None:
    async with ReplayExchange(spot_tape) as exchange:
        assert await exchange.server_time_ms() == STAND_IN_MS
        await three(exchange)
        assert await exchange.server_time_ms() == STAND_IN_MS


async def test_replay_is_opened_by_settings(spot_tape: Path) -> None:
    settings = load_settings(environ={}, exchange="replay", replay={"recording": str(spot_tape)})
    async with velas.open_exchange(settings) as exchange:
        assert isinstance(exchange, ReplayExchange)
        assert exchange.name == "replay"
        assert await three(exchange)
        assert "spot.yaml" in repr(exchange)


async def test_replay_waits_for_no_budget(spot_tape: Path) -> None:
    async with ReplayExchange(spot_tape) as exchange:
        assert exchange.capabilities.weight_per_minute is None
        pages = await asyncio.gather(*(three(exchange) for _ in range(100)))
        assert len({tuple(page) for page in pages}) == 1
        assert exchange.usage.requests == 102  # and time, and markets
        assert exchange.usage.retries == 0


async def test_replay_without_with_reads_at_first_use(spot_tape: Path) -> None:
    exchange = ReplayExchange(spot_tape)
    assert aiohttp.ClientSession._request is ORIGINAL
    assert await three(exchange)
    await exchange.aclose()
    assert aiohttp.ClientSession._request is ORIGINAL


# -- what it refuses ------------------------------------------------------------------


async def test_request_not_recorded_is_one_error_that_says_what_is(spot_tape: Path) -> None:
    async with ReplayExchange(spot_tape) as exchange:
        await three(exchange)
        before = exchange.usage
        with pytest.raises(NotRecorded) as caught:
            await exchange.fetch_candles("BTC/USDT", "2h", limit=4)
        assert exchange.usage.since(before).requests == 1
    message = str(caught.value)
    assert not isinstance(caught.value, Transient)
    assert "GET /api/v3/klines" in message
    assert "interval=2h" in message
    assert "limit=4" in message
    assert "it holds: endTime=1748865599999 (2025-06-02 11:59:59) interval=1h limit=3" in message
    assert str(spot_tape) in message


async def test_path_not_recorded_is_an_error_that_names_the_paths(spot_tape: Path) -> None:
    async with ReplayExchange(spot_tape) as exchange:
        with pytest.raises(NotRecorded, match=r"bookTicker.*it holds: /api/v3/exchangeInfo, /api"):
            await exchange.fetch_book_ticker("BTC/USDT")


async def test_error_names_a_few_of_many_recorded_requests(contract_tapes: dict[str, Path]) -> None:
    async with ReplayExchange(contract_tapes["binance_spot"]) as exchange:
        with pytest.raises(NotRecorded, match=r"interval=1h.* and \d+ more$"):
            await exchange.fetch_candles("BTC/USDT", "1h", limit=17)


async def test_iter_candles_beyond_the_recording_is_an_error(
    contract_tapes: dict[str, Path],
) -> None:
    async with ReplayExchange(contract_tapes["binance_spot"]) as exchange:
        rows = 2 * exchange.capabilities.page_rows + 7
        start_ms = NEWEST + HOUR - rows * HOUR
        end_ms = start_ms + (rows - 2) * HOUR
        whole = exchange.iter_candles("BTC/USDT", "1h", start_ms=start_ms, end_ms=end_ms)
        assert sum([len(page) async for page in whole]) == rows - 2
        # take the last page out: it is asked for ahead, while an earlier one is awaited
        kept = exchange._tape.cassette.data  # type: ignore[union-attr]
        last = max(
            (one for one in kept if f"endTime={end_ms - 1}&" in one[0].uri),
            key=lambda one: int(dict(one[0].query).get("startTime", 0)),
        )
        kept.remove(last)
        pages = exchange.iter_candles("BTC/USDT", "1h", start_ms=start_ms, end_ms=end_ms)
        assert len(await anext(pages))
        assert len(await anext(pages))
        with pytest.raises(NotRecorded, match="startTime"):
            await anext(pages)


async def test_adapter_s_own_clock_shows_the_moment_of_the_recording(spot_tape: Path) -> None:
    # for venues that do not tell the time, this is the time
    async with ReplayExchange(spot_tape) as exchange:
        clock = exchange._venue.clock  # type: ignore[attr-defined]
        assert clock.now_ms() == pytest.approx(STAND_IN_MS, abs=5_000)
        await clock.sleep(3600)
        assert clock.monotonic_s() == 0


async def test_other_errors_of_the_adapter_stay_what_they_are(spot_tape: Path) -> None:
    async with ReplayExchange(spot_tape) as exchange:
        with pytest.raises(velas.UnknownSymbol):
            await exchange.market("NOSUCHCOIN")
        with pytest.raises(ConfigError, match="inverted"):
            await exchange.fetch_candles("BTC/USDT", "1h", start_ms=2, end_ms=1)


async def test_replay_closed_is_closed(spot_tape: Path) -> None:
    exchange = ReplayExchange(spot_tape)
    await exchange.aclose()
    await exchange.aclose()
    with pytest.raises(ExchangeError, match="closed"):
        await exchange.markets()


def test_replay_without_a_recording_is_refused() -> None:
    settings = load_settings(environ={}, exchange="replay")
    with pytest.raises(ConfigError, match=r"replay\.recording"):
        velas.open_exchange(settings)


def test_replay_of_replay_is_refused(spot_tape: Path) -> None:
    with pytest.raises(ConfigError, match="recording was made with"):
        ReplayExchange(spot_tape, exchange="replay")


def test_replay_of_an_adapter_of_another_shape_is_unsupported(
    spot_tape: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "load", lambda kind, name: lambda: None)
    with pytest.raises(Unsupported, match="'odd' cannot be replayed"):
        ReplayExchange(spot_tape, exchange="odd")


BROKEN = {
    "missing": (None, "is not there"),
    "not UTF-8": (b"\xff\xfe", "cannot be read"),
    "not YAML": (b"interactions: [", "is broken"),
    "a list": (b"- 1\n", "not a recording"),
    "nothing": (b"", "not a recording"),
    "plain vcr": (b"interactions: []\nversion: 1\n", "not a recording"),
    "old vcr": (b"- request: {}\n", "is broken"),
    "odd label": (
        b"interactions: []\nmetadata: {exchange: binance_spot, recorded_ms: x, source: s}\n",
        "not a recording",
    ),
    "odd answer": (
        b"interactions: [{request: {method: GET, uri: /, body: null, headers: {}},"
        b" response: {body: {string: x}}}]\n"
        b"metadata: {exchange: binance_spot, recorded_ms: 1, source: s}\n",
        "not a recording",
    ),
    "python": (b"!!python/object/apply:os.system ['true']\n", "is broken"),
    "empty": (
        b"interactions: []\nmetadata: {exchange: binance_spot, recorded_ms: 1, source: s}\n",
        "is empty",
    ),
    "other venue": (
        b"interactions: [{request: {method: GET, uri: /, body: null, headers: {}},"
        b" response: {status: {code: 200, message: OK}, headers: {}, body: {string: x}}}]\n"
        b"metadata: {exchange: kraken, recorded_ms: 1, source: s}\n",
        "set replay.exchange to kraken",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_recording_that_cannot_be_used_is_one_clear_error(kind: str, tmp_path: Path) -> None:
    content, message = BROKEN[kind]
    path = tmp_path / "tape.yaml"
    if content is not None:
        path.write_bytes(content)
    exchange = ReplayExchange(path)
    with pytest.raises(ConfigError, match=message) as caught:
        async with exchange:
            pytest.fail("it was opened")
    assert str(path) in str(caught.value)
    await exchange.aclose()
    assert aiohttp.ClientSession._request is ORIGINAL


async def test_orders_and_account_are_refused(spot_tape: Path) -> None:
    async with ReplayExchange(spot_tape) as exchange:
        request = velas.OrderRequest("BTC/USDT", "buy", "MARKET", quantity=1)  # type: ignore[arg-type]
        for refused in (
            exchange.create_order(request),
            exchange.cancel_order("BTC/USDT", "1"),
            exchange.fetch_order("BTC/USDT", "1"),
            exchange.open_orders(),
            exchange.balances(),
        ):
            with pytest.raises(Unsupported, match="does not trade"):
                await refused


# -- what it leaves alone -------------------------------------------------------------


async def test_traffic_of_others_goes_its_way_beside_a_replay(spot_tape: Path) -> None:
    async with (
        StandInVenue("spot") as venue,
        ReplayExchange(spot_tape) as exchange,
        aiohttp.ClientSession() as session,
    ):
        answers, candles = await asyncio.gather(
            session.get(f"{venue.rest_url}/api/v3/klines?symbol=BTCUSDT&interval=1d&limit=1"),
            three(exchange),
        )
        assert len(candles) == 3
        assert len(await answers.json()) == 1
        assert venue.count("klines") == 1


async def test_two_replays_at_once_do_not_mix(spot_tape: Path, futures_tape: Path) -> None:
    spot = ReplayExchange(spot_tape)
    futures = ReplayExchange(futures_tape, exchange="binance_futures")
    await spot.__aenter__()
    await futures.__aenter__()
    pages = await asyncio.gather(
        spot.fetch_candles("BTC/USDT", "1h", limit=3),
        futures.fetch_candles("BTC/USDT", "1h", limit=3),
    )
    assert opens(pages[0]) == opens(pages[1])
    assert list(pages[0]["close"]) != list(pages[1]["close"])
    await spot.aclose()  # the first opened is the first closed
    assert await three(futures)
    await futures.aclose()
    assert aiohttp.ClientSession._request is ORIGINAL


def test_replays_in_several_event_loops_at_once_work(spot_tape: Path) -> None:
    async def work() -> list[int]:
        async with ReplayExchange(spot_tape) as exchange:
            return await three(exchange)

    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(asyncio.run, work()) for _ in range(8)]
        assert {tuple(one.result()) for one in found} == {
            (NEWEST - 2 * HOUR, NEWEST - HOUR, NEWEST)
        }
    assert aiohttp.ClientSession._request is ORIGINAL


def test_import_of_the_adapter_does_not_import_vcr() -> None:
    code = "import sys, velas_replay; sys.exit(any(m.split('.')[0] == 'vcr' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_order_rules_are_those_of_the_recorded_market(spot_tape: Path) -> None:
    async with ReplayExchange(spot_tape) as exchange:
        rules = await exchange.order_validator("BTC/USDT")
        assert not rules.check(OrderRequest("BTC/USDT", "buy", "limit", "0.0000000001", "1")).ok
        with pytest.raises(Unsupported, match="market_state"):
            await exchange.market_state("BTC/USDT")
        with pytest.raises(Unsupported, match="cancel_order"):
            await exchange.cancel_order("BTC/USDT", client_id="1")
