"""The `velas` command; importing it loads click and nothing heavier."""

from velas.cli.app import cli, main

__all__ = ["cli", "main"]
