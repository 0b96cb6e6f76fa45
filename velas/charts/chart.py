"""Candle charts as PNG, SVG or PDF; matplotlib is imported when the first is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

import pandas as pd

from velas.errors import ConfigError, MissingDependency
from velas.files import replace_file
from velas.interval import Interval
from velas.models import Gap

__all__ = ["SUFFIXES", "Mark", "check_installed", "save_chart"]

SUFFIXES = (".png", ".svg", ".pdf")
Mark: TypeAlias = tuple[int, float, Literal["buy", "sell"]]


def save_chart(
    frame: pd.DataFrame,
    interval: str | Interval,
    path: str | Path,
    *,
    title: str,
    gaps: Iterable[Gap] = (),
    marks: Iterable[Mark] = (),
) -> None:
    """Draw candles and volume to a file; its suffix, one of `SUFFIXES`, says the format.

    `frame` needs timestamp (ms, ascending), open, high, low, close and volume. `gaps` are
    shaded, the venue's own in another colour; `marks` are ``(ts_ms, price, "buy" or
    "sell")``, drawn as triangles. More candles than there is room for are drawn as bars of
    a longer interval, and the line below the title says so.

    Raises:
        ConfigError: another suffix.
        MissingDependency: matplotlib is not installed.
        FrameError: no candles, or not in order.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{str(path)!r}: a chart's name ends in {', '.join(SUFFIXES)}")
    check_installed()
    from velas.charts.drawing import render

    kind = path.suffix.lower().removeprefix(".")
    replace_file(path, render(frame, Interval.of(interval), kind, title, list(gaps), list(marks)))


def check_installed() -> None:
    """Find out without importing it whether what draws is there.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingDependency(
            "charts need the package 'matplotlib': pip install 'velas[plot]'", name="matplotlib"
        )
