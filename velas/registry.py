"""Adapters by name, found through entry points and loaded on first use."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from velas.errors import BrokenAdapter, MissingDependency, UnknownAdapter

__all__ = ["GROUPS", "Kind", "known", "load"]

Kind = Literal["exchanges", "feeds", "stores"]
GROUPS: dict[Kind, str] = {
    "exchanges": "velas.exchanges",
    "feeds": "velas.feeds",
    "stores": "velas.stores",
}


def known(kind: Kind) -> tuple[str, ...]:
    """Return the names of all installed adapters of a kind, sorted; loads none."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUPS[kind])}))


def load(kind: Kind, name: str) -> Any:
    """Return the adapter class registered as `name`.

    Raises:
        UnknownAdapter: no such name; the message lists the known ones.
        MissingDependency: the adapter's package lacks a dependency.
        BrokenAdapter: it is installed but fails to import; the cause is chained.
    """
    entry = _find(kind, name)
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        hint = f"pip install 'velas[{entry.extras[0]}]'" if entry.extras else "install it"
        raise MissingDependency(
            f"{kind[:-1]} {name!r} needs the package {error.name!r}: {hint}"
        ) from error
    except Exception as error:
        raise BrokenAdapter(
            f"{kind[:-1]} {name!r} ({entry.value}) is installed but does not load: {error!r}"
        ) from error


def _find(kind: Kind, name: str) -> EntryPoint:
    found = [entry for entry in entry_points(group=GROUPS[kind]) if entry.name == name]
    if found:
        return found[0]
    names = known(kind)
    near = difflib.get_close_matches(name, names, n=1)
    guess = f" (did you mean {near[0]!r}?)" if near else ""
    raise UnknownAdapter(
        f"no {kind[:-1]} {name!r}{guess}; installed are: {', '.join(names) or 'none'}"
    )
