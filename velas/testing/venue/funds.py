"""What an account owns: Spot balances, or a USDT-M wallet with positions. No fees."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import attrs

from velas.testing.venue import order_refusal
from velas.testing.venue.account import Account
from velas.testing.venue.instruments import Instrument
from velas.testing.venue.order_ledger import Order

__all__ = ["Funds", "FuturesFunds", "Position", "SpotFunds"]

ZERO = Fraction(0)
Marks = Callable[[str], Fraction]


class Funds:
    """Locks what an order may cost, and moves what it fills."""

    def __init__(self, account: Account) -> None:
        self.free = {asset: Fraction(amount) for asset, amount in account.balances.items()}
        self.locked: dict[str, Fraction] = {}

    def cost(self, order: Order, instrument: Instrument, price: Fraction) -> tuple[str, Fraction]:
        """Return asset and amount that the order needs at `price`."""
        raise NotImplementedError

    def move(
        self, order: Order, instrument: Instrument, quantity: Fraction, price: Fraction
    ) -> None:
        """Settle a trade."""
        raise NotImplementedError

    def available(self, asset: str, marks: Marks | None = None) -> Fraction:
        """Return what of an asset is free to use."""
        return self.free.get(asset, ZERO)

    def lock(
        self, order: Order, instrument: Instrument, price: Fraction, marks: Marks | None = None
    ) -> None:
        """Lock what the order needs. Raises: Refused -2010, -2019."""
        asset, amount = self.cost(order, instrument, price)
        if amount > self.available(asset, marks):
            raise order_refusal.insufficient(spot=isinstance(self, SpotFunds))
        self.free[asset] = self.free.get(asset, ZERO) - amount
        self.locked[asset] = self.locked.get(asset, ZERO) + amount
        order.held = (asset, amount)

    def release(self, order: Order) -> None:
        """Unlock what was locked for the order."""
        if order.held is None:
            return
        asset, amount = order.held
        order.held = None
        self.locked[asset] -= amount
        self.free[asset] = self.free.get(asset, ZERO) + amount


class SpotFunds(Funds):
    """Balances of assets."""

    def cost(self, order: Order, instrument: Instrument, price: Fraction) -> tuple[str, Fraction]:
        """Return the quote asset for a buy, the base asset for a sale."""
        if not order.is_buy:
            return instrument.base, order.quantity
        return instrument.quote, price * order.quantity

    def move(
        self, order: Order, instrument: Instrument, quantity: Fraction, price: Fraction
    ) -> None:
        """Exchange base for quote or back."""
        sign = 1 if order.is_buy else -1
        for asset, change in (
            (instrument.base, sign * quantity),
            (instrument.quote, -sign * quantity * price),
        ):
            self.free[asset] = self.free.get(asset, ZERO) + change


@attrs.define
class Position:
    """A position of one symbol, negative when short; `entry` is its mean price."""

    amount: Fraction = ZERO
    entry: Fraction = ZERO
    updated_ms: int = 0

    def add(self, change: Fraction, price: Fraction) -> Fraction:
        """Take a trade; return the profit it realises."""
        if self.amount * change >= 0:
            total = self.amount + change
            self.entry = (self.amount * self.entry + change * price) / total if total else ZERO
            self.amount = total
            return ZERO
        closed = min(abs(change), abs(self.amount))
        sign = 1 if self.amount > 0 else -1
        profit = sign * closed * (price - self.entry)
        self.amount += change
        if self.amount * sign < 0:  # turned over: the rest is a new position
            self.entry = price
        elif not self.amount:
            self.entry = ZERO
        return profit


class FuturesFunds(Funds):
    """A wallet of margin and one position a symbol (one-way mode, cross margin)."""

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.leverage = account.leverage
        self.positions: dict[str, Position] = {}
        self._quotes: dict[str, str] = {}

    def position(self, symbol: str) -> Position:
        """Return the position of a symbol, empty if there is none."""
        return self.positions.setdefault(symbol, Position())

    def closable(self, order: Order) -> Fraction:
        """Return how much of the opposite position the order could close."""
        amount = self.position(order.symbol).amount
        return abs(amount) if amount and (amount < 0) == order.is_buy else ZERO

    def cost(self, order: Order, instrument: Instrument, price: Fraction) -> tuple[str, Fraction]:
        """Return the initial margin of what the order opens."""
        opened = ZERO if order.reduce_only else max(ZERO, order.quantity - self.closable(order))
        return instrument.quote, opened * price / self.leverage

    def move(
        self, order: Order, instrument: Instrument, quantity: Fraction, price: Fraction
    ) -> None:
        """Change the position; the wallet takes the profit."""
        self._quotes[order.symbol] = instrument.quote
        change = quantity if order.is_buy else -quantity
        profit = self.position(order.symbol).add(change, price)
        self.position(order.symbol).updated_ms = order.updated_ms
        self.free[instrument.quote] = self.free.get(instrument.quote, ZERO) + profit

    def wallet(self, asset: str) -> Fraction:
        """Return the wallet balance: free and locked."""
        return self.free.get(asset, ZERO) + self.locked.get(asset, ZERO)

    def unrealised(self, asset: str, marks: Marks) -> Fraction:
        """Return the profit of open positions at mark prices."""
        return sum(
            (one.amount * (marks(symbol) - one.entry) for symbol, one in self._of(asset)), ZERO
        )

    def margin(self, asset: str, marks: Marks) -> Fraction:
        """Return the initial margin of open positions at mark prices."""
        notional = (abs(one.amount) * marks(symbol) for symbol, one in self._of(asset))
        return sum(notional, ZERO) / self.leverage

    def available(self, asset: str, marks: Marks | None = None) -> Fraction:
        """Return what of the margin asset is free to use."""
        free = self.free.get(asset, ZERO)
        if marks is None:
            return free
        return free + self.unrealised(asset, marks) - self.margin(asset, marks)

    def _of(self, asset: str) -> list[tuple[str, Position]]:
        return [
            (symbol, one)
            for symbol, one in self.positions.items()
            if one.amount and self._quotes.get(symbol) == asset
        ]
