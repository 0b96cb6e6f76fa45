"""Symbol spelling: three ways in, one folder name out; no network, no state."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable

from velas.errors import ConfigError

__all__ = ["near_matches", "series_key", "spellings"]

_MAX_BYTES = 128  # file systems end at 255 bytes, and UTF-8 takes up to four for a sign
_FORBIDDEN = re.compile(r'[\\/:*?"<>|\s]')
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)$")


def series_key(symbol: str) -> str:
    """Return the folder name of a symbol in any of its spellings.

    ``BTC/USDT``, ``BTC/USDT:USDT``, ``BTCUSDT`` -> ``BTCUSDT``; an expiry is kept as
    ``_YYMMDD``, a settlement other than the quote as ``_COIN``.

    Raises:
        ConfigError: the result could leave its folder or is no portable file name.

    >>> series_key("BTC/USDT:USDT-261225"), series_key("BTC/USD:BTC")
    ('BTCUSDT_261225', 'BTCUSD_BTC')
    """
    if not isinstance(symbol, str):
        raise ConfigError(f"symbol {reprlib.repr(symbol)}: expected text such as 'BTC/USDT'")
    pair, _, contract = symbol.partition(":")
    base, slash, quote = pair.partition("/")
    settle, dash, expiry = contract.partition("-")
    if (slash and not (base and quote)) or (":" in symbol and not (slash and settle)):
        raise _refused(symbol)
    if dash and not expiry:
        raise _refused(symbol)
    key = base + quote
    if settle and settle != quote:
        key += f"_{settle}"
    if dash:
        key += f"_{expiry}"
    if not _is_file_name(key):
        raise _refused(symbol)
    return key


def spellings(symbol: str, *, linear_settle: bool) -> tuple[str, ...]:
    """Return what `symbol` may be listed as, most exact first.

    On a derivatives venue (`linear_settle`) ``BTC/USDT`` also means its linear
    perpetual ``BTC/USDT:USDT``.
    """
    pair, colon, _ = symbol.partition(":")
    _, slash, quote = pair.partition("/")
    if linear_settle and slash and not colon:
        return (f"{symbol}:{quote}", symbol)
    return (symbol,)


def near_matches(symbol: str, known: Iterable[str], *, most: int = 5) -> tuple[str, ...]:
    """Return the known symbols most like `symbol`, best first."""
    by_bare: dict[str, list[str]] = {}
    for name in known:
        by_bare.setdefault(_bare(name), []).append(name)
    # a longer text is no misspelling, and comparing it takes long
    found = difflib.get_close_matches(_bare(symbol[:_MAX_BYTES]), by_bare, n=most, cutoff=0.5)
    return tuple(name for bare in found for name in by_bare[bare])[:most]


def _bare(symbol: str) -> str:
    return "".join(filter(str.isalnum, symbol)).upper()


def _is_file_name(key: str) -> bool:
    # isprintable: no control, format (bidirectional!), surrogate or unassigned characters
    return (
        key.isprintable()
        and 0 < len(key.encode()) <= _MAX_BYTES
        and not _FORBIDDEN.search(key)
        and not _RESERVED.match(key)
        and not key.startswith(".")
        and not key.endswith(".")
        and ".." not in key
    )


def _refused(symbol: str) -> ConfigError:
    return ConfigError(
        f"symbol {reprlib.repr(symbol)} cannot name a series: use the venue's id ('BTCUSDT'), the "
        "unified name ('BTC/USDT', 'BTC/USDT:USDT'), without path characters, at most "
        f"{_MAX_BYTES} bytes long"
    )
