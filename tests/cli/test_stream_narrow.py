"""The table of `velas stream` where there is little room, and the lines where there is none."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import pytest
from fake_stream import AT, MINUTE, candle, ticker, trade
from rich.console import Console

from velas import status
from velas.cli.live_board import Board
from velas.cli.live_plain import PlainLines
from velas.cli.live_table import render
from velas.cli.live_words import next_close_text
from velas.models import Subscription
from velas.testing import ManualClock

CANDLES = Subscription("candles", "BTC/USDT", "1m")
WHERE: dict[str, Any] = {"at_ms": AT, "channel": "candles", "symbol": "BTC/USDT", "interval": "1m"}


def board_of(*events) -> Board:
    board = Board([], ManualClock())
    for event in events:
        board.take(event)
    return board


def shown(board: Board, *, width: int, height: int = 24) -> list[str]:
    console = Console(record=True, width=width, height=height, file=io.StringIO())
    console.print(render(board, "velas: here", width=width, height=height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", range(20, 130))
def test_table_of_any_width_cuts_no_symbol_interval_or_price(width):
    board = board_of(candle(close=46071.1234567, volume=123456.789), candle(1, sequence=12_345))
    board.take(candle(symbol="ETH/USDT", close=2501.5))
    lines = shown(board, width=width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    rows = [line.split() for line in lines if line.startswith(("BTC", "ETH"))]
    assert [row[:2] for row in rows] == [["BTC/USDT", "1m"], ["ETH/USDT", "1m"]]
    assert "64001" in rows[0]
    assert "2501.5" in rows[1]


def test_table_gives_up_its_columns_one_after_the_other():
    board = board_of(candle(volume=123456.789))
    heads = {tuple(shown(board, width=width)[-2].split()) for width in range(40, 120)}
    by_length = sorted(heads, key=len)
    assert by_length[0][:3] == ("symbol", "iv", "state")
    assert all(set(less) < set(more) for less, more in pairwise(by_length))
    order = [set(more) - set(less) for less, more in pairwise(by_length)]
    assert order[-2:] == [{"age"}, {"open", "high", "low"}]
    assert [{"via"}, {"seq"}, {"last"}, {"volume"}] == order[-3:-7:-1]


@pytest.mark.parametrize("width", [30, 40, 50])
def test_table_narrow_keeps_the_prices_of_trades_and_book_tickers(width):
    text = "\n".join(shown(board_of(trade(), ticker()), width=width))
    assert all(price in text for price in ("64000.10", "64000.1", "64000.2"))
    assert "…" not in text


def test_table_wraps_a_long_status_and_cuts_nothing_of_it():
    reason = " ".join(f"word{n}" for n in range(30))
    lines = shown(board_of(status.StoreFailed(error=reason, **WHERE)), width=50)
    assert max(map(len, lines)) <= 50
    assert f": {reason}" in " ".join(line.strip() for line in lines)


def test_table_with_long_statuses_still_fits_the_terminal_with_a_row():
    long = [status.StoreFailed(error="a word " * 40, **WHERE) for _ in range(5)]
    lines = shown(board_of(candle(), *long), width=60, height=16)
    assert len(lines) <= 16
    assert any(line.startswith("BTC/USDT 1m") for line in lines)


def test_table_too_high_shows_the_series_that_are_not_live_first_by_their_severity():
    board = board_of(*(candle(symbol=f"C{n}/USDT") for n in range(30)))
    kinds = [
        (9, status.FellBack, {"reason": "x"}),
        (19, status.CatchingUp, {"missing": 9, "at_ms": AT + 10 * MINUTE}),
        (28, status.StreamMute, {"silent_s": 9}),
        (29, status.StoreFailed, {"error": "x"}),
    ]
    for number, kind, more in kinds:
        board.take(kind(**{**WHERE, "symbol": f"C{number}/USDT", **more}))
    rows = [line.split()[0] for line in shown(board, width=100, height=16)[2:]]
    assert rows[:5] == ["C29/USDT", "C28/USDT", "C19/USDT", "C9/USDT", "C0/USDT"]


@pytest.mark.parametrize(
    ("series", "text"),
    [
        ([("BTC/USDT", "30m")], "next close: BTC/USDT 30m at 22:30:00"),
        ([("BTC/USDT", "30m"), ("ETH/USDT", "1m")], "next close: ETH/USDT 1m at 22:15:00"),
        ([("A", "1h"), ("B", "1h"), ("C", "2h")], "next close: A 1h and 1 more at 23:00:00"),
        ([("A", "1M")], "next close: A 1M at 2023-12-01 00:00:00"),
        ([("A", None)], None),
    ],
)
def test_next_close_text_names_the_first_and_its_time(series, text):
    watched = [Subscription("candles" if i else "trades", name, i) for name, i in series]
    assert next_close_text(watched, AT) == text


async def test_plain_lines_say_once_when_the_next_candle_is_due(capsys):
    async with PlainLines(ManualClock(start_ms=AT), [CANDLES]) as view:
        await view.show(candle())
    assert capsys.readouterr().err == "velas: next close: BTC/USDT 1m at 22:15:00\n"
