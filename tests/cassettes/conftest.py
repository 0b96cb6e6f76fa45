"""For the recordings this machine is cut off too: nothing but the file can answer."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest

FOLDER = Path(__file__).parents[2] / "cassettes"


@pytest.fixture(autouse=True)
def _machine_cut_off(_network_cut_off: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: Any) -> NoReturn:
        raise AssertionError(f"a test of a recording tried to connect to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture
def folder() -> Path:
    """Where the committed recordings lie."""
    return FOLDER
