"""What the tests of the settings share: a file to load, and the refusal of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from velas.config import Settings, load_settings
from velas.errors import ConfigError

__all__ = ["SECRET", "Write", "private_writer", "refusal", "revealed", "writer"]

SECRET = "hunter2-hunter2"

Write = Callable[..., Path]


def writer(folder: Path) -> Write:
    """Return a function that writes a configuration file into a folder."""

    def write_file(text: str | bytes, name: str = "config.yaml") -> Path:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def private_writer(folder: Path) -> Write:
    """Return a function that writes a file of credentials, by default a private one."""
    write = writer(folder)

    def write_private(text: str | bytes, mode: int = 0o600, name: str = "keys.env") -> Path:
        path = write(text, name)
        path.chmod(mode)
        return path

    return write_private


def revealed(settings: Settings) -> tuple[str | None, ...]:
    """Return the key, the secret and the passphrase that settings hold."""
    held = settings.credentials
    secrets = (held.api_key, held.api_secret, held.password)
    return tuple(None if one is None else one.reveal() for one in secrets)


def refusal(path: Path | None = None, environ: dict[str, str] | None = None, **more: object) -> str:
    """Return what loading such settings is refused with."""
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ=environ or {}, **more)
    return str(caught.value)
