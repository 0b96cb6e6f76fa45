from __future__ import annotations

import io
import sys

import pytest
from fakes import FakeExchange

from velas.cli.progress import Pace, announce, progress_bar, waiting_reason
from velas.history import Plan, Range, SeriesPlan, Stored
from velas.interval import Interval
from velas.limit_models import LimiterSnapshot

HOURLY = Interval("1h")
PART = Range(0, 3_600_000_000, "tail", 1000, 4)
PLAN = Plan("fake", (SeriesPlan("BTCUSDT", "BTC/USDT", HOURLY, ranges=(PART,)),))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_pace_is_over_the_last_ten_seconds():
    now = iter([0.0, 5.0, 20.0, 25.0])
    pace = Pace(lambda: next(now))
    assert pace.rate(0) == 0.0
    assert pace.rate(50) == 10.0
    assert pace.rate(50) == 0.0
    assert pace.rate(100) == 10.0


def test_announce_says_what_comes(capsys):
    announce(PLAN)
    assert capsys.readouterr().err == (
        "velas: fake: 1,000 candles of 1 series, 4 requests, less than a minute\n"
    )


def test_progress_off_a_terminal_is_silent(capsys):
    with progress_bar(PLAN, FakeExchange({})) as on_stored:
        on_stored(Stored("BTCUSDT", "1h", 4, 1000))
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal_shows_rows_on_stderr_only(capsys, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar(PLAN, FakeExchange({})) as on_stored:
        on_stored(Stored("BTCUSDT", "1h", 2, 1234))
        on_stored(Stored("BTCUSDT", "1h", 2, 1))
    shown = terminal.getvalue()
    assert "1,235 rows" in shown
    assert "req/s" in shown
    assert capsys.readouterr().out == ""


class Limited:
    def __init__(self, snapshot):
        self.limiter = self
        self._snapshot = snapshot

    def snapshot(self):
        return self._snapshot


@pytest.mark.parametrize(
    ("limiter", "text"),
    [
        ((10, 6000, None, {}), ""),
        ((10, 6000, None, {"history": 0}), ""),
        ((5990, 6000, None, {"history": 3}), "waiting for budget, 5,990/6,000 used"),
        ((10, None, None, {"history": 3}), ""),
        ((10, 6000, 31_000, {"history": 3}), "the venue said wait: 30 s"),
        ((10, 6000, 500, {"history": 3}), "the venue said wait: 0 s"),
    ],
)
def test_waiting_reason_says_why_nothing_moves(limiter, text):
    assert waiting_reason(Limited(LimiterSnapshot("fake", *limiter)), now_ms=1_000) == text


def test_waiting_reason_without_a_limiter_is_empty():
    assert waiting_reason(FakeExchange({})) == ""
