"""Writing one Parquet file of the store, with its index of checksums."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from velas.frames import COLUMNS, FLOAT_COLUMNS
from velas_parquet._commit import Temp
from velas_parquet._layout import END, FIELDS, MAGIC, TRAILER, checksum
from velas_parquet._mapping import SCHEMA, Header, times

__all__ = ["ROW_GROUP", "encode", "regroup"]

ROW_GROUP = 32_768  # 23 days of 1m: a day reads in 1-2 ms, the footer of five years in 0.4 ms
_ENCODINGS = {
    name: "BYTE_STREAM_SPLIT" if name in FLOAT_COLUMNS else "DELTA_BINARY_PACKED"
    for name in COLUMNS
}


def encode(file: Temp, tables: Iterable[pa.Table], header: Header, *, compression: str) -> None:
    """Write tables, none of them empty, one row group each, and the index of checksums."""
    collected: list[pq.FileMetaData] = []
    writer = pq.ParquetWriter(
        file,
        SCHEMA,
        compression=compression,
        use_dictionary=False,
        column_encoding=_ENCODINGS,
        write_page_checksum=True,
        # of the other columns they would double the footer
        write_statistics=["timestamp"],  # pyright: ignore[reportArgumentType]
        store_schema=False,
        metadata_collector=collected,
        # Arrow's default allocator keeps what the encoder used: tens of MB, and a fifth of
        # the CPU of a download in page faults
        memory_pool=pa.system_memory_pool(),
    )
    spans = []
    try:
        for table in tables:
            stamps = times(table)
            spans.append((int(stamps[0]), int(stamps[-1])))
            writer.write_table(table, row_group_size=table.num_rows)
        writer.add_key_value_metadata(header.to_metadata())
        file.hold()
        writer.close()
    except BaseException:
        file.close()
        with suppress(Exception):
            writer.close()  # or its destructor would try
        raise
    _finish(file, collected[0], spans)


def regroup(tables: Iterable[pa.Table]) -> Iterable[pa.Table]:
    """Cut a run of tables into full row groups, holding few of them at a time."""
    waiting: list[pa.Table] = []
    count = 0
    for table in tables:
        waiting.append(table)
        count += table.num_rows
        if count >= ROW_GROUP:
            whole = pa.concat_tables(waiting).combine_chunks()
            full = count - count % ROW_GROUP
            for start in range(0, full, ROW_GROUP):
                yield whole.slice(start, ROW_GROUP)
            waiting, count = [whole.slice(full)], count - full
    if count:
        yield pa.concat_tables(waiting).combine_chunks()


def _finish(file: Temp, metadata: pq.FileMetaData, spans: Sequence[tuple[int, int]]) -> None:
    held = file.take()
    size = END.unpack_from(held, len(held) - END.size)[0] + END.size
    footer = held[len(held) - size :]
    file.write(held[: len(held) - size])
    index = np.empty((len(spans), FIELDS), dtype="<i8")
    for number, span in enumerate(spans):
        group = metadata.row_group(number)
        index[number, :2] = span
        for place in range(len(COLUMNS)):
            chunk = group.column(place)
            at, length = chunk.data_page_offset, chunk.total_compressed_size
            crc = zlib.crc32(file.read_at(at, length))  # of what the system has, not of memory
            index[number, 2 + 3 * place : 5 + 3 * place] = (at, length, crc)
    block = index.tobytes()
    total = file.tell() + len(block) + TRAILER.size + len(footer)
    crc = checksum(block, len(spans), footer, total)
    file.write(block + TRAILER.pack(len(spans), crc, MAGIC) + footer)
