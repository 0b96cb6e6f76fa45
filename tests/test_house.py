"""The rules of the house that a machine can check."""

from __future__ import annotations

import configparser
import doctest
import importlib
import importlib.util
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import velas
from velas import registry

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    path
    for folder in ("velas", "adapters", "config", "tests")
    for path in (ROOT / folder).rglob("*.py")
]
MODULES = [
    info.name
    for info in pkgutil.walk_packages(velas.__path__, "velas.")
    if not info.name.endswith("__main__")
]


@pytest.fixture
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_package_is_in_the_wheel(setup_cfg: configparser.ConfigParser) -> None:
    listed = set(setup_cfg["options"]["packages"].split())
    velas_packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "velas").rglob("__init__.py")
    }
    adapters = {path.parent.name for path in (ROOT / "adapters").glob("*/__init__.py")}
    assert listed == velas_packages | adapters | {"velas_config"}
    for adapter in adapters:
        assert (ROOT / "adapters" / adapter / "py.typed").exists()


@pytest.mark.parametrize("group", ["exchanges", "stores"])
def test_every_entry_point_loads(group: registry.Kind) -> None:
    ours = [one for one in entry_points(group=registry.GROUPS[group]) if "velas" in one.value]
    assert ours
    for entry in ours:
        assert hasattr(registry.load(group, entry.name), "from_settings")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_too_long_to_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500


@pytest.mark.parametrize("name", MODULES)
def test_module_says_what_it_exports_and_its_examples_hold(name: str) -> None:
    module = importlib.import_module(name)
    for exported in getattr(module, "__all__", ()):
        assert getattr(module, exported) is not None
    assert doctest.testmod(module).failed == 0
