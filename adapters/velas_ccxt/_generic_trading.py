"""Orders, balances and positions of any other venue, by ccxt's unified methods."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from velas.credentials import Credentials, credential_variables
from velas.errors import (
    AuthError,
    BadRequest,
    BadResponse,
    ExchangeError,
    OrderNotFound,
    OrderRejected,
    TimestampRefused,
    Unsupported,
    VelasError,
)
from velas.limits import RequestType
from velas.models import Market
from velas.order_models import Order, OrderRequest, Position
from velas.orders import Sending
from velas.settings import Trading
from velas.validation import MarketState
from velas_ccxt import _generic_wire as wire
from velas_ccxt._account import account_mark
from velas_ccxt._client import CcxtClient
from velas_ccxt._client_ids import client_ids
from velas_ccxt._errors import Reply
from velas_ccxt._generic_fate import order_error
from velas_ccxt._generic_placing import Placing, placing
from velas_ccxt._leaving import LastLook, only_tests

if TYPE_CHECKING:
    from velas_ccxt._generic import CcxtExchange

__all__ = ["BY_CLIENT_ID", "ORDERS_BY_GET", "TESTS", "GenericTrading", "can_trade"]

T = TypeVar("T")
Params = dict[str, Any]
Ask = Callable[..., Awaitable[Any]]

_CLOCK_TRIES = 3  # a question refused for its time is asked again with the venue's
_FIELDS = {"apiKey": "api_key", "secret": "api_secret", "password": "password"}
# venues whose ccxt class asks for one order by the client's id (read in its `fetch_order`)
BY_CLIENT_ID = frozenset(
    {"binance", "binancecoinm", "binanceus", "binanceusdm", "bitget", "gate", "gateeu"}
    | {"kucoin", "mexc", "myokx", "okx", "okxus"}
)
# venues whose ccxt class makes orders with a GET (read in its `create_order`)
ORDERS_BY_GET = frozenset({"coinbaseinternational", "deribit", "dydx"})
# parameters that make ccxt ask for a test of a Spot order (read in its `create_order`)
TESTS: Mapping[str, Params] = {
    "kraken": {"validate": "true"},
    **{
        venue: {"test": True}
        for venue in ("binance", "binanceus", "coinsph", "kucoin", "mexc", "upbit")
    },
}
# without it ccxt warns of what this method cannot find, by an error
_FETCH_PARAMS: Mapping[str, Params] = {"bybit": {"acknowledged": True}}
# where finished orders are looked for, by what a venue has, the most complete first
_FINISHED = (
    ("fetchCanceledAndClosedOrders",),
    ("fetchOrders",),
    ("fetchClosedOrders", "fetchCanceledOrders"),
)


def can_trade(exchange: Any) -> bool:
    """Say whether a ccxt class places and cancels orders."""
    return exchange.has.get("createOrder") is True and exchange.has.get("cancelOrder") is True


class GenericTrading:
    """The signed requests of one account; see `velas.orders.TradingVenue`.

    `signed` makes a client with the account's keys, once it is needed. No request here
    is known to expire: an order whose answer is lost is never sent again, but looked for
    by its client id. Where a venue shows none, it stays unknown.
    """

    asks_first = False
    remembers_s = math.inf  # not finding an order proves nothing here anyway

    def __init__(
        self,
        exchange: CcxtExchange,
        credentials: Credentials,
        trading: Trading,
        *,
        host: str,
        public: CcxtClient,
        signed: Callable[[], CcxtClient],
    ) -> None:
        self._exchange = exchange
        self._credentials = credentials
        self._trading = trading
        self._host = host
        self._public = public
        self._make = signed
        self._signed: CcxtClient | None = None
        self._stamped_ms = 0
        self._id: str = public.exchange.id
        self._ids = client_ids(self._id)

    @property
    def account(self) -> str:
        """Exchange, host and a digest of the key: orders of a testnet are not the venue's."""
        return f"{self._exchange.name} {self._host} {account_mark(self._credentials)}"

    async def venue_time_ms(self, *, fresh: bool = False) -> int:
        """Return the venue's clock, never ahead of it."""
        if fresh:
            self._exchange.doubt_server_time()
        return await self._exchange.server_time_ms()

    # -- placing ------------------------------------------------------------------------

    async def send_order(self, request: OrderRequest, client_id: str, sending: Sending) -> Order:
        """Send an order once; see `velas.orders.OrderVenue`."""
        client = await self._client()
        market = await self._exchange.market(request.symbol)
        wire_id = self._ids.out(client_id)
        call = placing(client.exchange, request, market, {self._ids.param: wire_id})
        look = LastLook(
            wire_id,
            call.numbers,
            sending,
            reduce_only=request.reduce_only,
            by_get=self._id in ORDERS_BY_GET,
        )

        async def attempt() -> Order:
            answer = await self._place(client, look, call)
            if not look.announced:
                await sending(None)
            with client.named():
                return wire.placed_order(answer, request, client_id)

        return await self._once(attempt)

    async def test_order(self, request: OrderRequest, client_id: str) -> None:
        """Let the venue judge an order that is not made."""
        client = await self._client()
        market = await self._exchange.market(request.symbol)
        test = TESTS.get(self._id)
        if test is None or market.type != "spot":
            raise Unsupported(
                f"{self._exchange.name}: ccxt has no test of {market.type} orders for this venue; "
                "use trading.mode live with a small order, or off"
            )
        params = {self._ids.param: self._ids.out(client_id), **test}
        call = placing(client.exchange, request, market, params)

        async def attempt() -> None:
            reply = Reply(leaving=only_tests)
            try:
                await client.call(reply, call.method, *call.args)
            except BadResponse:
                # a test's reply has no order, of which ccxt reads one all the same
                if not 200 <= reply.status < 300 or reply.document is None:
                    raise

        await self._once(attempt)

    async def _place(self, client: CcxtClient, look: LastLook, call: Placing) -> Any:
        reply = Reply(leaving=look)
        try:
            return await client.call(reply, call.method, *call.args)
        except VelasError as error:
            if error is reply.stopped and not look.announced:
                raise
            if look.announced:
                raise order_error(error, reply) from None
            if isinstance(error, BadResponse) and error.__cause__ is not None:
                cause = error.__cause__
                raise Unsupported(
                    f"{self._exchange.name}: ccxt cannot make this order of exact numbers "
                    f"({type(cause).__name__} {cause}); nothing was sent"
                ) from error
            raise

    # -- finding ------------------------------------------------------------------------

    async def find_order(self, request: OrderRequest, client_id: str) -> Order | None:
        """Ask for an order by its client id; None also where the venue shows no such ids."""
        client = await self._client()
        market = await self._exchange.market(request.symbol)
        try:
            found, _ = await self._search(client, market, None, client_id)
        except OrderNotFound:
            return None
        return attrs.evolve(found, client_id=client_id)

    async def fetch_order(
        self, market: Market, order_id: str | None, client_id: str | None
    ) -> Order:
        """Return an order by one of its ids."""
        client = await self._client()
        found, _ = await self._search(client, market, order_id, client_id)
        return found

    async def cancel_order(
        self, market: Market, order_id: str | None, client_id: str | None
    ) -> Order:
        """Cancel an order; one that is canceled already is returned as it is."""
        client = await self._client()
        found, where = await self._search(client, market, order_id, client_id)
        if found.is_open:
            refusal: ExchangeError | None = None
            try:
                await self._ask(
                    client, _as_it_is, client.exchange.cancel_order, found.id, market.symbol, where
                )
            except (OrderNotFound, OrderRejected, BadRequest) as error:
                refusal = error  # filled or canceled in between, by a repeated request say
            try:
                found, _ = await self._search(client, market, found.id, None)
            except OrderNotFound:  # some venues forget what was canceled
                if refusal is None:
                    found = attrs.evolve(found, status="canceled")
            if found.is_open:
                if refusal is not None:
                    raise refusal
                return found  # accepted, and under way
        if found.status == "canceled":
            return found
        raise OrderNotFound(
            f"{self._exchange.name}: {market.symbol} order {found.id} is not open, it is "
            f"{found.status}"
        )

    async def open_orders(self, market: Market | None) -> list[Order]:
        """Return the resting orders, oldest first."""
        client = await self._client()
        exchange = client.exchange
        self._need(exchange, "fetchOpenOrders")
        symbol = None if market is None else market.symbol
        found: dict[str, Order] = {}
        for where in self._places(exchange, market, "fetchOpenOrders"):
            rows = await self._ask(
                client, _rows, exchange.fetch_open_orders, symbol, None, None, where
            )
            for row in rows:
                with client.named():
                    one = wire.order(row, market, self._ids.back)
                found.setdefault(one.id, one)
        listed = [one for one in found.values() if one.is_open]
        if market is None:  # the venue's other kind of markets belongs to another adapter
            mine = await self._exchange.markets()
            listed = [one for one in listed if one.symbol in mine]
        return sorted(listed, key=lambda one: (one.timestamp or 0, one.id))

    async def _search(
        self, client: CcxtClient, market: Market, order_id: str | None, client_id: str | None
    ) -> tuple[Order, Params]:
        exchange = client.exchange
        directly = exchange.has.get("fetchOrder") is True and (
            order_id is not None or self._id in BY_CLIENT_ID
        )
        for where in self._places(
            exchange, market, "fetchOrder" if directly else "fetchOpenOrders"
        ):
            if directly:
                row = await self._one(client, market, order_id, client_id, where)
            else:
                row = await self._scan(client, market, order_id, client_id, where)
            if row is not None:
                with client.named():
                    return wire.order(row, market, self._ids.back), where
        raise OrderNotFound(
            f"{self._exchange.name}: no order {order_id or client_id} of {market.symbol} is known"
        )

    async def _one(
        self,
        client: CcxtClient,
        market: Market,
        order_id: str | None,
        client_id: str | None,
        where: Params,
    ) -> Mapping[str, Any] | None:
        params: Params = {**_FETCH_PARAMS.get(self._id, {}), **where}
        if client_id is not None:
            params[self._ids.param] = self._ids.out(client_id)
        try:
            row = await self._ask(
                client, _row, client.exchange.fetch_order, order_id, market.symbol, params
            )
        except (OrderNotFound, OrderRejected):  # ccxt calls an unknown order invalid at some venues
            return None
        told = row.get("clientOrderId")
        if client_id is not None and told and not self._ids.is_same(told, client_id):
            return None
        return row

    async def _scan(
        self,
        client: CcxtClient,
        market: Market,
        order_id: str | None,
        client_id: str | None,
        where: Params,
    ) -> Mapping[str, Any] | None:
        # open ones first: one that is filled meanwhile is then among the finished
        for method in self._lists(client.exchange):
            rows = await self._ask(client, _rows, method, market.symbol, None, None, dict(where))
            for row in rows:
                if order_id is not None and row.get("id") == order_id:
                    return row
                if client_id is not None and self._ids.is_same(row.get("clientOrderId"), client_id):
                    return row
        return None

    def _lists(self, exchange: Any) -> Iterator[Ask]:
        self._need(exchange, "fetchOpenOrders")
        yield exchange.fetch_open_orders
        for names in _FINISHED:
            had = [name for name in names if exchange.has.get(name) is True]
            if had:
                yield from (getattr(exchange, _snake(name)) for name in had)
                return

    def _places(self, exchange: Any, market: Market | None, method: str) -> list[Params]:
        # at some venues orders that wait for a price are kept apart
        kind = _kind_path(market, exchange)
        apart = exchange.feature_value_by_type(*kind, method, "trigger", False)
        return [{}, {"trigger": True}] if apart is True else [{}]

    # -- the account --------------------------------------------------------------------

    async def balances(self) -> Mapping[str, Decimal]:
        """Return what is free by asset."""
        client = await self._client()
        self._need(client.exchange, "fetchBalance")
        return await self._ask(client, wire.balances, client.exchange.fetch_balance)

    async def positions(self, market: Market | None) -> list[Position]:
        """Return the open positions."""
        if not self._exchange.linear_settle:
            raise Unsupported(f"{self._exchange.name} has no positions; see balances()")
        client = await self._client()
        self._need(client.exchange, "fetchPositions")
        symbols = None if market is None else [market.symbol]

        def parse(rows: Any) -> list[Position]:
            found = [one for one in map(wire.position, _rows(rows)) if one is not None]
            return [one for one in found if market is None or one.symbol == market.symbol]

        return await self._ask(client, parse, client.exchange.fetch_positions, symbols)

    async def market_state(self, market: Market) -> MarketState:
        """Return last, best and, where the ticker has it, mark price; public."""
        exchange = self._public.exchange
        self._need(exchange, "fetchTicker")
        return await self._ask(
            self._public, wire.market_state, exchange.fetch_ticker, market.symbol
        )

    # -- one request --------------------------------------------------------------------

    async def close(self) -> None:
        """Close the connections."""
        if self._signed is not None:
            await self._signed.close()

    async def _client(self) -> CcxtClient:
        """Return the client that signs, with the markets as they were last fetched."""
        self._check_keys()
        await self._exchange.markets()
        if self._signed is None:
            self._signed = self._make()
            self._signed.check_private()
            self._signed.exchange.milliseconds = self._stamp_ms
        if self._signed.exchange.markets is not self._public.exchange.markets:
            # so that no unified method downloads them itself
            self._signed.exchange.set_markets_from_exchange(self._public.exchange)
        return self._signed

    def _stamp_ms(self) -> int:
        # the venue's time, and a nonce: it must rise
        self._stamped_ms = max(self._stamped_ms + 1, self._exchange.estimated_time_ms())
        return self._stamped_ms

    def _check_keys(self) -> None:
        needed = [name for name, is_needed in self._required().items() if is_needed]
        foreign = [name for name in needed if name not in _FIELDS]
        if foreign:
            raise Unsupported(
                f"{self._exchange.name}: its requests are signed with {', '.join(foreign)}, which "
                "velas does not hold"
            )
        names = credential_variables(self._exchange.name)
        missing = [
            names[_FIELDS[name]]
            for name in needed
            if getattr(self._credentials, _FIELDS[name]) is None
        ]
        if missing:
            raise AuthError(
                f"{self._exchange.name}: this needs an account's key: set {' and '.join(missing)}, "
                "or name a private file in trading.credentials_file"
            )

    def _required(self) -> Mapping[str, bool]:
        found: Mapping[str, bool] = self._public.exchange.requiredCredentials
        return found

    def _need(self, exchange: Any, name: str) -> None:
        if exchange.has.get(name) in (None, False):
            raise self._cannot(f"ask for that: it has no {name}")

    def _cannot(self, what: str) -> Unsupported:
        return Unsupported(f"{self._exchange.name}: ccxt's class for it cannot {what}")

    async def _once(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make a request that must not be repeated, in the lane of orders."""
        await self._exchange.server_time_ms()  # measured before the request's turn comes
        try:
            return await self._exchange.limiter.execute_with_retry(
                attempt,
                RequestType.ORDER,
                safe_to_repeat=False,
                max_wait_s=self._trading.resend_s,
            )
        except TimestampRefused:
            self._exchange.doubt_server_time()
            raise

    async def _ask(
        self, client: CcxtClient, parse: Callable[[Any], T], request: Ask, *args: Any
    ) -> T:
        """Ask what may be asked again."""

        async def attempt() -> T:
            answer = await client.call(Reply(), request, *args)
            with client.named():
                return parse(answer)

        for left in reversed(range(_CLOCK_TRIES)):
            await self._exchange.server_time_ms()
            try:
                return await self._exchange.limiter.execute_with_retry(
                    attempt, RequestType.ORDER, safe_to_repeat=True
                )
            except TimestampRefused:
                self._exchange.doubt_server_time()
                if not left:
                    raise
        raise AssertionError("unreachable")


def _kind_path(market: Market | None, exchange: Any) -> tuple[str, str | None]:
    kind = exchange.options["defaultType"] if market is None else market.type
    if kind not in ("swap", "future"):
        return "spot", None
    return kind, "inverse" if market is not None and market.linear is False else "linear"


def _snake(name: str) -> str:
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name)


def _as_it_is(answer: Any) -> Any:
    return answer


def _row(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise BadResponse("expected an order")
    return answer


def _rows(answer: Any) -> list[Mapping[str, Any]]:
    if not isinstance(answer, list) or not all(isinstance(row, Mapping) for row in answer):
        raise BadResponse("expected a list")
    return answer
