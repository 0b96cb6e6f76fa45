"""Reading one Parquet file of the store; no byte reaches the decoder unchecked."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from velas.errors import StoreCorrupt
from velas.frames import COLUMNS
from velas_parquet._errors import damaged, translated
from velas_parquet._layout import END, FIELDS, MAGIC, TRAILER, Index, checksum
from velas_parquet._mapping import SCHEMA, Header
from velas_parquet._merge import Digest

__all__ = ["Footer", "Part", "open_part", "read_all"]

_GUESS = 1 << 17  # enough for index and footer of five years of 1m, in one read


@attrs.frozen(eq=False)
class Footer:
    """What is known of a file without reading its rows; `stamp` tells versions apart."""

    stamp: tuple[int, int, int, int]
    trailer_at: int
    trailer: bytes
    header: Header
    metadata: pq.FileMetaData
    index: Index

    @cached_property
    def numbers(self) -> dict[tuple[int, int], int]:
        """Return each column chunk's number by its place and length."""
        chunks = self.index[:, 2:].reshape(-1, 3)[:, :2].tolist()
        return {(at, length): number for number, (at, length) in enumerate(chunks)}

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.metadata.num_rows)

    @property
    def first_ms(self) -> int | None:
        """Open time of the first row."""
        return int(self.index[0, 0]) if len(self.index) else None

    @property
    def last_ms(self) -> int | None:
        """Open time of the last row."""
        return int(self.index[-1, 1]) if len(self.index) else None

    def groups(self, start_ms: int | None, end_ms: int | None) -> list[int]:
        """Return the row groups that may hold rows that open in ``[start_ms, end_ms)``."""
        first, last = self.index[:, 0], self.index[:, 1]
        low = 0 if start_ms is None else int(np.searchsorted(last, start_ms))
        high = len(first) if end_ms is None else int(np.searchsorted(first, end_ms))
        return list(range(low, high))


class Part:
    """An open file: one version of it, whatever happens to its name meanwhile."""

    def __init__(self, path: Path, fd: int, footer: Footer) -> None:
        self.path = path
        self.footer = footer
        self._fd = fd

    def read(
        self,
        groups: Sequence[int] | None = None,
        columns: Sequence[str] | None = None,
        *,
        check_pages: bool = False,
    ) -> pa.Table:
        """Return rows of some row groups (all for None), every byte of them checked."""
        footer = self.footer
        chosen = range(len(footer.index)) if groups is None else groups
        source = pa.PythonFile(_Checked(self.path, self._fd, footer), mode="r")
        names = None if columns is None else list(columns)
        try:
            file = pq.ParquetFile(
                source,
                metadata=footer.metadata,
                pre_buffer=False,
                page_checksum_verification=check_pages,
            )
            table = file.read_row_groups(list(chosen), columns=names)
            return table if names is None else table.select(names)
        except StoreCorrupt:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(self.path, f"rows cannot be read ({error})") from error

    def close(self) -> None:
        """Close the file; may be called again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_part(path: Path, known: Footer | None = None) -> Part | None:
    """Open a file of the store, None when there is none; `known` saves parsing it again.

    Raises:
        StoreCorrupt: truncated, damaged, of another schema, or not written by velas.
    """
    with translated(path):
        try:
            fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            return None
        try:
            return Part(path, fd, _footer(path, fd, known))
        except BaseException:
            os.close(fd)
            raise


def read_all(path: Path) -> Digest:
    """Read every row of a file with every checksum there is; return what was read."""
    found = Digest()
    part = open_part(path)
    if part is None:
        raise damaged(path, "gone")
    with part:
        for number in range(len(part.footer.index)):
            found.add(part.read([number], check_pages=True))
    return found


class _Checked:
    """The file as the decoder sees it: every column chunk compared with its checksum."""

    closed = False

    def __init__(self, path: Path, fd: int, footer: Footer) -> None:
        self._path = path
        self._fd = fd
        self._chunks = footer.index[:, 2:].reshape(-1, 3)
        self._numbers = footer.numbers
        self._size = footer.stamp[2]
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        number = self._numbers.get((start, size))
        if number is not None:
            return self._chunk(number)  # what pyarrow does: a whole column chunk at a time
        first = int(np.searchsorted(self._chunks[:, 0], start, side="right")) - 1
        stop = int(np.searchsorted(self._chunks[:, 0], start + size))
        if first < 0:
            raise damaged(self._path, f"damaged: byte {start} belongs to no column")
        data = b"".join(self._chunk(number) for number in range(first, stop))
        skip = start - int(self._chunks[first, 0])
        return data[skip : skip + size]

    def close(self) -> None: ...

    def _chunk(self, number: int) -> bytes:
        offset, length, crc = self._chunks[number].tolist()
        data = os.pread(self._fd, length, offset)
        if len(data) != length or zlib.crc32(data) != crc:
            name = COLUMNS[number % len(COLUMNS)]
            where = f"column {name!r}, row group {number // len(COLUMNS)}"
            raise damaged(self._path, f"damaged: the checksum of {where} is wrong")
        return data


def _footer(path: Path, fd: int, known: Footer | None) -> Footer:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise damaged(path, "not a file")
    stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    # inode, size and the coarse clock may repeat within a few ms; the checksum does not
    if (
        known is not None
        and known.stamp == stamp
        and os.pread(fd, TRAILER.size, known.trailer_at) == known.trailer
    ):
        return known
    return _parse(path, fd, stamp)


def _parse(path: Path, fd: int, stamp: tuple[int, int, int, int]) -> Footer:
    total = stamp[2]
    end = _read_end(fd, total, _GUESS)
    if len(end) < END.size + TRAILER.size or END.unpack_from(end, len(end) - 8)[1] != b"PAR1":
        raise damaged(path, f"truncated or no Parquet file ({total} bytes)")
    size = END.unpack_from(end, len(end) - 8)[0] + END.size
    if size + TRAILER.size > total:
        raise damaged(path, "truncated or no Parquet file")
    end = _read_end(fd, total, size + TRAILER.size, end)
    trailer = end[len(end) - size - TRAILER.size : len(end) - size]
    groups, crc, magic = TRAILER.unpack(trailer)
    if magic != MAGIC:
        raise damaged(path, "not written by velas, or its footer is damaged")
    length = groups * FIELDS * 8
    if size + TRAILER.size + length > total:
        raise damaged(path, "damaged: its index of checksums is wrong")
    end = _read_end(fd, total, size + TRAILER.size + length, end)
    stop = len(end) - size - TRAILER.size
    block, footer = end[stop - length : stop], end[len(end) - size :]
    if checksum(block, groups, footer, total) != crc:
        raise damaged(path, "damaged: the checksum of its footer is wrong")
    index = np.frombuffer(block, dtype="<i8").reshape(groups, FIELDS)
    header, metadata = _described(path, footer)
    return Footer(stamp, total - size - TRAILER.size, trailer, header, metadata, index)


def _described(path: Path, footer: bytes) -> tuple[Header, pq.FileMetaData]:
    try:
        metadata = pq.read_metadata(pa.BufferReader(b"PAR1" + footer))
        header = Header.from_metadata(metadata.metadata)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise damaged(path, str(error)) from error
    if not metadata.schema.to_arrow_schema().equals(SCHEMA):
        raise damaged(path, f"columns are not {', '.join(COLUMNS)}")
    return header, metadata


def _read_end(fd: int, total: int, size: int, known: bytes = b"") -> bytes:
    if len(known) >= size:
        return known
    size = min(size, total)
    return os.pread(fd, size, total - size)
