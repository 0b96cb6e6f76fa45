"""Numbers on the command line: what is none, or out of range, is said in one sentence."""

from __future__ import annotations

import math
from decimal import Decimal

import click

from velas.decimals import exact_or_none
from velas.errors import ConfigError

__all__ = ["Number", "WholeNumber", "exact_above_zero", "exact_number"]


def exact_number(
    ctx: click.Context, param: click.Parameter, value: str | None, *, what: str = "a number"
) -> Decimal | None:
    """Return a number of an order exactly as it is written; the callback of an option.

    Raises:
        click.BadParameter: names the value and what is allowed.
    """
    try:
        return exact_or_none(value)
    except ConfigError:
        raise _inexact(ctx, param, str(value), what) from None


def exact_above_zero(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> Decimal | None:
    """Return a number as `exact_number` does, if it is above zero."""
    what = "a number above 0"
    number = exact_number(ctx, param, value, what=what)
    if number is not None and number <= 0:
        raise _inexact(ctx, param, str(value), what)
    return number


def _inexact(
    ctx: click.Context, param: click.Parameter, value: str, what: str
) -> click.BadParameter:
    return click.BadParameter(
        f"{value[:60]!r} cannot be used; it takes {what} such as 0.001, of at most 40 digits "
        "before and after the point.",
        ctx,
        param,
    )


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

    def _describe_range(self) -> str:
        # click would say x<=None of one without bounds
        return "" if self.min is None and self.max is None else super()._describe_range()

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
