"""`import velas`: light, complete, and the same to Python and to type checkers."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import velas
from velas import errors

HEAVY = ("numpy", "pandas", "aiohttp", "yaml", "attrs", "cattrs", "ccxt", "pyarrow", "asyncio")


def in_a_fresh_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_velas_loads_nothing_heavy() -> None:
    code = f"import sys, velas; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert in_a_fresh_python(code) == "[]"


def test_import_velas_reads_no_environment_and_no_file() -> None:
    code = """
import sys, os
import importlib.util, importlib.metadata
seen = []
def watch(event, args):
    if event == 'open' and not str(args[0]).endswith(('.py', '.pyc')):
        seen.append(str(args[0]))
class Environ(dict):
    def __getitem__(self, key): seen.append(key); return dict.__getitem__(self, key)
    def get(self, key, default=None): seen.append(key); return dict.get(self, key, default)
spec = importlib.util.find_spec('velas')
sys.addaudithook(watch)
os.environ = Environ(os.environ)
import velas
print(seen)
"""
    assert in_a_fresh_python(code) == "[]"


@pytest.mark.parametrize("name", sorted(velas.__all__))
def test_velas_every_name_resolves(name: str) -> None:
    if name == "__version__":
        pytest.skip("has a test of its own")
    value = getattr(velas, name)
    assert getattr(velas, name) is value
    home = velas._HOME.get(name, "errors")
    assert value is getattr(importlib.import_module(f"velas.{home}"), name)
    assert name in importlib.import_module(f"velas.{home}").__all__


def test_velas_names_are_those_type_checkers_see() -> None:
    tree = ast.parse(Path(str(velas.__file__)).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    homes = {
        alias.name: str(node.module).removeprefix("velas.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted([*homes, "__version__"]) == sorted(velas.__all__)
    assert {name: home for name, home in homes.items() if home != "errors"} == velas._HOME


def test_velas_exports_every_error() -> None:
    assert set(errors.__all__) <= set(velas.__all__)


def test_velas_dir_lists_what_is_not_loaded_yet() -> None:
    assert set(velas.__all__) <= set(dir(velas))


def test_velas_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'velas' has no attribute 'opne_exchange'"):
        velas.opne_exchange  # noqa: B018


def test_velas_version_is_the_installed_ones() -> None:
    try:
        expected = version("velas")
    except PackageNotFoundError:
        pytest.skip("velas is not installed here")
    assert velas.__version__ == expected


@pytest.mark.parametrize(
    "room", ["adapter", "charts", "frames", "history", "regimes", "status", "testing"]
)
def test_rooms_are_reached_from_the_front_door(room: str) -> None:
    code = f"import velas; print(velas.{room}.__name__)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == f"velas.{room}"
