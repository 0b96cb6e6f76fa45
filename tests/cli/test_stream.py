from __future__ import annotations

import asyncio
import json
import os
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fake_stream import AT, MINUTE, FakeStream, candle, ticker, trade
from fakes import FakeExchange, candles

from velas import status
from velas.errors import StoreFull, Unavailable, UnknownSymbol

ONE = ("stream", "--symbol", "BTC/USDT", "--interval", "1h")
SOON = ("--seconds", "0.01")
HOLE: dict[str, Any] = {"channel": "candles", "symbol": "BTC/USDT", "interval": "1m", "at_ms": AT}
WHERE: dict[str, Any] = dict(HOLE)
NOT_STORED = status.StoreFailed(error="full", **WHERE)
GONE = status.RowsLost(before=1008, now=9, **WHERE)
HOLE |= {"start_ms": AT, "end_ms": AT + MINUTE, "missing": 1, "reason": "socket"}


@pytest.fixture
def play(monkeypatch, venue):
    """Have the command stream what a test wrote down."""

    def install(*script, **more) -> FakeStream:
        stream = FakeStream(script, **more)

        def open_stream(settings, exchange, store=None, *, ledger=None, clock=None):
            stream.store = store
            return stream

        monkeypatch.setattr("velas.registry.open_stream", open_stream)
        return stream

    return install


def lines(result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# --- what is subscribed


def test_stream_without_options_takes_the_candles_of_the_settings(velas, play, monkeypatch):
    monkeypatch.setenv("VELAS_CONFIG", "c.yaml")
    pairs = "history: {symbols: [BTC/USDT, ETH/USDT], intervals: [1h, 2h]}"
    Path("c.yaml").write_text(pairs)
    stream = play()
    result = velas("stream", *SOON)
    assert result.exit_code == 0, result.output
    assert stream.subscribed == [
        ("candles", ("BTC/USDT",), ("1h", "2h")),
        ("candles", ("ETH/USDT",), ("1h", "2h")),
    ]
    assert stream.store is None


def test_stream_options_name_channels_symbols_and_intervals_each_once(velas, play):
    stream = play()
    every = ("--channel", "candles", "--channel", "trades", "--channel", "book_ticker")
    result = velas(*ONE, "--symbol", "BTCUSDT", "--interval", "1h", *every, *SOON)
    assert result.exit_code == 0, result.output
    assert stream.subscribed == [
        ("candles", ("BTC/USDT",), ("1h",)),
        ("trades", ("BTC/USDT",), ()),
        ("book_ticker", ("BTC/USDT",), ()),
    ]


def test_stream_pairs_of_the_settings_that_are_not_listed_are_left_out_and_named(velas, play):
    stream = play()
    result = velas("stream", "--interval", "1h", *SOON)
    assert result.exit_code == 1, result.output  # something is missing
    assert [symbols for _, symbols, _ in stream.subscribed] == [("BTC/USDT",), ("ETH/USDT",)]
    assert "velas: left out: no SOL" in result.stderr


# --- bad input


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--symbol", "BTCUSTD", "--interval", "1h"), "no BTCUSTD"),
        (("--symbol", "BTC/USDT", "--symbol", "X", "--interval", "1h"), "velas: error: no X\n"),
        (("--symbol", "../x"), "cannot name a series"),
        (("--interval", "7m"), "7m"),
        (("--interval", "5m"), "binance_spot has no interval 5m; it has 1h, 2h, 1d"),
        (("--channel", "depth"), "'candles', 'trades', 'book_ticker'"),
        (("--channel", "trades", "--interval", "1h"), "--interval is for --channel candles"),
        (("--channel", "trades", "--store"), "--store is for --channel candles"),
        (("--seconds", "0"), "it takes a number above 0 up to 1,000,000,000."),
        (("--seconds", "nan"), "'nan' cannot be used; it takes a number above 0"),
        (("--seconds", "abc"), "'--seconds': 'abc' cannot be used; it takes a number above 0"),
    ],
)
def test_stream_bad_input_is_2_before_a_stream_is_opened(velas, play, args, said):
    stream = play()
    result = velas("stream", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert stream.subscribed == []


def test_stream_of_nothing_that_is_listed_is_2(velas, play, monkeypatch):
    async def market(self, symbol):
        raise UnknownSymbol(f"no {symbol}")

    monkeypatch.setattr(FakeExchange, "market", market)
    result = velas("stream", "--interval", "1h")
    assert result.exit_code == 2
    assert "binance_spot lists none of: BTC/USDT" in result.stderr


def test_stream_venue_not_reachable_is_3_and_leaves_nothing(velas, play, monkeypatch, tmp_path):
    async def market(self, symbol):
        raise Unavailable("refused")

    monkeypatch.setattr(FakeExchange, "market", market)
    result = velas(*ONE, "--json")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "velas: error: refused\n"
    assert list(tmp_path.iterdir()) == []


# --- JSON lines


def test_stream_json_candle_has_the_eleven_columns_and_its_place(velas, play):
    play(candle(quote_volume=float("nan"), taker_buy_base=None))
    (line,) = lines(velas(*ONE, *SOON, "--json"))
    assert line == {
        "type": "candle", "symbol": "BTC/USDT", "interval": "1m", "timestamp": AT,
        "open": 64000.5, "high": 64010.25, "low": 63990.0, "close": 64001.0, "volume": 1.5,
        "close_time": AT + MINUTE - 1, "quote_volume": None, "trades": 12,
        "taker_buy_base": None, "taker_buy_quote": 32000.0, "is_closed": True, "sequence": 1,
        "source": "ws",
    }  # fmt: skip
    assert list(line)[:4] == ["type", "symbol", "interval", "timestamp"]


def test_stream_json_trade_and_book_ticker_have_exact_decimals(velas, play):
    play(trade(quantity=Decimal("1E-5")), ticker())
    first, second = lines(velas(*ONE, *SOON, "--json"))
    assert first == {
        "type": "trade", "symbol": "BTC/USDT", "id": 7, "timestamp": AT, "price": "64000.10",
        "quantity": "0.00001", "is_buyer_maker": True, "first_trade_id": 14, "last_trade_id": 15,
    }  # fmt: skip
    assert second == {
        "type": "book_ticker", "symbol": "BTC/USDT", "bid": "64000.1", "bid_quantity": "2",
        "ask": "64000.2", "ask_quantity": "3", "timestamp": None, "update_id": 5,
    }  # fmt: skip


def test_stream_json_status_has_its_fields_nested_candles_and_errors_as_text(velas, play):
    where = {"channel": "candles", "symbol": "BTC/USDT", "interval": "1m"}
    play(
        status.StreamMute(at_ms=5, silent_s=31.5, **where),
        status.CandleRevised(at_ms=6, before=candle(), after=candle(close=1.0), **where),
        status.CallbackFailed(at_ms=7, callback="f", error=ValueError("no")),
        status.CandleUnconfirmed(at_ms=8, candle=candle(close=2.0), **where),
    )
    mute, revised, failed, unconfirmed = lines(velas(*ONE, *SOON, "--json"))
    assert mute == {"type": "status", "status": "StreamMute", "at_ms": 5, **where, "silent_s": 31.5}
    assert (revised["before"]["close"], revised["after"]["close"]) == (64001.0, 1.0)
    assert revised["after"]["sequence"] == 1
    assert failed["error"] == "ValueError: no"
    assert (unconfirmed["candle"]["close"], unconfirmed["candle"]["timestamp"]) == (2.0, AT)


def test_stream_json_says_nothing_else(velas, play):
    play(candle(), status.Connected(at_ms=1, connection="spot-1", streams=1))
    result = velas(*ONE, *SOON, "--json")
    assert [line["type"] for line in lines(result)] == ["candle", "status"]
    assert result.stderr == ""


def test_stream_shows_what_was_accepted_before_it_was_told_to_stop(velas, play):
    stream = play(candle(0), late=[candle(1)])
    result = velas(*ONE, *SOON, "--json")
    assert [line["sequence"] for line in lines(result)] == [1, 2]
    assert stream.finished


# --- plain lines


def test_stream_off_a_terminal_writes_closed_candles_and_trades(velas, play):
    play(candle(is_closed=False, sequence=0), candle(), trade(), ticker(), ticker())
    result = velas(*ONE, *SOON)
    assert result.stdout.splitlines() == [
        "2023-11-14 22:14:00  BTC/USDT 1m  64000.5 64010.25 63990 64001  vol 1.5  #1 ws",
        "2023-11-14 22:14:00  BTC/USDT  sell 0.00001 at 64000.10  id 7",
        "-  BTC/USDT  bid 64000.1 (2)  ask 64000.2 (3)",
    ]


def test_stream_off_a_terminal_says_statuses_and_a_summary_on_stderr(velas, play):
    gone = {"at_ms": AT, "connection": "spot-1"}
    play(
        status.Disconnected(reason="cut", **gone),
        status.GapDetected(**HOLE),
        status.Connected(streams=1, **gone),
        candle(),
        status.GapFilled(**HOLE),
    )
    result = velas(*ONE, *SOON)
    due, first, *_, last = result.stderr.splitlines()
    assert due.startswith("velas: next close: BTC/USDT 1h at ")
    assert first == "velas: 22:14:00 spot-1: disconnected: cut"
    assert last == (
        "velas: 1 event, 1 closed candle, gaps 1 filled and 0 absent, 1 reconnect in 0 s"
    )


# --- how it ends


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ([status.GapDetected(**HOLE)], 1, "a gap was still open at the end"),
        ([status.GapDetected(**HOLE), status.GapFilled(**HOLE)], 0, "1 filled"),
        ([status.GapAbsent(**{**HOLE, "reason": "venue"})], 0, "1 absent"),
        ([status.GapAbsent(**HOLE)], 1, "1 candle or trade could not be had"),
        (
            [status.StoreFailed(at_ms=1, channel="candles", symbol="BTC/USDT", interval="1m",
                                error="full")],
            1,
            "could not be stored",
        ),
        (
            [status.StoreFailed(at_ms=1, channel="candles", symbol="BTC/USDT", interval="1m",
                                error="full"), candle()],
            0,
            "1 closed candle,",
        ),
        ([NOT_STORED, status.Recovered(after_s=1, **WHERE)], 1, "could not be stored"),
        ([NOT_STORED, candle(is_closed=False, sequence=0)], 1, "could not be stored"),
        ([NOT_STORED, candle(interval="5m")], 1, "could not be stored"),
        ([GONE, candle()], 1, "999 rows that were stored are gone"),
        ([NOT_STORED, status.StoreRecovered(**WHERE)], 0, "0 events"),
        ([NOT_STORED, status.StoreRecovered(**WHERE), NOT_STORED], 1, "could not be stored"),
        ([status.CatchingUp(missing=9, **WHERE)], 1, "history was still being fetched"),
        ([status.CatchingUp(missing=9, **WHERE), candle(1)], 0, "1 closed candle,"),
    ],
)  # fmt: skip
def test_stream_ends_as_complete_as_it_was(velas, play, script, code, said):
    play(*script)
    result = velas(*ONE, *SOON)
    assert result.exit_code == code
    assert said in result.stderr


def test_stream_interrupted_with_a_candle_not_stored_is_1(velas, play):
    play(NOT_STORED, lambda: os.kill(os.getpid(), signal.SIGINT))
    result = velas(*ONE)
    assert result.exit_code == 1
    assert "BTC/USDT 1m: the newest candle could not be stored" in result.stderr


def test_stream_that_fails_is_the_error_and_its_code(velas, play):
    stream = play(candle(), Unavailable("gone"))
    result = velas(*ONE, "--json")
    assert result.exit_code == 3
    assert result.stderr == "velas: error: gone\n"
    assert stream.closed.is_set()


def test_stream_that_cannot_store_on_closing_is_an_error(velas, play):
    def on_close():
        raise StoreFull("no space")

    play(candle(), on_close=on_close)
    result = velas(*ONE, *SOON)
    assert result.exit_code == 1
    assert "velas: error: no space" in result.stderr


def test_stream_that_ends_by_itself_is_done(velas, play):
    play(candle(), ends=True)
    assert velas(*ONE).exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stream_interrupted_shows_the_rest_and_is_130(velas, play, number):
    stream = play(candle(0), lambda: os.kill(os.getpid(), number), late=[candle(1)])
    result = velas(*ONE, "--json")
    assert result.exit_code == 130
    assert [line["sequence"] for line in lines(result)] == [1, 2]
    assert stream.finished


def test_stream_interrupted_before_anything_is_subscribed_is_130(velas, play, monkeypatch):
    async def market(self, symbol):
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    monkeypatch.setattr(FakeExchange, "market", market)
    stream = play()
    result = velas(*ONE, "--json")
    assert (result.exit_code, result.stdout, stream.subscribed) == (130, "", [])


# --- storing


def test_stream_store_is_handed_over_and_what_was_added_is_said(velas, play, store_with):
    store_with({("BTC/USDT", "1h"): 3})

    def append():
        stream.store.append(candles([AT // 3_600_000 * 3_600_000]), "BTC/USDT", "1h")
        stream.stored["BTC/USDT", "1h"] = 1  # by itself, whatever others add

    stream = play(append)
    result = velas(*ONE, *SOON, "--store", "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == "velas: stored: BTC/USDT 1h: 1 row added\n"


def test_stream_without_store_makes_no_file(velas, play, tmp_path):
    play(candle())
    assert velas(*ONE, *SOON).exit_code == 0
    assert list(tmp_path.iterdir()) == []
