"""Merging candle tables by open time: newer over older, also as a stream. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from velas_parquet._mapping import SCHEMA, Mask, Times, times, values

__all__ = ["EMPTY", "Comparison", "Digest", "equal_rows", "find", "overlay", "overlay_stream"]

EMPTY = SCHEMA.empty_table()


def overlay(older: pa.Table, newer: pa.Table) -> pa.Table:
    """Return the rows of both by open time; of equal times the newer's."""
    if not newer.num_rows:
        return older
    if not older.num_rows:
        return newer
    before, after = times(older), times(newer)
    if before[-1] < after[0]:
        return pa.concat_tables([older, newer]).combine_chunks()
    kept = older.filter(pa.array(~find(after, before)[1]))
    both = pa.concat_tables([kept, newer]).combine_chunks()
    return both.take(pa.array(np.argsort(times(both), kind="stable")))


def overlay_stream(older: Iterable[pa.Table], newer: pa.Table) -> Iterator[pa.Table]:
    """Overlay ascending tables by one, in the memory of one of them at a time."""
    stamps = times(newer)
    done = 0
    for table in older:
        upto = int(np.searchsorted(stamps, times(table)[-1], side="right"))
        yield overlay(table, newer.slice(done, upto - done))
        done = upto
    if done < newer.num_rows:
        yield newer.slice(done)


def find(stored: Times, wanted: Times) -> tuple[Times, Mask]:
    """Return for each wanted time its row in ascending `stored`, and whether it is there."""
    at = np.searchsorted(stored, wanted)
    if not len(stored):
        return at, np.zeros(len(wanted), dtype=np.bool_)
    there: Mask = stored[np.minimum(at, len(stored) - 1)] == wanted
    return at, there


def equal_rows(one: pa.Table, other: pa.Table) -> Mask:
    """Return which rows have the same values; null equals null."""
    same = np.ones(one.num_rows, dtype=np.bool_)
    for name in SCHEMA.names:
        left, left_null = values(one.column(name))
        right, right_null = values(other.column(name))
        same &= left == right
        if left_null is not None or right_null is not None:
            none = np.zeros(len(same), dtype=np.bool_)
            same &= (none if left_null is None else left_null) == (
                none if right_null is None else right_null
            )
    return same


class Comparison:
    """Rows to be stored against the rows that are: what is new, changed, the same."""

    def __init__(self, new: pa.Table) -> None:
        self.new = new
        self.stamps = times(new)
        self.in_tail = np.zeros(len(self.stamps), dtype=np.bool_)
        self.in_main = self.in_tail.copy()
        self._same = self.in_tail.copy()

    def with_tail(self, tail: pa.Table) -> None:
        """Compare with the tail's rows."""
        self.in_tail = self._compare(tail, np.ones(len(self.stamps), dtype=np.bool_))

    def with_main(self, part: pa.Table) -> None:
        """Compare with some rows of the main file; where the tail has one, it counts."""
        self.in_main |= self._compare(part, ~self.in_tail)

    @property
    def fresh(self) -> pa.Table:
        """The rows that are new or changed."""
        return self.new.filter(pa.array(~self._same)) if self._same.any() else self.new

    @property
    def added(self) -> int:
        """Number of rows whose open time is not stored."""
        return int(np.count_nonzero(~(self.in_tail | self.in_main)))

    @property
    def replaced(self) -> int:
        """Number of rows stored with other values."""
        return int(np.count_nonzero((self.in_tail | self.in_main) & ~self._same))

    @property
    def replaced_in_main(self) -> int:
        """Number of those that stand in the main file only."""
        return int(np.count_nonzero(self.in_main & ~self._same))

    def _compare(self, stored: pa.Table, among: Mask) -> Mask:
        at, there = find(times(stored), self.stamps)
        there &= among
        if there.any():
            self._fill(there, stored.take(pa.array(at[there])))
            rows = pa.array(np.flatnonzero(there))
            equal = equal_rows(self.new.take(rows), stored.take(pa.array(at[there])))
            self._same[np.flatnonzero(there)[equal]] = True
        return there

    def _fill(self, there: Mask, stored: pa.Table) -> None:
        """Keep what is known where a row to be stored says nothing."""
        for place, field in enumerate(SCHEMA):
            column = self.new.column(place).combine_chunks()
            if not field.nullable or not column.null_count:
                continue
            mask = pa.array(there & column.is_null().to_numpy(zero_copy_only=False))
            known = stored.column(place).filter(mask.filter(pa.array(there)))
            parts = [column, mask, known.combine_chunks()]
            filled = pc.call_function("replace_with_mask", parts)
            self.new = self.new.set_column(place, field, filled)


@attrs.define
class Digest:
    """Rows, order and a checksum of every column of a run of tables."""

    rows: int = 0
    ascending: bool = True
    last_ms: int = -1
    columns: list[int] = attrs.field(factory=lambda: [0] * len(SCHEMA.names))

    def add(self, table: pa.Table) -> pa.Table:
        """Count a table that has rows in; return it."""
        stamps = times(table)
        self.ascending &= bool(stamps[0] > self.last_ms and (np.diff(stamps) > 0).all())
        self.last_ms = int(stamps[-1])
        self.rows += len(stamps)
        for place, name in enumerate(SCHEMA.names):
            numbers, null = values(table.column(name))
            crc = zlib.crc32(np.ascontiguousarray(numbers).data, self.columns[place])
            if null is not None:
                crc = zlib.crc32(np.flatnonzero(null).data, crc)
            self.columns[place] = crc
        return table
