"""`--out`: refuse what cannot be written before any work is done for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from velas.cli.session import check_folder
from velas.errors import ConfigError

__all__ = ["check_out"]


def check_out(path: Path, suffixes: Sequence[str]) -> None:
    """Refuse a name of another kind of file, a folder, and a place that cannot be written to.

    A file of that name is replaced, folders are made, when the work is done.

    Raises:
        ConfigError: names the path and what is wrong with it.
    """
    if path.suffix.lower() not in suffixes:
        raise ConfigError(f"--out {str(path)!r}: the name must end in {' or '.join(suffixes)}")
    if path.is_dir():
        raise ConfigError(f"--out {str(path)!r} is a folder")
    check_folder("--out", path.parent)
