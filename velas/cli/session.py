"""Open what a command works on - settings, store, ledger, exchange - and close it again."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import attrs

from velas.errors import ConfigError
from velas.symbols import near_matches, series_key

if TYPE_CHECKING:
    from velas.cli.options import Common
    from velas.ledger import Ledger
    from velas.models import SeriesId
    from velas.protocols import Exchange, Store
    from velas.settings import Settings

__all__ = [
    "Shelf",
    "Workplace",
    "check_folder",
    "check_writable",
    "chosen",
    "nothing_stored",
    "open_shelf",
    "open_workplace",
    "settings_of",
]


# in a file system of the kernel, "no such file" is what it says of one that is to be made
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT)


@attrs.frozen
class Shelf:
    """What lies on disk for one exchange: its candles, and what is known about holes."""

    exchange: str
    store: Store
    ledger: Ledger


@attrs.frozen
class Workplace:
    """A shelf and the venue that can fill it."""

    settings: Settings
    exchange: Exchange
    store: Store
    ledger: Ledger


def settings_of(common: Common) -> Settings:
    """Return the settings that the shared options, the environment and the file give."""
    from velas.config import load_settings

    return load_settings(common.config, exchange=common.exchange, data_dir=common.data_dir)


@contextmanager
def open_shelf(settings: Settings) -> Iterator[Shelf]:
    """Open what is stored, for commands that only read; creates no file."""
    from velas.ledger import Ledger
    from velas.registry import open_store

    store = open_store(settings)
    # reading must neither create nor change a database, nor need permission to
    with Ledger(settings.db_path, read_only=True) as ledger:
        yield Shelf(settings.exchange, store, ledger)


@asynccontextmanager
async def open_workplace(settings: Settings) -> AsyncIterator[Workplace]:
    """Open the venue and the store; on the way out fold, then close, whatever happened.

    Raises:
        ConfigError: a folder cannot be written to; found out before anything is fetched.
    """
    from velas.registry import open_exchange, open_ledger, open_store

    check_writable(settings)
    with open_ledger(settings) as ledger:
        store = open_store(settings)
        try:
            async with open_exchange(settings, ledger=ledger) as exchange:
                yield Workplace(settings, exchange, store, ledger)
        finally:
            await asyncio.to_thread(_close, store)


def check_writable(settings: Settings) -> None:
    """Refuse folders that cannot be written to, before there is something to lose."""
    for key, folder in (("data_dir", settings.data_dir), ("db_path", settings.db_path.parent)):
        check_folder(key, folder)


def check_folder(key: str, folder: Path) -> None:
    """Refuse a folder in which no file can be made, or that cannot be made itself.

    It is tried: permissions do not tell of the root user and of file systems of the kernel.
    Nothing is left of it.

    Raises:
        ConfigError: names `key`, the setting or option that the folder comes from.
    """
    nearest = folder
    try:
        nearest = _nearest_existing(folder)
        if not nearest.is_dir():
            raise ConfigError(f"{key}: {str(nearest)!r} is a file, so no folder can be made there")
        with NamedTemporaryFile(dir=nearest, prefix=".velas-"):
            pass
    except OSError as error:
        if error.errno in _REFUSED:
            raise ConfigError(f"{key}: no permission to write to {str(nearest)!r}") from error
        why = error.strerror or error
        raise ConfigError(f"{key}: {str(nearest)!r} cannot be written to: {why}") from error


def chosen(
    stored: Sequence[SeriesId], symbols: Sequence[str], intervals: Sequence[str]
) -> list[SeriesId]:
    """Return the stored series that the filters name; none named, all of them.

    Raises:
        ConfigError: a name that cannot be one, or that nothing is stored for.
    """
    from velas.interval import Interval

    keys = [series_key(symbol) for symbol in symbols]
    names = [Interval(interval).name for interval in intervals]
    _check_stored("symbol", keys, [one.symbol for one in stored])
    _check_stored("interval", names, [one.interval for one in stored])
    found = [
        one
        for one in stored
        if (not keys or one.symbol in keys) and (not names or one.interval in names)
    ]
    if stored and not found:
        raise ConfigError(
            f"nothing stored for {', '.join(keys)} at {', '.join(names)}; see `velas stats`"
        )
    return found


def nothing_stored(settings: Settings) -> str:
    """Return what to tell a user whose store is empty."""
    return (
        f"Nothing is stored for {settings.exchange} under {str(settings.data_dir)!r} yet. "
        "`velas download` fetches candles; --data-dir and --exchange choose another store."
    )


def _check_stored(what: str, wanted: Sequence[str], stored: Sequence[str]) -> None:
    there = list(dict.fromkeys(stored))
    for name in wanted:
        if there and name not in there:
            near = near_matches(name, there) if what == "symbol" else ()
            shown = near or there
            more = f" and {len(there) - 10} more" if len(shown) > 10 else ""
            raise ConfigError(
                f"nothing stored for {what} {name!r}; "
                f"{'similar' if near else 'stored are'}: {', '.join(shown[:10])}{more}"
            )


def _nearest_existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents, Path()) if place.exists())


def _close(store: Store) -> None:
    close = getattr(store, "close", None)  # folding on close is the store's own business
    if close is not None:
        close()
