"""Load the settings: defaults under YAML under environment under explicit arguments."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import attrs
import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from velas import rules
from velas.credentials import (
    credentials_venue,
    find_credentials,
    lacking_credentials,
    read_credentials,
)
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

T = TypeVar("T")
_CONFIG_VARIABLE = "VELAS_CONFIG"
_VARIABLES = {
    "EXCHANGE": "exchange",
    "REST_URL": "rest.url",
    "WS_URL": "ws.url",
    "DATA_DIR": "data_dir",
    "DB_PATH": "db_path",
    "VELAS_CREDENTIALS": "trading.credentials_file",
}
_SECRETS = ("api_key", "api_secret", "password")
_SECRET_ENDINGS = ("key", "secret", "password", "passphrase", "credentials", "...")
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
    ``DATA_DIR``, ``DB_PATH``, ``VELAS_CREDENTIALS``; an empty variable counts as not
    set), `overrides`. These are the keys of the file, a section as a mapping of what to
    change (``history={"months": 3}``), and `api_key`, `api_secret` and `password`; None
    means not given. `environ` defaults to the process's own.

    The keys are those of the account of the `exchange` that is left in the end: of
    Binance ``BINANCE_API_KEY`` and ``BINANCE_API_SECRET``, of any other its name's, such
    as ``KRAKEN_API_KEY``, ``KRAKEN_API_SECRET`` and ``KRAKEN_API_PASSWORD``, in the
    environment or under it in the private file `trading.credentials_file`.

    Raises:
        ConfigError: all problems at once, each with its path, value, rule and source;
            also a key or secret that is lacking while `trading.mode` is not ``off``.
    """
    loaded = _attempt(path, os.environ if environ is None else environ, overrides)
    if isinstance(loaded, Settings):
        return loaded
    # a traceback that shows local variables must not find a key in ours, and the frames
    # below, which held some, are gone already
    del environ, overrides
    raise ConfigError(loaded)


def describe(settings: Settings) -> dict[str, dict[str, object]]:
    """Return every key with its value and source, as plain data that JSON can hold.

    ``{"history.months": {"value": 12, "source": "default"}, ...}``; the source is
    ``default``, ``file``, ``environment`` or ``argument``. A secret's value is only ever
    ``set`` or ``not set``, its source also names the variable or the file.
    """
    described: dict[str, dict[str, object]] = {}
    for key, value in _leaves(settings):
        source = settings.sources.get(key, "default").partition(" ")[0]
        described[key] = {"value": value, "source": source}
    for name in _SECRETS:
        key = f"credentials.{name}"
        known = getattr(settings.credentials, name) is not None
        source = settings.sources.get(key, "argument") if known else "default"
        described[key] = {"value": "set" if known else "not set", "source": source}
    return described


def _attempt(
    path: str | Path | None, variables: Mapping[str, str], overrides: Mapping[str, object]
) -> Settings | str:
    try:
        return _load(path, variables, overrides)
    except ConfigError as error:
        return str(error)


def _load(
    path: str | Path | None, variables: Mapping[str, str], overrides: Mapping[str, object]
) -> Settings:
    merged = _Layers()
    file = path if path is not None else variables.get(_CONFIG_VARIABLE, "").strip() or None
    if file is not None:
        merged.add(read_yaml(file), f"file {file}")
    for variable, key in _VARIABLES.items():
        text = variables.get(variable, "").strip()
        if text:
            merged.add(_nested(key, text), f"environment {variable}")
    given = {key: value for key, value in overrides.items() if value is not None}
    keys = {key: given.pop(key) for key in _SECRETS if key in given}
    merged.add(_plain(given), "argument")
    settings, problems = _structured(merged)
    credentials, unfit = _credentials(merged, keys, variables)
    rules.raise_all("configuration", [*problems, *unfit])
    settings = attrs.evolve(settings, credentials=credentials, sources=merged.sources)
    rules.raise_all("configuration", _not_tradable(settings))
    return settings


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
    merged: _Layers, arguments: Mapping[str, object], variables: Mapping[str, str]
) -> tuple[Credentials, list[str]]:
    exchange = _valid(rules.adapter_name, merged.values.get("exchange", Settings().exchange))
    if exchange is None or credentials_venue(exchange) is None:
        return Credentials(), []
    trading = merged.values.get("trading")
    named = trading.get("credentials_file") if isinstance(trading, Mapping) else None
    file = _valid(rules.path, named)
    in_file: Mapping[str, Secret] = {}
    unfit: list[str] = []
    if file is not None:
        try:
            in_file = read_credentials(file)
        except ConfigError as error:
            unfit.append(_located(str(error), "trading.credentials_file", merged.sources))
    credentials, sources, problems = find_credentials(
        exchange, arguments=arguments, environ=variables, file=file, in_file=in_file
    )
    merged.sources.update(sources)
    return credentials, [*unfit, *problems]


def _valid(rule: rules.Rule[T], value: object) -> T | None:
    try:
        return rule.parse(value)
    except ConfigError:  # told when the settings are made
        return None


def _not_tradable(settings: Settings) -> list[str]:
    if settings.trading.mode == "off" or settings.credentials.venue is None:
        return []
    lacking = lacking_credentials(settings)
    what = f"{settings.trading.mode!r}: {lacking}"
    return [] if lacking is None else [_located(what, "trading.mode", settings.sources)]


def _structured(merged: _Layers) -> tuple[Settings, list[str]]:
    try:
        return _converter().structure(merged.values, Settings), []
    except ClassValidationError as error:
        return Settings(), list(_problems(error, Settings, "", merged.sources))


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
            source = sources.get(f"{at}.{key}".lstrip("."))
            # a line of a credentials file with a colon behind it: the value is in the key
            shown = "..." if "=" in key else key
            path = f"{at}.{shown}".lstrip(".")
            yield _located(_unknown(shown, _names(cls)), path, sources, source)
    else:
        yield _located(str(error), at, sources)


def _located(message: str, path: str, sources: Mapping[str, str], source: str | None = None) -> str:
    source = source or sources.get(path)
    return f"{message} @ $.{path}" + (f" ({source})" if source else "")


def _unknown(key: str, choices: tuple[str, ...]) -> str:
    if key.lower().endswith(_SECRET_ENDINGS):
        return (
            f"unknown key {key!r}: keys and secrets are never read from here, only from the "
            "environment (such as BINANCE_API_KEY, BINANCE_API_SECRET) or the private file "
            "that trading.credentials_file names"
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


def _jsonable(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
