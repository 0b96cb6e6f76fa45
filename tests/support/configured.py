"""What the tests of the settings share: a file to load, and the refusal of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from velas.config import (
    load_settings,
)
from velas.errors import ConfigError

__all__ = ["SECRET", "Write", "refusal", "writer"]

SECRET = "hunter2-hunter2"

Write = Callable[..., Path]


def writer(folder: Path) -> Write:
    """Return a function that writes a configuration file into a folder."""

    def write_file(text: str | bytes, name: str = "config.yaml") -> Path:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def refusal(path: Path | None = None, environ: dict[str, str] | None = None, **more: object) -> str:
    """Return what loading such settings is refused with."""
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ=environ or {}, **more)
    return str(caught.value)
