"""Results on disk: one JSON file each, whole or not at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import cattrs
from filelock import FileLock

from velas.backtests.result import BacktestResult
from velas.errors import ConfigError, StoreCorrupt, StoreError
from velas.files import replace_file

__all__ = ["FOLDER", "document", "load_result", "results", "save_result"]

FOLDER = "backtests"
_SCHEMA = 1
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LOCK = ".lock"
_WITHOUT_MEANING = ("created_ms", "versions")


def save_result(result: BacktestResult, data_dir: str | Path) -> Path:
    """Write a result to ``<data_dir>/backtests/<day>/<symbol>_<strategy>_<interval>.json``.

    Durable when it returns. Another result of that name and day is kept beside it, with
    the time it was made in its name; the same result once more replaces it.

    Raises:
        StoreError: the folder cannot be written to.
    """
    folder = Path(data_dir) / FOLDER / result.day
    path = folder / f"{result.name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / _LOCK):
            _keep(path, result)
            text = json.dumps(document(result), allow_nan=False, indent=1)
            replace_file(path, f"{text}\n".encode())
    except OSError as error:
        raise StoreError(f"{str(path)!r}: cannot be written: {error.strerror or error}") from error
    return path


def load_result(path: str | Path) -> BacktestResult:
    """Read a result.

    Raises:
        ConfigError: there is no such file.
        StoreCorrupt: it is no result, or a damaged one.
        StoreError: it cannot be read, or a newer velas has written it.
    """
    path = Path(path)
    try:
        read: Any = json.loads(path.read_bytes(), parse_constant=_no_number)
    except FileNotFoundError as error:
        raise ConfigError(f"no backtest result {str(path)!r}") from error
    except OSError as error:
        raise StoreError(f"{str(path)!r}: {error.strerror or error}") from error
    except ValueError as error:
        raise StoreCorrupt(f"{str(path)!r} is damaged: no JSON ({error})") from error
    schema = read.get("schema") if isinstance(read, dict) else None
    if type(schema) is not int or schema < 1:
        raise StoreCorrupt(f"{str(path)!r} is no backtest result: schema {schema!r}")
    if schema > _SCHEMA:
        raise StoreError(f"{str(path)!r} was written by a newer velas (schema {schema})")
    try:
        fields = {key: value for key, value in read.items() if key != "schema"}
        return _converter().structure(fields, BacktestResult)
    except Exception as error:  # whatever a file of any content leads to
        raise StoreCorrupt(f"{str(path)!r} is no backtest result: {_why(error)}") from error


def results(data_dir: str | Path) -> Iterator[Path]:
    """Iterate over the files of all results, by day and name."""
    folder = Path(data_dir) / FOLDER
    if not folder.is_dir():
        return
    for day in sorted(one for one in folder.iterdir() if _DAY.fullmatch(one.name)):
        yield from sorted(day.glob("[!.]*.json"))


def document(result: BacktestResult) -> dict[str, Any]:
    """Return a result as its file has it."""
    return {"schema": _SCHEMA, **attrs.asdict(result)}


def _keep(path: Path, result: BacktestResult) -> None:
    """Put another result that has the place of this one aside."""
    if not path.exists():
        return
    try:
        before = load_result(path)
    except StoreError:
        name = f"{path.stem}.damaged"
    else:
        if _meaning(before) == _meaning(result):
            return
        name = f"{path.stem}.{before.created_ms}"
    for number in count(1):
        aside = path.with_name(f"{name}.json" if number == 1 else f"{name}-{number}.json")
        try:
            os.link(path, aside)
        except FileExistsError:
            if not aside.samefile(path):  # it is, where this was interrupted once
                continue
        return


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _meaning(result: BacktestResult) -> dict[str, Any]:
    whole = document(result)
    return {key: value for key, value in whole.items() if key not in _WITHOUT_MEANING}


@cache
def _converter() -> cattrs.Converter:
    return cattrs.Converter(forbid_extra_keys=True)


def _why(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__} {error}"[:200]
