"""Print a table of benchmark figures."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["show"]


def show(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns, the first left-aligned, the others right-aligned."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    for row in (head, ["-" * width for width in widths], *rows):
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells]))
