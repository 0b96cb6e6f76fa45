"""Orders the stand-in took, of one account: by number, by client id, the open ones."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

import attrs

from velas.testing.venue.exact import to_decimal

__all__ = ["Fill", "Ledger", "Order", "OrderRecord"]

ZERO = Fraction(0)


@attrs.frozen
class OrderRecord:
    """What a test may ask about an order the venue took; `price` 0 is none."""

    id: int
    client_id: str
    symbol: str
    side: str
    type: str
    status: str
    quantity: Decimal
    filled: Decimal
    price: Decimal
    time_ms: int


@attrs.frozen
class Fill:
    """One trade of an order."""

    id: int
    price: Fraction
    quantity: Fraction


@attrs.define(eq=False)
class Order:
    """One order, changed in place as it lives.

    `visible_ms` is when queries begin to find it; `checked_ms` up to when the price path
    was looked at; `held` what is locked for it. A conditional one waits until `triggered`;
    on USDT-M it then becomes its `child`.
    """

    id: int
    client_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    quantity: Fraction
    price: Fraction
    time_ms: int
    quote_quantity: Fraction = ZERO
    stop_price: Fraction = ZERO
    trailing: int = 0
    iceberg: Fraction = ZERO
    reduce_only: bool = False
    close_position: bool = False
    working_type: str = "CONTRACT_PRICE"
    good_till_ms: int = 0
    response: str = ""
    status: str = "NEW"
    filled: Fraction = ZERO
    spent: Fraction = ZERO
    updated_ms: int = 0
    working_ms: int = -1
    visible_ms: int = 0
    checked_ms: int = 0
    triggered: bool = False
    held: tuple[str, Fraction] | None = None
    fills: list[Fill] = attrs.field(factory=list)
    child: Order | None = None

    @property
    def is_buy(self) -> bool:
        """Whether it buys."""
        return self.side == "BUY"

    @property
    def is_open(self) -> bool:
        """Whether it may still fill."""
        return self.status in ("NEW", "PARTIALLY_FILLED")

    @property
    def waits_for_stop(self) -> bool:
        """Whether it is conditional and not yet triggered."""
        return bool(self.stop_price or self.trailing) and not self.triggered

    @property
    def average(self) -> Fraction:
        """The mean price of what is filled, 0 for nothing."""
        return self.spent / self.filled if self.filled else ZERO

    def take(self, fill: Fill, now_ms: int) -> None:
        """Add a fill; it completes the order."""
        self.fills.append(fill)
        self.filled += fill.quantity
        self.spent += fill.quantity * fill.price
        self.close("FILLED", now_ms)

    def close(self, status: str, now_ms: int) -> None:
        """End it."""
        self.status = status
        self.updated_ms = now_ms

    def record(self) -> OrderRecord:
        """Return what tests see."""
        return OrderRecord(
            self.id,
            self.client_id,
            self.symbol,
            self.side,
            self.type,
            self.status,
            to_decimal(self.quantity),
            to_decimal(self.filled),
            to_decimal(self.price),
            self.time_ms,
        )


class Ledger:
    """All orders of one account, in the order they were taken."""

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        self._by_client_id: dict[tuple[str, str], list[Order]] = {}
        self._open: dict[int, Order] = {}

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def add(self, order: Order) -> None:
        """Take a new order."""
        self._orders[order.id] = order
        self._open[order.id] = order
        self._by_client_id.setdefault((order.symbol, order.client_id), []).append(order)

    def open(self, symbol: str | None = None) -> list[Order]:
        """Return the orders that may still fill, of one symbol or all."""
        for number in [number for number, order in self._open.items() if not order.is_open]:
            del self._open[number]
        return [one for one in self._open.values() if symbol is None or one.symbol == symbol]

    def is_taken(self, symbol: str, client_id: str) -> bool:
        """Return whether an open order of the symbol has the client id."""
        return any(one.is_open for one in self._by_client_id.get((symbol, client_id), ()))

    def by_number(self, symbol: str, number: int) -> Order | None:
        """Return an order by its number."""
        order = self._orders.get(number)
        return order if order is not None and order.symbol == symbol else None

    def by_client_id(self, symbol: str, client_id: str, now_ms: int) -> Order | None:
        """Return the newest visible order with the client id."""
        named = self._by_client_id.get((symbol, client_id), [])
        return next((one for one in reversed(named) if one.visible_ms <= now_ms), None)
