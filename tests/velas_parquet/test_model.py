"""The store against a dictionary: whatever is done in whatever order."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from velas import frames
from velas.testing.contracts.store import candles
from velas_parquet import ParquetStore, _encode

SLOTS = st.lists(st.integers(0, 60), max_size=25)
VERSIONS = st.integers(0, 3)


def rows_of(slots: list[int], version: int) -> pd.DataFrame:
    rows = candles(slots, version=version).astype({"trades": "Int64"})
    if version == 3:  # a venue that does not publish everything
        rows["quote_volume"] = np.nan
        rows["trades"] = pd.NA
    return rows


class StoreModel(RuleBasedStateMachine):
    @initialize(fold_rows=st.sampled_from([1, 4, 9, 1000]), group=st.sampled_from([3, 7, 1000]))
    def start(self, fold_rows: int, group: int) -> None:
        self.group, _encode.ROW_GROUP = _encode.ROW_GROUP, group
        self.folder = Path(tempfile.mkdtemp())
        self.fold_rows = fold_rows
        self.reopen()
        self.other = ParquetStore(self.folder, fold_rows=fold_rows)
        # by slot: the version of the row, and that of its columns a venue may leave out
        self.rows: dict[int, tuple[int, int | None]] = {}

    @rule()
    def reopen(self) -> None:
        self.store = ParquetStore(self.folder, fold_rows=self.fold_rows)

    @rule()
    def close(self) -> None:
        self.store.close()

    @rule()
    def compact(self) -> None:
        self.store.compact("BTCUSDT", "1h")

    @rule()
    def delete(self) -> None:
        existed = bool(self.store.series())
        assert self.store.delete("BTCUSDT", "1h") == existed
        self.rows = {}

    @rule(slots=SLOTS, version=VERSIONS)
    def save(self, slots: list[int], version: int) -> None:
        self.store.save(rows_of(slots, version), "BTCUSDT", "1h")
        self.rows = dict.fromkeys(slots, (version, None if version == 3 else version))

    @rule(slots=SLOTS, version=VERSIONS, other=st.booleans())
    def append(self, slots: list[int], version: int, other: bool) -> None:
        store = self.other if other else self.store
        result = store.append(rows_of(slots, version), "BTCUSDT", "1h")
        new = {
            slot: (version, self.rows.get(slot, (0, None))[1] if version == 3 else version)
            for slot in slots
        }
        changed = [slot for slot in new if self.rows.get(slot, new[slot]) != new[slot]]
        assert result.rows_added == len(new.keys() - self.rows.keys())
        assert result.rows_replaced == len(changed)
        self.rows |= new
        assert result.rows_total == len(self.rows)
        stamps = self.wanted["timestamp"]
        assert result.first_ms == (stamps.iloc[0] if len(stamps) else None)
        assert result.last_ms == (stamps.iloc[-1] if len(stamps) else None)

    @rule(start=st.integers(-2, 62), length=st.integers(0, 30))
    def load_range(self, start: int, length: int) -> None:
        low, high = (int(candles([slot])["timestamp"][0]) for slot in (start, start + length))
        found = self.store.load("BTCUSDT", "1h", start_ms=low, end_ms=high, columns=("close",))
        stamps = self.wanted["timestamp"]
        wanted = self.wanted[(stamps >= low) & (stamps < high)]
        assert found["close"].tolist() == wanted["close"].tolist()

    @rule()
    def stats_and_gaps(self) -> None:
        stats = self.other.get_stats("BTCUSDT", "1h")
        gaps = self.other.gaps("BTCUSDT", "1h")
        assert stats.rows == len(self.rows)
        assert stats.missing == sum(gap.missing for gap in gaps)
        assert stats.expected == (max(self.rows) - min(self.rows) + 1 if self.rows else 0)

    @invariant()
    def loads_what_was_stored(self) -> None:
        for store in (self.store, self.other):
            found = store.load("BTCUSDT", "1h")
            assert frames.digest(found) == frames.digest(self.wanted)
        assert self.store.verify("BTCUSDT", "1h") == []

    @property
    def wanted(self) -> pd.DataFrame:
        parts = [self.row(slot, *self.rows[slot]) for slot in sorted(self.rows)]
        return pd.concat(parts, ignore_index=True) if parts else frames.empty()

    def row(self, slot: int, version: int, published: int | None) -> pd.DataFrame:
        row = rows_of([slot], version)
        if version == 3 and published is not None:
            known = rows_of([slot], published)
            row = row.assign(quote_volume=known["quote_volume"], trades=known["trades"])
        return row

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            _encode.ROW_GROUP = self.group
            shutil.rmtree(self.folder)


TestStoreModel = StoreModel.TestCase
TestStoreModel.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
