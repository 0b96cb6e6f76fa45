"""The table, the words and the pipes of `velas stream`."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fake_stream import AT, MINUTE, FakeStream, candle, ticker, trade
from rich.console import Console

from velas import status
from velas.cli.live import watch
from velas.cli.live_board import Board
from velas.cli.live_json import JsonLines, event_document
from velas.cli.live_plain import PlainLines
from velas.cli.live_table import LiveTable, render
from velas.cli.live_words import event_text, number, span, status_text
from velas.cli.stream import _view_of
from velas.models import Subscription
from velas.settings import Settings
from velas.testing import ManualClock

CANDLES = Subscription("candles", "BTC/USDT", "1m")
TRADES = Subscription("trades", "BTC/USDT")
TICKERS = Subscription("book_ticker", "BTC/USDT")
WHERE: dict[str, Any] = {"at_ms": AT, "channel": "candles", "symbol": "BTC/USDT", "interval": "1m"}
HOLE: dict[str, Any] = {
    **WHERE,
    "start_ms": AT,
    "end_ms": AT + 3 * MINUTE,
    "missing": 3,
    "reason": "socket",
}


def board_of(*events, series=(CANDLES,), clock=None) -> Board:
    board = Board(list(series), clock or ManualClock())
    for event in events:
        board.take(event)
    return board


def shown(board: Board, *, width: int = 120, height: int = 24) -> str:
    console = Console(record=True, width=width, height=height, file=io.StringIO())
    console.print(render(board, "velas: here", width=width, height=height))
    return console.export_text()


# --- the table


def test_table_shows_a_row_per_series_with_its_newest_candle():
    clock = ManualClock()
    board = board_of(candle(0), candle(1, is_closed=False, sequence=0, source="rest"), clock=clock)
    clock.advance(3)
    title, head, row = (line.split() for line in shown(board).splitlines())
    assert title[:5] == ["velas:", "here", "2", "events,", "1"]
    assert head == [
        "symbol",
        "iv",
        "state",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "candle",
        "last",
        "close",
        "seq",
        "via",
        "age",
    ]
    assert row[:3] == ["BTC/USDT", "1m", "live"]
    assert row[3:8] == ["64000.5", "64010.25", "63990", "64001", "1.5"]
    assert row[8:] == ["forming", "11-14", "22:15:00", "1", "rest", "3", "s"]


def test_table_before_the_first_event_shows_what_is_waited_for():
    assert shown(board_of()).splitlines()[-1].split()[:4] == ["BTC/USDT", "1m", "waiting", "-"]


def test_table_narrow_leaves_out_open_high_and_low():
    text = shown(board_of(candle()), width=80)
    assert "close" in text
    assert "high" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_table_has_trades_and_book_tickers_too():
    text = shown(board_of(trade(), ticker(), series=(TRADES, TICKERS)))
    assert "sell" in text
    assert "0.00001" in text
    assert "64000.2" in text
    assert "iv" not in text.split()


def test_table_of_trades_and_book_tickers_before_the_first_waits():
    rows = [row.split() for row in shown(board_of(series=(TRADES, TICKERS))).splitlines()]
    assert rows[2] == ["BTC/USDT", "waiting", *"-------"]
    assert rows[4] == ["BTC/USDT", "waiting", *"------"]


def test_table_shows_the_last_five_statuses():
    cuts = [status.Disconnected(at_ms=AT, connection="s", reason=f"cut {n}") for n in range(7)]
    text = shown(board_of(*cuts))
    assert "cut 1" not in text
    assert all(f"cut {n}" in text for n in range(2, 7))


def test_table_too_high_shows_the_troubled_series_first_and_says_how_many_more():
    many = [Subscription("candles", f"C{n}/USDT", "1m") for n in range(30)]
    gap = status.GapDetected(**{**HOLE, "symbol": "C29/USDT"})
    text = shown(board_of(gap, series=many), height=12)
    assert len(text.splitlines()) <= 12
    assert "C29/USDT" in text.splitlines()[2]
    assert "more series" in text


async def at_once(function, *args, **more):
    return function(*args, **more)


async def test_table_is_drawn_four_times_a_second_whatever_comes(monkeypatch):
    clock, drawn = ManualClock(), []
    real = render
    monkeypatch.setattr(
        "velas.cli.live_table.render",
        lambda *args, **more: drawn.append(clock.monotonic_s()) or real(*args, **more),
    )
    monkeypatch.setattr("asyncio.to_thread", at_once)  # a thread knows nothing of the clock
    board = board_of()
    console = Console(file=io.StringIO(), width=120, height=24)
    async with LiveTable(board, "x", console=console, clock=clock) as view:
        for number_ in range(1000):
            board.take(candle(number_))
            await view.show(candle(number_))
        await clock.run_for(1.0)
    assert drawn == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]  # the last one as it closes


async def test_table_closed_while_it_is_drawn_draws_the_newest_last(monkeypatch):
    begun, go_on, order = asyncio.Event(), asyncio.Event(), []

    async def later(function, *args, **more):
        first = not begun.is_set()
        begun.set()
        if first:  # takes until after the view is left
            await go_on.wait()
        order.append("first" if first else "next")
        function(*args, **more)

    monkeypatch.setattr("asyncio.to_thread", later)
    console = Console(file=io.StringIO(), width=120, height=24)
    async with LiveTable(board_of(), "x", console=console, clock=ManualClock()):
        await asyncio.wait_for(begun.wait(), 30)
        asyncio.get_running_loop().call_later(0.01, go_on.set)
    assert order == ["first", "next"]


async def test_table_stays_on_the_screen_as_it_was_at_the_end():
    file = io.StringIO()
    board, console = board_of(), Console(file=file, width=120, height=24, force_terminal=True)
    async with LiveTable(board, "x", console=console, clock=ManualClock()):
        board.take(candle(close=123.25))
    assert "123.25" in file.getvalue()
    assert file.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is back


@pytest.mark.parametrize(
    ("as_json", "terminal", "kind"),
    [(True, True, JsonLines), (False, True, LiveTable), (False, False, PlainLines)],
)
def test_view_is_chosen_by_what_stdout_is(monkeypatch, as_json, terminal, kind):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    view = _view_of(Settings(), as_json=as_json)(board_of())
    assert isinstance(view, kind)


# --- the board


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], "waiting"),
        ([candle()], "live"),
        ([candle(), status.StreamMute(silent_s=30.0, **WHERE)], "mute"),
        ([status.StreamMute(silent_s=30.0, **WHERE), status.FellBack(reason="x", **WHERE)], "rest"),
        ([candle(), status.FellBack(reason="x", **WHERE), status.Recovered(after_s=5, **WHERE)],
         "live"),
        ([status.FellBack(reason="x", **WHERE), status.GapDetected(**HOLE)], "gap"),
        ([candle(), status.GapDetected(**HOLE), status.GapFilled(**HOLE)], "live"),
        ([status.CatchingUp(missing=9, **WHERE), candle(-1)], "history"),
        ([status.CatchingUp(missing=9, **WHERE), candle(0)], "live"),
        ([candle(-1), status.CatchingUp(missing=9, **WHERE),
          status.CatchingUp(missing=0, **WHERE)], "live"),
        ([status.GapDetected(**HOLE), status.StoreFailed(error="full", **WHERE)], "not stored"),
        ([status.StoreFailed(error="full", **WHERE), candle(is_closed=False)], "not stored"),
        ([status.StoreFailed(error="full", **WHERE), candle()], "live"),
        ([candle(), status.StoreFailed(error="full", **WHERE), status.StoreRecovered(**WHERE)],
         "live"),
    ],
)  # fmt: skip
def test_board_state_is_the_most_serious_of_what_is_true(events, state):
    assert board_of(*events).rows[CANDLES].state == state


def test_board_gap_filled_in_part_stays_open_until_the_rest_is_known():
    board = board_of(status.GapDetected(**HOLE))
    middle = {**HOLE, "start_ms": AT + MINUTE, "end_ms": AT + 2 * MINUTE, "missing": 1}
    board.take(status.GapFilled(**middle))
    assert board.rows[CANDLES].open_gaps == [(AT, AT + MINUTE), (AT + 2 * MINUTE, AT + 3 * MINUTE)]
    board.take(status.GapAbsent(**{**HOLE, "reason": "venue"}))
    assert board.complete
    assert (board.tally.gaps_filled, board.tally.gaps_absent, board.tally.lost) == (1, 1, 0)


def test_board_counts_a_reconnect_per_connection_that_came_back():
    def of(kind, name, **more):
        return kind(at_ms=AT, connection=name, **more)

    board = board_of(
        of(status.Connected, "a"),
        of(status.Connected, "b"),
        of(status.Disconnected, "a", reason="cut"),
        of(status.Disconnected, "a", reason="refused"),
        of(status.Connected, "a"),
    )
    assert board.tally.reconnects == 1


def test_board_of_a_series_that_was_not_asked_for_has_a_row_too():
    board = board_of(candle(symbol="ETH/USDT"))
    assert [one.symbol for one in board.rows] == ["BTC/USDT", "ETH/USDT"]


# --- words


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (status.GapDetected(**HOLE), "gap, 3 candles from 2023-11-14 22:14:00 on; asking by REST"),
        (status.GapAbsent(**HOLE), "will not come: LOST: socket"),
        (status.GapAbsent(**{**HOLE, "reason": "venue"}), "will not come: the venue has none"),
        (status.GapFilled(**{**HOLE, "missing": 1}), "gap filled, 1 candle from"),
        (status.GapFilled(**{**HOLE, "channel": "trades", "interval": None, "start_ms": 5}),
         "BTC/USDT trades: gap filled, 3 trades from id 5 on"),
        (status.StreamMute(silent_s=95, **WHERE), "22:14:00 BTC/USDT 1m: mute for 1 min 35 s"),
        (status.FellBack(reason="mute", **WHERE), "served by REST from now on: mute"),
        (status.Recovered(after_s=7300, **WHERE), "served by the socket again, after 2 h 1 min"),
        (status.CandleRevised(before=candle(), after=candle(close=2.0), **WHERE),
         "revised 2023-11-14 22:14:00: close 64001 -> 2, volume 1.5 -> 1.5"),
        (status.StoreFailed(error="full", **WHERE),
         "NOT STORED; it will be tried again, and candles wait until then: full"),
        (status.Connected(at_ms=AT, connection="s", streams=3), "s: connected, 3 streams"),
        (status.Reconnecting(at_ms=AT, connection="s", attempt=2, delay_s=1.5),
         "s: next attempt in 1.5 s (2 failed)"),
        (status.Reconnecting(at_ms=AT, connection="s", attempt=1, delay_s=0.01), "in 0.1 s (1"),
        (status.Reconnecting(at_ms=AT, connection="s", attempt=1, delay_s=1.1), "in 1.1 s (1"),
        (status.Reconnecting(at_ms=AT, connection="s", attempt=1, delay_s=9.91), "in 10 s (1"),
        (status.Reconnecting(at_ms=AT, connection="s", attempt=1, delay_s=30.2), "in 31 s (1"),
        (status.Connected(at_ms=AT, connection="s", streams=1), "connected, 1 stream"),
        (status.CatchingUp(missing=1_138_861, **WHERE),
         "BTC/USDT 1m: fetching history, 1,138,861 candles to go, live ones wait"),
        (status.StoreRecovered(**WHERE), "stored again; the candles that waited for it come now"),
        (status.CandleUnconfirmed(candle=candle(), **WHERE),
         "later candles but not 2023-11-14 22:14:00, which its socket closed at 64001,"),
        (status.CandlesUnchecked(start_ms=AT, end_ms=AT, count=21, reason="so", **WHERE),
         "21 candles from 2023-11-14 22:14:00 on will not be compared with the venue's REST: so"),
        (status.Rotated(at_ms=AT, connection="s", reason="24 h"), "replaced by a new connection"),
        (status.BadFrame(at_ms=AT, connection="s", reason="no JSON"), "skipped: no JSON"),
        (status.BudgetLow(at_ms=AT, used=5500, limit=6000), "low: 5,500 of 6,000 are spent"),
        (status.Banned(at_ms=AT, until_ms=None, reason="418"), "refuses requests for now: 418"),
        (status.Banned(at_ms=AT, until_ms=AT, reason="418"), "until 2023-11-14 22:14:00: 418"),
        (status.ConsumerSlow(at_ms=AT, waiting=9, what="so"), "9 events wait to be shown: so"),
        (status.CallbackFailed(at_ms=AT, callback="f", error=ValueError("x")), "ValueError('x')"),
        (status.Status(at_ms=AT), "22:14:00 Status"),
    ],
)  # fmt: skip
def test_status_text_says_it_in_words(event, words):
    assert words in status_text(event)


def test_status_text_has_words_for_every_kind():
    from velas.cli.live_words import _WORDS

    kinds = {getattr(status, name) for name in status.__all__}
    assert {kind for kind in kinds if not kind.__subclasses__()} <= set(_WORDS)


@pytest.mark.parametrize(
    ("value", "text"),
    [(64001.0, "64001"), (0.1, "0.1"), (1e-8, "0.00000001"), (1.5e-7, "0.00000015"), (1e3, "1000")],
)  # fmt: skip
def test_number_has_the_digits_it_has(value, text):
    assert number(value) == text


def test_span_is_in_the_unit_that_suits():
    assert [span(5), span(65), span(3700)] == ["5 s", "1 min 5 s", "1 h 1 min"]


def test_event_text_of_a_forming_candle_and_a_dated_ticker():
    assert "forming ws" in event_text(candle(is_closed=False, sequence=0))
    assert event_text(ticker(timestamp=AT)).startswith("2023-11-14 22:14:00  BTC/USDT  bid")


# --- plain lines and pipes


async def test_plain_lines_show_a_book_ticker_once_a_second(capsys):
    clock = ManualClock()
    async with PlainLines(clock) as view:
        for _ in range(10):
            await view.show(ticker())
            clock.advance(0.3)
    assert len(capsys.readouterr().out.splitlines()) == 3


async def test_json_lines_a_full_pipe_does_not_hold_up_the_loop(monkeypatch):
    reading, writing = os.pipe()
    turned = threading.Event()
    with ThreadPoolExecutor(1) as pool, os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        reader = pool.submit(_read_when, turned, reading)
        async with JsonLines() as view:
            filling = asyncio.ensure_future(_fill(view))
            for _ in range(1000):  # more turns than it takes to fill the pipe
                await asyncio.sleep(0)
            held_up = filling.done()
            turned.set()
            written = await filling
        monkeypatch.undo()
    assert not held_up
    assert reader.result() == (True, written)


async def _fill(view: JsonLines) -> int:
    events = [candle(each) for each in range(500)]
    for event in events:
        await view.show(event)
    return sum(len(json.dumps(event_document(event))) + 1 for event in events)


def _read_when(turned: threading.Event, fd: int) -> tuple[bool, int]:
    in_time, total = turned.wait(30), 0
    while data := os.read(fd, 65536):
        total += len(data)
        if total > 180_000:  # all of it: the other end stays open until we are done
            break
    os.close(fd)
    return in_time, total


# --- watching


async def test_watch_that_cannot_show_lets_go_of_the_stream():
    class Gone(JsonLines):
        async def show(self, event):
            raise BrokenPipeError

    stream = FakeStream([candle()])
    with pytest.raises(BrokenPipeError):
        async with stream:
            await watch(stream, board_of(), Gone(), asyncio.Event())
    assert stream.finished
    assert stream.closed.is_set()


async def test_watch_stops_after_so_many_seconds_of_the_clock():
    clock, stream = ManualClock(), FakeStream([candle()])
    task = asyncio.ensure_future(
        watch(stream, board_of(), JsonLines(), asyncio.Event(), 60.0, clock=clock)
    )
    await clock.run_for(59)
    assert not task.done()
    await clock.run_for(1)
    await asyncio.wait_for(task, 30)
