"""The network is cut off: tests reach this machine and nothing else.

Properties are tried on the same examples each time, and however long one takes;
``HYPOTHESIS_PROFILE=random`` looks for others.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from velas.ledger_file import LedgerFile

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

Address = Any


@pytest.fixture(autouse=True)
def _network_cut_off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection and every name look-up that leaves this machine."""
    if request.node.get_closest_marker("network") is not None:
        return
    for name in ("connect", "connect_ex"):
        real = getattr(socket.socket, name)
        monkeypatch.setattr(socket.socket, name, _guarded(real))
    look_up = socket.getaddrinfo

    def getaddrinfo(host: str | bytes | None, *args: Any, **kwargs: Any) -> Any:
        _check(host)
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def _guarded(real: Callable[[socket.socket, Address], Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Address) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _check(address[0])
        return real(self, address)

    return guarded


def _check(host: str | bytes | None) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name is None or name == "localhost":
        return
    try:
        inside = ipaddress.ip_address(name).is_loopback
    except ValueError:
        inside = False
    # an error of its own kind: an OSError would look like a venue that is down
    assert inside, f"a test tried to reach {name!r}; the network is cut off"


@pytest.fixture(autouse=True)
def _ledgers_in_memory_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close those that a test has made for itself; a file is its maker's to close."""
    made: list[LedgerFile] = []
    make = LedgerFile.__init__

    def remembered(self: LedgerFile, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        if self.path is None:
            made.append(self)

    monkeypatch.setattr(LedgerFile, "__init__", remembered)
    yield
    for ledger in made:
        ledger.close()
