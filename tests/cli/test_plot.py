"""`velas plot` on what is stored, without a network."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes import HOUR, NOW, candles
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from velas.charts.shades import SHADES
from velas.ledger import Ledger
from velas.models import Gap

FIRST = NOW // HOUR * HOUR - 400 * HOUR  # 2023-10-29 06:00
LACKING = {*range(310, 330), 350}
PLOT = ("plot", "BTC/USDT", "1h", "--out")


@pytest.fixture
def stored(store_with):
    """A series of 300 hours with a hole of the venue's and one of ours."""
    store = store_with({})
    hours = [n for n in range(100, 400) if n not in LACKING]
    store.save(candles([FIRST + n * HOUR for n in hours]), "BTCUSDT", "1h")
    with Ledger("data/velas.db") as ledger:
        known = Gap(FIRST + 310 * HOUR, FIRST + 330 * HOUR, 20, "venue")
        ledger.add_absent("binance_spot", "BTCUSDT", "1h", [known], now_ms=NOW)
    return store


def shows(path: str, kind: str) -> bool:
    pixels = imread(path)[:, :, :3]
    return bool((np.abs(pixels - np.array(to_rgb(SHADES[kind].fill))).max(axis=2) < 0.01).any())


def refused(result, *words):
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("velas: error:") == 1
    for word in words:
        assert word in result.stderr


def test_plot_draws_the_last_200_candles_and_what_is_missing_among_them(velas, stored):
    result = velas(*PLOT, "chart.png")
    assert result.exit_code == 0
    assert result.stdout == (
        "chart.png: BTCUSDT 1h, 200 candles from 2023-11-05 17:00 to 2023-11-14 21:00 UTC.\n"
        "Gaps (candles missing): 2 (21), of them the venue's own: 1 (20).\n"
    )
    assert shows("chart.png", "venue")
    assert shows("chart.png", "missing")


def test_plot_json_is_one_document(velas, stored):
    result = velas(*PLOT, "chart.svg", "--json", "--start", str(FIRST + 320 * HOUR))
    found = json.loads(result.stdout)
    assert list(found) == [
        "out", "exchange", "symbol", "interval", "first_ms", "last_ms", "candles", "gaps",
    ]  # fmt: skip
    assert (found["out"], found["exchange"]) == ("chart.svg", "binance_spot")
    assert (found["symbol"], found["interval"]) == ("BTCUSDT", "1h")
    assert (found["first_ms"], found["last_ms"]) == (FIRST + 330 * HOUR, FIRST + 399 * HOUR)
    assert found["candles"] == 69
    assert found["gaps"] == [
        {
            "start_ms": FIRST + 320 * HOUR,
            "end_ms": FIRST + 330 * HOUR,
            "missing": 10,
            "reason": "venue",
        },
        {
            "start_ms": FIRST + 350 * HOUR,
            "end_ms": FIRST + 351 * HOUR,
            "missing": 1,
            "reason": "not downloaded",
        },
    ]


def test_plot_title_names_exchange_symbol_interval_and_range(velas, stored):
    velas(*PLOT, "chart.svg", "--start", "2023-11-05", "--end", "2023-11-06")
    text = Path("chart.svg").read_text("utf-8")
    assert "BTCUSDT · 1h · binance_spot" in text
    assert "2023-11-05 00:00 – 2023-11-05 23:00 UTC · 24 candles" in text


def test_plot_until_an_end_shows_the_200_candles_before_it(velas, stored):
    found = json.loads(velas(*PLOT, "a.png", "--json", "--end", str(FIRST + 305 * HOUR)).stdout)
    assert found["first_ms"] == FIRST + 105 * HOUR
    assert (found["last_ms"], found["gaps"]) == (FIRST + 304 * HOUR, [])


def test_plot_shows_what_the_series_had_once_behind_its_last_candle(velas, stored):
    with Ledger("data/velas.db") as ledger:
        last_ms = FIRST + 409 * HOUR
        ledger.add_extent("binance_spot", "BTCUSDT", "1h", FIRST + 100 * HOUR, last_ms)
    found = json.loads(velas(*PLOT, "a.png", "--json").stdout)
    assert found["gaps"][-1] == {
        "start_ms": FIRST + 400 * HOUR,
        "end_ms": FIRST + 410 * HOUR,
        "missing": 10,
        "reason": "stored once, lost since",
    }


def test_plot_replaces_a_picture_and_makes_its_folder(velas, stored):
    for _ in range(2):
        assert velas(*PLOT, "new/folder/chart.pdf").exit_code == 0
    assert [path.name for path in Path("new/folder").iterdir()] == ["chart.pdf"]
    assert Path("new/folder/chart.pdf").read_bytes().startswith(b"%PDF")


def test_plot_changes_nothing_that_is_stored(velas, stored):
    before = {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")}
    velas(*PLOT, "chart.png")
    assert {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")} == before


@pytest.mark.parametrize("out", ["chart.jpg", "chart"])
def test_plot_refuses_another_suffix(velas, stored, out):
    refused(velas(*PLOT, out), f"--out '{out}'", ".png or .svg or .pdf")


def test_plot_refuses_a_folder_and_a_place_below_a_file(velas, stored):
    Path("folder.png").mkdir()
    Path("file").write_text("x")
    refused(velas(*PLOT, "folder.png"), "'folder.png' is a folder")
    refused(velas(*PLOT, "file/a.png"), "--out: 'file' is a file")


def test_plot_without_out_is_refused(velas, stored):
    refused(velas("plot", "BTCUSDT", "1h"), "--out")


def test_plot_without_matplotlib_names_the_extra_before_all_else(velas, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    refused(velas(*PLOT, "chart.png"), "pip install 'velas[plot]'")


def test_plot_of_nothing_stored_says_how_to_get_candles(velas):
    refused(velas(*PLOT, "chart.png"), "`velas download`")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("ETHUSDT", "1h"), ("'ETHUSDT'", "BTCUSDT")),
        (("BTCUSDT", "2h"), ("'2h'", "1h")),
        (("BTCUSDT", "7m"), ("unknown interval",)),
        (("../x", "1h"), ("cannot name a series",)),
        (("BTCUSDT", "1h", "--start", "2023-02-01", "--end", "2023-01-01"), ("is not before",)),
        (("BTCUSDT", "1h", "--start", "yesterday"), ("cannot read the date",)),
        (("BTCUSDT", "1h", "--start", "2022-01-01", "--end", "2022-02-01"), ("2023-11-02 10:00",)),
        (("BTCUSDT", "1h", "--end", "2022-02-01"), ("no candles in that range",)),
    ],
)
def test_plot_of_what_is_not_there_is_refused(velas, stored, args, words):
    refused(velas("plot", *args, "--out", "chart.png"), *words)
    assert not Path("chart.png").exists()


def test_plot_of_a_damaged_series_fails_and_names_the_file(velas, stored):
    path = Path("data/candles/binance_spot/BTCUSDT/1h.parquet")
    path.write_bytes(b"no parquet file")
    result = velas(*PLOT, "chart.png")
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(path) in result.stderr
    assert not Path("chart.png").exists()


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [(311, 320, "the venue itself has none"), (350, 351, "they are missing (`velas gaps`)")],
)
def test_plot_within_a_gap_says_whose_it_is(velas, stored, first, last, words):
    span = ("--start", str(FIRST + first * HOUR), "--end", str(FIRST + last * HOUR))
    refused(velas(*PLOT, "chart.png", *span), "no candles in that range", words)
