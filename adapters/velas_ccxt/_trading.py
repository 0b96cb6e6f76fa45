"""Binance's signed requests: orders, balances and positions of one account."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from velas.credentials import Credentials, credential_variables
from velas.errors import (
    AuthError,
    BadResponse,
    ExchangeError,
    OrderNotFound,
    TimestampRefused,
    Unsupported,
    VelasError,
)
from velas.limits import RateLimiter, RequestType, shared_limiter
from velas.models import Market
from velas.order_models import Order, OrderRequest, Position
from velas.orders import Fence, Sending
from velas.settings import Trading
from velas.validation import MarketState
from velas_ccxt import _order_wire as wire
from velas_ccxt._account import account_mark
from velas_ccxt._errors import Reply
from velas_ccxt._order_errors import order_error

if TYPE_CHECKING:
    from velas_ccxt._binance import Binance

__all__ = ["BinanceTrading", "FuturesTrading", "SpotTrading"]

T = TypeVar("T")
Params = dict[str, Any]
_DAY_S = 86_400.0
_CLOCK_TRIES = 3  # a question refused for its time is asked again with the venue's


class BinanceTrading(ABC):
    """What both markets share; see `velas.orders.TradingVenue`."""

    spot: bool
    api: str  # ccxt's group of signed endpoints
    open_orders_weight: tuple[int, int]  # of one symbol, of all
    fetch_weight: int
    asks_first = True
    remembers_s: float  # how long canceled and expired orders without a fill are kept

    def __init__(
        self, exchange: Binance, credentials: Credentials, trading: Trading, *, host: str
    ) -> None:
        self._exchange = exchange
        self._trading = trading
        self._host = host
        self._has_key = bool(credentials.api_key and credentials.api_secret)
        self._mark = account_mark(credentials)
        # the venue counts an account's orders in windows of their own
        self.pace = shared_limiter(f"{host} orders of {self._mark}", clock=exchange.clock)

    @property
    def account(self) -> str:
        """Exchange, host and a digest of the key: orders of the testnet are not the venue's."""
        return f"{self._exchange.name} {self._host} {self._mark}"

    async def venue_time_ms(self, *, fresh: bool = False) -> int:
        """Return the venue's clock, never ahead of it."""
        if fresh:
            self._exchange.doubt_server_time()
        return await self._exchange.server_time_ms()

    async def send_order(self, request: OrderRequest, client_id: str, sending: Sending) -> Order:
        """Send an order once; see `velas.orders.OrderVenue`."""
        market = await self._exchange.market(request.symbol)
        name, params = self._placing(request, market, client_id)
        endpoint = self._endpoint("Post", name)

        async def attempt() -> Order:
            stamped = self._stamped(params)
            await sending(self._fence(stamped))
            return await self._order_call(
                endpoint, stamped, lambda document: self._placed(document, market)
            )

        return await self._once(attempt)

    async def test_order(self, request: OrderRequest, client_id: str) -> None:
        """Let the venue judge an order that is not made."""
        market = await self._exchange.market(request.symbol)
        name, params = self._placing(request, market, client_id)
        if name != "Order":
            raise Unsupported(
                f"{self._exchange.name}: {request.type} orders have no test endpoint; "
                "use trading.mode live on the testnet"
            )
        endpoint = self._endpoint("Post", "OrderTest")

        async def attempt() -> None:
            await self._order_call(endpoint, self._stamped(params), lambda _: None)

        for left in reversed(range(_CLOCK_TRIES)):
            try:
                await self._once(attempt)
            except TimestampRefused:
                if not left:
                    raise
            else:
                return

    async def find_order(self, request: OrderRequest, client_id: str) -> Order | None:
        """Ask for an order by its client id."""
        market = await self._exchange.market(request.symbol)
        try:
            found = await self._fetch(market, None, client_id, algo=self._is_algo(request.type))
        except OrderNotFound:
            return None
        if found.client_id != client_id:
            raise BadResponse(f"order {found.client_id!r}, asked was {client_id!r}")
        return found

    async def fetch_order(
        self, market: Market, order_id: str | None, client_id: str | None
    ) -> Order:
        """Return an order by one of its ids; a client id may be a conditional order's."""
        algo = order_id is not None and wire.is_algo_id(order_id) is not None
        try:
            return await self._fetch(market, order_id, client_id, algo=algo)
        except OrderNotFound:
            if client_id is None or self.spot:
                raise
        return await self._fetch(market, None, client_id, algo=True)

    async def cancel_order(
        self, market: Market, order_id: str | None, client_id: str | None
    ) -> Order:
        """Cancel an order, then tell how it is; one that is canceled already is no error.

        The cancelation leaves first: in an emergency nothing may hold it up.
        """
        reply: Mapping[str, Any] | None = None
        for algo in self._kinds(order_id):
            # not found: filled or canceled before, by a repeated request say
            with suppress(OrderNotFound):
                reply = await self._cancel(market, order_id, client_id, algo=algo)
                break
        try:
            found = await self.fetch_order(market, order_id, client_id)
        except ExchangeError:
            if reply is None or "algoId" in reply:  # a conditional one's only says it worked
                raise
            # its time is the cancelation's
            return attrs.evolve(wire.order(reply, market.symbol), timestamp=None)
        if reply is not None or found.status == "canceled":
            return found
        raise OrderNotFound(
            f"{self._exchange.name}: {market.symbol} order {found.id} is not open, it is "
            f"{found.status}"
        )

    async def open_orders(self, market: Market | None) -> list[Order]:
        """Return the resting orders, oldest first."""
        found = await self._open(market)
        return sorted(found, key=lambda one: (one.timestamp or 0, one.id))

    @abstractmethod
    async def balances(self) -> Mapping[str, Decimal]:
        """Return what is free by asset."""

    @abstractmethod
    async def positions(self, market: Market | None) -> list[Position]:
        """Return the open positions."""

    @abstractmethod
    async def market_state(self, market: Market) -> MarketState:
        """Return the prices that the market's rules refer to."""

    # -- one request --------------------------------------------------------------------

    def _placing(self, request: OrderRequest, market: Market, client_id: str) -> tuple[str, Params]:
        if self._is_algo(request.type):
            return "AlgoOrder", wire.algo_params(request, market.id, client_id)
        return "Order", wire.order_params(request, market.id, client_id, spot=self.spot)

    def _fence(self, stamped: Params) -> Fence:
        window_ms = self._trading.recv_window_ms
        return Fence(int(stamped["timestamp"]) + window_ms, window_ms)

    def _placed(self, document: object, market: Market) -> Order:
        if isinstance(document, Mapping) and document.get("symbol") != market.id:
            raise BadResponse(f"an order of {document.get('symbol')!r}, asked was {market.id}")
        if isinstance(document, Mapping) and "algoId" in document:
            return wire.algo_order(document, market.symbol)
        return wire.order(document, market.symbol)

    async def _fetch(
        self, market: Market, order_id: str | None, client_id: str | None, *, algo: bool
    ) -> Order:
        endpoint = self._endpoint("Get", "AlgoOrder" if algo else "Order")
        params = self._ids(market, order_id, client_id, algo=algo)
        document = await self._ask(endpoint, params, _as_it_is, self.fetch_weight)
        found = self._placed(document, market)
        return await self._executed(market, found, document) if algo else found

    async def _executed(self, market: Market, found: Order, document: object) -> Order:
        """Return a conditional order with what became of the ordinary one it made.

        FINISHED is "filled or canceled": the ordinary order knows which. That one not being
        found must not look as if the conditional order, which was, were not there.
        """
        child = wire.algo_child(document)
        if child is None:
            if found.status == "filled":
                raise BadResponse(f"{found.id} is finished, but by no order")
            return found
        try:
            real = await self._fetch(market, child, None, algo=False)
        except OrderNotFound as error:
            raise BadResponse(f"{found.id} has become order {child}, of which: {error}") from None
        return attrs.evolve(
            found,
            status=real.status,
            filled=real.filled,
            average=real.average,
            cost=real.cost,
        )

    async def _cancel(
        self, market: Market, order_id: str | None, client_id: str | None, *, algo: bool
    ) -> Mapping[str, Any]:
        endpoint = self._endpoint("Delete", "AlgoOrder" if algo else "Order")
        params = self._ids(market, order_id, client_id, algo=algo)
        document = await self._ask(endpoint, params, _as_it_is, 1)
        return document if isinstance(document, Mapping) else {}

    def _kinds(self, order_id: str | None) -> tuple[bool, ...]:
        """Return whether an id may be an ordinary order's, a conditional one's, or both."""
        if self.spot:
            return (False,)
        return (False, True) if order_id is None else (wire.is_algo_id(order_id) is not None,)

    def _ids(
        self, market: Market, order_id: str | None, client_id: str | None, *, algo: bool
    ) -> Params:
        if algo:
            return _algo_ids(order_id, client_id)
        name, value = (
            ("origClientOrderId", client_id) if order_id is None else ("orderId", order_id)
        )
        return {"symbol": market.id, name: value}

    async def _open(self, market: Market | None) -> list[Order]:
        params = {} if market is None else {"symbol": market.id}
        weight = self.open_orders_weight[market is None]
        rows = await self._ask(self._endpoint("Get", "OpenOrders"), params, _rows, weight)
        return [wire.order(row, await self._symbol(row)) for row in rows]

    async def _symbol(self, row: Mapping[str, Any]) -> str:
        return (await self._exchange.market(str(row.get("symbol")))).symbol

    def _is_algo(self, order_type: str) -> bool:
        return not self.spot and order_type in wire.CONDITIONAL

    def _endpoint(self, method: str, name: str, *, version: str = "") -> Callable[..., Any]:
        if not self._has_key:
            names = " and ".join(list(credential_variables(self._exchange.name).values())[:2])
            raise AuthError(
                f"{self._exchange.name}: this needs an account's key: set {names}, or name a "
                "private file in trading.credentials_file"
            )
        return self._exchange.signed_endpoint(f"{self.api}{version}{method}{name}")

    def _stamped(self, params: Params) -> Params:
        return {
            **params,
            "timestamp": self._exchange.estimated_time_ms(),
            "recvWindow": self._trading.recv_window_ms,
        }

    async def _once(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make a request that must not be repeated, in the lane of orders."""
        await self._exchange.server_time_ms()  # measured before the request's turn comes
        now_ms = self._exchange.estimated_time_ms()
        self.pace.set_clock_offset_ms(now_ms - self._exchange.clock.now_ms())

        async def paced() -> T:
            return await self._in_turn(self._exchange.limiter, attempt)

        try:
            return await self._in_turn(self.pace, paced)
        except TimestampRefused:
            self._exchange.doubt_server_time()
            raise

    async def _in_turn(self, limiter: RateLimiter, call: Callable[[], Awaitable[T]]) -> T:
        return await limiter.execute_with_retry(
            call, RequestType.ORDER, safe_to_repeat=False, max_wait_s=self._trading.resend_s
        )

    async def _order_call(
        self, endpoint: Callable[..., Any], params: Params, parse: Callable[[Any], T]
    ) -> T:
        reply = Reply()
        try:
            return await self._exchange.ask_once(
                endpoint, params, lambda document, _: parse(document), reply=reply
            )
        except VelasError as error:
            raise order_error(error, reply, spot=self.spot) from None

    async def _ask(
        self,
        endpoint: Callable[..., Any],
        params: Params,
        parse: Callable[[Any], T],
        weight: int,
    ) -> T:
        """Ask what may be asked again; a fresh time stamp with every attempt."""

        async def attempt() -> T:
            return await self._exchange.ask_once(
                endpoint, self._stamped(params), lambda document, _: parse(document)
            )

        for left in reversed(range(_CLOCK_TRIES)):
            await self._exchange.server_time_ms()
            try:
                return await self._exchange.limiter.execute_with_retry(
                    attempt, RequestType.ORDER, weight=weight, safe_to_repeat=True
                )
            except TimestampRefused:
                self._exchange.doubt_server_time()
                if not left:
                    raise
        raise AssertionError("unreachable")


class SpotTrading(BinanceTrading):
    """Orders and balances of a Spot account."""

    spot = True
    api = "private"
    open_orders_weight = (6, 80)
    fetch_weight = 4
    remembers_s = 90 * _DAY_S

    async def balances(self) -> Mapping[str, Decimal]:
        """Return what is free by asset."""
        params = {"omitZeroBalances": "true"}
        return await self._ask(self._endpoint("Get", "Account"), params, wire.balances, 20)

    async def positions(self, market: Market | None) -> list[Position]:
        """Refuse: Spot has balances, no positions."""
        raise Unsupported(f"{self._exchange.name} has no positions; see balances()")

    async def market_state(self, market: Market) -> MarketState:
        """Return the average price of the last minutes, and the best bid and ask."""
        average = await self._exchange.ask_public("AvgPrice", {"symbol": market.id}, 2)
        book = await self._exchange.fetch_book_ticker(market.symbol)
        return MarketState(
            reference_price=wire.price_of(average.get("price")),
            best_bid=book.bid,
            best_ask=book.ask,
        )


class FuturesTrading(BinanceTrading):
    """Orders, balances and positions of a USDT-M account."""

    spot = False
    api = "fapiPrivate"
    open_orders_weight = (1, 40)
    fetch_weight = 1
    remembers_s = 3 * _DAY_S

    async def balances(self) -> Mapping[str, Decimal]:
        """Return what is free by margin asset."""
        endpoint = self._endpoint("Get", "Balance", version="V3")
        return await self._ask(endpoint, {}, wire.balances, 5)

    async def positions(self, market: Market | None) -> list[Position]:
        """Return the open positions."""
        params = {} if market is None else {"symbol": market.id}
        endpoint = self._endpoint("Get", "PositionRisk", version="V3")
        names = {one.id: one.symbol for one in (await self._exchange.markets()).values()}
        return await self._ask(endpoint, params, lambda rows: wire.positions(rows, names), 5)

    async def market_state(self, market: Market) -> MarketState:
        """Return the mark price, and the best bid and ask."""
        mark = await self._exchange.ask_public("PremiumIndex", {"symbol": market.id}, 1)
        book = await self._exchange.fetch_book_ticker(market.symbol)
        return MarketState(
            mark_price=wire.price_of(mark.get("markPrice")),
            best_bid=book.bid,
            best_ask=book.ask,
        )

    async def _open(self, market: Market | None) -> list[Order]:
        plain = await super()._open(market)
        params = {} if market is None else {"symbol": market.id}
        weight = self.open_orders_weight[market is None]
        rows = await self._ask(self._endpoint("Get", "OpenAlgoOrders"), params, _rows, weight)
        return [*plain, *[wire.algo_order(row, await self._symbol(row)) for row in rows]]


def _algo_ids(order_id: str | None, client_id: str | None) -> Params:
    if order_id is not None:
        return {"algoId": wire.is_algo_id(order_id)}
    return {"clientAlgoId": client_id}


def _as_it_is(document: Any) -> Any:
    return document


def _rows(document: Any) -> list[Mapping[str, Any]]:
    if not isinstance(document, list) or not all(isinstance(row, Mapping) for row in document):
        raise BadResponse("expected a list of orders")
    return document
