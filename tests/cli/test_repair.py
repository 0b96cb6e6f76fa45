from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from fakes import HOUR, FakeStore, candles

from velas.errors import Unavailable, UnknownSymbol

ONE = ("--symbol", "BTCUSDT", "--interval", "1h")
FILE = Path("data/candles/binance_spot/BTCUSDT/1h.parquet")


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)


@pytest.fixture
def stored(velas, venue):
    assert velas("download", *ONE).exit_code == 0
    return FILE


def test_repair_of_what_is_whole_does_nothing(velas, venue, stored):
    asked = len(venue.asks)
    assert velas("verify", "--repair").exit_code == 0
    assert len(venue.asks) == asked


def test_repair_damage_sets_the_file_aside_and_fetches_again(velas, venue, stored):
    spoil(stored)
    result = velas("verify", "--repair")
    assert result.exit_code == 0
    assert "damaged file set aside as" in result.stderr
    assert "0 rows kept, 30 lost" in result.stderr
    assert "All 1 series are whole: 30 candles" in result.stdout
    assert len(list(stored.parent.glob("1h.parquet.damaged-*"))) == 1


def test_repair_hole_fetches_only_the_hole(velas, venue, stored, store_with):
    opens = venue.series["BTC/USDT", "1h"]["timestamp"].to_list()
    store_with({}).save(candles(opens[:10] + opens[13:]), "BTCUSDT", "1h")
    before = len(venue.asks)
    result = velas("verify", "--repair", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["series"][0]["present"] == 30
    (ask,) = [ask for ask in venue.asks[before:] if ask.limit > 1]
    assert (ask.start_ms, ask.end_ms) == (opens[10], opens[13])


def test_repair_old_series_begins_where_its_rest_begins(velas, venue, stored, monkeypatch):
    monkeypatch.setattr("velas.clock.SystemClock.now_ms", lambda self: venue.now_ms + 10**12)
    spoil(stored)
    result = velas("verify", "--repair")
    assert result.exit_code == 0


def test_repair_without_venue_is_3_says_what_is_left_and_keeps_the_damage_aside(
    velas, venue, stored, monkeypatch
):
    async def fail():
        raise Unavailable("no way")

    spoil(stored)
    monkeypatch.setattr(type(venue), "server_time_ms", lambda self: fail())
    result = velas("verify", "--repair", "--json")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "velas download --symbol BTCUSDT --interval 1h" in result.stderr
    assert list(stored.parent.glob("1h.parquet.damaged-*"))


def test_repair_of_what_the_venue_no_longer_lists_is_1_and_named(velas, venue, stored):
    spoil(stored)
    venue.series = {("ETH/USDT", "1h"): venue.series["ETH/USDT", "1h"]}
    result = velas("verify", "--repair")
    assert result.exit_code == 1
    assert "velas: failed: BTCUSDT 1h" in result.stderr
    assert "nothing is left of it" in result.stdout.replace("\n", " ")


def test_repair_finds_the_market_by_its_folder_name(velas, venue, stored, monkeypatch):
    ask = type(venue).market

    async def strict(self, symbol):
        if "/" not in symbol:
            raise UnknownSymbol(symbol)
        return await ask(self, symbol)

    spoil(stored)
    monkeypatch.setattr(type(venue), "market", strict)
    assert velas("verify", "--repair").exit_code == 0


def test_repair_close_that_fails_is_reported(velas, venue, stored, monkeypatch):
    def close(self):
        raise Unavailable("cannot fold")

    spoil(stored)
    monkeypatch.setattr("velas_parquet.ParquetStore.close", close)
    result = velas("verify", "--repair")
    assert result.exit_code == 3
    assert "cannot fold" in result.stderr


def test_repair_store_without_checksums_fetches_what_is_missing(velas, venue, monkeypatch):
    store = FakeStore()
    opens = venue.series["BTC/USDT", "1h"]["timestamp"].to_list()
    store.save(candles([opens[0], opens[1], opens[0] + 5 * HOUR]), "BTCUSDT", "1h")
    monkeypatch.setattr("velas.registry.open_store", lambda settings: store)
    result = velas("verify", "--repair")
    assert result.exit_code == 0
    assert len(store.load("BTCUSDT", "1h")) == 6


def test_verify_names_what_was_stored_once_and_repair_fetches_it_again(velas, venue, store_with):
    assert velas("download", "--symbol", "BTCUSDT", "--interval", "1h").exit_code == 0
    store = store_with({})
    whole = store.load("BTCUSDT", "1h")
    store.save(whole.iloc[8:-3], "BTCUSDT", "1h")
    result = velas("verify", "--json")
    (series,) = json.loads(result.stdout)["series"]
    assert result.exit_code == 1
    assert [gap["missing"] for gap in series["gaps"]] == [8, 3]
    assert {gap["reason"] for gap in series["gaps"]} == {"stored once, lost since"}
    assert (series["expected"], series["present"]) == (30, 19)
    assert velas("verify", "--repair").exit_code == 0
    pd.testing.assert_frame_equal(store.load("BTCUSDT", "1h"), whole)


def test_repair_of_a_wholly_damaged_file_fetches_all_it_ever_held(
    velas, venue, store_with, monkeypatch
):
    assert velas("download", "--symbol", "BTCUSDT", "--interval", "1h").exit_code == 0
    path = store_with({}).root / "BTCUSDT" / "1h.parquet"
    spoil(path)
    # by now the months that a download takes by default begin much later
    monkeypatch.setattr("velas.clock.SystemClock.now_ms", lambda self: venue.now_ms + 10**11)
    assert velas("verify", "--repair").exit_code == 0
    assert len(store_with({}).load("BTCUSDT", "1h")) == 30
