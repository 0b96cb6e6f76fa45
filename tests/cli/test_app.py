from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import click
import pytest

from velas.cli.app import COMMANDS, cli, main

HEAVY = (
    "pandas", "numpy", "pyarrow", "rich", "ccxt", "cryptofeed", "aiohttp", "yaml", "cattrs",
    "matplotlib",
)  # fmt: skip


def test_help_without_arguments_shows_all_commands(velas):
    result = velas()
    assert result.exit_code == 0
    assert all(name in result.stdout for name in COMMANDS)
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_command_of_every_name_loads_and_explains_itself(velas, name):
    assert isinstance(import_module(f"velas.cli.{name.replace('-', '_')}").command, click.Command)
    result = velas(name, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_command_unknown_names_the_nearest(velas):
    result = velas("downlod")
    assert result.exit_code == 2
    assert "did you mean 'download'" in result.stderr
    assert result.stdout == ""


def test_command_missing_is_a_usage_error(velas):
    result = velas("-v")
    assert result.exit_code == 2
    assert "Missing command" in result.stderr


def test_option_unknown_is_one_message_and_a_hint(velas):
    result = velas("stats", "--nonsense")
    assert result.exit_code == 2
    assert result.stderr.count("velas: error:") == 1
    assert "See: velas stats --help" in result.stderr


def test_help_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from velas.cli import cli\n"
        "try:\n    cli(['--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "[]"


def test_module_run_with_python_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "velas", "--help"], capture_output=True, timeout=60, check=True
    )
    assert done.stdout.startswith(b"Usage: velas ")


def test_main_outside_standalone_mode_returns_the_code(velas):
    assert cli.main(["config", "--example"], standalone_mode=False) == 0


def test_version_names_the_program(velas, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.2.3")
    result = velas("--version")
    assert (result.exit_code, result.stdout) == (0, "velas 1.2.3\n")


def test_main_takes_the_command_line_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["velas", "config", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("{")


def test_group_lists_its_commands_by_name_only():
    context = click.Context(cli)
    assert cli.list_commands(context) == list(COMMANDS)
    assert cli.get_command(context, "nonsense") is None
