"""The command on what a venue really sent: recorded listings and candles, served over HTTP."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from realdata import market_data

from velas.cli import cli
from velas.frames import COLUMNS
from velas.testing import GivenCandles, StandInVenue
from velas_parquet import ParquetStore

Row = tuple[int, float, float, float, float, float, int, float, int, float, float]

SERIES = {
    "BNBUSDT": ("binance_spot_BNBUSDT-1h_2017-2020.csv", "2017-11-06", "2020-07-01"),
    "BNBBTC": ("binance_spot_BNBBTC-1h_2017-2020.csv", "2017-07-14", "2020-07-01"),
    "BTCUSDT": ("binance_spot_BTCUSDT-1h-2023-03_archive.csv", "2023-03-01", "2023-04-01"),
}


def source_rows(path: Path) -> list[Row]:
    """Decode a file with nothing but the standard library, apart from the stand-in's reader."""
    found = []
    with path.open(newline="") as file:
        for row in csv.reader(file):
            if row[0] == "open_time":
                continue
            found.append(
                (
                    _ms(row[0]),
                    *[float(cell) for cell in row[1:6]],
                    int(row[6]),
                    float(row[7]),
                    int(row[8]),
                    float(row[9]),
                    float(row[10]),
                )
            )
    return sorted(found)


def _ms(cell: str) -> int:
    if cell.isdigit():
        return int(cell)
    return round(dt.datetime.fromisoformat(cell + "+00:00").timestamp() * 1000)


@pytest.fixture(params=SERIES)
def symbol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def venue(symbol: str) -> Iterator[StandInVenue]:
    folder = market_data()
    listing = json.loads((folder / "exchange_info/binance_spot_2021-10-12.json").read_text())
    candles = GivenCandles.from_files({(symbol, "1h"): folder / "klines" / SERIES[symbol][0]})
    with StandInVenue(exchange_info=listing, candles=candles).in_thread() as venue:
        yield venue


def velas(venue: StandInVenue, folder: Path, *arguments: str) -> tuple[int, dict]:
    command = ["--exchange", "binance_spot", "--data-dir", str(folder), "--json", *arguments]
    answer = CliRunner().invoke(cli, command, env={"REST_URL": venue.rest_url})
    return answer.exit_code, json.loads(answer.stdout) if answer.stdout else {}


def test_download_recorded_series_is_stored_bit_for_bit_and_known_afterwards(
    symbol: str, venue: StandInVenue, tmp_path: Path
) -> None:
    source = source_rows(market_data() / "klines" / SERIES[symbol][0])
    start, end = SERIES[symbol][1:]
    options = ("--symbol", symbol, "--interval", "1h", "--start", start, "--end", end)

    code, report = velas(venue, tmp_path, "download", *options)

    wanted = [row for row in source if row[0] < _ms(f"{end} 00:00:00")]
    stored = ParquetStore(tmp_path / "candles" / "binance_spot").load(symbol, "1h")
    assert tuple(stored.columns) == COLUMNS
    assert [tuple(row) for row in stored.itertuples(index=False)] == wanted
    assert code == 0
    (series,) = report["series"]
    assert series["rows_added"] == series["rows_total"] == len(wanted)
    assert {gap["reason"] for gap in series["gaps"]} <= {"venue"}
    assert sum(gap["missing"] for gap in series["gaps"]) == _empty_hours(wanted)

    before = venue.count("klines")
    code, again = velas(venue, tmp_path, "download", *options)
    assert (code, again["series"][0]["rows_added"]) == (0, 0)
    assert venue.count("klines") == before


def _empty_hours(rows: list[Row]) -> int:
    hours = {row[0] // 3_600_000 for row in rows}
    return max(hours) - min(hours) + 1 - len(hours)


def test_verify_recorded_series_reports_what_is_odd_and_passes(
    symbol: str, venue: StandInVenue, tmp_path: Path
) -> None:
    start, end = SERIES[symbol][1:]
    options = ("--symbol", symbol, "--interval", "1h", "--start", start, "--end", end)
    velas(venue, tmp_path, "download", *options)
    source = source_rows(market_data() / "klines" / SERIES[symbol][0])
    source = [row for row in source if row[0] < _ms(f"{end} 00:00:00")]

    code, report = velas(venue, tmp_path, "verify")

    assert code == 0
    assert report["ok"] is True
    (series,) = report["series"]
    counts = {
        kind: sum(one["count"] for one in series["findings"] if one["kind"] == kind)
        for kind in ("off_grid", "cut_short")
    }
    assert counts["off_grid"] == sum(row[0] % 3_600_000 != 0 for row in source)
    assert counts["cut_short"] == sum(row[6] < row[0] + 3_599_999 for row in source)
    assert series["present"] == len(source)


def test_update_of_a_series_that_ended_asks_only_for_what_may_still_come(
    symbol: str, venue: StandInVenue, tmp_path: Path
) -> None:
    start, end = SERIES[symbol][1:]
    options = ("--symbol", symbol, "--interval", "1h")
    velas(venue, tmp_path, "download", *options, "--start", start, "--end", end)
    velas(venue, tmp_path, "download", *options, "--update")
    before = venue.count("klines")

    code, report = velas(venue, tmp_path, "download", *options, "--update")

    assert code == 0
    assert report["series"][0]["rows_added"] == 0
    asked = [dict(r.query) for r in list(venue.requests) if r.path.endswith("klines")]
    newest = [int(query.get("startTime", query.get("endTime", 0))) for query in asked[before:]]
    assert len(newest) <= 3
    assert all(at > venue.now_ms() - 2 * 86_400_000 for at in newest)
