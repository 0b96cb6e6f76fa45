"""Foreign candle frames: their columns by known spellings, as the frame of velas."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from velas import frames
from velas.errors import FrameError
from velas.interval import Interval
from velas_backtrader._times import are_ms, to_ms

__all__ = ["SPELLINGS", "to_candles"]

# as they are after `_plain`: lower case, words joined by underscores
SPELLINGS: dict[str, tuple[str, ...]] = {
    "timestamp": ("timestamp", "open_time", "opentime", "date", "datetime", "time", "ts"),
    "open": ("open", "o", "open_price"),
    "high": ("high", "h", "high_price"),
    "low": ("low", "l", "low_price"),
    "close": ("close", "c", "close_price"),
    "volume": ("volume", "v", "vol"),
    "close_time": ("close_time", "closetime"),
    "quote_volume": ("quote_volume", "quotevolume", "quote_asset_volume"),
    "trades": ("trades", "number_of_trades", "num_trades", "trade_count"),
    "taker_buy_base": (
        "taker_buy_base",
        "taker_buy_base_volume",
        "taker_buy_base_asset_volume",
    ),
    "taker_buy_quote": (
        "taker_buy_quote",
        "taker_buy_quote_volume",
        "taker_buy_quote_asset_volume",
    ),
}
_COLUMN_OF = {spelling: name for name, those in SPELLINGS.items() for spelling in those}
_OF_INDEX = "index"  # what `reset_index` calls an index without a name
_REQUIRED = ("timestamp", "open", "high", "low", "close", "volume")


def to_candles(frame: pd.DataFrame, interval: Interval) -> pd.DataFrame:
    """Return any frame of candles as one with the columns, order and types of velas.

    Columns are told by `SPELLINGS`, in any case; others are left out. Open times are
    taken from a column, or where none is, from the index. The frame is not changed.

    Raises:
        FrameError: two columns may be the same one, one is missing, or times are not
            unambiguous (see `to_ms`).
    """
    if tuple(frame.columns) == frames.COLUMNS and are_ms(frame["timestamp"], frame["close_time"]):
        return _numbered(frames.coerce(frame, interval))
    places = _places(frame.columns)
    columns: dict[str, object] = {}
    for name in frames.COLUMNS:
        if name == "timestamp":
            columns[name] = to_ms(_open_times(frame, places))
        elif name in places:
            column = frame.iloc[:, places[name]].reset_index(drop=True)
            columns[name] = to_ms(column, floor=True) if name == "close_time" else column
    return frames.coerce(pd.DataFrame(columns), interval)


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    if isinstance(frame.index, pd.RangeIndex) and frame.index.start == 0:
        return frame
    return frame.reset_index(drop=True)


def _places(names: pd.Index) -> dict[str, int]:
    if names.nlevels > 1:
        raise FrameError(
            f"candle frame: {names.nlevels} levels of column names; expected: one level, "
            "of one symbol (frame.xs(symbol, axis=1, level=...) takes it out)"
        )
    places: dict[str, int] = {}
    for place, spelled in enumerate(names):
        name = _COLUMN_OF.get(_plain(spelled))
        if name is None:
            continue
        if name in places:
            raise FrameError(
                f"candle frame: {str(names[places[name]])!r} and {str(spelled)!r} may both be "
                f"{name!r}; expected: one of them (rename the other, or leave it out)"
            )
        places[name] = place
    _check_complete(names, places)
    return places


def _check_complete(names: pd.Index, places: Iterable[str]) -> None:
    missing = [name for name in _REQUIRED if name != "timestamp" and name not in places]
    if missing:
        spelled = "; ".join(f"{name}: {', '.join(SPELLINGS[name])}" for name in missing)
        raise FrameError(
            f"candle frame: no column for {', '.join(missing)} among {', '.join(map(str, names))}; "
            f"expected, in any case: {spelled}"
        )


def _open_times(frame: pd.DataFrame, places: dict[str, int]) -> pd.Series:
    if "timestamp" in places:
        return frame.iloc[:, places["timestamp"]]
    for place, spelled in enumerate(frame.columns):
        if _plain(spelled) == _OF_INDEX:
            return frame.iloc[:, place]
    index = frame.index
    counted = isinstance(index, pd.RangeIndex) and index.step == 1
    if index.nlevels == 1 and not counted:
        return index.to_series(name=index.name or _OF_INDEX)
    raise FrameError(
        f"candle frame: no open times; expected: a column named "
        f"{', '.join(SPELLINGS['timestamp'])}, or an index of times"
    )


def _plain(name: object) -> str:
    return re.sub(r"[^a-z0-9]+", "_", str(name).strip().lower()).strip("_")
