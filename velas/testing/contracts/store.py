"""What every Store must keep: subclass it and override one fixture."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from velas import frames
from velas.errors import ConfigError, FrameError
from velas.models import AppendResult, Gap, SeriesId
from velas.protocols import Store

__all__ = ["StoreContract", "candles"]

_START_MS = 1_600_000_000_000 // 3_600_000 * 3_600_000
_HOUR_MS = 3_600_000
_TRICKS = ("../x", "/", "", "a/../b", "..", "x\0y", ".hidden", "a\\b", "BTC/USDT/../..")


def candles(slots: list[int] | range, *, version: int = 0) -> pd.DataFrame:
    """Return 1h candles of some slots; other versions have other values."""
    numbers = np.asarray(slots, dtype=np.int64)
    opens = _START_MS + numbers * _HOUR_MS
    price = 100.0 + numbers % 50 + version / 8
    return pd.DataFrame(
        {
            "timestamp": opens,
            "open": price,
            "high": price + 2,
            "low": price - 2,
            "close": price + 1,
            "volume": 10.0 + numbers % 7,
            "close_time": opens + _HOUR_MS - 1,
            "quote_volume": price * 10,
            "trades": numbers % 90 + version,
            "taker_buy_base": 5.0 + version,
            "taker_buy_quote": price * 5,
        }
    )


class StoreContract:
    """Tests of the `Store` protocol, for pytest.

    A subclass overrides the fixture `open_store`: a function that opens the same store,
    empty at first, every time it is called.

        class TestMyStore(StoreContract):
            @pytest.fixture
            def open_store(self, tmp_path):
                return lambda: MyStore(tmp_path)
    """

    symbol: ClassVar[str] = "BTC/USDT"
    interval: ClassVar[str] = "1h"

    @pytest.fixture
    def open_store(self) -> Callable[[], Store]:
        """Return a function that opens the store under test."""
        raise NotImplementedError("override the fixture open_store")

    @pytest.fixture
    def store(self, open_store: Callable[[], Store]) -> Store:
        """Return the store under test, empty."""
        return open_store()

    def test_store_is_a_store(self, store: Store) -> None:
        """It has the methods of the protocol."""
        assert isinstance(store, Store)

    def test_load_of_nothing_has_no_rows_but_all_columns(self, store: Store) -> None:
        """A series that is not there is an empty candle frame."""
        loaded = store.load(self.symbol, self.interval)
        pd.testing.assert_frame_equal(loaded, frames.empty())

    def test_append_then_load_returns_the_same_frame(
        self, store: Store, open_store: Callable[[], Store]
    ) -> None:
        """All eleven columns come back, also from a store opened anew."""
        rows = candles(range(30))
        store.append(rows, self.symbol, self.interval)
        for one in (store, open_store()):
            pd.testing.assert_frame_equal(one.load(self.symbol, self.interval), rows)

    def test_save_replaces_the_series(self, store: Store) -> None:
        """Nothing of what was stored before shows."""
        store.append(candles(range(30)), self.symbol, self.interval)
        store.save(candles([5, 6], version=1), self.symbol, self.interval)
        loaded = store.load(self.symbol, self.interval)
        pd.testing.assert_frame_equal(loaded, candles([5, 6], version=1))

    def test_append_reports_exact_counts(self, store: Store) -> None:
        """New, changed and equal rows are told apart."""
        assert self._append(store, range(10)) == self._result(10, 0, 10, 0, 9)
        changed = pd.concat([candles([7], version=1), candles([8, 9, 10, 11])])
        result = store.append(changed, self.symbol, self.interval)
        assert result == self._result(2, 1, 12, 0, 11)

    def test_append_of_the_same_rows_changes_nothing(self, store: Store) -> None:
        """Appending is idempotent."""
        self._append(store, range(10))
        before = store.get_stats(self.symbol, self.interval)
        assert self._append(store, range(3, 8)) == self._result(0, 0, 10, 0, 9)
        assert store.get_stats(self.symbol, self.interval) == before

    def test_append_of_no_rows_is_no_error(self, store: Store) -> None:
        """An empty frame adds nothing."""
        result = store.append(frames.empty(), self.symbol, self.interval)
        assert result == AppendResult(0, 0, 0, None, None)

    def test_append_newer_row_wins(self, store: Store) -> None:
        """The row appended last is the one that is read."""
        self._append(store, range(10))
        store.append(candles([4], version=3), self.symbol, self.interval)
        loaded = store.load(self.symbol, self.interval)
        pd.testing.assert_frame_equal(loaded.iloc[[4]], candles(range(10), version=3).iloc[[4]])

    def test_append_before_and_between_keeps_the_order(self, store: Store) -> None:
        """Rows may come in any order; reading is ascending."""
        for slots in ([10, 11], [3, 4], [7], [1]):
            self._append(store, slots)
        loaded = store.load(self.symbol, self.interval)
        pd.testing.assert_frame_equal(loaded, candles([1, 3, 4, 7, 10, 11]))

    def test_append_unsorted_with_duplicates_keeps_the_later(self, store: Store) -> None:
        """Of rows of one open time in one frame the later counts."""
        rows = pd.concat([candles([3, 1]), candles([3], version=2)], ignore_index=True)
        assert store.append(rows, self.symbol, self.interval).rows_added == 2
        loaded = store.load(self.symbol, self.interval)
        wanted = pd.concat([candles([1]), candles([3], version=2)], ignore_index=True)
        pd.testing.assert_frame_equal(loaded, wanted)

    def test_load_range_is_half_open(self, store: Store) -> None:
        """The start is in, the end is not."""
        self._append(store, range(20))
        loaded = store.load(self.symbol, self.interval, start_ms=self._at(5), end_ms=self._at(8))
        pd.testing.assert_frame_equal(loaded, candles([5, 6, 7]))

    def test_load_empty_range_has_no_rows(self, store: Store) -> None:
        """Start and end may be equal."""
        self._append(store, range(5))
        at = self._at(2)
        assert store.load(self.symbol, self.interval, start_ms=at, end_ms=at).empty

    def test_load_inverted_range_is_refused(self, store: Store) -> None:
        """An end before the start is a mistake."""
        with pytest.raises(ConfigError):
            store.load(self.symbol, self.interval, start_ms=self._at(3), end_ms=self._at(2))

    def test_load_columns_come_as_asked(self, store: Store) -> None:
        """Some columns only, in the order asked for."""
        self._append(store, range(5))
        loaded = store.load(
            self.symbol, self.interval, columns=("close", "trades"), start_ms=self._at(1)
        )
        wanted = candles([1, 2, 3, 4])[["close", "trades"]]
        pd.testing.assert_frame_equal(loaded, wanted)

    def test_load_unknown_column_names_the_choices(self, store: Store) -> None:
        """A typo is one clear error."""
        with pytest.raises(ConfigError, match="taker_buy_quote"):
            store.load(self.symbol, self.interval, columns=("colse",))

    def test_load_returns_a_frame_of_its_own(self, store: Store) -> None:
        """Changing a loaded frame changes nothing else."""
        self._append(store, range(5))
        for columns in (None, ("timestamp", "close"), ("close",)):
            loaded = store.load(self.symbol, self.interval, columns=columns)
            loaded.loc[2, "close"] = -1.0
        assert store.load(self.symbol, self.interval).loc[2, "close"] == 103.0

    def test_nulls_of_optional_columns_come_back(self, store: Store) -> None:
        """A venue need not publish quote volume, trades and taker volumes."""
        rows = candles(range(4)).astype({"trades": "Int64"})
        rows.loc[1, ["quote_volume", "taker_buy_base", "taker_buy_quote"]] = np.nan
        rows.loc[2, "trades"] = pd.NA
        store.append(rows, self.symbol, self.interval)
        pd.testing.assert_frame_equal(store.load(self.symbol, self.interval), rows)
        assert store.append(rows, self.symbol, self.interval).rows_replaced == 0

    def test_missing_optional_columns_are_null(self, store: Store) -> None:
        """A frame of six columns is a candle frame, too."""
        rows = candles(range(4))[["timestamp", "open", "high", "low", "close", "volume"]]
        store.append(rows, self.symbol, self.interval)
        loaded = store.load(self.symbol, self.interval)
        assert loaded["trades"].isna().all()
        assert loaded["taker_buy_quote"].isna().all()
        assert (loaded["close_time"] == loaded["timestamp"] + _HOUR_MS - 1).all()

    def test_odd_times_are_kept_as_they_are(self, store: Store) -> None:
        """Open times off the grid and close times cut short are the venue's facts."""
        rows = _changed(candles(range(4)), "timestamp", 1, self._at(1) + 14_800)
        rows = _changed(rows, "close_time", 2, self._at(2) + 1_000_000)
        store.append(rows, self.symbol, self.interval)
        pd.testing.assert_frame_equal(store.load(self.symbol, self.interval), rows)

    @pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
    def test_null_price_is_refused_and_nothing_stored(self, store: Store, column: str) -> None:
        """The error names column and row."""
        rows = candles(range(4))
        rows.loc[2, column] = np.nan
        with pytest.raises(FrameError, match=f"{column}.*row 2"):
            store.append(rows, self.symbol, self.interval)
        assert store.series() == []

    @pytest.mark.parametrize("stamp", [0, -5, 1_700_000_000_000_000])
    def test_impossible_open_time_is_refused(self, store: Store, stamp: int) -> None:
        """Zero, negative, and microseconds taken for milliseconds."""
        rows = _changed(candles(range(4)), "timestamp", 3, stamp)
        with pytest.raises(FrameError, match=r"timestamp.*row 3"):
            store.save(rows, self.symbol, self.interval)
        assert store.series() == []

    @pytest.mark.parametrize("symbol", _TRICKS, ids=repr)
    def test_symbol_that_could_leave_its_folder_is_refused(self, store: Store, symbol: str) -> None:
        """Every method refuses it."""
        for call in (store.load, store.get_stats, store.gaps, store.delete):
            with pytest.raises(ConfigError):
                call(symbol, self.interval)
        for write in (store.save, store.append):
            with pytest.raises(ConfigError):
                write(candles([1]), symbol, self.interval)
        assert store.series() == []

    def test_unknown_interval_is_refused(self, store: Store) -> None:
        """The choices are named."""
        with pytest.raises(ConfigError, match="1M"):
            store.load(self.symbol, "1x")

    def test_every_spelling_means_one_series(self, store: Store) -> None:
        """The venue's id and both unified names."""
        store.append(candles([1]), "BTC/USDT", self.interval)
        store.append(candles([2]), "BTCUSDT", self.interval)
        assert len(store.load("BTC/USDT:USDT", self.interval)) == 2

    def test_series_lists_by_symbol_and_length(self, store: Store) -> None:
        """Sorted; every series once."""
        for symbol, interval in (("ETHUSDT", "1d"), ("BTCUSDT", "2h"), ("BTCUSDT", "30m")):
            store.append(candles([1]), symbol, interval)
        store.save(candles([1]), "BTC/USDT:USDT-261225", "1w")
        wanted = [("BTCUSDT", "30m"), ("BTCUSDT", "2h"), ("BTCUSDT_261225", "1w")]
        assert store.series() == [SeriesId(*one) for one in [*wanted, ("ETHUSDT", "1d")]]

    def test_series_of_different_intervals_do_not_mix(self, store: Store) -> None:
        """One symbol, two intervals."""
        store.append(candles([1]), self.symbol, "1h")
        store.append(candles([2, 3]), self.symbol, "30m")
        assert len(store.load(self.symbol, "1h")) == 1

    def test_delete_removes_and_says_so(self, store: Store) -> None:
        """True once, then False."""
        self._append(store, range(5))
        assert store.delete(self.symbol, self.interval)
        assert not store.delete(self.symbol, self.interval)
        assert store.series() == []
        assert store.load(self.symbol, self.interval).empty

    def test_delete_then_append_starts_anew(self, store: Store) -> None:
        """Nothing of the old series comes back."""
        self._append(store, range(5))
        store.delete(self.symbol, self.interval)
        assert self._append(store, [9]) == self._result(1, 0, 1, 9, 9)

    def test_stats_count_rows_and_holes(self, store: Store) -> None:
        """Expected, present and missing slots between the first and the last row."""
        self._append(store, [2, 3, 6, 7, 9])
        stats = store.get_stats(self.symbol, self.interval)
        assert (stats.symbol, stats.interval) == ("BTCUSDT", "1h")
        assert (stats.rows, stats.expected, stats.missing) == (5, 8, 3)
        assert (stats.first_ms, stats.last_ms) == (self._at(2), self._at(9))
        assert stats.size_bytes > 0

    def test_stats_of_nothing_are_zero(self, store: Store) -> None:
        """A series that is not there has no rows and no times."""
        stats = store.get_stats(self.symbol, self.interval)
        assert (stats.rows, stats.first_ms, stats.last_ms, stats.missing) == (0, None, None, 0)

    def test_gaps_name_the_holes(self, store: Store) -> None:
        """Half-open ranges, oldest first; none before the first or after the last row."""
        self._append(store, [2, 3, 6, 7, 9])
        found = store.gaps(self.symbol, self.interval)
        assert found == [
            Gap(self._at(4), self._at(6), 2, found[0].reason),
            Gap(self._at(8), self._at(9), 1, found[0].reason),
        ]

    def test_two_stores_see_each_others_rows(
        self, store: Store, open_store: Callable[[], Store]
    ) -> None:
        """Whatever one has kept in memory, the other's changes are seen."""
        other = open_store()
        for slot in range(6):
            self._append((store, other)[slot % 2], [slot])
        other.append(candles([0], version=5), self.symbol, self.interval)
        assert store.load(self.symbol, self.interval).equals(other.load(self.symbol, self.interval))
        assert self._append(store, range(6)) == self._result(0, 1, 6, 0, 5)

    def _append(self, store: Store, slots: list[int] | range) -> AppendResult:
        return store.append(candles(slots), self.symbol, self.interval)

    def _at(self, slot: int) -> int:
        return _START_MS + slot * _HOUR_MS

    def _result(self, added: int, replaced: int, total: int, first: int, last: int) -> AppendResult:
        return AppendResult(added, replaced, total, self._at(first), self._at(last))


def _changed(rows: pd.DataFrame, column: str, row: int, value: int) -> pd.DataFrame:
    numbers = rows[column].to_numpy(copy=True)
    numbers[row] = value
    return rows.assign(**{column: numbers})
