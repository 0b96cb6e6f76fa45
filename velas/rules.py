"""Rules for single settings: what a key accepts, and the words for what it does not."""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast
from urllib.parse import urlsplit

import attrs

from velas.errors import ConfigError
from velas.interval import Interval
from velas.symbols import series_key

__all__ = [
    "Rule",
    "adapter_name",
    "amount",
    "interval",
    "mode",
    "number",
    "optional",
    "path",
    "raise_all",
    "shown",
    "symbol",
    "texts",
    "unknown_key",
    "url",
    "whole",
]

T = TypeVar("T")
_MODES = ("off", "test", "live")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PRINTABLE_ASCII = re.compile(r"[!-~]+")


class Rule(Generic[T]):
    """Turns a raw value into a setting's, or says why not; also an attrs validator.

    The loader calls `parse`, which names no key, to put the path in the file in front;
    as a validator it guards settings that a program builds itself, and names the class.
    """

    def __init__(self, parse: Callable[[object], T]) -> None:
        self.parse = parse

    def __call__(self, instance: object, attribute: attrs.Attribute[Any], value: T) -> None:
        """Raise `ConfigError` if `value` is not allowed."""
        try:
            self.parse(value)
        except ConfigError as error:
            where = f"{type(instance).__name__}.{attribute.name}"
            raise ConfigError(f"{where}: {error}") from None


def shown(value: object) -> str:
    """Return a short spelling of a value for a message."""
    return "null" if value is None else reprlib.repr(value)


def unknown_key(key: str, choices: Iterable[str]) -> str:
    """Return the message about a key that is none of the `choices`."""
    names = tuple(choices)
    near = difflib.get_close_matches(key, names, n=1)
    guess = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown key {key!r}{guess}; choose from {', '.join(names)}"


def raise_all(name: str, problems: Sequence[str]) -> None:
    """Raise one `ConfigError` that lists all problems of `name`, if there are any."""
    if len(problems) == 1:
        raise ConfigError(f"{name}: {problems[0]}")
    if problems:
        raise ConfigError(f"{name}: {len(problems)} problems\n  " + "\n  ".join(problems))


def whole(low: int, high: int) -> Rule[int]:
    """Accept a whole number from `low` to `high`; True and 1.0 are none."""

    def parse(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ConfigError(f"expected a whole number from {low} to {high}, not {shown(value)}")

    return Rule(parse)


def number(*, least: float | None = None, most: float = math.inf) -> Rule[float]:
    """Accept a finite number above 0, or from `least` on if given, at most `most`."""
    upper = "" if math.isinf(most) else f", at most {most:g}"
    wanted = f"above 0{upper}" if least is None else f"of at least {least:g}{upper}"

    def parse(value: object) -> float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            enough = value > 0 if least is None else value >= least
            if enough and value <= most and value < math.inf:
                return float(value)
        raise ConfigError(f"expected a number {wanted}, not {shown(value)}")

    return Rule(parse)


def optional(rule: Rule[T]) -> Rule[T | None]:
    """Accept None, or what `rule` accepts."""
    return Rule(lambda value: None if value is None else rule.parse(value))


def texts(one: Rule[str], what: str) -> Rule[tuple[str, ...]]:
    """Accept a list, not empty, without repetition, of what `one` accepts."""

    def parse(value: object) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or not value:
            raise ConfigError(f"expected a list of {what}, not {shown(value)}")
        names = tuple(one.parse(item) for item in value)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"{', '.join(twice)} is in the list of {what} twice")
        return names

    return Rule(parse)


def url(*schemes: str) -> Rule[str]:
    """Accept ``scheme://host[:port]``; never print a user name, password or query."""
    wanted = f"expected {' or '.join(f'{scheme}://host[:port]' for scheme in schemes)}"

    def parse(value: object) -> str:
        if not isinstance(value, str):
            raise ConfigError(f"{wanted}, not {shown(value)}")
        if "@" in value:
            raise ConfigError(f"{wanted}, without user name or password (value not shown)")
        if _is_origin(value, schemes):
            return value.rstrip("/")
        raise ConfigError(f"{wanted} and nothing after it, not {shown(_without_query(value))}")

    return Rule(parse)


def _is_origin(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (
        _PRINTABLE_ASCII.fullmatch(text) is not None
        and parts.scheme in schemes
        and bool(parts.hostname)
        and port != 0
        and not parts.netloc.endswith(":")
        and parts.path in ("", "/")
        and not re.search(r"[?#]", text)
    )


def _without_query(text: str) -> str:
    bare = re.split(r"[?#]", text, maxsplit=1)[0]
    return bare if bare == text else f"{bare}..."


def _mode(value: object) -> Literal["off", "test", "live"]:
    if isinstance(value, str) and value in _MODES:
        return cast("Literal['off', 'test', 'live']", value)
    raise ConfigError(f"expected one of {', '.join(_MODES)}, not {shown(value)}")


def _amount(value: object) -> Decimal:
    try:
        if isinstance(value, (int, float, str, Decimal)) and not isinstance(value, bool):
            parsed = Decimal(str(value))
            if parsed.is_finite() and parsed > 0:
                return parsed
    except InvalidOperation:
        pass
    raise ConfigError(f"expected an amount above 0, not {shown(value)}")


def _adapter_name(value: object) -> str:
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise ConfigError(
        "expected an adapter's name (lower-case letters, digits, _ and -) such as "
        f"'binance_spot', not {shown(value)}"
    )


def _path(value: object) -> Path:
    if isinstance(value, (str, Path)) and str(value).strip() and "\x00" not in str(value):
        try:
            return Path(value).expanduser()
        except RuntimeError:  # the home of somebody who has none
            pass
    raise ConfigError(f"expected a path, not {shown(value)}")


def _interval(value: object) -> str:
    if isinstance(value, Interval):
        return value.name
    if isinstance(value, str):
        return Interval(value).name
    raise ConfigError(f"expected an interval such as '1h', not {shown(value)}")


def _symbol(value: object) -> str:
    series_key(cast("str", value))  # refuses what is no text, too
    return cast("str", value)


mode = Rule(_mode)
amount = Rule(_amount)
adapter_name = Rule(_adapter_name)
path = Rule(_path)
interval = Rule(_interval)
symbol = Rule(_symbol)
