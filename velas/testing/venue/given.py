"""Candles that were recorded: from rows, frames, or archive CSV files, served as they are.

Off-grid open times and close times cut short are kept, and so is the text of every
number: what a file spells ``5E-05`` goes out as ``5E-05``.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from velas.errors import ConfigError
from velas.frames import COLUMNS
from velas.interval import INTERVALS, Interval
from velas.testing.venue.instruments import Instrument
from velas.testing.venue.series import Float64, Int64, Row, Series

__all__ = ["GivenCandles", "read_csv"]

_FIELDS = 12
_MICROSECONDS = 100_000_000_000_000  # 1e14: later than year 5000 in ms (binance-facts 7)
_FILE_NAME = re.compile(rf"([A-Z0-9]+)-({'|'.join(INTERVALS)})(?![a-zA-Z0-9])")

Key = tuple[str, str]
Rows = Iterable[Sequence[int | str | float]]


class GivenCandles:
    """Serves given series, by ``(symbol, interval)``, each rows of 12 fields or a frame.

    A row is what the venue sends (open time in ms or us); a frame is a candle frame of
    `velas.frames`. Of rows with the same open time the last wins. For a series it does
    not have the venue says `-1121`, or answers ``[]`` with ``missing="empty"``. A candle
    that is not over by the venue's clock shows its open price and no volume, since
    nothing is known of its inside; a later one does not exist yet.

    Raises:
        ConfigError: a row has not 12 fields, an interval is unknown.
    """

    def __init__(
        self,
        series: Mapping[Key, Rows | pd.DataFrame],
        *,
        missing: Literal["error", "empty"] = "error",
    ) -> None:
        self._series = {
            key: _GivenSeries(Interval(key[1]), _rows_of(key, data)) for key, data in series.items()
        }
        self._missing = missing

    @classmethod
    def from_files(
        cls,
        files: Sequence[str | Path] | Mapping[Key, str | Path],
        *,
        missing: Literal["error", "empty"] = "error",
    ) -> GivenCandles:
        """Read archive-like CSV files, named by key or by a file name with ``BTCUSDT-1h``.

        Files of the same series are joined.

        Raises:
            ConfigError: a file name does not say symbol and interval, or a row is broken.
        """
        joined: dict[Key, list[Row]] = {}
        if isinstance(files, Mapping):
            for key, path in files.items():
                joined[key] = read_csv(Path(path))
        else:
            for path in map(Path, files):
                joined.setdefault(_key_of(path), []).extend(read_csv(path))
        return cls(joined, missing=missing)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The ids of all given series."""
        return tuple(dict.fromkeys(symbol for symbol, _ in self._series))

    def series(self, instrument: Instrument, interval: Interval) -> Series | None:
        """Return the given series; else None or an empty one, as `missing` says."""
        found = self._series.get((instrument.symbol, interval.name))
        if found is None and self._missing == "empty":
            return _GivenSeries(interval, [])
        return found

    def prices(self, instrument: Instrument, times_ms: Int64) -> Float64:
        """Return the open of the candle each time falls in, of the finest given interval."""
        fits = [
            (Interval(interval).length_ms, series)
            for (symbol, interval), series in self._series.items()
            if symbol == instrument.symbol and len(series.opens)
        ]
        if not fits:
            return np.full(len(times_ms), instrument.level)
        series = min(fits, key=lambda fit: fit[0])[1]
        at = np.maximum(np.searchsorted(series.opens, times_ms, side="right") - 1, 0)
        return np.array([float(series.row(int(i))[1]) for i in at])


class _GivenSeries:
    def __init__(self, interval: Interval, rows: Iterable[Row]) -> None:
        by_open = {int(row[0]): row for row in rows}
        self._rows = [by_open[opened] for opened in sorted(by_open)]
        self.opens = np.array([row[0] for row in self._rows], dtype=np.int64)
        # by its own close time, unless that is nonsense: an off-grid or cut bar is over then
        ends = [max(int(row[6]), int(row[0])) + 1 for row in self._rows]
        self._ends = np.maximum.accumulate(np.array(ends, dtype=np.int64)) if ends else self.opens

    def row(self, number: int) -> Row:
        return self._rows[number]

    def before(self, ts_ms: int) -> int:
        return int(np.searchsorted(self.opens, ts_ms, side="left"))

    def closed(self, now_ms: int) -> int:
        return int(np.searchsorted(self._ends, now_ms, side="right"))

    def rows(self, start: int, stop: int, now_ms: int) -> list[Row]:
        over = self.closed(now_ms)
        return self._rows[start : min(stop, over)] + [
            _just_opened(row) for row in self._rows[max(start, over) : stop]
        ]


def read_csv(path: Path) -> list[Row]:
    """Return the rows of an archive CSV file, times in ms, all other text as it stands.

    A first line without a leading time is a header. Open times may be ms, us or a date.

    Raises:
        ConfigError: a row has not 12 fields or a time cannot be read; names file and line.
    """
    rows: list[Row] = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, fields in enumerate(csv.reader(file), start=1):
            if not fields or (number == 1 and _time(fields[0]) is None):
                continue
            try:
                rows.append(_row(fields))
            except ConfigError as error:
                raise ConfigError(f"{path}, line {number}: {error}") from error
    return rows


def _key_of(path: Path) -> Key:
    found = _FILE_NAME.search(path.name)
    if found is None:
        raise ConfigError(
            f"file name {path.name!r} does not say symbol and interval, as BTCUSDT-1h.csv does"
        )
    return found[1], found[2]


def _rows_of(key: Key, data: Rows | pd.DataFrame) -> list[Row]:
    if isinstance(data, pd.DataFrame):
        return _frame_rows(data)
    try:
        return [_row(row) for row in data]
    except ConfigError as error:
        raise ConfigError(f"{key[0]} {key[1]}: {error}") from error


def _row(fields: Sequence[int | str | float]) -> Row:
    if len(fields) != _FIELDS:
        raise ConfigError(f"a kline row has {_FIELDS} fields, not {len(fields)}")
    opened, closed = _time(fields[0]), _time(fields[6])
    if opened is None or closed is None:
        raise ConfigError(f"cannot read the times {fields[0]!r}, {fields[6]!r} (ms, us or date)")
    texts = [str(field) for field in fields]
    return (opened, *texts[1:6], closed, texts[7], int(fields[8]), *texts[9:])


def _time(value: int | str | float) -> int | None:
    try:
        whole = int(value)
    except ValueError:
        return _date(str(value))
    return whole // 1000 if whole >= _MICROSECONDS else whole


def _date(text: str) -> int | None:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    zone = moment.tzinfo or dt.UTC
    return round(moment.replace(tzinfo=zone).timestamp() * 1000)


def _frame_rows(frame: pd.DataFrame) -> list[Row]:
    columns = [frame[name].fillna(0).tolist() for name in COLUMNS]
    return [
        _row([int(row[0]), *map(repr, row[1:6]), int(row[6]), repr(row[7]), int(row[8]),
              *map(repr, row[9:]), "0"])
        for row in zip(*columns, strict=True)
    ]  # fmt: skip


def _just_opened(row: Row) -> Row:
    price = row[1]
    return (row[0], price, price, price, price, "0", row[6], "0", 0, "0", "0", row[11])
