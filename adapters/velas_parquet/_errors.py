"""What the operating system says, as errors of the store: one table."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from velas.errors import StoreCorrupt, StoreError, StoreFull

__all__ = ["damaged", "translated"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_HINTS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a folder of this path is a file",
    errno.EEXIST: "a folder of this path is a file",
}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn an `OSError` inside the block into `StoreFull` or `StoreError` about `path`."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(
                f"{path}: no space left ({error.strerror}); what was stored before is intact"
            ) from error
        hint = _HINTS.get(error.errno or 0, error.strerror or str(error))
        raise StoreError(f"{path}: {hint}") from error


def damaged(path: Path, problem: str) -> StoreCorrupt:
    """Return the error for a damaged file: its name, the problem, what to do."""
    return StoreCorrupt(
        f"{path}: {problem}; `velas verify --repair` sets the file aside and keeps what can "
        "still be read",
        path=str(path),
    )
