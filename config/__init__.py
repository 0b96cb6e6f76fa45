"""The configuration files that velas ships, as package data."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

__all__ = ["path", "read"]


def path(name: str) -> Path:
    """Return where the shipped file `name` lies, such as ``config.example.yaml``.

    Raises:
        FileNotFoundError: there is no such file; the message lists those there are.
    """
    folder = Path(str(resources.files(__name__)))
    shipped = {file.name: file for file in folder.glob("*.yaml")}
    if name not in shipped:
        raise FileNotFoundError(f"no file {name!r}; shipped are: {', '.join(sorted(shipped))}")
    return shipped[name]


def read(name: str) -> str:
    """Return the text of the shipped file `name`; errors as for `path`."""
    return path(name).read_text("utf-8")
