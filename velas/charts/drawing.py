"""Draw candles with matplotlib's objects alone: no pyplot, no window, nothing left behind."""

from __future__ import annotations

import datetime as dt
import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from velas.charts.bars import Bars, Float64, bars_of, coarser
from velas.charts.chart import Mark
from velas.charts.shades import SHADES, Shade, shade_gaps
from velas.errors import ConfigError
from velas.interval import Interval
from velas.models import Gap

__all__ = ["render"]

_INCHES, _DPI = (16.0, 9.0), 100
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.025, 0.925, 0.06, 0.895
_VOLUME_TOP, _PRICE_BOTTOM = 0.235, 0.255
_MOST_BARS = 400  # below four pixels a bar has no body any more
_PIXELS = _INCHES[0] * _DPI * (_RIGHT - _LEFT)
_WIDEST = 28  # pixels of a body where there are few
_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_DAY_MS = 86_400_000
_INK, _MUTED, _GRID, _UP, _DOWN = "#1b2432", "#5b667a", "#e8ebf0", "#0f9d7a", "#e0435c"
_SIDES = {"buy": ("^", "#2563eb", -1), "sell": ("v", "#9333ea", 1)}
# tried in turn where the font in front lacks a sign: some symbols are Chinese words
_FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "WenQuanYi Micro Hei", "PingFang SC", "Heiti TC")
_NO_DATES = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


def render(
    frame: pd.DataFrame,
    interval: Interval,
    kind: str,
    title: str,
    gaps: Sequence[Gap],
    marks: Sequence[Mark],
) -> bytes:
    """Return the bytes of a chart; see `velas.charts.save_chart`."""
    buffer = io.BytesIO()
    # a user's own matplotlibrc counts for the user's own pictures
    with mpl.rc_context(_style()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = _draw(frame, interval, title, gaps, marks)
        figure.savefig(buffer, format=kind, metadata=_NO_DATES[kind])
    return buffer.getvalue()


def _style() -> dict[Any, Any]:
    there = set(get_font_names())
    return {
        "font.family": [name for name in _FONTS if name in there],
        "font.size": 10.5,
        "text.color": _INK,
        "text.usetex": False,
        "hatch.linewidth": 0.7,
        "svg.fonttype": "none",
        "svg.hashsalt": "velas",
        "pdf.fonttype": 42,
        "path.simplify": False,
        "savefig.bbox": None,
        "savefig.dpi": "figure",
    }


def _draw(
    frame: pd.DataFrame,
    interval: Interval,
    title: str,
    gaps: Sequence[Gap],
    marks: Sequence[Mark],
) -> Figure:
    candles = bars_of(frame, interval, interval)
    start_ms = min([int(candles.start_ms[0]), *(gap.start_ms for gap in gaps)])
    end_ms = max([int(candles.end_ms[-1]), *(gap.end_ms for gap in gaps)])
    drawn = coarser(interval, end_ms - start_ms, _MOST_BARS)
    bars = candles if drawn == interval else bars_of(frame, interval, drawn)
    figure = Figure(figsize=_INCHES, dpi=_DPI, facecolor="white")
    price, volume = _axes(figure, start_ms, end_ms)
    shades = shade_gaps(gaps, least_ms=3 * (end_ms - start_ms) / _PIXELS)
    for axes in (price, volume):
        _bands(axes, shades)
    _volume(volume, bars)
    _candles(price, bars)
    handles = [_shade_handle(shade) for shade in shades] + _marks(figure, price, bars, marks)
    _scale(price, bars)
    _head(figure, title, _subtitle(candles, drawn), handles)
    return figure


# -- the frame -----------------------------------------------------------------------------


def _axes(figure: Figure, start_ms: int, end_ms: int) -> tuple[Axes, Axes]:
    price = figure.add_axes((_LEFT, _PRICE_BOTTOM, _RIGHT - _LEFT, _TOP - _PRICE_BOTTOM))
    volume = figure.add_axes((_LEFT, _BOTTOM, _RIGHT - _LEFT, _VOLUME_TOP - _BOTTOM))
    for axes in (price, volume):
        axes.set_facecolor("white")
        axes.grid(visible=True, color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.yaxis.tick_right()
        axes.tick_params(length=0, pad=6, labelcolor=_MUTED)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color("#c9cfd9")
        room = 0.01 * (end_ms - start_ms)
        axes.set_xlim(float(_days(start_ms - room)), float(_days(end_ms + room)))
        locator = AutoDateLocator(minticks=5, maxticks=12, tz=dt.UTC)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=dt.UTC))
    price.tick_params(axis="x", labelbottom=False)
    price.xaxis.get_offset_text().set_visible(False)
    volume.xaxis.get_offset_text().set(color=_MUTED, size=9.5)
    return price, volume


def _head(figure: Figure, title: str, subtitle: str, handles: list[Patch | Line2D]) -> None:
    # parse_math: a dollar sign in a title is no formula
    figure.text(_LEFT, 0.955, title, size=17, weight="bold", va="center", parse_math=False)
    figure.text(_LEFT, 0.919, subtitle, color=_MUTED, va="center", parse_math=False)
    if handles:
        figure.legend(
            handles=handles,
            loc="center right",
            bbox_to_anchor=(_RIGHT + 0.005, 0.937),
            ncols=1 if len(handles) <= 2 else 2,
            frameon=False,
            labelcolor=_INK,
            borderaxespad=0,
        )


def _subtitle(candles: Bars, drawn: Interval) -> str:
    first, last = int(candles.start_ms[0]), int(candles.start_ms[-1])
    count = len(candles.start_ms)
    text = f"{_moment(first)} – {_moment(last)} UTC · {count:,} candle{'' if count == 1 else 's'}"
    if drawn == candles.interval:
        return text
    return f"{text} of {candles.interval}, drawn as bars of {drawn}"


def _scale(axes: Axes, bars: Bars) -> None:
    low, high = float(bars.low.min()), float(bars.high.max())
    room = 0.06 * (high - low) or abs(high) * 0.01 or 1.0
    bottom = low - room if low < 0 else max(0.0, low - room)
    axes.set_ylim(bottom, high + room)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=9, steps=[1, 2, 2.5, 5, 10]))
    ticks = axes.yaxis.get_major_locator().tick_values(bottom, high + room)
    places = _places(float(ticks[1] - ticks[0]))
    last = float(bars.close[-1])
    tag = f"{last:,.{places + 1}f}"
    size = 10.5 if len(tag) <= 12 else 8.5
    near = 0.03 * (high - low + 2 * room)

    def label(value: float, _: object) -> str:
        return "" if abs(value - last) < near else f"{value:,.{places}f}"

    axes.yaxis.set_major_formatter(FuncFormatter(label))
    axes.tick_params(axis="y", labelsize=size)
    _last_price(axes, bars, tag, size)


def _last_price(axes: Axes, bars: Bars, tag: str, size: float) -> None:
    last = float(bars.close[-1])
    color = _UP if last >= bars.open[-1] else _DOWN
    axes.axhline(last, color=color, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1.5)
    axes.annotate(
        tag,
        (1, last),
        (6, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        size=size,
        color="white",
        bbox={"boxstyle": "square,pad=0.25", "facecolor": color, "edgecolor": "none"},
        annotation_clip=False,
    )


def _places(step: float) -> int:
    """Return how many decimals tell ticks of this distance apart, such as 0.025."""
    return next((n for n in range(13) if abs(step - round(step, n)) < step * 1e-6), 12)


# -- what is drawn -------------------------------------------------------------------------


def _candles(axes: Axes, bars: Bars) -> None:
    rises = bars.close >= bars.open
    middle, half = _columns(axes, bars)
    bottom, top = np.minimum(bars.open, bars.close), np.maximum(bars.open, bars.close)
    colors = np.where(rises, _UP, _DOWN)
    wicks = np.stack([middle, bars.low, middle, bars.high], axis=1).reshape(-1, 2, 2)
    axes.add_collection(LineCollection(list(wicks), colors=colors, linewidths=0.9, zorder=2))
    bodies = _boxes(middle - half, middle + half, bottom, top)
    axes.add_collection(
        # the edge keeps a body of no height visible
        PolyCollection(bodies, facecolors=colors, edgecolors=colors, linewidths=0.7, zorder=3)
    )


def _volume(axes: Axes, bars: Bars) -> None:
    middle, half = _columns(axes, bars)
    height = np.nan_to_num(bars.volume)
    boxes = _boxes(middle - half, middle + half, np.zeros_like(height), height)
    colors = np.where(bars.close >= bars.open, _UP, _DOWN)
    axes.add_collection(PolyCollection(boxes, facecolors=colors, alpha=0.55, zorder=2))
    axes.set_ylim(0, float(height.max()) * 1.12 or 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.text(
        0.004, 0.94, "volume", transform=axes.transAxes, va="top", color=_MUTED, size=9.5, zorder=4
    )


def _short(value: float) -> str:
    for unit, letter in _UNITS:
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def _bands(axes: Axes, shades: Sequence[Shade]) -> None:
    across = axes.get_xaxis_transform()
    for shade in shades:
        look, left, right = SHADES[shade.kind], _days(shade.start_ms), _days(shade.end_ms)
        zero = np.zeros_like(left)
        band = _boxes(left, right, zero, zero + 1)
        axes.add_collection(
            PolyCollection(
                band,
                facecolors=look.fill,
                edgecolors=look.line,
                hatch=look.hatch,
                linewidths=0,
                transform=across,
                zorder=1,
            ),
            autolim=False,
        )
        # a thin band would be lost between candles; its edge at the top is not
        edge = _boxes(left, right, zero + 0.985, zero + 1)
        axes.add_collection(
            PolyCollection(edge, facecolors=look.line, transform=across, zorder=5), autolim=False
        )


def _marks(figure: Figure, axes: Axes, bars: Bars, marks: Sequence[Mark]) -> list[Patch | Line2D]:
    unknown = {side for _, _, side in marks} - set(_SIDES)
    if unknown:
        raise ConfigError(f"a mark is 'buy' or 'sell', not {', '.join(map(repr, unknown))}")
    handles: list[Patch | Line2D] = []
    middle, _ = _columns(axes, bars)
    for side, (_, _, way) in _SIDES.items():
        times = np.array([ts_ms for ts_ms, _, one in marks if one == side], dtype=np.int64)
        prices = np.array([price for _, price, one in marks if one == side], dtype=np.float64)
        inside = (times >= bars.start_ms[0]) & (times < bars.end_ms[-1])
        if not inside.any():
            continue
        # a trade belongs to the bar it was made in
        at = middle[np.searchsorted(bars.start_ms, times[inside], side="right") - 1]
        drawn = _triangles(at, prices[inside], side)
        apart = ScaledTranslation(0, way * 8 / 72, figure.dpi_scale_trans)
        drawn.set_transform(axes.transData + apart)
        axes.add_artist(drawn)
        handle = _triangles(at[:0], at[:0], side)
        handle.set_label(f"{side} ({inside.sum():,})")
        handles.append(handle)
    return handles


def _triangles(x: Float64, y: Float64, side: str) -> Line2D:
    marker, color, _ = _SIDES[side]
    return Line2D(
        x,
        y,
        linestyle="none",
        marker=marker,
        markersize=10,
        color=color,
        markeredgecolor="white",
        markeredgewidth=0.8,
        zorder=6,
    )


def _shade_handle(shade: Shade) -> Patch:
    look = SHADES[shade.kind]
    return Patch(facecolor=look.fill, edgecolor=look.line, hatch=look.hatch, label=shade.label)


def _columns(axes: Axes, bars: Bars) -> tuple[Float64, Float64]:
    """Return the middle of each bar and half the width of its body."""
    start, end = _days(bars.start_ms), _days(bars.end_ms)
    left, right = axes.get_xlim()
    widest = _WIDEST / _PIXELS * (right - left)
    return (start + end) / 2, np.minimum((end - start) * 0.72, widest) / 2


def _boxes(left: Float64, right: Float64, bottom: Float64, top: Float64) -> list[Float64]:
    corners = [left, bottom, left, top, right, top, right, bottom]
    return list(np.stack(corners, axis=1).reshape(-1, 4, 2))


def _days(ms: object) -> Float64:
    # matplotlib counts days since the epoch
    return np.asarray(ms, dtype=np.float64) / _DAY_MS


def _moment(ms: int) -> str:
    when = dt.datetime.fromtimestamp(ms // 1000, dt.UTC)
    return when.strftime("%Y-%m-%d %H:%M:%S" if when.second else "%Y-%m-%d %H:%M")
