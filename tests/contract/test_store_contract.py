"""The shipped store contract, kept by the Parquet store in all its states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from velas.interval import Interval
from velas.models import AppendResult
from velas.protocols import Store
from velas.testing.contracts.store import StoreContract
from velas_parquet import ParquetStore


class TestParquetStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: ParquetStore(tmp_path / "candles")


class TestParquetStoreFoldingOftenInSmallGroups(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Store]:
        monkeypatch.setattr("velas_parquet._encode.ROW_GROUP", 3)
        return lambda: ParquetStore(tmp_path, fold_rows=2)


class _Compacting(ParquetStore):
    def append(self, frame: pd.DataFrame, symbol: str, interval: str | Interval) -> AppendResult:
        result = super().append(frame, symbol, interval)
        self.compact(symbol, interval)
        return result


class TestParquetStoreAlwaysFolded(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: _Compacting(tmp_path)
