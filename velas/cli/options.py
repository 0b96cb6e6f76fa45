"""Options that several commands share, and what the user chose with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from velas.clock import SYSTEM_CLOCK
from velas.errors import ConfigError

__all__ = ["Common", "global_options", "range_of", "series_options", "velas_command"]

F = TypeVar("F", bound=Callable[..., object])


class Common:
    """What the options in front of (or behind) the command say; None is "not said"."""

    def __init__(self) -> None:
        self.config: Path | None = None
        self.exchange: str | None = None
        self.data_dir: Path | None = None
        self.as_json = False
        self.verbose = 0


def global_options(function: F) -> F:
    """Add the options that every command understands; they end up in the `Common`."""
    options = (
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Settings file (YAML).",
            **_shared,
        ),
        click.option(
            "--exchange", metavar="NAME", help="Venue, as `velas exchanges` lists it.", **_shared
        ),
        click.option(
            "--data-dir",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Folder of everything that is stored.",
            **_shared,
        ),
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            help="JSON on stdout instead of text for people (`stream`: a line per event).",
            **_shared,
        ),
        click.option(
            "-v",
            "--verbose",
            count=True,
            help="Log to stderr what happens; -vv also every request.",
            **_shared,
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def velas_command(name: str) -> Callable[[Callable[..., int]], click.Command]:
    """Make a command of a function that takes the `Common` first and returns its exit code.

    The command also understands the shared options and logs to stderr as they say.
    """

    def decorate(function: Callable[..., int]) -> click.Command:
        @click.pass_context
        @wraps(function)
        def run(ctx: click.Context, /, *args: object, **kwargs: object) -> int:
            from velas.cli.logs import configure_logging

            common = ctx.ensure_object(Common)
            configure_logging(common.verbose)
            return function(common, *args, **kwargs)

        return click.command(name)(global_options(run))

    return decorate


def series_options(function: F) -> F:
    """Add `--symbol` and `--interval`, both repeatable, as `symbols` and `intervals`."""
    function = click.option(
        "--interval",
        "intervals",
        multiple=True,
        metavar="I",
        help="Candle length such as 30m, 1h, 1d (1m is a minute, 1M a month); repeatable.",
    )(function)
    return click.option(
        "--symbol",
        "symbols",
        multiple=True,
        metavar="S",
        help="Symbol such as BTCUSDT or BTC/USDT; repeatable.",
    )(function)


def range_of(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Return what `--start` and `--end` mean, in ms.

    Raises:
        ConfigError: one is no date, in the future by this machine's clock, or they are
            the wrong way round.
    """
    from velas.dates import parse_when

    now_ms = SYSTEM_CLOCK.now_ms()
    start_ms = None if start is None else parse_when(start, now_ms=now_ms)
    end_ms = None if end is None else parse_when(end, now_ms=now_ms)
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise ConfigError(f"--start {start} is not before --end {end}")
    return start_ms, end_ms


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    common = ctx.ensure_object(Common)
    if param.name == "verbose":
        common.verbose += value
    elif value not in (None, False) and param.name is not None:
        setattr(common, param.name, value)


_shared: dict[str, Any] = {"expose_value": False, "callback": _remember}
