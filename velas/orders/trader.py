"""Trading at one venue: modes, rules, guards, and the desk that places each order once."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import attrs

from velas.clock import Clock
from velas.errors import ConfigError, OrderInvalid, OrderRejected, StoreError, VelasError
from velas.ledger_file import LedgerFile
from velas.models import BookTicker, Market
from velas.order_models import Order, OrderRequest, Position
from velas.orders.client_id import client_id_of
from velas.orders.desk import OrderDesk
from velas.orders.guard import check_mode, check_worth
from velas.orders.journal import Intent, Journal
from velas.orders.settling import Patience
from velas.orders.venue import TradingVenue
from velas.settings import Trading
from velas.validation import MarketState, OrderValidator, Verdict

__all__ = ["Markets", "Trader"]

_LOG = logging.getLogger(__name__)


class Markets(Protocol):
    """What the trader asks the exchange it belongs to."""

    async def market(self, symbol: str) -> Market:
        """Return the market a symbol in any spelling means."""
        ...

    async def markets(self, *, refresh: bool = False) -> Mapping[str, Market]:
        """Return all markets by unified symbol."""
        ...

    async def fetch_book_ticker(self, symbol: str) -> BookTicker:
        """Return the best bid and ask now."""
        ...


class Trader:
    """The order methods of an `Exchange`, over a venue's signed requests.

    What left must be known after a crash: without a ledger, and a `db_path` to open one
    at, nothing can be placed in mode ``live``.
    """

    def __init__(
        self,
        venue: TradingVenue,
        exchange: Markets,
        trading: Trading,
        *,
        ledger: LedgerFile | None,
        db_path: Path | None = None,
        clock: Clock,
    ) -> None:
        self.trading = trading
        self._venue = venue
        self._exchange = exchange
        self._ledger = ledger
        self._db_path = db_path
        self._own_ledger: LedgerFile | None = None
        self._clock = clock
        self._desk: OrderDesk | None = None
        self._validators: dict[str, OrderValidator] = {}

    def close(self) -> None:
        """Close the ledger that was opened at `db_path`; may be called again."""
        if self._own_ledger is not None:
            self._own_ledger.close()

    async def create(self, request: OrderRequest) -> Order:
        """Judge an order, then place it once, or have it tested; see `Exchange`."""
        if not isinstance(request, OrderRequest):
            raise ConfigError(f"create_order takes an OrderRequest, not {type(request).__name__}")
        check_mode(self.trading.mode, "create_order")
        market = await self._exchange.market(request.symbol)
        is_one_of_its_own = request.intent is None and request.client_id is None
        request = attrs.evolve(
            request, symbol=market.symbol, intent=request.intent or f"auto {uuid.uuid4().hex}"
        )

        async def judge() -> None:
            self._judge(request, market)
            await check_worth(
                request,
                market,
                self.trading.max_notional,
                lambda: self._exchange.fetch_book_ticker(market.symbol),
            )

        try:
            if self.trading.mode == "test":
                await judge()
                return await self._tested(request)
            return await self._the_desk().place(
                request, judge=judge, first_of_all=is_one_of_its_own
            )
        except OrderInvalid:
            raise
        except OrderRejected as error:
            raise await self._judged_again(request, error) from error

    async def cancel(self, symbol: str, order_id: str | None, client_id: str | None) -> Order:
        """Cancel an open order by one of its ids."""
        check_mode(self.trading.mode, "cancel_order", allowed=("live",))
        market = await self._exchange.market(symbol)
        return await self._named(
            await self._venue.cancel_order(market, *_one_id(order_id, client_id))
        )

    async def fetch(self, symbol: str, order_id: str | None, client_id: str | None) -> Order:
        """Return an order by one of its ids."""
        market = await self._exchange.market(symbol)
        return await self._named(
            await self._venue.fetch_order(market, *_one_id(order_id, client_id))
        )

    async def open_orders(self, symbol: str | None) -> list[Order]:
        """Return the resting orders, of one symbol or of all."""
        found = await self._venue.open_orders(await self._maybe(symbol))
        return [await self._named(one) for one in found]

    async def balances(self) -> Mapping[str, Decimal]:
        """Return what is free to use, by asset."""
        return await self._venue.balances()

    async def positions(self, symbol: str | None) -> list[Position]:
        """Return the open positions, of one symbol or of all."""
        return await self._venue.positions(await self._maybe(symbol))

    async def recover(self) -> list[Intent]:
        """Settle every intent whose fate is open; sends nothing."""
        return await self._the_desk().recover()

    async def look_up(self, intent: str) -> Intent | None:
        """Return where an intent stands, with its order as it is now."""
        return await self._the_desk().look_up(_text("intent", intent))

    async def declare_absent(self, intent: str) -> Intent:
        """Take its owner's word that an intent of open fate has no order."""
        return await self._the_desk().declare_absent(_text("intent", intent))

    async def state(self, symbol: str) -> MarketState:
        """Return the prices that the market's rules refer to."""
        return await self._venue.market_state(await self._exchange.market(symbol))

    async def validator(self, symbol: str) -> OrderValidator:
        """Return the rules of a market as the venue lists them now."""
        return self._rules(await self._exchange.market(symbol))

    def _rules(self, market: Market) -> OrderValidator:
        known = self._validators.get(market.symbol)
        if known is None or known.market is not market:
            known = self._validators[market.symbol] = OrderValidator.from_market(market)
        return known

    def _judge(self, request: OrderRequest, market: Market) -> None:
        verdict = self._rules(market).check(request)
        if not verdict.ok:
            raise _invalid(request, verdict, "not sent")
        for one in verdict.not_judged:
            _LOG.debug("%s: left to the venue: %s", request.symbol, one)

    async def _judged_again(self, request: OrderRequest, error: OrderRejected) -> OrderRejected:
        """Return what a refusal means by the rules as they are now."""
        if not error.by_a_rule:
            return error
        try:
            # the rules may have changed since they were fetched
            market = (await self._exchange.markets(refresh=True))[request.symbol]
            state = await self._venue.market_state(market)
        except (VelasError, KeyError) as problem:
            error.add_note(f"the rules could not be fetched again: {problem}")
            return error
        verdict = self._rules(market).check(request, reference=state)
        if verdict.ok:
            left = "; ".join(str(one) for one in verdict.not_judged)
            error.add_note(
                "by the rules and prices fetched since then the order is legal, as far as that "
                f"can be judged here ({left or 'all rules were judged'})"
            )
            return error
        return _invalid(request, verdict, str(error))

    async def _named(self, order: Order) -> Order:
        if self._ledger is None and self._db_path is None:
            return order
        try:
            return await self._the_desk().named(order)
        except StoreError as error:
            # what the venue has done is done, and saying it failed would be worse
            _LOG.error(
                "order %s is %s, which could not be noted: %s", order.id, order.status, error
            )
            return order

    async def _tested(self, request: OrderRequest) -> Order:
        client_id = request.client_id or client_id_of(str(request.intent))
        await self._venue.test_order(request, client_id)
        return Order(
            symbol=request.symbol,
            id="",
            client_id=client_id,
            side=request.side,
            type=request.type,
            status="tested",
            quantity=request.quantity or Decimal(0),
            filled=Decimal(0),
            price=request.price,
            timestamp=None,
            stop_price=request.stop_price,
            time_in_force=request.time_in_force,
            reduce_only=request.reduce_only,
            intent=request.intent,
        )

    def _the_desk(self) -> OrderDesk:
        if self._desk is None:
            self._desk = OrderDesk(
                self._venue,
                Journal(self._the_ledger(), self._venue.account),
                clock=self._clock,
                patience=Patience(settle_s=self.trading.settle_s),
                resend_s=self.trading.resend_s,
            )
        return self._desk

    def _the_ledger(self) -> LedgerFile:
        if self._ledger is not None:
            return self._ledger
        if self._db_path is None:
            raise ConfigError(
                "orders need a ledger: open the exchange with velas.open_exchange(settings), "
                "whose db_path it is, or give it ledger=velas.Ledger(path)"
            )
        self._own_ledger = LedgerFile(self._db_path)
        return self._own_ledger

    async def _maybe(self, symbol: str | None) -> Market | None:
        return None if symbol is None else await self._exchange.market(symbol)


def _invalid(request: OrderRequest, verdict: Verdict, fate: str) -> OrderInvalid:
    return OrderInvalid(
        f"{request.symbol}: {'; '.join(map(str, verdict))} ({fate})",
        violations=verdict.violations,
    )


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{name} {value!r}: expected text that is not empty")
    return value


def _one_id(order_id: str | int | None, client_id: str | None) -> tuple[str | None, str | None]:
    if (order_id is None) == (client_id is None):
        raise ConfigError("name the order by order_id or by client_id, one of the two")
    if client_id is not None:
        return None, _text("client_id", client_id)
    is_number = isinstance(order_id, int) and not isinstance(order_id, bool)
    return _text("order_id", str(order_id) if is_number else order_id), None
