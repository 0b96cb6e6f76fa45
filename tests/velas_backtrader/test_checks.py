from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from btkit import DAY, START, candles, longer, played

import velas
from velas.errors import ConfigError, FrameError, StoreError, UnknownSymbol
from velas.models import Gap
from velas_backtrader import CandleData, IntegrityWarning
from velas_parquet import ParquetStore

MINUTE = 60_000
FRAME = candles(300)
HOLED = FRAME.drop(index=[10, 11, 50, 70, 71, 72, 90, 110]).reset_index(drop=True)


def repeated() -> pd.DataFrame:
    again = FRAME.iloc[[20]].assign(close=FRAME["high"][20])
    return pd.concat([FRAME.iloc[:21], again, FRAME.iloc[21:]], ignore_index=True)


def impossible() -> pd.DataFrame:
    bad = FRAME.copy()
    bad.loc[30, "high"] = bad.loc[30, "low"] - 1
    bad.loc[40, "close"] = np.nan
    return bad


FAULTS = [
    (HOLED, ["5 gaps of 8 candles", "2024-01-01T00:10:00Z", "and 2 more"]),
    (repeated(), ["1 duplicate (2024-01-01T00:20:00Z)"]),
    (
        impossible(),
        [
            "2 impossible bars (2024-01-01T00:30:00Z: high 98.34 is below low 99.34, "
            "2024-01-01T00:40:00Z: close is nan)"
        ],
    ),
]


@pytest.mark.parametrize(("frame", "words"), FAULTS)
def test_faults_are_an_error_unless_chosen_otherwise(frame: pd.DataFrame, words: list[str]) -> None:
    with pytest.raises(FrameError) as caught:
        CandleData(frame, "BTCUSDT", "1m")
    for word in ["BTCUSDT 1m: ", "integrity='warn'", "integrity='drop'", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"high": 90.0, "low": 95.0}, "high 90.0 is below low 95.0"),
        ({"open": np.inf}, "open is inf"),
        ({"low": -1.0}, "low is -1.0"),
        ({"low": 0.0}, "low is 0.0"),
        ({"close": 1.0}, "close 1.0 is below low"),
        ({"volume": np.nan}, "volume is nan"),
        ({"volume": -2.0}, "volume is -2.0"),
        ({"quote_volume": np.inf}, "quote_volume is inf"),
        ({"taker_buy_base": -0.5}, "taker_buy_base is -0.5"),
        ({"taker_buy_base": 1e9}, "is below taker_buy_base 1000000000.0"),
        ({"taker_buy_quote": 1e12}, "is below taker_buy_quote 1000000000000.0"),
        ({"trades": -1}, "trades is -1"),
    ],
)
def test_impossible_bar_is_told_with_its_reason(change: dict[str, float], why: str) -> None:
    bad = FRAME.copy()
    for name, value in change.items():
        bad.loc[30, name] = value
    with pytest.raises(FrameError) as caught:
        CandleData(bad, "BTCUSDT", "1m")
    assert "1 impossible bar (2024-01-01T00:30:00Z: " in str(caught.value)
    assert why in str(caught.value)


def test_choices_say_what_becomes_of_duplicates() -> None:
    with pytest.raises(FrameError, match="plays them as they are, of duplicates the last"):
        CandleData(repeated(), "BTCUSDT", "1m")


def test_warning_points_to_who_has_made_the_feed(store: ParquetStore) -> None:
    store.save(HOLED.head(30), "ETH/USDT", "1m")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CandleData(HOLED, "BTCUSDT", "1m", integrity="warn")
        CandleData(store, "ETHUSDT", "1m", integrity="drop")
    assert [one.filename for one in caught] == [__file__] * 2


@pytest.mark.parametrize("policy", ["warn", "drop"])
@pytest.mark.parametrize(("frame", "words"), FAULTS)
def test_faults_are_one_warning_where_that_is_chosen(
    frame: pd.DataFrame, words: list[str], policy: Any
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CandleData(frame, "BTCUSDT", "1m", integrity=policy)
    assert [one.category for one in caught] == [IntegrityWarning]
    assert all(word in str(caught[0].message) for word in words)


@pytest.mark.filterwarnings("ignore::velas_backtrader.IntegrityWarning")
def test_warn_plays_the_candles_as_they_are_and_of_duplicates_the_last() -> None:
    kept = CandleData(impossible(), "BTCUSDT", "1m", integrity="warn").frame
    assert len(kept) == 300
    kept = CandleData(repeated(), "BTCUSDT", "1m", integrity="warn").frame
    assert len(kept) == 300
    assert kept["close"][20] == FRAME["high"][20]


@pytest.mark.filterwarnings("ignore::velas_backtrader.IntegrityWarning")
def test_drop_leaves_out_what_is_impossible_and_fills_nothing() -> None:
    kept = CandleData(impossible(), "BTCUSDT", "1m", integrity="drop").frame
    pd.testing.assert_frame_equal(kept, FRAME.drop(index=[30, 40]).reset_index(drop=True))
    assert len(CandleData(HOLED, "BTCUSDT", "1m", integrity="drop").frame) == len(HOLED)


@pytest.mark.filterwarnings("ignore::velas_backtrader.IntegrityWarning")
def test_drop_that_leaves_nothing_is_an_error() -> None:
    with pytest.raises(FrameError, match="all 3 bars are impossible"):
        CandleData(FRAME.head(3).assign(low=-1.0), "BTCUSDT", "1m", integrity="drop")


def test_candles_without_a_fault_say_nothing() -> None:
    pd.testing.assert_frame_equal(CandleData(FRAME, "BTCUSDT", "1m").frame, FRAME)


@pytest.mark.parametrize("extra", [{}, {"signal": 1.0}])
def test_frame_that_is_changed_afterwards_changes_no_bar(extra: dict[str, float]) -> None:
    frame = FRAME.head(3).assign(**extra)
    data = CandleData(frame, "BTCUSDT", "1m")
    frame.loc[1, "close"] = 1.0
    assert played([data]).log[1][0][2] == FRAME["close"][1]
    assert data.digest == velas.frames.digest(FRAME.head(3))


@pytest.mark.parametrize(
    ("frame", "interval", "words"),
    [
        (FRAME[::-1], "1m", ["row 1", "older than the one before", "sort_values"]),
        (FRAME, "5m", ["are 1m apart, not 5m"]),
        (FRAME, "1M", ["are 1m apart, not 1M"]),
        (longer(FRAME, "5m"), "1m", ["are 5m apart, not 1m"]),
        (candles(4, "1d"), "1h", ["are 1d apart, not 1h"]),
        (FRAME.head(0), "1m", ["the frame has no rows"]),
    ],
)
def test_frames_that_cannot_be_what_they_are_said_to_be(
    frame: pd.DataFrame, interval: str, words: list[str]
) -> None:
    for policy in ("raise", "warn", "drop"):
        with pytest.raises(FrameError) as caught:
            CandleData(frame, "BTCUSDT", interval, integrity=policy)  # type: ignore[arg-type]
        for word in [f"BTCUSDT {interval}", *words]:
            assert word in str(caught.value)


@pytest.mark.parametrize("interval", ["1M", "1w", "3d", "1d"])
def test_long_intervals_are_no_fault(interval: str) -> None:
    CandleData(candles(30, interval), "BTCUSDT", interval)


@pytest.mark.filterwarnings("ignore::velas_backtrader.IntegrityWarning")
def test_bars_off_the_grid_are_played_and_over_an_interval_after_they_opened() -> None:
    moved = FRAME.copy()
    moved.loc[100, "timestamp"] += 30_000
    strategy = played([CandleData(moved, "BTCUSDT", "1m", integrity="warn")])
    assert len(strategy.log) == 300
    assert strategy.data.num2date(strategy.log[100][0][1]).second == 30


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start_ms": START + 60, "end_ms": START + 60}, ["is not before", "2024-01-01T"]),
        ({"start_ms": "2024-01-01"}, ["start_ms '2024-01-01'", "milliseconds", "parse_when"]),
        ({"end_ms": -1}, ["end_ms -1"]),
        ({"end_ms": True}, ["end_ms True"]),
        ({"start_ms": START // 1000}, [f"start_ms {START // 1000}", "from 2009", "these seconds"]),
        ({"start_ms": START * 1000}, [f"start_ms {START * 1000}", "these us"]),
        ({"end_ms": 0}, ["end_ms 0", "from 2009"]),
        ({"timeframe": bt.TimeFrame.Days}, ["timeframe=Days, compression=1: ", "of 1m", "leave"]),
        ({"compression": 5}, ["timeframe=Minutes, compression=5: ", "of 1m", "resampledata"]),
        ({"integrity": "ignore"}, ["integrity 'ignore'", "'raise', 'warn', 'drop'"]),
        ({"tzinput": "Europe/Berlin"}, ["tzinput", "UTC"]),
    ],
)
def test_arguments_that_are_none(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        CandleData(FRAME, "BTCUSDT", "1m", **options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("symbol", ["", None, "../x", "BTC USDT"])
def test_symbols_that_are_none(symbol: Any) -> None:
    with pytest.raises(ConfigError, match="symbol"):
        CandleData(FRAME, symbol, "1m")


def test_sources_that_are_none() -> None:
    with pytest.raises(ConfigError, match="source str: expected a velas store, a pandas"):
        CandleData("btc.csv", "BTCUSDT", "1m")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="unknown interval '1x'"):
        CandleData(FRAME, "BTCUSDT", "1x")


# -- stores --------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> ParquetStore:
    store = ParquetStore(tmp_path)
    store.save(FRAME, "BTC/USDT", "1m")
    return store


def test_store_and_frame_play_the_same(store: ParquetStore) -> None:
    stored, framed = CandleData(store, "BTCUSDT", "1m"), CandleData(FRAME, "BTCUSDT", "1m")
    assert stored.digest == framed.digest == velas.frames.digest(FRAME)
    assert (stored.symbol, stored.interval) == ("BTCUSDT", velas.Interval("1m"))


def test_range_is_half_open_for_both(store: ParquetStore) -> None:
    options = {"start_ms": START + 60 * MINUTE, "end_ms": START + 120 * MINUTE}
    for source in (store, FRAME):
        frame = CandleData(source, "BTC/USDT", "1m", **options).frame  # type: ignore[arg-type]
        assert frame["timestamp"].tolist() == FRAME["timestamp"][60:120].tolist()


def test_nothing_in_the_range_says_what_there_is(store: ParquetStore) -> None:
    with pytest.raises(StoreError, match=r"no candle from 2024-01-02.*2024-01-01T04:59:00Z"):
        CandleData(store, "BTCUSDT", "1m", start_ms=START + DAY)
    with pytest.raises(FrameError, match=r"up to 2024-01-01T00:00:00Z.*01T04:59:00Z"):
        CandleData(FRAME, "BTCUSDT", "1m", end_ms=START)


def test_unknown_symbol_names_near_ones(store: ParquetStore) -> None:
    with pytest.raises(UnknownSymbol, match=r"did you mean BTCUSDT\?") as caught:
        CandleData(store, "BTCUSD", "1m")
    assert caught.value.near == ("BTCUSDT",)
    with pytest.raises(StoreError, match=r"of BTCUSDT there is 1m .*velas download"):
        CandleData(store, "BTCUSDT", "1h")


def test_empty_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnknownSymbol, match=r"no candles at all.*download --symbol BTCUSDT --int"):
        CandleData(ParquetStore(tmp_path), "BTCUSDT", "1m")


def test_range_that_is_not_filled_has_gaps_at_its_edges(store: ParquetStore) -> None:
    wide = {"start_ms": START - 5 * MINUTE, "end_ms": START + 306 * MINUTE}
    for source in (store, FRAME):
        with pytest.raises(FrameError, match="2 gaps of 11 candles"):
            CandleData(source, "BTCUSDT", "1m", **wide)  # type: ignore[arg-type]


def test_holes_that_are_the_venues_own_are_no_fault(tmp_path: Path) -> None:
    settings = velas.load_settings(environ={}, data_dir=tmp_path)
    velas.open_store(settings).save(HOLED, "BTC/USDT", "1m")
    options = {"start_ms": START - 5 * MINUTE, "end_ms": START + 310 * MINUTE}
    with pytest.raises(FrameError, match="7 gaps of 23 candles"):
        CandleData.from_settings(settings, "BTC/USDT", "1m", **options)
    key = (settings.exchange, "BTCUSDT", "1m")
    gaps = [
        Gap(int(HOLED["timestamp"][at]) + MINUTE, int(HOLED["timestamp"][at + 1]), 1, "venue")
        for at in np.flatnonzero(np.diff(HOLED["timestamp"]) > MINUTE)
    ]
    with velas.open_ledger(settings) as ledger:
        ledger.add_absent(*key, gaps[:-1], now_ms=START + DAY)
        ledger.set_listing_ms(*key, START, now_ms=START + DAY)
        ledger.set_ended(*key, START + 299 * MINUTE, asked_ms=START + DAY)
    with pytest.raises(FrameError, match=r"1 gap of 1 candle \(2024-01-01T01:50:00Z\)"):
        CandleData.from_settings(settings, "BTC/USDT", "1m", **options)
    with velas.open_ledger(settings) as ledger:
        ledger.add_absent(*key, gaps[-1:], now_ms=START + DAY)
    data = CandleData.from_settings(settings, "BTC/USDT", "1m", name="btc", **options)
    assert (len(data.frame), data._name) == (len(HOLED), "btc")


def test_reading_creates_no_database(tmp_path: Path) -> None:
    settings = velas.load_settings(environ={}, data_dir=tmp_path)
    velas.open_store(settings).save(FRAME, "BTC/USDT", "1m")
    CandleData.from_settings(settings, "BTC/USDT", "1m")
    assert not settings.db_path.exists()
