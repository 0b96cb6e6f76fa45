"""Logging of the command: to stderr, above the progress bar, never to stdout."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["configure_logging", "quiet"]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def configure_logging(verbose: int) -> None:
    """Log warnings, with -v also what happens, with -vv every request.

    At -vv other libraries speak as well, but not below INFO: some of them log headers.
    """
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _Stderr)]:
        root.removeHandler(handler)
    handler = _Stderr()
    handler.setFormatter(logging.Formatter(_FORMAT, datefmt="%H:%M:%S"))
    root.addHandler(handler)
    level = _LEVELS[min(verbose, 2)]
    for name in ("velas", "velas_ccxt", "velas_cryptofeed", "velas_parquet", "velas_replay"):
        logging.getLogger(name).setLevel(level)
    root.setLevel(max(level, logging.INFO) if verbose >= 2 else logging.WARNING)


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Let these loggers warn of nothing: it is shown otherwise."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Stderr(logging.StreamHandler[TextIO]):
    # looks sys.stderr up for every message, since the progress bar puts a proxy in its
    # place that writes above the bar

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr
