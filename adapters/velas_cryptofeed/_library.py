"""What velas does to the cryptofeed library around it: symbols, exit hooks, loggers.

cryptofeed logs every connection and odd message at INFO to ERROR, whole frames
included. What velas does not report itself is of no use to a bot, so a logger of
cryptofeed nobody gave a level is set to CRITICAL when velas first loads the library.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cryptofeed.symbols import Symbols

__all__ = ["CONFIG", "forget", "listing"]

# an empty one: by itself cryptofeed reads the file that CRYPTOFEED_CONFIG names
CONFIG: dict[str, Any] = {}

for _name in ("feedhandler", "cryptofeed"):  # 2.x and 3.x
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.CRITICAL)


@contextmanager
def listing(
    venue: str, symbols: Mapping[str, str], info: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Let cryptofeed find `symbols` (its name: the venue's id) instead of downloading.

    The table is the process's own; what another user of cryptofeed put there is put back.
    """
    before = Symbols.data.get(venue)
    Symbols.set(venue, dict(symbols), dict(info or {}))
    try:
        yield
    finally:
        if before is None:
            Symbols.data.pop(venue, None)
        else:
            Symbols.data[venue] = before


def forget(*connections: Any) -> None:
    """Let go of connections that cryptofeed 2.x keeps alive until the process ends."""
    for connection in connections:
        hook = getattr(connection, "__del__", None)
        if hook is not None:
            atexit.unregister(hook)
