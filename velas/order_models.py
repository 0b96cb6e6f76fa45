"""The nouns of trading: what a bot asks for, what the venue made of it, what it holds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import attrs

from velas.decimals import exact, exact_or_none
from velas.errors import ConfigError

__all__ = ["Order", "OrderRequest", "OrderStatus", "Position", "PositionSide", "Side"]

Side = Literal["buy", "sell"]
PositionSide = Literal["both", "long", "short"]
OrderStatus = Literal["open", "filled", "canceled", "expired", "rejected", "tested"]

_SIDES = ("buy", "sell")
_POSITION_SIDES = ("both", "long", "short")


def _lower(value: object) -> Any:
    return value.lower() if isinstance(value, str) else value


def _upper(value: object) -> Any:
    return value.upper() if isinstance(value, str) else value


def _one_of(*choices: str) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in choices:
            raise ConfigError(f"{attribute.name} {value!r}: choose one of {', '.join(choices)}")

    return check


def _text(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value or not _is_writable(value):
        raise ConfigError(f"{attribute.name} {value!r}: expected text that is not empty")


def _optional_text(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _text(instance, attribute, value)


def _flag(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{attribute.name} {value!r}: expected True or False")


def _is_writable(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _whole(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ConfigError(f"trailing_delta {value!r}: expected a whole number of basis points")


@attrs.frozen
class OrderRequest:
    """What a bot wants, in exact numbers; `Decimal`, int or text, never a float.

    `type` is the venue's own word in lower case: ``market``, ``limit``, ``limit_maker``,
    ``stop_loss_limit`` ... on Spot, ``market``, ``limit``, ``stop_market`` ... on Futures
    (any case is accepted). `intent` is the bot's own key for this wish, the same on a
    retry and after a restart: at most one order comes of it. `client_id` is the id the
    venue shall know the order by; by default it is derived from `intent`.

    `quantity` is in base asset (contracts on derivatives); a market order may give
    `quote_quantity` instead, what to spend or to get. `iceberg_quantity` is the visible
    part, `trailing_delta` in basis points, `callback_rate` in percent.

    Raises:
        ConfigError: a float, something that is no finite number, an unknown side.
    """

    symbol: str = attrs.field(validator=_text)
    side: Side = attrs.field(converter=_lower, validator=_one_of(*_SIDES))
    type: str = attrs.field(converter=_lower, validator=_text)
    quantity: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    price: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    stop_price: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    time_in_force: str | None = attrs.field(
        default=None, converter=_upper, validator=_optional_text
    )
    reduce_only: bool = attrs.field(default=False, validator=_flag)
    intent: str | None = attrs.field(default=None, validator=_optional_text)
    client_id: str | None = attrs.field(default=None, validator=_optional_text)
    quote_quantity: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    iceberg_quantity: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    trailing_delta: int | None = attrs.field(default=None, converter=_whole)
    callback_rate: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    close_position: bool = attrs.field(default=False, validator=_flag)
    position_side: PositionSide | None = attrs.field(
        default=None,
        converter=_lower,
        validator=attrs.validators.optional(_one_of(*_POSITION_SIDES)),
    )


@attrs.frozen
class Order:
    """An order as the venue reports it.

    `id` is the venue's, `client_id` the one it was placed under, `intent` the bot's key
    where velas placed it. `filled` of `quantity` is executed, for `cost` of the quote
    asset, at `average` on the average. `timestamp` is when it was made, ms UTC.
    ``tested``: the venue's test endpoint accepted it, and no order exists.
    """

    symbol: str
    id: str
    client_id: str | None
    side: Side
    type: str
    status: OrderStatus
    quantity: Decimal = attrs.field(converter=exact)
    filled: Decimal = attrs.field(converter=exact)
    price: Decimal | None = attrs.field(converter=exact_or_none)
    timestamp: int | None
    average: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    cost: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    stop_price: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    time_in_force: str | None = None
    reduce_only: bool = False
    intent: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether more of it may be executed."""
        return self.status == "open"

    @property
    def remaining(self) -> Decimal:
        """How much of `quantity` is not executed."""
        return self.quantity - self.filled


@attrs.frozen
class Position:
    """A position on a derivatives market: `quantity` above 0 is long, below 0 short."""

    symbol: str
    quantity: Decimal = attrs.field(converter=exact)
    entry_price: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    mark_price: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    unrealized_pnl: Decimal | None = attrs.field(default=None, converter=exact_or_none)
    position_side: PositionSide = "both"
