"""The stand-in over real HTTP: headers, limits, each fault, threads."""

from __future__ import annotations

import asyncio
import gc
import gzip
import threading
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import orjson
import pytest

from velas.errors import ConfigError
from velas.testing import (
    Fault,
    FaultPlan,
    GeneratedCandles,
    GivenCandles,
    ManualClock,
    StandInVenue,
)
from velas.testing.venue.faults import WrongShape

HOUR = 3_600_000
START = 1_790_000_040_000
KLINES = "/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=5"


class NoticingClock(ManualClock):
    """Says when the venue began to answer, and lets it go on."""

    def __init__(self, start_ms: int) -> None:
        super().__init__(start_ms)
        self.asked = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.set()


class Client:
    def __init__(self, venue: StandInVenue, session: aiohttp.ClientSession) -> None:
        self.venue = venue
        self._session = session

    async def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        async with self._session.get(self.venue.rest_url + path, headers=headers) as response:
            return response.status, dict(response.headers), await response.read()

    async def json(self, path: str) -> Any:
        return orjson.loads((await self.get(path))[2])


@asynccontextmanager
async def running(market: Any = "spot", **options: Any) -> AsyncIterator[Client]:
    options.setdefault("clock", ManualClock(START, auto=True))
    venue = StandInVenue(market, **options)
    # one connection, closed for good on leaving: a leaked socket is a warning, so a failure
    async with venue, aiohttp.ClientSession(auto_decompress=False) as session:
        yield Client(venue, session)


def with_fault(*faults: Fault | None) -> FaultPlan:
    return FaultPlan.script(faults, path="/klines")


async def test_venue_every_answer_carries_the_used_weight() -> None:
    async with running() as client:
        used = [
            (await client.get(path))[1]["X-MBX-USED-WEIGHT-1M"]
            for path in (KLINES, "/api/v3/exchangeInfo", "/api/v3/klines", "/nowhere")
        ]
    assert used == ["2", "22", "24", "25"]


async def test_venue_window_names_the_header_and_exchange_info_says_it() -> None:
    async with running("futures", weight_window_s=10, weight_limit=33) as client:
        _, headers, body = await client.get("/fapi/v1/exchangeInfo")
    assert headers["X-MBX-USED-WEIGHT-10S"] == "1"
    assert orjson.loads(body)["rateLimits"][0] == {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "SECOND",
        "intervalNum": 10,
        "limit": 33,
    }


async def test_venue_futures_book_ticker_header_is_wrong() -> None:
    async with running("futures") as client:
        await client.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000")
        _, headers, _ = await client.get("/fapi/v1/ticker/bookTicker?symbol=BTCUSDT")
    assert headers["X-MBX-USED-WEIGHT-1M"] == "2"


async def test_venue_error_has_status_code_and_text() -> None:
    async with running() as client:
        status, _, body = await client.get("/api/v3/klines?symbol=NOPE&interval=1h")
    assert (status, orjson.loads(body)) == (400, {"code": -1121, "msg": "Invalid symbol."})


async def test_venue_over_the_limit_answers_429_then_admits_in_the_next_window() -> None:
    clock = ManualClock(START)
    async with running(clock=clock, weight_limit=4) as client:
        statuses = [(await client.get(KLINES))[0] for _ in range(2)]
        status, headers, body = await client.get(KLINES)
        clock.advance(float(headers["Retry-After"]))
        statuses += [status, (await client.get(KLINES))[0]]
        assert orjson.loads(body)["code"] == -1003
        assert statuses == [200, 200, 429, 200]
        assert (client.venue.refused, client.venue.max_used_weight) == (1, 6)
        assert (client.venue.weight_limit, client.venue.ignored_retry_after) == (4, 0)


async def test_venue_futures_429_has_no_retry_after_unless_asked() -> None:
    klines = "/fapi/v1/klines?symbol=BTCUSDT&interval=1h&limit=500"
    for asked, present in ((None, False), (True, True)):
        async with running("futures", weight_limit=1, retry_after=asked) as client:
            status, headers, _ = await client.get(klines)
        assert (status, "Retry-After" in headers) == (429, present)


async def test_venue_ignored_429_ends_in_a_ban_that_asking_prolongs() -> None:
    clock = ManualClock(START)
    options: dict[str, Any] = {"weight_limit": 1, "in_flight_s": 0, "ban_s": 100}
    async with running(clock=clock, tolerated_429=1, **options) as client:
        statuses = [(await client.get(KLINES))[0] for _ in range(3)]
        clock.advance(60)
        status, headers, body = await client.get(KLINES)
        venue = client.venue
        assert [*statuses, status] == [429, 429, 418, 418]
        assert headers["Retry-After"] == "100"
        assert f"banned until {START + 160_000}" in orjson.loads(body)["msg"]
        assert (venue.bans, venue.ignored_bans, venue.refused) == (1, 1, 4)


async def test_venue_without_limit_refuses_nobody() -> None:
    async with running(weight_limit=0) as client:
        heavy = "/api/v3/depth?symbol=NOPE&limit=5000"
        assert {(await client.get(heavy))[0] for _ in range(25)} == {400}
        assert client.venue.max_used_weight == 25 * 250


async def test_venue_log_records_each_request() -> None:
    async with running() as client:
        await client.get(KLINES)
        await client.get("/api/v3/time")
        record = client.venue.requests[0]
        assert (client.venue.count(), client.venue.count("/klines")) == (2, 1)
    assert (record.path, record.status, record.weight) == ("/api/v3/klines", 200, 2)
    assert record.query == {"symbol": "BTCUSDT", "interval": "1h", "limit": "5"}
    assert (record.used_weight, record.time_ms, record.fault) == (2, START, None)


async def test_venue_clock_skew_shows_in_its_time() -> None:
    async with running(clock_skew_ms=-700) as client:
        assert await client.json("/api/v3/time") == {"serverTime": START - 700}


async def test_venue_latency_delays_every_answer() -> None:
    clock = ManualClock(START, auto=True)
    async with running(clock=clock, latency_s=0.5) as client:
        await client.get(KLINES)
    assert clock.monotonic_s() == 0.5


async def test_venue_gzip_is_an_option() -> None:
    for option in (False, True):
        async with running(gzip=option) as client:
            _, headers, body = await client.get(KLINES, **{"Accept-Encoding": "gzip"})
            assert (headers.get("Content-Encoding") == "gzip") == option
            assert len(orjson.loads(gzip.decompress(body) if option else body)) == 5
            _, headers, _ = await client.get(KLINES, **{"Accept-Encoding": "identity"})
            assert "Content-Encoding" not in headers


async def test_venue_warm_encodes_the_pages_a_client_asks_for() -> None:
    async with running() as client:
        venue = client.venue
        start, end = START - 25 * HOUR, START
        assert venue.warm(["BTCUSDT"], ["1h"], start_ms=start, end_ms=end, page_rows=10) == 3
        pages = venue._rest._pages
        size = pages.size_bytes
        path = f"/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=10&startTime={start}"
        assert len(await client.json(path)) == 10
        assert pages.size_bytes == size


async def test_venue_frame_is_what_a_perfect_client_has() -> None:
    async with running() as client:
        rows = await client.json(KLINES)
        first = rows[0][0]
        frame = client.venue.frame("BTCUSDT", "1h", start_ms=first, end_ms=START)
        none = client.venue.frame("BTCUSDT", "1h", start_ms=0, end_ms=1)
    assert frame["timestamp"].tolist() == [row[0] for row in rows[:-1]]
    assert frame["volume"].tolist() == [float(row[5]) for row in rows[:-1]]
    assert (len(none), none.columns.tolist()) == (0, frame.columns.tolist())


async def test_venue_frame_of_nothing_it_has_is_refused() -> None:
    async with running() as client:
        with pytest.raises(ConfigError, match="NOPE"):
            client.venue.frame("NOPE", "1h", start_ms=0, end_ms=1)


async def test_venue_given_candles_bring_their_symbols() -> None:
    row = (0, "1", "1", "1", "1", "1", HOUR - 1, "1", 1, "1", "1", "0")
    async with running(candles=GivenCandles({("ETHBTC", "1h"): [row]})) as client:
        assert client.venue.symbols == ("ETHBTC",)
        assert await client.json("/api/v3/klines?symbol=ETHBTC&interval=1h") == [list(row)]
        status, _, _ = await client.get("/api/v3/klines?symbol=ETHBTC&interval=2h")
        assert status == 400
        price = await client.json("/api/v3/ticker/price?symbol=ETHBTC")
        assert price["price"] == "1.00000000"


async def test_venue_lists_symbols_beyond_ascii() -> None:
    async with running(symbols=["币安USDT"]) as client:
        rows = await client.json("/api/v3/klines?symbol=%E5%B8%81%E5%AE%89USDT&interval=1h")
        info = await client.json("/api/v3/exchangeInfo")
    assert (len(rows), info["symbols"][0]["symbol"]) == (500, "币安USDT")


async def test_venue_same_seed_serves_the_same_bytes() -> None:
    bodies = []
    for seed in (1, 1, 2):
        async with running(candles=GeneratedCandles(seed)) as client:
            bodies.append((await client.get(KLINES))[2])
    assert bodies[0] == bodies[1] != bodies[2]


@pytest.mark.parametrize("fault", [Fault.reset(), Fault.silence(0.05)])
async def test_fault_without_answer_breaks_the_connection(fault: Fault) -> None:
    # twice, because aiohttp's client itself repeats a GET once that got no answer
    async with running(faults=with_fault(fault, fault)) as client:
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.get(KLINES)
        assert (await client.get(KLINES))[0] == 200
        assert [record.status for record in client.venue.requests] == [0, 0, 200]


async def test_fault_silence_ends_when_the_client_gives_up() -> None:
    async with running(faults=with_fault(Fault.silence(600))) as client:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.get(KLINES), 0.1)
        assert (await client.get(KLINES))[0] == 200


async def test_fault_silence_ends_when_the_venue_closes() -> None:
    clock = NoticingClock(START)
    venue = StandInVenue(clock=clock, latency_s=1, faults=with_fault(Fault.silence(600)))
    async with aiohttp.ClientSession() as session:
        async with venue:
            task = asyncio.create_task(session.get(venue.rest_url + KLINES))
            await clock.asked.wait()
        with pytest.raises(aiohttp.ClientConnectionError):
            await task


@pytest.mark.parametrize("fault", [Fault.reset(midway=True), Fault.truncated()])
async def test_fault_midway_loses_the_rest_of_the_body(fault: Fault) -> None:
    async with running(faults=with_fault(fault)) as client:
        with pytest.raises((aiohttp.ClientPayloadError, ConnectionResetError)):
            await client.get(KLINES)
        assert (await client.get(KLINES))[0] == 200


async def test_fault_reset_midway_sends_the_headers_first() -> None:
    async with (
        running(faults=with_fault(Fault.reset(midway=True))) as client,
        aiohttp.request("GET", client.venue.rest_url + KLINES) as response,
    ):
        assert response.status == 200
        with pytest.raises((aiohttp.ClientPayloadError, ConnectionResetError)):
            await response.read()


@pytest.mark.parametrize("midway", [False, True])
async def test_fault_reset_is_a_reset_not_a_farewell(midway: bool) -> None:
    async with running(faults=with_fault(Fault.reset(midway=midway))) as client:
        port = int(client.venue.rest_url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {KLINES} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        if midway:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)
        writer.close()


async def test_fault_cut_off_is_a_farewell_not_a_reset() -> None:
    async with running(faults=with_fault(Fault.truncated())) as client:
        port = int(client.venue.rest_url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {KLINES} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        assert length // 2 == len(body)
        writer.close()


async def test_fault_truncated_json_fits_its_length() -> None:
    async with running(faults=with_fault(Fault.truncated(honest_length=True))) as client:
        status, _, body = await client.get(KLINES)
    assert status == 200
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_fault_server_error_has_its_status(status: int) -> None:
    async with running(faults=with_fault(Fault.server_error(status))) as client:
        got, headers, body = await client.get(KLINES)
    assert got == status
    assert ("html" in headers["Content-Type"]) == (status in (502, 504))
    assert body


@pytest.mark.parametrize(("fault", "status"), [(Fault.forbidden(), 403), (Fault.restricted(), 451)])
async def test_fault_refusal_of_the_client_has_its_status(fault: Fault, status: int) -> None:
    async with running(faults=with_fault(fault)) as client:
        assert (await client.get(KLINES))[0] == status


async def test_fault_429_is_meant() -> None:
    clock = ManualClock(START)
    async with running(clock=clock, faults=with_fault(Fault.too_many(3))) as client:
        status, headers, _ = await client.get(KLINES)
        clock.advance(2)
        early = (await client.get("/api/v3/time"))[0]
        clock.advance(1)
        assert [status, early, (await client.get(KLINES))[0]] == [429, 429, 200]
        assert headers["Retry-After"] == "3"
        assert (client.venue.ignored_retry_after, client.venue.refused) == (1, 0)


async def test_fault_429_without_retry_after_lasts_to_the_window() -> None:
    clock = ManualClock(START)
    async with running(clock=clock, faults=with_fault(Fault.too_many(None))) as client:
        status, headers, _ = await client.get(KLINES)
        clock.advance(60)
        assert (status, "Retry-After" in headers) == (429, False)
        assert (await client.get(KLINES))[0] == 200


async def test_fault_418_is_meant_and_ignoring_it_is_counted() -> None:
    clock = ManualClock(START)
    async with running(clock=clock, faults=with_fault(Fault.banned(10))) as client:
        status, headers, body = await client.get(KLINES)
        clock.advance(9)
        early = (await client.get("/api/v3/time"))[0]
        clock.advance(10)
        assert [status, early, (await client.get(KLINES))[0]] == [418, 418, 200]
        assert headers["Retry-After"] == "10"
        assert f"IP banned until {START + 10_000}." in orjson.loads(body)["msg"]
        assert (client.venue.ignored_bans, client.venue.bans) == (1, 0)


@pytest.mark.parametrize("shape", ["html", "object", "scalars", "short_row", "error"])
async def test_fault_wrong_answer_is_200_and_no_page(shape: WrongShape) -> None:
    async with running(faults=with_fault(Fault.wrong(shape))) as client:
        status, _, body = await client.get(KLINES)
    assert status == 200
    found = {
        "html": body.startswith(b"<html"),
        "object": body == b"{}",
        "scalars": body == b"[1,2,3]",
        "short_row": body.startswith(b"[[") and len(orjson.loads(body)[-1]) == 4,
        "error": b'"code":-1000' in body,
    }
    assert found[shape]


async def test_fault_on_a_body_without_rows_still_is_wrong() -> None:
    plan = FaultPlan.script([Fault.wrong("short_row"), Fault.duplicated()])
    async with running(faults=plan) as client:
        assert await client.json("/api/v3/time") == {}
        assert await client.json("/api/v3/time") == {"serverTime": START}


async def test_fault_rows_are_emptied_doubled_or_turned() -> None:
    plan = with_fault(None, Fault.empty(), Fault.duplicated(), Fault.shuffled())
    async with running(faults=plan) as client:
        good, empty, double, turned = [await client.json(KLINES) for _ in range(4)]
    assert (empty, double, turned) == ([], [*good, good[-1]], good[::-1])


async def test_fault_latency_delays_one_answer() -> None:
    clock = ManualClock(START, auto=True)
    async with running(clock=clock, faults=with_fault(Fault.latency(1.5), None)) as client:
        await client.get(KLINES)
        await client.get(KLINES)
    assert clock.monotonic_s() == 1.5


async def test_fault_skew_moves_the_venues_clock() -> None:
    async with running(faults=with_fault(Fault.skew(5_000), Fault.skew(0))) as client:
        await client.get(KLINES)
        assert await client.json("/api/v3/time") == {"serverTime": START + 5_000}
        await client.get(KLINES)
        assert await client.json("/api/v3/time") == {"serverTime": START}


@pytest.mark.parametrize("seed", range(3))
async def test_fault_random_always_lets_five_retries_through(seed: int) -> None:
    async with running(faults=FaultPlan.random(seed), in_flight_s=0) as client:
        good = None
        for hours in range(60):
            path = f"{KLINES}&startTime={START - (100 + hours) * HOUR}"
            for _attempt in range(6):
                good = await _patiently(client, path)
                if good:
                    break
            assert good, f"seed {seed}"
        faults = [record.fault for record in client.venue.requests if record.fault]
        assert len(faults) > 5, f"seed {seed}"
        assert client.venue.ignored_bans == client.venue.ignored_retry_after == 0, f"seed {seed}"


async def _patiently(client: Client, path: str) -> bool:
    try:
        status, headers, body = await client.get(path)
    except aiohttp.ClientError:
        return False
    if status in (418, 429):
        await client.venue.clock.sleep(int(headers["Retry-After"]))
    try:
        return status == 200 and len(orjson.loads(body)[4]) == 12
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return False


async def test_venue_not_running_has_no_address() -> None:
    venue = StandInVenue()
    with pytest.raises(ConfigError, match="not running"):
        _ = venue.rest_url


async def test_venue_can_be_started_again_and_closed_twice() -> None:
    venue = StandInVenue()
    for _ in range(2):
        await venue.start()
        await venue.start()
        assert venue.rest_url.startswith("http://127.0.0.1:")
        await venue.aclose()
        await venue.aclose()


def test_venue_unknown_market_is_refused() -> None:
    with pytest.raises(ConfigError, match="margin"):
        StandInVenue("margin")  # type: ignore[arg-type]


def test_venue_in_thread_serves_synchronous_code_and_stops() -> None:
    with StandInVenue("futures").in_thread() as venue:
        url = venue.rest_url
        with urllib.request.urlopen(f"{url}/fapi/v1/ping") as response:
            assert response.read() == b"{}"
    assert "stand-in-venue" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{url}/fapi/v1/ping")


def test_venue_in_thread_hands_over_why_it_cannot_start() -> None:
    with StandInVenue().in_thread() as venue:
        taken = int(venue.rest_url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"), StandInVenue(port=taken).in_thread():
            pass


@pytest.mark.parametrize("turns", range(6))
async def test_venue_whose_start_is_cut_short_leaves_no_socket_behind(turns: int) -> None:
    gc.collect()
    venue = StandInVenue("spot")
    starting = asyncio.ensure_future(venue.start())
    for _ in range(turns):
        await asyncio.sleep(0)
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await starting
    await venue.aclose()
    del venue, starting
    gc.collect()  # a socket nobody closed is an error in these tests


async def test_venue_whose_port_is_taken_says_so_and_leaves_nothing_behind() -> None:
    async with StandInVenue("spot") as first:
        port = int(first.rest_url.rpartition(":")[2])
        second = StandInVenue("spot", port=port)
        with pytest.raises(OSError, match="in use"):
            await second.start()
        await second.aclose()
