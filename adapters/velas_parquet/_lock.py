"""One writer per series, among threads and processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from velas.errors import StoreLocked
from velas_parquet._commit import make_folder
from velas_parquet._errors import translated

__all__ = ["SeriesLock"]

_POLL_S = 0.005  # a commit takes about 1 ms


class SeriesLock:
    """The lock file of one series; held by one thread of one process at a time.

    The file stays when the lock is free: removing it would let two hold it at once.
    """

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self.path = path
        self._timeout_s = timeout_s
        self._mutex = threading.Lock()
        self._file = FileLock(path, thread_local=False)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Wait for the lock, hold it for the block.

        Raises:
            StoreLocked: somebody else held it for all of the time-out.
        """
        started = time.monotonic()
        if not self._mutex.acquire(timeout=self._timeout_s):
            raise self._locked()
        try:
            left = max(0.0, self._timeout_s - (time.monotonic() - started))
            with translated(self.path):
                make_folder(self.path.parent)
                self._acquire(left)
            try:
                yield
            finally:
                self._file.release()
        finally:
            self._mutex.release()

    def _acquire(self, timeout_s: float) -> None:
        try:
            self._file.acquire(timeout=timeout_s, poll_interval=_POLL_S)
        except Timeout as error:
            raise self._locked() from error

    def _locked(self) -> StoreLocked:
        return StoreLocked(
            f"{self.path}: another writer has held this series for {self._timeout_s:g} s; "
            "wait for it, end it, or raise lock_timeout_s"
        )
