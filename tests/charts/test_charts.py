"""Charts as files: what the pixels and the text say."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fakes import HOUR, candles
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from velas.charts import SUFFIXES, check_installed, save_chart
from velas.charts.shades import SHADES
from velas.errors import ConfigError, FrameError, MissingDependency
from velas.models import Gap

START = 1_704_067_200_000
OWN = Gap(START + 20 * HOUR, START + 30 * HOUR, 10, "venue")
LACKING = Gap(START + 60 * HOUR, START + 70 * HOUR, 10)
HOLES = {*range(20, 30), *range(60, 70)}
FRAME = candles([START + n * HOUR for n in range(100) if n not in HOLES])


def share(path: Path, color: str) -> float:
    """Return the share of the picture's pixels that have a colour."""
    pixels = imread(path)[:, :, :3]
    return float((np.abs(pixels - np.array(to_rgb(color))).max(axis=2) < 0.01).mean())


def test_png_shows_candles_and_the_gaps_in_their_colours(tmp_path: Path) -> None:
    bare, marked = tmp_path / "bare.png", tmp_path / "marked.png"
    save_chart(FRAME, "1h", bare, title="BTCUSDT")
    save_chart(FRAME, "1h", marked, title="BTCUSDT", gaps=[OWN, LACKING])
    assert imread(bare).shape[:2] == (900, 1600)
    assert share(bare, "#0f9d7a") > 0.002
    for kind in ("venue", "missing"):
        assert share(bare, SHADES[kind].fill) == share(bare, SHADES[kind].line) == 0
    # a tenth of the width and most of the height; hatching covers part of one
    assert 0.06 < share(marked, SHADES["venue"].fill) < 0.1
    assert 0.02 < share(marked, SHADES["missing"].fill) < 0.1


def test_png_shades_the_gap_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    save_chart(FRAME, "1h", path, title="x", gaps=[LACKING])
    pixels = imread(path)[450, :, :3]
    fill = np.abs(pixels - np.array(to_rgb(SHADES["missing"].fill))).max(axis=1) < 0.01
    columns = np.flatnonzero(fill)
    left, right = 40 + 0.01 / 1.02 * 1440, 1480 - 0.01 / 1.02 * 1440
    assert abs(columns.min() - (left + 0.6 * (right - left))) < 6
    assert abs(columns.max() - (left + 0.7 * (right - left))) < 6


def test_png_shows_a_gap_that_is_far_thinner_than_a_pixel(tmp_path: Path) -> None:
    minutes = candles(np.arange(START, START + 365 * 24 * HOUR, 60_000), "1m")
    path = tmp_path / "a.png"
    save_chart(minutes, "1m", path, title="x", gaps=[Gap(START + HOUR, START + HOUR + 60_000, 1)])
    assert share(path, SHADES["missing"].line) > 0


def test_svg_says_title_range_reasons_and_marks(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    marks = [(START + 3 * HOUR, 100.0, "buy"), (START + 9 * HOUR, 101.0, "sell"), (0, 1.0, "sell")]
    save_chart(FRAME, "1h", path, title="BTC $x$ <1h>", gaps=[OWN, LACKING], marks=marks)
    text = path.read_text("utf-8")
    for words in (
        "BTC $x$ &lt;1h&gt;",
        "2024-01-01 00:00 – 2024-01-05 03:00 UTC · 80 candles",
        "the venue has none: 1 gap, 10 candles",
        "missing (not downloaded): 1 gap, 10 candles",
        "buy (1)",
        "sell (1)",
    ):
        assert f">{words}</text>" in text


def test_more_candles_than_there_is_room_for_are_drawn_as_longer_bars_soon(tmp_path: Path) -> None:
    minutes = candles(np.arange(START, START + 525_600 * 60_000, 60_000), "1m")
    path = tmp_path / "a.svg"
    began = time.process_time()
    save_chart(minutes, "1m", path, title="BTCUSDT")
    assert time.process_time() - began < 5
    assert "525,600 candles of 1m, drawn as bars of 1d" in path.read_text("utf-8")
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_chart_is_the_same_file(tmp_path: Path, suffix: str) -> None:
    one, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix.upper()}"
    for path in (one, other):
        save_chart(FRAME, "1h", path, title="x", gaps=[OWN])
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("rows", [1, 2])
def test_few_candles_of_one_price_and_no_volume_are_drawn(tmp_path: Path, rows: int) -> None:
    frame = candles([START + n * HOUR for n in range(rows)])
    frame[["open", "high", "low", "close"]] = 5.0
    frame["volume"] = 0.0
    save_chart(frame, "1h", tmp_path / "a.png", title="x")
    assert share(tmp_path / "a.png", "#0f9d7a") > 0


def test_signs_that_no_font_has_are_no_error(tmp_path: Path) -> None:
    save_chart(FRAME, "1h", tmp_path / "a.png", title="币安人生USDT")


def test_drawing_leaves_matplotlib_as_it_was_and_pyplot_alone(tmp_path: Path) -> None:
    script = (
        "import sys, matplotlib\n"
        "before = {name: matplotlib.rcParams[name] for name in matplotlib.rcParams"
        " if name != 'backend'}  # asking for it imports pyplot\n"
        "from fakes import candles\nfrom velas.charts import save_chart\n"
        f"save_chart(candles([{START}]), '1h', {str(tmp_path / 'a.png')!r}, title='x')\n"
        "assert all(matplotlib.rcParams[name] == before[name] for name in before)\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    support = Path(__file__).parents[1] / "support"
    subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(support)}, check=True
    )


@pytest.mark.parametrize("name", ["chart.jpg", "chart", "png"])
def test_suffix_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.png, \.svg, \.pdf"):
        save_chart(FRAME, "1h", tmp_path / name, title="x")
    assert list(tmp_path.iterdir()) == []


def test_mark_of_another_side_is_refused(tmp_path: Path) -> None:
    marks: list = [(START, 1.0, "hold")]
    with pytest.raises(ConfigError, match="'buy' or 'sell', not 'hold'"):
        save_chart(FRAME, "1h", tmp_path / "a.png", title="x", marks=marks)


def test_frame_without_rows_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="no candle to draw"):
        save_chart(pd.DataFrame(candles([])), "1h", tmp_path / "a.png", title="x")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependency, match=r"pip install 'velas\[plot\]'"):
        check_installed()


def test_charts_are_imported_without_matplotlib() -> None:
    code = "import sys, velas.charts; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
