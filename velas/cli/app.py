"""The command group: commands by name, loaded on first use, under one error guard."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from velas.cli.exits import guard
from velas.cli.options import Common, global_options

__all__ = ["COMMANDS", "VelasGroup", "cli", "main"]

# The short helps stand here and not in the modules, because `velas --help` must not
# import pandas, rich or an exchange library.
COMMANDS = {
    "download": "Fetch the candles that are missing, and store them.",
    "stream": "Show live candles, each closed one exactly once; --store keeps them.",
    "stats": "Show what is stored: rows, extent, size.",
    "gaps": "Show what is missing, and why.",
    "verify": "Prove that what is stored is whole; --repair mends.",
    "check-order": "Judge an order by its market's rules; nothing is placed.",
    "backtests": "List results of backtests, show one, or compare two.",
    "plot": "Draw a stored series as a picture, its gaps marked.",
    "coverage": "Show which days of which series are there.",
    "record": "Write down what the venue's sockets say, to replay it later.",
    "exchanges": "List the venues and stores that can be used.",
    "config": "Show the effective settings and where each comes from.",
    "demo": "Show velas at work: no network, no account, nothing left behind.",
}


class VelasGroup(click.Group):
    """Knows its commands by name only; `velas.cli.<name>`, `-` as `_`, holds each one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module and return its command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"velas.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which ones there are."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            guess = f" (did you mean {near[0]!r}?)" if near else ""
            ctx.fail(f"no command {name!r}{guess}; there are: {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' short helps without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and exit with its code; every error becomes one message."""
        common, run = Common(), super().main
        extra |= {"complete_var": complete_var, "windows_expand_args": windows_expand_args}
        if not standalone_mode:
            return run(args, prog_name, standalone_mode=False, **extra)
        line = list(sys.argv[1:] if args is None else args) or ["--help"]
        extra["obj"] = common
        sys.exit(guard(lambda: run(line, "velas", standalone_mode=False, **extra), common))


@click.group(
    cls=VelasGroup,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 done but something failed or is missing, 2 usage or "
    "configuration, 3 venue not reachable, 130 interrupted. Options in front of a "
    "command may also stand behind it.",
)
@global_options
@click.version_option(package_name="velas", prog_name="velas", message="%(prog)s %(version)s")
def cli() -> None:
    """Candle series you can trust: complete, or with every hole named.

    `velas download` fetches 20 pairs x 30m, 1h, 2h x 12 months. `velas demo` shows
    everything without a network.
    """


def main() -> None:
    """Run the `velas` command; the console entry point."""
    for name in ("stdin", "stdout", "stderr"):  # closed by whoever started it, cron say
        if getattr(sys, name) is None:
            stand_in = Path(os.devnull).open("r" if name == "stdin" else "w")  # noqa: SIM115
            setattr(sys, name, stand_in)
    # Arrow's own allocator holds on to tens of MB; read by Arrow when it is imported
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    cli()
