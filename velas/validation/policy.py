"""How far `normalize` may move an order to its owner's cost."""

from __future__ import annotations

from decimal import Decimal

import attrs

from velas.decimals import exact
from velas.errors import ConfigError

__all__ = ["Policy"]


def _share(_: object, attribute: attrs.Attribute[Decimal], value: Decimal) -> None:
    if value < 0:
        raise ConfigError(f"{attribute.name} {value}: a share is not below 0")


@attrs.frozen
class Policy:
    """By what share of the asked value an order may get larger, or its price worse.

    ``Decimal("0.001")`` is 0.1 %. A better price and a smaller quantity are always
    allowed.

    Raises:
        ConfigError: a float, or a share below 0.
    """

    larger_quantity: Decimal = attrs.field(default=Decimal(0), converter=exact, validator=_share)
    worse_price: Decimal = attrs.field(default=Decimal(0), converter=exact, validator=_share)
