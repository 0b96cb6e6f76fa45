"""One error tree: documented, exported, with retry as a type."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from velas import errors
from velas.errors import (
    Banned,
    ExchangeError,
    RateLimited,
    StoreCorrupt,
    Transient,
    UnknownSymbol,
    VelasError,
)

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and value.__module__ == errors.__name__
}


def drawn_tree() -> dict[str, str]:
    """Read {class: parent} out of the drawing in the module's docstring."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ((?:[│ ]   )*(?:[├└]── )?)([A-Z]\w+)", line)
        if found:
            depth = len(found[1]) // 4
            del path[depth:]
            if path:
                parents[found[2]] = path[-1]
            path.append(found[2])
    return parents


def test_errors_all_is_complete_and_sorted() -> None:
    assert sorted(CLASSES) == errors.__all__


def test_errors_drawing_shows_every_class_under_its_parent() -> None:
    real = {
        name: next(base.__name__ for base in cls.__bases__ if issubclass(base, VelasError))
        for name, cls in CLASSES.items()
        if cls not in (VelasError, Transient)
    }
    assert drawn_tree() == real


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_errors_drawing_tells_marker_and_builtin(name: str) -> None:
    cls = CLASSES[name]
    line = re.search(rf"── {name} .*", errors.__doc__ or "")
    text = line[0] if line else ""
    assert ("Transient" in text) == (Transient in cls.__bases__)
    builtins = [base.__name__ for base in cls.__bases__ if base.__module__ == "builtins"]
    assert re.findall(r"also (\w+)", text) == [one for one in builtins if one != "Exception"]


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_error_says_its_message_and_survives_pickling(name: str) -> None:
    error = CLASSES[name]("what happened")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error) == "what happened"
    assert vars(again) == vars(error)


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("x", retry_after_s=2.5),
        Banned("x", until_ms=5, retry_after_s=1.0),
        UnknownSymbol("x", near=("BTC/USDT",)),
        StoreCorrupt("x", path="/a"),
    ],
)
def test_error_details_survive_pickling(error: VelasError) -> None:
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error) != {}


@pytest.mark.parametrize(
    "name", ["OrderUnknown", "OrderRejected", "Forbidden", "RestrictedLocation", "AuthError"]
)
def test_errors_that_a_repeat_makes_worse_are_not_transient(name: str) -> None:
    assert issubclass(CLASSES[name], ExchangeError)
    assert not issubclass(CLASSES[name], Transient)
