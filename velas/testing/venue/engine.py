"""The stand-in's matching: whole fills against the price path, looked at when somebody asks."""

from __future__ import annotations

import heapq
import itertools
import math
from fractions import Fraction

import attrs

from velas.testing.venue import order_refusal, refusal
from velas.testing.venue.account import Account
from velas.testing.venue.funds import FuturesFunds, SpotFunds
from velas.testing.venue.instruments import Instrument
from velas.testing.venue.listing import Listing
from velas.testing.venue.order_ledger import Fill, Ledger, Order
from velas.testing.venue.order_limits import OrderLimits
from velas.testing.venue.order_rules import (
    FuturesReference,
    Row,
    SpotReference,
    check_futures,
    check_spot,
    filter_of,
)
from velas.testing.venue.pricing import Prices
from velas.testing.venue.refusal import Refused

__all__ = ["Engine", "Trader"]

ZERO = Fraction(0)
_MOST_ALGO_ORDERS = 200


class Trader:
    """Everything one account has at the venue."""

    def __init__(self, account: Account, *, spot: bool) -> None:
        self.account = account
        self.funds: SpotFunds | FuturesFunds = (SpotFunds if spot else FuturesFunds)(account)
        self.orders = Ledger()
        self.algos = Ledger()
        self.limits = OrderLimits()


@attrs.frozen
class _Book:
    bid: Fraction
    ask: Fraction

    def price(self, order: Order) -> Fraction:
        return self.ask if order.is_buy else self.bid

    def crosses(self, order: Order) -> bool:
        return self.ask <= order.price if order.is_buy else self.bid >= order.price


class Engine:
    """Judges, takes and fills orders. Every method takes the venue's time.

    An order fills as a whole: a market order, or a limit that crosses the best price, at
    once at that price; a resting one at its limit once the price path reached it. Stops
    trigger by the last price. Trailing stops are taken but never trigger.
    """

    def __init__(self, listing: Listing, prices: Prices) -> None:
        self.listing = listing
        self.prices = prices
        self.spot = listing.market == "spot"
        self._numbers = itertools.count(1)
        self._trades = itertools.count(1)

    def instrument(self, symbol: str) -> Instrument:
        """Return a listed instrument. Raises: Refused -1121."""
        found = self.listing.instruments.get(symbol)
        if found is None:
            raise refusal.invalid_symbol()
        return found

    def mark(self, symbol: str, now_ms: int) -> Fraction:
        """Return the mark price."""
        return self.prices.mark(self.instrument(symbol), now_ms)

    def check(self, trader: Trader, order: Order, now_ms: int) -> None:
        """Refuse an order by status, type or filter, before the engine. Raises: Refused."""
        instrument = self.instrument(order.symbol)
        row = self.listing.row(order.symbol, now_ms)
        if self.listing.status(order.symbol, now_ms) != "TRADING":
            raise _closed(spot=self.spot)
        if order.type not in row["orderTypes"]:
            raise _not_for_symbol(order.type, spot=self.spot)
        if self.spot:
            self._check_spot(trader, order, row, instrument, now_ms)
        else:
            self._check_futures(trader, order, row, instrument, now_ms)

    def place(self, trader: Trader, order: Order, now_ms: int) -> None:
        """Take an order that passed `check`; fill it if it crosses. Raises: Refused."""
        instrument = self.instrument(order.symbol)
        if order.client_id and trader.orders.is_taken(order.symbol, order.client_id):
            raise order_refusal.duplicate(spot=self.spot)
        best = self._book(instrument, now_ms)
        if order.quote_quantity:
            order.quantity = self._affordable(order, best.price(order), now_ms)
        self._refuse_by_price(order, best)
        self._refuse_without_position(trader, order)
        crossing = order.type == "MARKET" or (not order.waits_for_stop and best.crosses(order))
        price = best.price(order) if crossing else order.price or order.stop_price
        self._lock(trader, order, instrument, price, now_ms)
        self._number(trader.orders, order, now_ms)
        if crossing:
            self._fill(trader, order, instrument, price, now_ms)
        elif order.time_in_force in ("IOC", "FOK") and not order.waits_for_stop:
            self._end(trader, order, "EXPIRED", now_ms)

    def place_algo(self, trader: Trader, order: Order, now_ms: int) -> None:
        """Take a conditional USDT-M order. Raises: Refused."""
        if order.client_id and trader.algos.is_taken(order.symbol, order.client_id):
            raise order_refusal.duplicate(spot=False)
        if len(trader.algos.open()) >= _MOST_ALGO_ORDERS:
            raise Refused(-4045, "Reach max stop order limit.")
        last = self.prices.last(self.instrument(order.symbol), now_ms)
        if last >= order.stop_price if _triggers_above(order) else last <= order.stop_price:
            raise Refused(-2021, "Order would immediately trigger.")
        self._number(trader.algos, order, now_ms)

    def cancel(self, trader: Trader, order: Order, now_ms: int) -> None:
        """Cancel an open order."""
        self._end(trader, order, "CANCELED", now_ms)

    def advance(self, trader: Trader, now_ms: int) -> None:
        """Let everything happen that the price path did up to `now_ms`, in order of time."""
        waiting = [*trader.orders.open(), *trader.algos.open()]
        due: list[tuple[int, int, int, Order]] = []
        salt = itertools.count()
        for order in waiting:
            self._await(due, order, next(salt), now_ms)
        while due:
            at_ms, _, _, order = heapq.heappop(due)
            if order.is_open:
                self._happen(trader, order, at_ms)
                if order.is_open:
                    self._await(due, order, next(salt), now_ms)

    def _await(
        self, due: list[tuple[int, int, int, Order]], order: Order, salt: int, now_ms: int
    ) -> None:
        at_ms = self._next(order, now_ms)
        if at_ms is not None:
            heapq.heappush(due, (at_ms, order.id, salt, order))

    def _next(self, order: Order, now_ms: int) -> int | None:
        instrument = self.listing.instruments.get(order.symbol)
        if instrument is None or self.listing.status(order.symbol, now_ms) != "TRADING":
            order.checked_ms = max(order.checked_ms, now_ms)  # nothing traded meanwhile
            return None
        tick = Fraction(1, 10**instrument.price_decimals)
        if order.waits_for_stop:
            if not order.stop_price:
                return None
            level, above = order.stop_price, _triggers_above(order)
        else:
            level, above = (order.price - tick, False) if order.is_buy else (order.price, True)
        start = order.checked_ms
        at_ms = self.prices.first_time(instrument, level, start, now_ms, above=above)
        if order.good_till_ms and order.good_till_ms <= min(now_ms, at_ms or now_ms):
            return order.good_till_ms
        if at_ms is None:
            order.checked_ms = max(start, now_ms)
        return at_ms

    def _happen(self, trader: Trader, order: Order, at_ms: int) -> None:
        instrument = self.instrument(order.symbol)
        if order.good_till_ms and at_ms >= order.good_till_ms:
            self._end(trader, order, "EXPIRED", at_ms)
        elif not order.waits_for_stop:
            self._fill(trader, order, instrument, order.price, at_ms)
        elif not self.spot:
            self._trigger_algo(trader, order, at_ms)
        else:
            self._trigger(trader, order, instrument, at_ms)

    def _trigger(self, trader: Trader, order: Order, instrument: Instrument, at_ms: int) -> None:
        order.triggered = True
        order.working_ms = order.updated_ms = order.checked_ms = at_ms
        best = self._book(instrument, at_ms)
        if order.price and not best.crosses(order):
            if order.time_in_force in ("IOC", "FOK"):
                self._end(trader, order, "EXPIRED", at_ms)
            return
        trader.funds.release(order)
        try:
            trader.funds.lock(order, instrument, best.price(order))
        except Refused:
            self._end(trader, order, "EXPIRED", at_ms)
            return
        self._fill(trader, order, instrument, best.price(order), at_ms)

    def _trigger_algo(self, trader: Trader, order: Order, at_ms: int) -> None:
        order.triggered = True
        order.working_ms = at_ms
        child = attrs.evolve(
            order,
            id=0,
            client_id="",
            type="LIMIT" if order.price else "MARKET",
            stop_price=ZERO,
            time_ms=at_ms,
            reduce_only=order.reduce_only or order.close_position,
            fills=[],
        )
        funds = trader.funds
        if order.close_position and isinstance(funds, FuturesFunds):
            child.quantity = funds.closable(child)
        try:
            if order.close_position and not child.quantity:
                raise Refused(-2022, "ReduceOnly Order is rejected.")
            self.check(trader, child, at_ms)
            self.place(trader, child, at_ms)
        except Refused:
            order.close("REJECTED", at_ms)
            return
        order.close("FINISHED", at_ms)
        order.child = child

    def _fill(
        self, trader: Trader, order: Order, instrument: Instrument, price: Fraction, now_ms: int
    ) -> None:
        trader.funds.release(order)
        quantity = order.quantity
        if order.reduce_only and isinstance(trader.funds, FuturesFunds):
            quantity = min(quantity, trader.funds.closable(order))
            if not quantity:  # the position it was to reduce is gone
                order.close("EXPIRED", now_ms)
                return
            order.quantity = quantity
        order.take(Fill(next(self._trades), price, quantity), now_ms)
        trader.funds.move(order, instrument, quantity, price)

    def _end(self, trader: Trader, order: Order, status: str, now_ms: int) -> None:
        trader.funds.release(order)
        order.close(status, now_ms)

    def _number(self, ledger: Ledger, order: Order, now_ms: int) -> None:
        order.id = next(self._numbers)
        order.client_id = order.client_id or f"standin-{order.id}"
        order.time_ms = order.updated_ms = order.checked_ms = now_ms
        order.working_ms = -1 if order.waits_for_stop else now_ms
        ledger.add(order)

    def _lock(
        self, trader: Trader, order: Order, instrument: Instrument, price: Fraction, now_ms: int
    ) -> None:
        marks = None if self.spot else lambda symbol: self.mark(symbol, now_ms)
        trader.funds.lock(order, instrument, price, marks)

    def _refuse_without_position(self, trader: Trader, order: Order) -> None:
        if not order.reduce_only or not isinstance(trader.funds, FuturesFunds):
            return
        if not trader.funds.closable(order):
            raise Refused(-2022, "ReduceOnly Order is rejected.")

    def _refuse_by_price(self, order: Order, best: _Book) -> None:
        if order.type == "LIMIT_MAKER" and best.crosses(order):
            raise order_refusal.rejected("Order would immediately match and take.")
        if order.time_in_force == "GTX" and best.crosses(order):
            text = "Due to the order could not be executed as maker, "
            raise Refused(-5022, f"{text}the Post Only order will be rejected.")
        if order.waits_for_stop and order.stop_price:
            # the bid is the last price: the book is made around it
            above = _triggers_above(order)
            if best.bid >= order.stop_price if above else best.bid <= order.stop_price:
                raise order_refusal.rejected("Stop price would trigger immediately.")

    def _affordable(self, order: Order, price: Fraction, now_ms: int) -> Fraction:
        row = self.listing.row(order.symbol, now_ms)
        step = Fraction(str(filter_of(row, "LOT_SIZE").get("stepSize", "0.00000001")))
        quantity = math.floor(order.quote_quantity / price / step) * step
        if not quantity:
            raise order_refusal.filter_failure("LOT_SIZE")
        return quantity

    def _book(self, instrument: Instrument, now_ms: int) -> _Book:
        bid, ask = self.prices.best(instrument, now_ms, futures=not self.spot)
        return _Book(Fraction(bid), Fraction(ask))

    def _check_spot(
        self, trader: Trader, order: Order, row: Row, instrument: Instrument, now_ms: int
    ) -> None:
        minutes = {int(one["avgPriceMins"]) for one in row["filters"] if "avgPriceMins" in one}
        averages = {n: self.prices.average(instrument, n, now_ms) for n in minutes}
        base, funds = instrument.base, trader.funds
        owned = funds.free.get(base, ZERO) + funds.locked.get(base, ZERO)
        opened = trader.orders.open(order.symbol)
        check_spot(row, order, SpotReference(averages, opened, owned))

    def _check_futures(
        self, trader: Trader, order: Order, row: Row, instrument: Instrument, now_ms: int
    ) -> None:
        funds = trader.funds
        closable = funds.closable(order) if isinstance(funds, FuturesFunds) else ZERO
        opens = not (order.reduce_only or order.close_position) and order.quantity > closable
        reference = FuturesReference(
            self.prices.mark(instrument, now_ms),
            self._book(instrument, now_ms).price(order),
            len(trader.orders.open(order.symbol)),
            opens,
        )
        check_futures(row, order, reference)


def _triggers_above(order: Order) -> bool:
    return order.is_buy != order.type.startswith("TAKE_PROFIT")


def _closed(*, spot: bool) -> Refused:
    if spot:
        return Refused(-1013, "Market is closed.")
    text = "Symbol is on delivering or delivered or settling or closed or pre-trading."
    return Refused(-4108, text)


def _not_for_symbol(kind: str, *, spot: bool) -> Refused:
    if not spot:
        return Refused(-1116, "Invalid orderType.")
    name = kind.replace("_", " ").capitalize()
    return Refused(-1013, f"{name} orders are not supported for this symbol.")
