"""The pairs to collect: which markets, and the sector each belongs to."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import attrs

from velas import rules
from velas.errors import ConfigError
from velas.settings import Settings
from velas.symbols import series_key
from velas.yamlfile import parse_yaml, read_yaml

__all__ = ["Pair", "load_pairs"]


@attrs.frozen
class Pair:
    """One market to collect: its symbol in any spelling, and the sector it belongs to."""

    symbol: str
    sector: str = ""


def load_pairs(settings: Settings) -> tuple[Pair, ...]:
    """Return the pairs to collect: `history.symbols`, else all of the pairs file.

    The file's key `pairs` lists mappings of `symbol` and `sector`, or bare symbols.

    Raises:
        ConfigError: all problems of the file at once.
    """
    document, name = _pairs_document(settings.pairs_file)
    problems = [
        f"unknown key {key!r}; the only one is 'pairs'"
        for key in sorted(map(str, document.keys() - {"pairs"}))
    ]
    entries = document.get("pairs")
    pairs: list[Pair] = []
    if isinstance(entries, list) and entries:
        pairs = _pairs(entries, problems)
    else:
        problems.append("expected a list of pairs, one at least @ $.pairs")
    rules.raise_all(name, problems)
    if settings.history.symbols is None:
        return tuple(pairs)
    known = {series_key(pair.symbol): pair.sector for pair in pairs}
    return tuple(
        Pair(symbol, known.get(series_key(symbol), "")) for symbol in settings.history.symbols
    )


def _pairs_document(path: Path | None) -> tuple[dict[object, object], str]:
    if path is not None:
        return read_yaml(path), str(path)
    try:
        text = resources.files("velas_config").joinpath("pairs.yaml").read_text("utf-8")
    except (ModuleNotFoundError, OSError) as error:
        raise ConfigError(
            f"the shipped pairs.yaml is not installed ({error}): set pairs_file"
        ) from error
    return parse_yaml(text, name="pairs.yaml"), "pairs.yaml"


def _pairs(entries: list[object], problems: list[str]) -> list[Pair]:
    pairs: dict[str, Pair] = {}
    for index, entry in enumerate(entries):
        try:
            pair = _pair(entry)
            key = series_key(pair.symbol)
            if key in pairs:
                raise ConfigError(f"{pair.symbol!r} is the same series as {pairs[key].symbol!r}")
            pairs[key] = pair
        except ConfigError as error:
            problems.append(f"{error} @ $.pairs[{index}]")
    return list(pairs.values())


def _pair(entry: object) -> Pair:
    if isinstance(entry, str):
        return Pair(entry)
    if not isinstance(entry, dict):
        raise ConfigError("expected a symbol, or a mapping with the keys symbol, sector")
    unknown = sorted(str(key) for key in entry.keys() - {"symbol", "sector"})
    if unknown:
        raise ConfigError(rules.unknown_key(unknown[0], ("symbol", "sector")))
    if "symbol" not in entry:
        raise ConfigError("the key 'symbol' is missing")
    sector = entry.get("sector", "")
    if not isinstance(sector, str):
        raise ConfigError(f"sector: expected text, not {type(sector).__name__}")
    return Pair(entry["symbol"], sector)
