"""Write a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

__all__ = ["replace_file"]


def replace_file(path: Path, data: bytes) -> None:
    """Make `data` the content of `path`, with its folders; whatever happens, never a part of it.

    Durable when it returns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # made by hand, because what `tempfile` makes can be read by its owner only
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
