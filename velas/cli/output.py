"""Results on stdout: JSON documents, tables that fit 80 columns, numbers and times."""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Literal

import click

__all__ = [
    "count",
    "emit_json",
    "many",
    "minutes",
    "moment",
    "second",
    "show_table",
    "size",
    "write",
]

Justify = Literal["left", "right"]


def emit_json(document: object) -> None:
    """Write one JSON document and a newline."""
    # allow_nan=False: a NaN would make the document no JSON
    click.echo(json.dumps(document, allow_nan=False))


def write(text: str = "") -> None:
    """Write a line for people."""
    click.echo(text)


def show_table(columns: Sequence[tuple[str, Justify]], rows: Iterable[Sequence[str]]) -> None:
    """Write a table; only its last column is folded where the terminal is too narrow."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(
        *(
            Column(name, justify=justify, no_wrap=at < len(columns) - 1, overflow="fold")
            for at, (name, justify) in enumerate(columns)
        ),
        box=None,
        padding=(0, 1, 0, 0),
        header_style="bold",
        pad_edge=False,
    )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(file=sys.stdout, highlight=False)
    with console.capture() as captured:
        console.print(table)
    # rich fills every line with spaces up to the table's width
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def count(number: int) -> str:
    """Return a whole number with thousands separators."""
    return f"{number:,}"


def many(number: int, what: str) -> str:
    """Return a number of things, such as ``1 candle`` or ``2,000 candles``."""
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


def moment(ts_ms: int | None) -> str:
    """Return a time such as ``2025-01-01 00:00`` (UTC), seconds only where it has some."""
    if ts_ms is None:
        return "-"
    when = dt.datetime.fromtimestamp(ts_ms // 1000, dt.UTC)
    return when.strftime("%Y-%m-%d %H:%M:%S" if when.second else "%Y-%m-%d %H:%M")


def second(ts_ms: int) -> str:
    """Return a time such as ``2025-01-01 00:00:00`` (UTC), of the same width always."""
    return dt.datetime.fromtimestamp(ts_ms // 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def size(number: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    power = min(3, (len(str(number)) - 1) // 3)
    amount = number / 1000**power
    digits = 1 if power and amount < 10 else 0
    return f"{amount:,.{digits}f} {('B', 'KB', 'MB', 'GB')[power]}"


def minutes(number: float) -> str:
    """Return an expected duration, in words that do not promise more than is known."""
    if number < 1:
        return "less than a minute"
    whole = math.ceil(number)
    return f"about {whole:,} minute{'' if whole == 1 else 's'}"
