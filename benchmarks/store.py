"""The store against plain pandas and pyarrow: ratios within one run.

python -m benchmarks.store [--years 1 5] [--appends 1000]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from velas import frames
from velas_parquet import ParquetStore

__all__ = ["main", "minute_candles"]

_START_MS = 1_600_000_020_000
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_YEAR_ROWS = 525_600
_SERIES = ("BTCUSDT", "1m")

Row = tuple[str, float, str, float | None]


def minute_candles(rows: int, *, seed: int = 1) -> pd.DataFrame:
    """Return a random walk of 1m candles with the decimals of a real market."""
    rng = np.random.default_rng(seed)
    opens = _START_MS + np.arange(rows) * _MINUTE_MS
    close = np.round(20_000 + np.cumsum(rng.normal(0, 5, rows)).clip(-19_000), 2)
    first = np.concatenate([close[:1], close[:-1]])
    volume = np.round(rng.exponential(30, rows), 5)
    quote = np.round(volume * close, 7)
    return pd.DataFrame(
        {
            "timestamp": opens,
            "open": first,
            "high": np.round(np.maximum(first, close) + rng.exponential(5, rows), 2),
            "low": np.round(np.minimum(first, close) - rng.exponential(5, rows), 2),
            "close": close,
            "volume": volume,
            "close_time": opens + _MINUTE_MS - 1,
            "quote_volume": quote,
            "trades": rng.integers(10, 3_000, rows),
            "taker_buy_base": np.round(volume * rng.random(rows), 5),
            "taker_buy_quote": np.round(quote * rng.random(rows), 7),
        }
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--appends", type=int, default=1_000)
    options = parser.parse_args(argv)
    for years in options.years:
        with tempfile.TemporaryDirectory() as folder:
            _print(years, _measure(Path(folder), years, options.appends))
    return 0


def _measure(folder: Path, years: int, appends: int) -> list[Row]:
    frame = minute_candles(years * _YEAR_ROWS)
    store = ParquetStore(folder)
    plain, snappy = folder / "plain.parquet", folder / "snappy.parquet"
    encoded = folder / "encoded.parquet"
    table = pa.Table.from_pandas(frame, preserve_index=False)
    rows: list[Row] = []
    save = _seconds(lambda: store.save(frame, *_SERIES), 3)
    ours = folder / "BTCUSDT" / "1m.parquet"
    zstd_save = _seconds(lambda: pq.write_table(table, plain, compression="zstd"), 3)
    pandas_save = _seconds(lambda: frame.to_parquet(snappy), 3)
    rows.append(("save, s", save, "pyarrow zstd", zstd_save))
    rows.append(("save, s", save, "pandas to_parquet", pandas_save))
    size = ours.stat().st_size / 1e6 / years
    rows.append(("MB a year", size, "pyarrow zstd", plain.stat().st_size / 1e6 / years))
    bss = dict.fromkeys(frames.FLOAT_COLUMNS, "BYTE_STREAM_SPLIT")
    delta = dict.fromkeys(frames.INT_COLUMNS, "DELTA_BINARY_PACKED")
    pq.write_table(
        table, encoded, compression="zstd", use_dictionary=False, column_encoding=bss | delta
    )
    rows.append(
        ("MB a year", size, "pyarrow, same encodings", encoded.stat().st_size / 1e6 / years)
    )
    rows.append(("MB a year", size, "pandas snappy", snappy.stat().st_size / 1e6 / years))
    load, read = _in_turn(
        lambda: store.load(*_SERIES), lambda: pq.read_table(ours).to_pandas(), times=7
    )
    rows.append(("load all, ms", load * 1e3, "pyarrow, the same file", read * 1e3))
    day = _START_MS + years * 180 * _DAY_MS
    one_day = _seconds(lambda: store.load(*_SERIES, start_ms=day, end_ms=day + _DAY_MS), 21)
    cold = _seconds(
        lambda: ParquetStore(folder).load(*_SERIES, start_ms=day, end_ms=day + _DAY_MS), 21
    )
    within = [("timestamp", ">=", day), ("timestamp", "<", day + _DAY_MS)]
    other = _seconds(lambda: pq.read_table(plain, filters=within).to_pandas(), 7)
    rows.append(("one day, ms", one_day * 1e3, "pyarrow zstd, filters", other * 1e3))
    rows.append(
        ("one day, store just opened, ms", cold * 1e3, "pyarrow zstd, filters", other * 1e3)
    )
    rows += _appended(store, frame, appends, rewrite=pandas_save + read)
    fold = _seconds(store.close, 1)
    rows.append(("fold the tail in, s", fold, "save", save))
    return rows


def _appended(
    store: ParquetStore, frame: pd.DataFrame, appends: int, *, rewrite: float
) -> list[Row]:
    last = int(frame["timestamp"].iloc[-1])
    seconds = []
    for number in range(1, appends + 1):
        at = last + number * _MINUTE_MS
        row = frame.iloc[[number]].assign(timestamp=at, close_time=at + _MINUTE_MS - 1)
        started = time.perf_counter()
        store.append(row, *_SERIES)
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds) * 1e3
    early = statistics.median(seconds[: appends // 10]) * 1e3
    late = statistics.median(seconds[-(appends // 10) :]) * 1e3
    return [
        ("append 1 row durably, ms", median, "pandas: read and rewrite", rewrite * 1e3),
        ("  99th percentile, ms", sorted(seconds)[int(appends * 0.99) - 1] * 1e3, "", None),
        ("  the last tenth, ms", late, "the first tenth", early),
    ]


def _seconds(call: Callable[[], object], times: int) -> float:
    return _in_turn(call, times=times)[0]


def _in_turn(*calls: Callable[[], object], times: int) -> list[float]:
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(times):
        for call, taken in zip(calls, seconds, strict=True):
            started = time.perf_counter()
            call()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in seconds]


def _print(years: int, rows: list[Row]) -> None:
    table = Table(title=f"{years} year(s) of 1m, {years * _YEAR_ROWS:,} rows")
    for name in ("case", "velas", "against", "its", "velas / its"):
        table.add_column(name, justify="left" if name in ("case", "against") else "right")
    for case, ours, peer, its in rows:
        ratio = "" if its is None else f"{ours / its:.3g}"
        table.add_row(case, f"{ours:.3g}", peer, "" if its is None else f"{its:.3g}", ratio)
    Console(width=100).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
