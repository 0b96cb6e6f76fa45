"""Recorded candles served as they are."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from realdata import market_data

from velas import frames
from velas.errors import ConfigError
from velas.interval import Interval
from velas.testing import GivenCandles, Instrument
from velas.testing.venue.given import read_csv
from velas.testing.venue.series import Row, Series
from velas.testing.venue.truth import frame_of

HOUR = 3_600_000
BTC = Instrument.make("BTCUSDT")
LATER = 2_000_000_000_000


def _row(opened: int, price: str = "1.5", *, closed: int | None = None) -> Row:
    end = opened + HOUR - 1 if closed is None else closed
    return (opened, price, "2", "1", "1.7", "10", end, "15", 3, "4", "6", "0")


def _series(*rows: Row) -> Series:
    series = GivenCandles({("BTCUSDT", "1h"): rows}).series(BTC, Interval("1h"))
    assert series is not None
    return series


def test_given_rows_are_sorted_and_the_last_of_equals_wins() -> None:
    series = _series(_row(2 * HOUR), _row(HOUR), _row(HOUR, "1.6"))
    assert [row[:2] for row in series.rows(0, 2, LATER)] == [(HOUR, "1.6"), (2 * HOUR, "1.5")]


def test_given_microseconds_become_milliseconds() -> None:
    opened = 1_735_689_600_000
    row = _row(opened * 1000, closed=(opened + HOUR) * 1000 - 1)
    assert _series(row).rows(0, 1, LATER)[0][0::6] == (opened, opened + HOUR - 1)


def test_given_forming_candle_hides_what_is_to_come() -> None:
    series = _series(_row(HOUR), _row(2 * HOUR))
    now = 2 * HOUR + 5
    assert series.closed(now) == 1
    assert series.rows(0, 2, now)[1][1:6] == ("1.5", "1.5", "1.5", "1.5", "0")


def test_given_candle_cut_short_is_over_early() -> None:
    assert _series(_row(HOUR, closed=HOUR + 10)).closed(HOUR + 11) == 1


def test_given_frame_comes_back_bit_for_bit() -> None:
    frame = frame_of(_series(_row(HOUR, "1E-05"), _row(2 * HOUR, "0.1")), 0, LATER, LATER)
    again = GivenCandles({("BTCUSDT", "1h"): frame}).series(BTC, Interval("1h"))
    assert again is not None
    assert frames.digest(frame_of(again, 0, LATER, LATER)) == frames.digest(frame)


def test_given_unknown_series_is_none_or_empty() -> None:
    rows = {("BTCUSDT", "1h"): [_row(HOUR)]}
    assert GivenCandles(rows).series(BTC, Interval("2h")) is None
    empty = GivenCandles(rows, missing="empty").series(BTC, Interval("2h"))
    assert empty is not None
    assert (empty.before(LATER), empty.closed(LATER), empty.rows(0, 0, LATER)) == (0, 0, [])


def test_given_prices_are_those_of_the_finest_series() -> None:
    minute = (0, "7", "7", "7", "7", "1", 59_999, "7", 1, "1", "7", "0")
    source = GivenCandles({("BTCUSDT", "1h"): [_row(0)], ("BTCUSDT", "1m"): [minute]})
    times = np.array([-5, 70_000], dtype=np.int64)
    assert source.prices(BTC, times).tolist() == [7, 7]
    eth = Instrument.make("ETHUSDT")
    assert source.prices(eth, times).tolist() == [eth.level, eth.level]


@pytest.mark.parametrize("row", [(1, "2"), ("soon", *_row(0)[1:])])
def test_given_broken_row_is_refused(row: tuple[int | str, ...]) -> None:
    with pytest.raises(ConfigError, match="BTCUSDT 1h"):
        GivenCandles({("BTCUSDT", "1h"): [row]})


def test_given_unknown_interval_is_refused() -> None:
    with pytest.raises(ConfigError, match="7m"):
        GivenCandles({("BTCUSDT", "7m"): []})


def test_given_file_broken_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-1h.csv"
    path.write_text("open_time,open\n1,2\n")
    with pytest.raises(ConfigError, match=r"BTCUSDT-1h\.csv, line 2"):
        GivenCandles.from_files([path])


def test_given_file_name_without_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BTCUSDT-1h"):
        GivenCandles.from_files([tmp_path / "candles.csv"])


def test_given_files_of_one_series_are_joined(tmp_path: Path) -> None:
    for hour in (1, 2):
        text = ",".join(map(str, _row(hour * HOUR)))
        (tmp_path / f"BTCUSDT-1h-{hour}.csv").write_text(text + "\n\n")
    joined = GivenCandles.from_files(sorted(tmp_path.iterdir()))
    series = joined.series(BTC, Interval("1h"))
    assert series is not None
    assert (joined.symbols, series.before(LATER)) == (("BTCUSDT",), 2)


def test_given_files_by_key_need_no_name(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(",".join(map(str, _row(HOUR))))
    assert GivenCandles.from_files({("BTCUSDT", "1h"): path}).symbols == ("BTCUSDT",)


def test_given_date_with_zone_is_read() -> None:
    row = ("1970-01-01T02:00:00+01:00", *_row(HOUR)[1:])
    assert _series(row).rows(0, 1, LATER)[0][0] == HOUR


@pytest.mark.parametrize(
    ("name", "symbol", "rows"),
    [
        ("binance_spot_BNBBTC-1h_2017-2020.csv", "BNBBTC", 25_937),
        ("binance_spot_BNBUSDT-1h_2017-2020.csv", "BNBUSDT", 23_185),
        ("binance_spot_BTCUSDT-1h-2023-03_archive.csv", "BTCUSDT", 743),
    ],
)
def test_given_real_file_is_served_number_for_number(name: str, symbol: str, rows: int) -> None:
    path = market_data() / "klines" / name
    source = GivenCandles.from_files([path])
    assert source.symbols == (symbol,)
    series = source.series(Instrument.make(symbol), Interval("1h"))
    assert series is not None
    served = series.rows(0, rows, LATER)
    lines = [line for line in csv.reader(path.read_text().splitlines()) if line[0] != "open_time"]
    assert len(served) == len(lines) == series.closed(LATER)
    assert [row[1:6] for row in served] == [tuple(line[1:6]) for line in lines]
    assert [int(row[6]) for row in served] == [int(line[6]) for line in lines]
    assert [str(row[8]) for row in served] == [line[8] for line in lines]
    assert [row[9:] for row in served] == [tuple(line[9:]) for line in lines]


def test_given_real_file_keeps_off_grid_bars() -> None:
    path = market_data() / "klines" / "binance_spot_BNBUSDT-1h_2017-2020.csv"
    assert sum(int(row[0]) % HOUR != 0 for row in read_csv(path)) == 43


def test_given_real_file_keeps_the_close_time_cut_short() -> None:
    path = market_data() / "klines" / "binance_spot_BTCUSDT-1h-2023-03_archive.csv"
    short = [row for row in read_csv(path) if int(row[6]) - int(row[0]) != HOUR - 1]
    assert len(short) == 1
