"""Whether the data of a result are still what is stored."""

from __future__ import annotations

from typing import Literal, Protocol

import attrs

from velas.backtests.result import BacktestResult, DataUsed
from velas.protocols import Store

__all__ = ["DataCheck", "Stores", "check_data"]

Verdict = Literal["same", "changed", "missing", "unknown"]


class Stores(Protocol):
    """Gives the store of an exchange's candles."""

    def __call__(self, exchange: str) -> Store:
        """Return the store."""
        ...


@attrs.frozen
class DataCheck:
    """What became of one series: `rows` are stored now in its range, with this `digest`.

    ``unknown``: it did not come from the store of an exchange, and cannot be compared.
    """

    data: DataUsed
    verdict: Verdict
    rows: int
    digest: str | None


def check_data(result: BacktestResult, stores: Stores) -> list[DataCheck]:
    """Compare the digests of a result with those of what is stored now.

    Only if all are ``same`` can it be reproduced.

    Raises:
        StoreError: what is stored cannot be read.
    """
    return [
        DataCheck(data, "unknown", 0, None)
        if data.exchange is None
        else _check(data, stores(data.exchange))
        for data in result.data
    ]


def _check(data: DataUsed, store: Store) -> DataCheck:
    from velas import frames

    end_ms = data.last_ms + 1
    frame = store.load(data.symbol, data.interval, start_ms=data.first_ms, end_ms=end_ms)
    if not len(frame):
        return DataCheck(data, "missing", 0, None)
    digest = frames.digest(frame)
    return DataCheck(data, "same" if digest == data.digest else "changed", len(frame), digest)
