"""A stream over a tape whose sockets left something out, and what REST has of that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from socketpeer import MINUTE, kline

from velas import frames
from velas.candles import frame_of
from velas.errors import Unsupported
from velas.feed import Frame
from velas.models import Candle, Market, Subscription, Trade
from velas.settings import Stream as StreamSettings
from velas.status import GapAbsent, GapFilled
from velas.stream import Stream
from velas.tape import Header, TapeWriter
from velas_replay import ReplayFeed

FIRST = 29_000_000  # the minute in which the recording begins
MARKET = Market("BTC/USDT", "BTCUSDT", "BTC", "USDT")
CANDLES = Subscription("candles", "BTC/USDT", "1m")
TRADES = Subscription("trades", "BTC/USDT")


def tape(path: Path, said: Sequence[tuple[int, object]], rest: Sequence[object]) -> Path:
    """Write a tape of what was said at some ms after its beginning, and of REST's rows."""
    header = Header("binance_spot", FIRST * MINUTE, (CANDLES, TRADES), (MARKET,), rest=True)
    with TapeWriter(path, header) as writer:
        writer.write(Frame("open", "stream-0", FIRST * MINUTE * 1_000_000))
        for after_ms, message in said:
            text = orjson.dumps(message).decode()
            writer.write(Frame("text", "stream-0", (FIRST * MINUTE + after_ms) * 1_000_000, text))
        for page in rest:
            writer.write_rest(*page)  # type: ignore[misc]
    return path


def closes(minutes: Sequence[int]) -> list[tuple[int, object]]:
    """Return the closed candles of some minutes, each just after its end."""
    return [(minute * MINUTE + 60_100, kline(at=FIRST + minute, closed=True)) for minute in minutes]


def candle_page(minutes: Sequence[int]) -> tuple[str, object]:
    rows = []
    for minute in minutes:
        open_ms = (FIRST + minute) * MINUTE
        prices, volumes = (1.5, 3.5, 0.5, 2.5), (20.5, 7, 4.25, 8.5)
        rows.append(
            Candle("BTC/USDT", "1m", open_ms, *prices, 10.25, open_ms + MINUTE - 1, *volumes)
        )
    frame = frame_of(rows)
    columns = {name: frame[name].tolist() for name in frames.COLUMNS}
    return "candles", {"symbol": "BTC/USDT", "interval": "1m", "columns": columns}


def trade(number: int) -> tuple[int, object]:
    """Return an aggregate trade, one each second."""
    at_ms = FIRST * MINUTE + number * 1000
    data = {
        "e": "aggTrade", "E": at_ms, "s": "BTCUSDT", "a": number, "p": "1.5", "q": "2",
        "f": number, "l": number, "T": at_ms, "m": False, "M": True,
    }  # fmt: skip
    return number * 1000, {"stream": "btcusdt@aggTrade", "data": data}


def trade_page(numbers: Sequence[int]) -> tuple[str, object]:
    rows = [
        [number, FIRST * MINUTE + number * 1000, "1.5", "2", False, number, number]
        for number in numbers
    ]
    return "trades", {"symbol": "BTC/USDT", "rows": rows}


async def streamed(path: Path, one: Subscription) -> list[object]:
    feed = ReplayFeed(path)
    settings = StreamSettings(memory_candles=5, mute_after_s=600.0)
    stream = Stream(feed.exchange, feed, clock=feed.clock, settings=settings)
    intervals = [] if one.interval is None else [one.interval]
    stream.subscribe(one.channel, [one.symbol], intervals=intervals)
    async with asyncio.timeout(20), stream:
        return [event async for event in stream.events()]


def minutes_of(events: Sequence[object]) -> list[int]:
    return [
        one.timestamp // MINUTE - FIRST
        for one in events
        if isinstance(one, Candle) and one.is_closed
    ]


async def test_hole_that_any_page_of_the_rest_side_covers_is_filled(tmp_path: Path) -> None:
    said = closes([minute for minute in range(150) if minute not in (2, 120)])
    pages = [candle_page(range(-5, 60)), candle_page(range(60, 150))]
    events = await streamed(tape(tmp_path / "x.tape", said, pages), CANDLES)
    assert minutes_of(events)[-150:] == list(range(150))
    assert sum(isinstance(one, GapFilled) for one in events) == 2
    assert not any(isinstance(one, GapAbsent) for one in events)


async def test_hole_before_the_rest_side_is_absent_and_the_stream_goes_on(tmp_path: Path) -> None:
    said = closes([minute for minute in range(150) if minute not in (2, 120)])
    path = tape(tmp_path / "x.tape", said, [candle_page(range(50, 150))])
    events = await streamed(path, CANDLES)
    closed = minutes_of(events)
    assert closed[-148:] == [minute for minute in range(1, 150) if minute != 2]
    absent = [one for one in events if isinstance(one, GapAbsent)]
    assert "its REST part has no BTC/USDT 1m candles before" in absent[-1].reason
    assert absent[-1].start_ms == (FIRST + 2) * MINUTE


async def test_trades_missing_before_the_rest_side_are_absent_and_the_stream_goes_on(
    tmp_path: Path,
) -> None:
    there = [number for number in range(1, 200) if number not in (5, 6, 150)]
    path = tape(
        tmp_path / "x.tape", [trade(number) for number in there], [trade_page([*range(100, 200)])]
    )
    events = await streamed(path, TRADES)
    got = [one.id for one in events if isinstance(one, Trade)]
    assert got == [number for number in range(1, 200) if number not in (5, 6)]
    (absent,) = [one for one in events if isinstance(one, GapAbsent)]
    assert "its REST part has no trades of BTC/USDT before 100" in absent.reason


async def test_rest_side_says_where_it_begins_and_has_history_from_there(tmp_path: Path) -> None:
    said = closes(range(150))
    path = tape(tmp_path / "x.tape", said, [candle_page(range(-20, 150))])
    exchange = ReplayFeed(path).exchange
    end_ms = FIRST * MINUTE
    with pytest.raises(Unsupported, match=r"its REST part has no BTC/USDT 1m candles before \d+"):
        await exchange.fetch_candles(
            "BTC/USDT", "1m", start_ms=end_ms - 30 * MINUTE, end_ms=end_ms - 25 * MINUTE
        )
    with pytest.raises(Unsupported, match="its REST part has no trades of BTC/USDT"):
        await exchange.fetch_trades("BTC/USDT", from_id=1)
    assert await exchange.fetch_trades("BTC/USDT") == []
    pages = exchange.iter_candles("BTC/USDT", "1m", start_ms=end_ms - 3000 * MINUTE, end_ms=end_ms)
    opens = [open_ms async for page in pages for open_ms in page["timestamp"]]
    assert [open_ms // MINUTE - FIRST for open_ms in opens] == list(range(-20, -1))
