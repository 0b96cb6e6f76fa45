"""What the stand-in's streams say, on which paths, and that REST says the same."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pytest
from ws_client import START, Desk, closes, desk

from velas.models import Trade
from velas.testing import GeneratedCandles, GivenCandles, Instrument, ScaledClock, StandInVenue

MINUTE = 60_000
KLINE_KEYS = list("tTsifLochlvnxqVQB")


async def rest_rows(desk: Desk, path: str) -> list[Any]:
    async with desk.session.get(desk.venue.rest_url + path) as response:
        rows: list[Any] = orjson.loads(await response.read())
        return rows


def row_of(candle: dict[str, Any]) -> list[Any]:
    return [candle[key] for key in "tohlcvTqnVQB"]


async def test_streams_spot_kline_closes_equal_the_klines_endpoint() -> None:
    async with desk() as it, it.open("/ws/btcusdt@kline_1m/btcusdt@kline_5m") as socket:
        await it.clock.run_for(11 * 60)
        found = closes(await socket.frames())
        for interval, count in (("1m", 10), ("5m", 2)):
            path = f"/api/v3/klines?symbol=BTCUSDT&interval={interval}&limit=20"
            rows = await rest_rows(it, path)
            got = [row_of(candle) for candle in found if candle["i"] == interval]
            at = next(n for n, row in enumerate(rows) if row[0] == got[0][0])
            assert len(got) >= count
            assert got == rows[at : at + len(got)]


@pytest.mark.parametrize("market", ["spot", "futures"])
async def test_streams_kline_frames_have_every_field(market: str) -> None:
    prefix = "/market" if market == "futures" else ""
    async with desk(market) as it, it.open(f"{prefix}/ws/btcusdt@kline_1m") as socket:
        await it.clock.run_for(63)
        frames = await socket.frames()
    assert {tuple(frame) for frame in frames} == {("e", "E", "s", "k")}
    assert {tuple(frame["k"]) for frame in frames} == {tuple(KLINE_KEYS)}
    (closed,) = [frame for frame in frames if frame["k"]["x"]]
    candle = closed["k"]
    assert (closed["e"], closed["s"], candle["i"], candle["B"]) == ("kline", "BTCUSDT", "1m", "0")
    assert (candle["t"], candle["T"]) == (START, START + MINUTE - 1)
    assert candle["T"] < closed["E"] <= candle["T"] + 2001
    assert candle["L"] - candle["f"] + 1 == candle["n"] > 0
    assert [frame["E"] for frame in frames] == sorted(frame["E"] for frame in frames)


@pytest.mark.parametrize(("market", "every_ms"), [("spot", 2000), ("futures", 250)])
async def test_streams_forming_candle_is_pushed_at_the_markets_pace(
    market: str, every_ms: int
) -> None:
    prefix = "/market" if market == "futures" else ""
    async with desk(market) as it, it.open(f"{prefix}/ws/btcusdt@kline_1h") as socket:
        await it.clock.run_for(30)
        frames = await socket.frames()
    moments = [frame["E"] for frame in frames]
    steps = {b - a for a, b in itertools.pairwise(moments)}
    assert all(step % every_ms == 0 for step in steps)
    assert min(steps) == every_ms
    counts = [frame["k"]["n"] for frame in frames]
    assert counts == sorted(set(counts))  # nothing traded, nothing pushed


async def test_streams_forming_candle_is_what_its_trades_make_it() -> None:
    async with desk() as it, it.open("/ws/btcusdt@kline_1h") as socket:
        await it.clock.run_for(30)
        frames = await socket.frames()
        for candle, at_ms in ((frame["k"], frame["E"]) for frame in frames):
            trades = it.venue.trades("BTCUSDT", first_id=candle["f"], end_id=candle["L"] + 2)
            assert trades.pop().timestamp > at_ms >= trades[-1].timestamp
            assert len(trades) == candle["n"]
            assert sum(trade.quantity for trade in trades) == Decimal(candle["v"])


async def test_streams_no_frame_of_a_candle_before_the_last_one_is_closed() -> None:
    async with desk("futures") as it, it.open("/market/ws/btcusdt@kline_1m") as socket:
        await it.clock.run_for(305)
        frames = await socket.frames()
    order = [(frame["k"]["t"], frame["k"]["x"]) for frame in frames]
    assert order == sorted(order)
    assert sum(closed for _, closed in order) == 5


async def test_streams_coarse_clock_keeps_a_candle_behind_the_close_before_it() -> None:
    async with desk() as it, it.open("/ws/btcusdt@kline_1m") as socket:
        for _ in range(400):
            it.clock.advance(2.9)
            await it.clock.run_for(0)
        order = [(frame["k"]["t"], frame["k"]["x"]) for frame in await socket.frames()]
    assert order == sorted(order)
    assert sum(closed for _, closed in order) == 19


async def test_streams_of_one_round_are_in_order_of_time() -> None:
    names = [f"{one}usdt@{kind}" for one in ("btc", "eth") for kind in ("aggTrade", "kline_1s")]
    async with desk() as it, it.open(f"/stream?streams={'/'.join(names)}") as socket:
        await it.clock.run_for(1)
        it.clock.advance(60)
        await it.clock.run_for(0)
        moments = [frame["data"]["E"] for frame in await socket.frames()]
    assert moments == sorted(moments)
    assert len(moments) > 200


async def test_streams_seconds_without_trades_close_with_no_ids() -> None:
    async with desk() as it, it.open("/ws/btcusdt@kline_1s") as socket:
        await it.clock.run_for(100)
        found = closes(await socket.frames())
        rows = await rest_rows(
            it, f"/api/v3/klines?symbol=BTCUSDT&interval=1s&startTime={START}&limit=98"
        )
    got = [row_of(candle) for candle in found]
    at = next(n for n, row in enumerate(rows) if row[0] == got[0][0])
    assert len(got) > 90
    assert got[: len(rows) - at] == rows[at:]
    empty = [candle for candle in found if candle["n"] == 0]
    assert empty
    assert {(one["f"], one["L"], Decimal(one["v"])) for one in empty} == {(-1, -1, Decimal(0))}


async def test_streams_spot_agg_trades_equal_the_endpoint() -> None:
    async with desk() as it, it.open("/ws/btcusdt@aggTrade") as socket:
        await it.clock.run_for(60)
        frames = await socket.frames()
        ids = [frame["a"] for frame in frames]
        rows = await rest_rows(it, f"/api/v3/aggTrades?symbol=BTCUSDT&fromId={ids[0]}")
        truth = it.venue.trades("BTCUSDT", first_id=ids[0], end_id=ids[-1] + 100)
    assert [list(frame) for frame in frames] == [list("eEsapqflTmM")] * len(frames)
    assert [{key: frame[key] for key in "apqflTmM"} for frame in frames] == rows
    assert truth == [
        Trade(
            "BTC/USDT",
            row["a"],
            row["T"],
            Decimal(row["p"]),
            Decimal(row["q"]),
            row["m"],
            row["f"],
            row["l"],
        )
        for row in rows
    ]


async def test_streams_futures_agg_trades_come_every_tenth_of_a_second() -> None:
    async with desk("futures") as it, it.open("/market/ws/btcusdt@aggTrade") as socket:
        await it.clock.run_for(60)
        frames = await socket.frames()
        (first, last) = frames[0]["a"], frames[-1]["a"]
        truth = it.venue.trades("BTCUSDT", first_id=first, end_id=last + 1)
    assert list(frames[0]) == ["e", "E", "s", "a", "p", "q", "nq", "f", "l", "T", "m", "st"]
    assert {frame["E"] % 100 for frame in frames} == {0}
    assert [frame["a"] for frame in frames] == [trade.id for trade in truth]
    assert {trade.symbol for trade in truth} == {"BTC/USDT:USDT"}


@pytest.mark.parametrize(
    ("market", "path", "keys"),
    [
        ("spot", "/ws/btcusdt@bookTicker", "u s b B a A"),
        ("futures", "/public/ws/btcusdt@bookTicker", "e u E T s b B a A st ps"),
    ],
)
async def test_streams_book_ticker_rises_and_equals_rest(market: str, path: str, keys: str) -> None:
    async with desk(market) as it, it.open(path) as socket:
        await it.clock.run_for(60)
        frames = await socket.frames()
        prefix = "/api/v3" if market == "spot" else "/fapi/v1"
        best: Any = await rest_rows(it, f"{prefix}/ticker/bookTicker?symbol=BTCUSDT")
    assert {tuple(frame) for frame in frames} == {tuple(keys.split())}
    updates = [frame["u"] for frame in frames]
    assert updates == sorted(set(updates))
    assert (frames[-1]["B"], frames[-1]["A"]) == (best["bidQty"], best["askQty"])
    assert all(Decimal(frame["b"]) < Decimal(frame["a"]) for frame in frames)


@pytest.mark.parametrize(
    ("market", "path", "heard"),
    [
        ("spot", "/stream?streams={}", {"kline_1m", "aggTrade", "bookTicker"}),
        ("futures", "/market/stream?streams={}", {"kline_1m", "aggTrade"}),
        ("futures", "/public/stream?streams={}", {"bookTicker"}),
        ("futures", "/stream?streams={}", {"bookTicker"}),
        ("futures", "/private/stream?streams={}", set()),
    ],
)
async def test_streams_of_the_wrong_route_are_silent(
    market: str, path: str, heard: set[str]
) -> None:
    names = ["btcusdt@kline_1m", "btcusdt@aggTrade", "btcusdt@bookTicker"]
    async with desk(market) as it, it.open(path.format("/".join(names))) as socket:
        await it.clock.run_for(10)
        frames = await socket.frames()
        assert (await socket.ask("LIST_SUBSCRIPTIONS"))["result"] == names
    assert {frame["stream"].split("@")[1] for frame in frames} == heard
    assert {tuple(frame) for frame in frames} <= {("stream", "data")}


@pytest.mark.parametrize(
    "name",
    ["BTCUSDT@aggTrade", "nopeusdt@aggTrade", "btcusdt@what", "btcusdt@kline_7m", "btcusdt", "@"],
)
async def test_streams_unknown_names_are_taken_and_silent(name: str) -> None:
    async with desk() as it, it.open("/ws") as socket:
        assert await socket.ask("SUBSCRIBE", name) == {"result": None, "id": 1}
        await it.clock.run_for(10)
        assert await socket.so_far() == []


async def test_streams_futures_has_no_one_second_candles() -> None:
    async with desk("futures") as it, it.open("/market/ws/btcusdt@kline_1s") as socket:
        await it.clock.run_for(10)
        assert await socket.so_far() == []


@pytest.mark.parametrize("path", ["/stream/x", "/wss", "/market/stream", "/"])
async def test_streams_unknown_path_is_not_found(path: str) -> None:
    async with desk() as it:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            async with it.open(path):
                pass
        assert [one.refused for one in it.venue.connections] == [404]


async def test_streams_outage_is_silent_and_its_candles_never_close() -> None:
    outage = (START + 90_000, START + 5 * MINUTE)
    source = GeneratedCandles(outages={"*": [outage]})
    path = "/stream?streams=btcusdt@kline_1m/btcusdt@aggTrade/btcusdt@bookTicker"
    async with desk(candles=source) as it, it.open(path) as socket:
        await it.clock.run_for(7 * 60 + 3)
        frames = await socket.frames()
    opened = [(candle["t"] - START) // MINUTE for candle in closes(frames)]
    assert opened == [0, 1, 5, 6]  # the second began before the outage
    trades = [one["data"] for one in frames if one["stream"].endswith("aggTrade")]
    assert not [one for one in trades if outage[0] <= one["T"] < outage[1]]
    ids = [one["a"] for one in trades]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_streams_delisted_symbol_falls_silent() -> None:
    one = Instrument.make("BTCUSDT", delisted_ms=START + 30_000)
    path = "/ws/btcusdt@aggTrade/btcusdt@kline_1m"
    async with desk(symbols=[one]) as it, it.open(path) as socket:
        await it.clock.run_for(300)
        frames = await socket.frames()
        assert len(closes(frames)) == 1
        assert max(frame.get("T", 0) for frame in frames) < START + 30_000
        async with it.open(path) as late:
            await it.clock.run_for(300)
            assert await late.so_far() == []


async def test_streams_tombstones_are_in_rest_and_stream_but_no_trades() -> None:
    async with desk(tombstones=0.2) as it, it.open("/ws/btcusdt@aggTrade") as socket:
        await it.clock.run_for(60)
        frames = await socket.frames()
        ids = [frame["a"] for frame in frames]
        rows = await rest_rows(it, f"/api/v3/aggTrades?symbol=BTCUSDT&fromId={ids[0]}")
        truth = it.venue.trades("BTCUSDT", first_id=ids[0], end_id=ids[-1] + 1)
    void = [row for row in rows if row["f"] == -1]
    assert {(row["p"], row["q"], row["l"]) for row in void} == {("0.00000000", "0.00000000", -1)}
    assert 0 < len(void) < len(rows) / 2
    assert [frame["a"] for frame in frames if frame["f"] == -1] == [row["a"] for row in void]
    assert [one.id for one in truth] == [row["a"] for row in rows if row["f"] != -1]


async def test_streams_given_candles_close_as_they_are() -> None:
    rows = [
        [START + n * MINUTE, *"1312", "5E-05", START + (n + 1) * MINUTE - 1, "9", 3, *"120"]
        for n in (0, 1, 3)
    ]
    source = GivenCandles({("BTCUSDT", "1m"): rows})
    async with desk(symbols=None, candles=source) as it, it.open("/ws/btcusdt@kline_1m") as socket:
        await it.clock.run_for(250)
        frames = await socket.frames()
    assert [row_of(candle) for candle in closes(frames)] == rows
    forming = [frame["k"] for frame in frames if not frame["k"]["x"]]
    assert {
        (one["v"], one["n"], one["t"] in (rows[0][0], rows[1][0], rows[2][0])) for one in forming
    } == {("0", 0, True)}


async def test_streams_clock_that_jumps_sends_every_close_and_trade_in_order() -> None:
    path = "/stream?streams=btcusdt@kline_1m/ethusdt@kline_1m/btcusdt@aggTrade"
    async with desk() as it, it.open(path) as socket:
        await it.clock.run_for(1)
        it.clock.advance(3600)
        await it.clock.run_for(3)
        frames = await socket.frames()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        opened = [one["t"] for one in closes(frames) if one["s"] == symbol]
        assert opened == [START + n * MINUTE for n in range(60)]
    ids = [one["data"]["a"] for one in frames if one["stream"] == "btcusdt@aggTrade"]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert len(ids) > 3000
    forming = [one for one in frames if "kline" in one["stream"] and not one["data"]["k"]["x"]]
    assert len(forming) < 20


@pytest.mark.parametrize("factor", [300, 600])
async def test_streams_scaled_clock_delivers_all_closes(factor: int) -> None:
    clock = ScaledClock(factor, start_ms=START)
    async with (
        desk("futures", clock=clock) as it,
        it.open("/market/ws/btcusdt@kline_1m/ethusdt@kline_1m") as socket,
    ):
        found: list[Any] = []
        while len(found) < 12:
            found += closes([await socket.json()])
        start, end = found[0]["t"], found[-1]["t"]
        for symbol in ("BTCUSDT", "ETHUSDT"):
            got = [int(one["t"]) for one in found if one["s"] == symbol]
            truth = it.venue.frame(symbol, "1m", start_ms=got[0], end_ms=end + 1)
            assert got[0] - start in (0, MINUTE)
            assert got == truth["timestamp"].tolist()[: len(got)]


async def test_streams_two_readers_of_one_stream_hear_the_same() -> None:
    async with (
        desk() as it,
        it.open("/ws/btcusdt@aggTrade") as one,
        it.open("/stream?streams=btcusdt@aggTrade") as two,
    ):
        await it.clock.run_for(20)
        first, second = await one.frames(), await two.frames()
    assert [frame["data"] for frame in second] == first
    assert len(first) > 10


async def test_venue_trades_of_an_unknown_symbol_is_an_error() -> None:
    async with desk() as it:
        with pytest.raises(ValueError, match="NOPE"):
            it.venue.trades("NOPE", first_id=0, end_id=1)


def test_venue_ws_url_before_start_is_an_error() -> None:
    with pytest.raises(ValueError, match="not running"):
        _ = StandInVenue().ws_url


@pytest.mark.parametrize(("market", "share"), [("futures", 0.1), ("spot", 1.5), ("spot", -0.1)])
def test_venue_impossible_tombstones_are_an_error(market: Any, share: float) -> None:
    with pytest.raises(ValueError, match="tombstones"):
        StandInVenue(market, tombstones=share)
