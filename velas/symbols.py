"""Symbol spelling: three ways in, one folder name out; no network, no state."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from velas.errors import ConfigError

__all__ = ["near_matches", "series_key", "spellings"]

_MAX_LENGTH = 64
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\/:*?"<>|\s]')
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
        raise ConfigError(f"symbol {symbol!r}: expected text such as 'BTC/USDT'")
    pair, _, contract = symbol.partition(":")
    base, slash, quote = pair.partition("/")
    if (slash and not (base and quote)) or (":" in symbol and not (slash and contract)):
        raise _refused(symbol)
    settle, dash, expiry = contract.partition("-")
    key = base + quote
    if settle and settle != quote:
        key += f"_{settle}"
    if dash:
        key += f"_{expiry}"
    if not key or key.startswith(".") or len(key) > _MAX_LENGTH:
        raise _refused(symbol)
    if _FORBIDDEN.search(key) or _RESERVED.match(key) or ".." in key or key.endswith("."):
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
    wanted = re.sub(r"[^A-Za-z0-9]", "", symbol).upper()
    by_bare = {re.sub(r"[/:]", "", name).upper(): name for name in known}
    found = difflib.get_close_matches(wanted, by_bare, n=most, cutoff=0.5)
    return tuple(by_bare[bare] for bare in found)


def _refused(symbol: str) -> ConfigError:
    return ConfigError(
        f"symbol {symbol!r} cannot name a series: use the venue's id ('BTCUSDT'), the "
        "unified name ('BTC/USDT', 'BTC/USDT:USDT'), without path characters, at most "
        f"{_MAX_LENGTH} long"
    )
