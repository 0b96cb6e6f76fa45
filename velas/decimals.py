"""Exact numbers of orders: taken in without a float, put out without an exponent."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from numbers import Integral

from velas.errors import ConfigError

__all__ = ["exact", "exact_or_none", "plain"]

_LARGEST = 40  # digits before the point, and after it, that a number may have


def exact(value: object) -> Decimal:
    """Return a Decimal, whole number or text such as ``0.001`` as a Decimal, unrounded.

    Raises:
        ConfigError: a float (it is not the number that was written), NaN, infinity, no
            number at all, or one of more than 40 digits before or after the point.
    """
    if type(value) is Decimal or isinstance(value, Decimal):
        number = value
    elif isinstance(value, float):
        text = repr(float(value))  # numpy's floats are floats, but do not look so
        raise ConfigError(
            f"{text} is a float, which is seldom the number that was written: "
            f"give Decimal('{text}') or '{text}'"
        )
    elif _is_written_exactly(value):
        try:
            number = Decimal(value if isinstance(value, str) else int(str(value)))
        except (InvalidOperation, ValueError):
            raise ConfigError(
                f"expected a number such as Decimal('0.001'), not {value!r:.80}"
            ) from None
    else:
        raise ConfigError(f"expected a number such as Decimal('0.001'), not {value!r:.80}")
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ConfigError(f"expected a finite number, not {number}")
    if exponent < -_LARGEST or number.adjusted() >= _LARGEST:
        raise ConfigError(
            f"{number!s:.60} has more than {_LARGEST} digits before or after the point"
        )
    return number


def _is_written_exactly(value: object) -> bool:
    # numpy's integers are integers, though no ints; and a bool is an int, though no number
    return not isinstance(value, bool) and isinstance(value, (str, Integral))


def exact_or_none(value: object) -> Decimal | None:
    """Return `exact(value)`, None for None."""
    return None if value is None else exact(value)


def plain(number: Decimal) -> str:
    """Return a number as venues read it: all its digits, no exponent, no empty decimals.

    >>> plain(Decimal("1E-8")), plain(Decimal("20.50")), plain(Decimal("1E+3"))
    ('0.00000001', '20.5', '1000')
    """
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
