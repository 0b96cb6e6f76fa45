"""Load the settings: defaults under YAML under environment under explicit arguments."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from velas import rules
from velas.errors import ConfigError
from velas.pairs import Pair, load_pairs
from velas.settings import (
    Credentials,
    History,
    Limits,
    Replay,
    Rest,
    Secret,
    Settings,
    Stream,
    Trading,
    VolatilityRegimes,
    Ws,
)
from velas.yamlfile import read_yaml

__all__ = [
    "Credentials",
    "History",
    "Limits",
    "Pair",
    "Replay",
    "Rest",
    "Secret",
    "Settings",
    "Stream",
    "Trading",
    "VolatilityRegimes",
    "Ws",
    "describe",
    "load_pairs",
    "load_settings",
]

_CONFIG_VARIABLE = "VELAS_CONFIG"
_VARIABLES = {
    "EXCHANGE": "exchange",
    "REST_URL": "rest.url",
    "WS_URL": "ws.url",
    "DATA_DIR": "data_dir",
    "DB_PATH": "db_path",
}
_SECRETS = {"api_key": "BINANCE_API_KEY", "api_secret": "BINANCE_API_SECRET"}
_SECTIONS: dict[object, type[Any]] = {
    "rest": Rest,
    "ws": Ws,
    "limits": Limits,
    "history": History,
    "stream": Stream,
    "trading": Trading,
    "volatility_regimes": VolatilityRegimes,
    "replay": Replay,
}
# set by the loader itself; a file that names them is told so
_NOT_IN_FILE = ("credentials", "sources")


def load_settings(
    path: str | Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    **overrides: object,
) -> Settings:
    """Return the settings from a YAML file, the environment and explicit arguments.

    Later wins: defaults, the file at `path` (or, without one, at ``VELAS_CONFIG``; no
    other file is looked for), the environment (``EXCHANGE``, ``REST_URL``, ``WS_URL``,
    ``DATA_DIR``, ``DB_PATH``, ``BINANCE_API_KEY``, ``BINANCE_API_SECRET``; an empty
    variable counts as not set), `overrides`. These are the keys of the file, a section
    as a mapping of what to change (``history={"months": 3}``), and `api_key` and
    `api_secret`; None means not given. `environ` defaults to the process's own.

    Raises:
        ConfigError: all problems at once, each with its path, value, rule and source.
    """
    variables = os.environ if environ is None else environ
    merged = _Layers()
    file = path if path is not None else variables.get(_CONFIG_VARIABLE, "").strip() or None
    if file is not None:
        merged.add(read_yaml(file), f"file {file}")
    for variable, key in _VARIABLES.items():
        text = variables.get(variable, "").strip()
        if text:
            merged.add(_nested(key, text), f"environment {variable}")
    arguments = {key: value for key, value in overrides.items() if value is not None}
    problems: list[str] = []
    credentials = _credentials(variables, arguments, merged.sources, problems)
    merged.add(_plain(arguments), "argument")
    settings = _structured(merged, problems)
    return attrs.evolve(settings, credentials=credentials, sources=merged.sources)


def describe(settings: Settings) -> dict[str, dict[str, object]]:
    """Return every key with its value and source, as plain data that JSON can hold.

    ``{"history.months": {"value": 12, "source": "default"}, ...}``; the source is
    ``default``, ``file``, ``environment`` or ``argument``, and a secret's value is only
    ever ``set`` or ``not set``.
    """
    described: dict[str, dict[str, object]] = {}
    for key, value in _leaves(settings):
        source = settings.sources.get(key, "default").partition(" ")[0]
        described[key] = {"value": value, "source": source}
    return described


class _Layers:
    def __init__(self) -> None:
        self.values: dict[object, object] = {}
        self.sources: dict[str, str] = {}

    def add(self, layer: Mapping[Any, object], source: str) -> None:
        for key, value in layer.items():
            if key == "db_path" and value is None:
                continue  # its default depends on data_dir
            if key not in _SECTIONS or not isinstance(value, Mapping | None):
                self.values[key] = value
                self.sources[str(key)] = source
            elif isinstance(value, Mapping):  # a section without keys says nothing
                self._add_section(key, value, source)

    def _add_section(self, name: object, section: Mapping[Any, object], source: str) -> None:
        values = self.values.setdefault(name, {})
        if isinstance(values, dict):  # else a lower layer had no mapping here: reported later
            values.update(section)
            self.sources.update({f"{name}.{key}": source for key in section})


def _nested(key: str, value: object) -> dict[str, object]:
    section, dot, name = key.partition(".")
    return {section: {name: value}} if dot else {key: value}


def _plain(arguments: Mapping[str, object]) -> dict[str, object]:
    plain: dict[str, object] = {}
    for key, value in arguments.items():
        section = _SECTIONS.get(key)
        if section is not None and isinstance(value, section):
            value = {name: getattr(value, name) for name in _names(section)}
        if section is not None and isinstance(value, Mapping):
            value = {name: item for name, item in value.items() if item is not None}
        plain[key] = value
    return plain


def _credentials(
    variables: Mapping[str, str],
    arguments: dict[str, object],
    sources: dict[str, str],
    problems: list[str],
) -> Credentials:
    found: dict[str, Secret] = {}
    for key, variable in _SECRETS.items():
        value: object = variables.get(variable, "").strip() or None
        source = f"environment {variable}"
        if key in arguments:
            value, source = arguments.pop(key), "argument"
        text = value.reveal() if isinstance(value, Secret) else value
        if isinstance(text, str) and text.isascii() and text.isprintable() and " " not in text:
            found[key] = Secret(text)
            sources[f"credentials.{key}"] = source
        elif text is not None:
            problems.append(
                f"expected a key of printable ASCII without spaces (value not shown) "
                f"@ $.credentials.{key} ({source})"
            )
    return Credentials(**found)


def _structured(merged: _Layers, problems: list[str]) -> Settings:
    settings = Settings()
    try:
        settings = _converter().structure(merged.values, Settings)
    except ClassValidationError as error:
        problems = [*_problems(error, Settings, "", merged.sources), *problems]
    rules.raise_all("configuration", problems)
    return settings


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)

    def section(value: object, cls: type[Any]) -> object:
        if isinstance(value, Mapping):
            return converter.structure(value, cls)
        raise ConfigError(
            f"expected a mapping with the keys {', '.join(_names(cls))}, not {rules.shown(value)}"
        )

    def hook(field: attrs.Attribute[Any]) -> object:
        if field.name in _NOT_IN_FILE:
            return override(omit=True)
        rule = field.validator
        if isinstance(rule, rules.Rule):
            return override(struct_hook=lambda value, _type: rule.parse(value))
        return override(struct_hook=section)

    for cls in (*_SECTIONS.values(), Settings):
        hooks: dict[str, Any] = {field.name: hook(field) for field in attrs.fields(cls)}
        converter.register_structure_hook(
            cls, make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, **hooks)
        )
    return converter


def _problems(
    error: BaseException, cls: type[Any], at: str, sources: Mapping[str, str]
) -> Iterator[str]:
    if isinstance(error, ClassValidationError):
        inside, whole = error.group_exceptions()
        for part, note in inside:
            below = _SECTIONS.get(note.name, cls)
            yield from _problems(part, below, f"{at}.{note.name}".lstrip("."), sources)
        for part in whole:
            yield from _problems(part, cls, at, sources)
    elif isinstance(error, ForbiddenExtraKeysError):
        for key in sorted(map(str, error.extra_fields)):
            path = f"{at}.{key}".lstrip(".")
            yield _located(_unknown(key, _names(cls)), path, sources)
    else:
        yield _located(str(error), at, sources)


def _located(message: str, path: str, sources: Mapping[str, str]) -> str:
    source = sources.get(path)
    return f"{message} @ $.{path}" + (f" ({source})" if source else "")


def _unknown(key: str, choices: tuple[str, ...]) -> str:
    if key.lower().endswith(("api_key", "api_secret", "secret", "credentials")):
        return (
            f"unknown key {key!r}: secrets are never read from a file, only from the "
            f"environment ({', '.join(_SECRETS.values())})"
        )
    return rules.unknown_key(key, choices)


def _names(cls: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(cls) if field.name not in _NOT_IN_FILE)


def _leaves(settings: Settings) -> Iterator[tuple[str, object]]:
    for name in _names(Settings):
        value = getattr(settings, name)
        if name not in _SECTIONS:
            yield name, _jsonable(value)
            continue
        for key in _names(_SECTIONS[name]):
            yield f"{name}.{key}", _jsonable(getattr(value, key))
    for key in _SECRETS:
        secret = getattr(settings.credentials, key)
        yield f"credentials.{key}", "not set" if secret is None else "set"


def _jsonable(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
