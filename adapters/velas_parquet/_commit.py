"""The commit path: publish a whole file durably or leave everything as it was.

All changes of the disk go through the few functions at the top, so that a test can stop
the world before, within or after any of them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Temp", "link", "make_folder", "publish", "remove", "sync_folder", "temp_path"]

_FLUSH_BYTES = 1 << 20


def create(path: Path) -> int:
    """Create a new file for reading and writing; it must not exist."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)


def write(fd: int, data: memoryview) -> int:
    """Write some of `data`; return how much."""
    return os.write(fd, data)


def sync(fd: int) -> None:
    """Force a file's content to the disk."""
    os.fsync(fd)


def sync_folder(path: Path) -> None:
    """Force a folder's entries to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace(source: Path, target: Path) -> None:
    """Give `source` the name `target` in one step, whatever had it before."""
    source.replace(target)


def unlink(path: Path) -> None:
    """Remove a name; no error when it is gone."""
    path.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no links."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def mkdir(path: Path) -> None:
    """Create one folder; no error when it exists."""
    path.mkdir(exist_ok=True)


class Temp:
    """The file being written: an append-only sink with a buffer.

    Once a write has failed, later ones are ignored: a Parquet writer that is torn down
    still wants to write its footer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = False
        self._buffer = bytearray()
        self._flushed = 0
        self._holding = False
        self._fd = create(path)

    def write(self, data: bytes | memoryview) -> int:
        """Take all of `data`."""
        size = len(data)
        if not self.closed:
            self._buffer += data
            if len(self._buffer) >= _FLUSH_BYTES and not self._holding:
                self.flush()
        return size

    def tell(self) -> int:
        """Return the number of bytes written so far."""
        return self._flushed + len(self._buffer)

    def flush(self) -> None:
        """Hand the buffer to the operating system, unless it is held back."""
        if self.closed or self._holding:
            return
        data = memoryview(bytes(self._buffer))
        self._buffer.clear()
        try:
            while len(data):
                done = write(self._fd, data)
                self._flushed += done
                data = data[done:]
        except BaseException:
            self.close()
            raise

    def hold(self) -> None:
        """Keep what is written from now on in memory until `take`."""
        self.flush()
        self._holding = True

    def take(self) -> bytes:
        """Return what was held back, as if it had never been written."""
        held = bytes(self._buffer)
        self._buffer.clear()
        self._holding = False
        return held

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes written before, as the operating system has them."""
        self.flush()
        return os.pread(self._fd, size, offset)

    def sync(self) -> None:
        """Force all that was written to the disk."""
        self.flush()
        sync(self._fd)

    def close(self) -> None:
        """Close the file; may be called again."""
        if not self.closed:
            self.closed = True
            os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def temp_path(path: Path) -> Path:
    """Return where the next version of `path` is written.

    The name is fixed: only the holder of the series' lock writes it, and what a killed
    process left there is swept by the next one.
    """
    return path.with_name(f".{path.name}.tmp")


def publish(
    path: Path, build: Callable[[Temp], None], prove: Callable[[Path], None] | None = None
) -> None:
    """Write a file next to `path` and give it that name once it is safe on the disk.

    `prove` may look at the finished file and refuse it by raising. On any error `path` is
    as it was. When this returns, file and name survive a power cut.
    """
    temp = temp_path(path)
    unlink(temp)
    try:
        with Temp(temp) as file:
            build(file)
            file.sync()
        if prove is not None:
            prove(temp)
        replace(temp, path)
    except BaseException:
        with suppress(OSError):
            unlink(temp)
        raise
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file so that it stays removed after a power cut."""
    unlink(path)
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, durably."""
    if path.is_dir():
        return
    make_folder(path.parent)
    mkdir(path)
    sync_folder(path.parent)
