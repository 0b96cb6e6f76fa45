"""An account's keys: whose they are, where they are looked for, and that none is shown."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import attrs

from velas.errors import ConfigError

if TYPE_CHECKING:
    from velas.settings import Settings

__all__ = [
    "Credentials",
    "Secret",
    "credential_variables",
    "credentials_venue",
    "find_credentials",
    "lacking_credentials",
    "parse_credentials",
    "read_credentials",
    "require_credentials",
]

_VENUES = {"binance_spot": "BINANCE", "binance_futures": "BINANCE", "replay": None}
_SUFFIXES = {"api_key": "API_KEY", "api_secret": "API_SECRET", "password": "API_PASSWORD"}
_NEEDED = ("api_key", "api_secret")
_MOST_BYTES = 1 << 16
_MOST_PROBLEMS = 5
_NAME = re.compile(rf"[A-Z0-9][A-Z0-9_]*_(?:{'|'.join(_SUFFIXES.values())})")
_WITHOUT_SPACES = re.compile(r"[!-~]+")
_WITH_SPACES = re.compile(r"[ -~]+")
_QUOTES = ("'", '"')
# NONBLOCK: opening a pipe must not wait for somebody to write to it
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# Windows has access lists instead, of which a mode says nothing
_HAS_MODES = hasattr(os, "geteuid")


class Secret:
    """A text that no repr, str, format, pickle or `attrs.asdict` shows; see `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret text itself, for signing a request and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: hand it over on purpose, with reveal()")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret has no state to show: hand it over on purpose, with reveal()")


def _key(value: object) -> Secret | None:
    return _checked(value, _WITHOUT_SPACES, "a key of printable ASCII without spaces")


def _passphrase(value: object) -> Secret | None:
    return _checked(value, _WITH_SPACES, "a passphrase of printable ASCII")


def _checked(value: object, allowed: re.Pattern[str], expected: str) -> Secret | None:
    text = value.reveal() if isinstance(value, Secret) else value
    if text is None:
        return None
    if isinstance(text, str) and allowed.fullmatch(text):
        return Secret(text)
    raise ConfigError(f"expected {expected} (value not shown)")


@attrs.frozen(kw_only=True)
class Credentials:
    """The keys of one account, and the venue they are for.

    `venue` is a name as `credentials_venue` makes it. None means those of the exchange
    of the `Settings` they are put into, which hold no others. `password` is the
    passphrase that some venues want besides. A plain text becomes a `Secret`.
    """

    venue: str | None = None
    api_key: Secret | None = attrs.field(default=None, converter=_key)
    api_secret: Secret | None = attrs.field(default=None, converter=_key)
    password: Secret | None = attrs.field(default=None, converter=_passphrase)

    def only_for(self, exchange: str) -> Credentials:
        """Return these if they may be shown to that exchange, otherwise empty ones."""
        venue = credentials_venue(exchange)
        if venue is None or self.venue not in (None, venue):
            return Credentials(venue=venue)
        return attrs.evolve(self, venue=venue)


def credentials_venue(exchange: str) -> str | None:
    """Return whose keys an exchange takes: ``KRAKEN``, for ``KRAKEN_API_KEY``.

    Spot and futures of Binance are one account, and so are ``bybit`` and
    ``bybit_derivatives``. None: it has no account, as ``replay``.
    """
    if exchange in _VENUES:
        return _VENUES[exchange]
    return exchange.removesuffix("_derivatives").replace("-", "_").upper()


def credential_variables(exchange: str) -> dict[str, str]:
    """Return the names of an exchange's variables by field: ``{"api_key": ...}``."""
    venue = credentials_venue(exchange)
    if venue is None:
        return {}
    return {field: f"{venue}_{suffix}" for field, suffix in _SUFFIXES.items()}


def find_credentials(
    exchange: str,
    *,
    arguments: Mapping[str, object],
    environ: Mapping[str, str],
    file: Path | None = None,
    in_file: Mapping[str, Secret] | None = None,
) -> tuple[Credentials, dict[str, str], list[str]]:
    """Return the exchange's keys, the source of each, and what is wrong with any.

    Of `arguments` (by field), `environ` and what `file` holds (both by variable) the
    first that has a key counts, for each by itself. An empty variable is not set. Keys of
    other venues are not looked at.
    """
    found: dict[str, Secret | None] = {}
    sources: dict[str, str] = {}
    problems: list[str] = []
    for field, name in credential_variables(exchange).items():
        candidates: tuple[tuple[object, str], ...] = (
            (arguments.get(field), "argument"),
            (environ.get(name, "").strip() or None, f"environment {name}"),
            ((in_file or {}).get(name), f"file {file}"),
        )
        for value, source in candidates:
            if value is not None:
                try:
                    found[field] = _CHECKS[field](value)
                    sources[f"credentials.{field}"] = source
                except ConfigError as error:
                    problems.append(f"{error} @ $.credentials.{field} ({source})")
                break
    return Credentials(venue=credentials_venue(exchange), **found), sources, problems


def lacking_credentials(settings: Settings) -> str | None:
    """Return what an account's use lacks, in words for the user; None if nothing."""
    names = credential_variables(settings.exchange)
    if not names:
        return f"exchange {settings.exchange!r} has no account and takes no orders"
    missing = [names[field] for field in _NEEDED if getattr(settings.credentials, field) is None]
    if not missing:
        return None
    which = "neither is" if len(missing) == len(_NEEDED) else f"{missing[0]} is not"
    given = settings.trading.credentials_file
    now = "" if given is None else f", now {str(given)!r}"
    return (
        f"trading on {settings.exchange} needs {' and '.join(names[one] for one in _NEEDED)}, and "
        f"{which} set, in the environment or in the private file that "
        f"trading.credentials_file or VELAS_CREDENTIALS names{now}"
    )


def require_credentials(settings: Settings) -> Credentials:
    """Return the account's credentials, key and secret both set.

    `load_settings` asks this already where `trading.mode` is on; it is for settings that
    a program made or changed.

    Raises:
        ConfigError: one is not set; names the variables and the file.
    """
    lacking = lacking_credentials(settings)
    if lacking is not None:
        raise ConfigError(lacking)
    return settings.credentials


def read_credentials(path: Path) -> dict[str, Secret]:
    """Return what a private file holds, by the names of the variables.

    The file must be a regular one of the current user or of root, of mode 0600 or less
    (the modes are not looked at on Windows), and at most 64 KiB of UTF-8.

    Raises:
        ConfigError: it is not, cannot be read, or `parse_credentials` refuses it.
    """
    return parse_credentials(_decoded(_private_bytes(path), path), name=str(path))


def parse_credentials(text: str, *, name: str) -> dict[str, Secret]:
    """Return the keys in lines ``KRAKEN_API_KEY=value``; `name` says in errors whose text.

    Any venue's may be there. A line that starts with ``#`` is a comment. A value may be
    in single or double quotes, which have no escapes; an empty one is not set.

    Raises:
        ConfigError: names each line that is none, or whose name is unknown or there
            twice. What stands in it is never shown, for that may be the key itself.
    """
    found: dict[str, Secret | None] = {}
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            try:
                field, value = _assignment(bare, found)
                found[field] = value
            except ConfigError as error:
                problems.append(f"line {number}: {error}")
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        listed = problems[:_MOST_PROBLEMS] + [f"and {more} more"] * (more > 0)
        raise ConfigError(f"{name}: {'; '.join(listed)}")
    return {field: value for field, value in found.items() if value is not None}


def _assignment(line: str, found: Mapping[str, object]) -> tuple[str, Secret | None]:
    name, equals, value = (part.strip() for part in line.partition("="))
    if not equals:
        raise ConfigError("expected NAME=VALUE")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"unknown name; expected a venue's in front of _{', _'.join(_SUFFIXES.values())}, "
            "such as KRAKEN_API_KEY=..."
        )
    if name in found:
        raise ConfigError("the same name as in an earlier line")
    field = next(field for field, suffix in _SUFFIXES.items() if name.endswith(f"_{suffix}"))
    bare = _unquoted(value)
    return name, _CHECKS[field](bare) if bare else None


def _unquoted(value: str) -> str:
    quote = value[:1]
    if quote in _QUOTES:
        if len(value) < 2 or not value.endswith(quote) or quote in value[1:-1]:
            raise ConfigError("expected the quote that opens to close at the end, and only there")
        return value[1:-1]
    if value.endswith(_QUOTES) or re.search(r"\s", value):
        raise ConfigError(
            "expected a value without spaces, or one in quotes; a comment needs its own line"
        )
    return value


def _private_bytes(path: Path) -> bytes:
    descriptor = _opened(path)
    try:
        # of what is open, not of what the path names by now
        _check_private(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)
    if len(raw) > _MOST_BYTES:
        raise ConfigError(f"{path}: more than {_MOST_BYTES:,} bytes are no credentials file")
    return raw


def _opened(path: Path) -> int:
    try:
        return os.open(path, _FLAGS)
    except (OSError, ValueError) as error:  # ValueError: a null byte, half a surrogate
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ConfigError:
    reason = getattr(error, "strerror", None) or "no name a file can have"
    return ConfigError(f"cannot read the credentials file {str(path)!r}: {reason}")


def _check_private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"credentials file {str(path)!r}: not a regular file")
    if not _HAS_MODES:
        return
    mode = stat.S_IMODE(found.st_mode)
    remedy = f"chmod 600 {shlex.quote(str(path))}"
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            f"credentials file {str(path)!r} (mode {mode:04o}) belongs to user {found.st_uid}, not "
            f"to you ({os.geteuid()}) or root: make it your own, then {remedy}"
        )
    if mode & 0o077:
        raise ConfigError(
            f"credentials file {str(path)!r} has the mode {mode:04o}, open to others: {remedy}"
        )


def _decoded(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
    # not within the except: that error holds the whole content
    raise ConfigError(f"{path}: not UTF-8 text (byte {at})")


_CHECKS: Mapping[str, Callable[[object], Secret | None]] = {
    "api_key": _key,
    "api_secret": _key,
    "password": _passphrase,
}
