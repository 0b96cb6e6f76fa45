"""`velas config`: the effective settings, and where each value comes from."""

from __future__ import annotations

import json
from importlib import resources

import click

from velas.cli.exits import DONE
from velas.cli.options import Common, velas_command
from velas.cli.output import Justify, emit_json, show_table, write
from velas.cli.session import settings_of
from velas.errors import ConfigError

__all__ = ["command"]

_EXAMPLE = "config.example.yaml"
_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("key", "left"),
    ("source", "left"),
    ("value", "left"),
)


@velas_command("config")
@click.option("--example", is_flag=True, help="Print an example file that explains every key.")
def command(common: Common, example: bool) -> int:
    """Show the effective settings, each with its value and where it comes from.

    A newcomer's first step: velas config --example > config.yaml
    """
    if example:
        write(_example().rstrip("\n"))
        return DONE
    from velas.config import describe

    described = describe(settings_of(common))
    if common.as_json:
        emit_json(described)
    else:
        show_table(
            _COLUMNS,
            [_row(key, str(one["source"]), one["value"]) for key, one in described.items()],
        )
    return DONE


def _example() -> str:
    try:
        return resources.files("velas_config").joinpath(_EXAMPLE).read_text("utf-8")
    except (ModuleNotFoundError, OSError) as error:
        raise ConfigError(f"the shipped {_EXAMPLE} is not installed: {error}") from error


def _row(key: str, source: str, value: object) -> list[str]:
    kind, _, origin = source.partition(" ")  # of a secret, the variable or the file as well
    return [key, kind, f"{_text(value)} ({origin})" if origin else _text(value)]


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
