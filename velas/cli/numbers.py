"""Numbers on the command line: what is none, or out of range, is said in one sentence."""

from __future__ import annotations

import math

import click

__all__ = ["Number", "WholeNumber"]


class Number(click.FloatRange):
    """A finite number in a range."""

    name = "number"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or fail naming the value and the range."""
        try:
            number = float(str(value))
        except ValueError:
            self.fail(_sentence(value, "a number", self), param, ctx)
        if not (math.isfinite(number) and _within(number, self)):
            self.fail(_sentence(value, "a number", self), param, ctx)
        return number


class WholeNumber(click.IntRange):
    """A whole number in a range."""

    name = "whole number"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number, or fail naming the value and the range."""
        try:
            number = int(str(value))
        except ValueError:
            self.fail(_sentence(value, "a whole number", self), param, ctx)
        if not _within(number, self):
            self.fail(_sentence(value, "a whole number", self), param, ctx)
        return number


def _within(number: float, limits: click.FloatRange | click.IntRange) -> bool:
    low, high = limits.min, limits.max
    if low is not None and (number < low or (limits.min_open and number == low)):
        return False
    return high is None or number <= high


def _sentence(value: object, what: str, limits: click.FloatRange | click.IntRange) -> str:
    bounds: list[str] = []
    if limits.min is not None:
        bounds.append(f"{'above' if limits.min_open else 'from'} {limits.min:,g}")
    if limits.max is not None:
        bounds.append(f"up to {limits.max:,.0f}")
    return f"{str(value)!r} cannot be used; it takes {' '.join([what, *bounds])}."
