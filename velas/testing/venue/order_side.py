"""The signed order side: requests from their receipt to the engine and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs
import orjson

from velas.testing.venue.account import Account
from velas.testing.venue.damage import Answer
from velas.testing.venue.engine import Engine, Trader
from velas.testing.venue.futures_account import FuturesAccount
from velas.testing.venue.futures_orders import FuturesOrders
from velas.testing.venue.listing import Listing
from velas.testing.venue.order_ledger import OrderRecord
from velas.testing.venue.order_routes import Route, Routes
from velas.testing.venue.pricing import Prices
from velas.testing.venue.quotes import Quotes
from velas.testing.venue.refusal import Refused
from velas.testing.venue.signing import Call, Signed, Signing
from velas.testing.venue.spot_orders import SpotOrders

__all__ = ["Arrival", "OrderSide", "refused"]


@attrs.define(eq=False)
class Arrival:
    """A signed request on its way: `due_ms` is when the engine has it.

    `answer` is None until then.
    """

    call: Call
    due_ms: int
    hidden_ms: int = 0
    route: Route | None = None
    signed: Signed | None = None
    answer: Answer | None = None


class OrderSide:
    """Serves the signed endpoints of one market.

    Nothing runs by itself: what is due by the venue's clock, fills of resting orders and
    requests that were delayed, happens in its order in time when `settle` is called.
    """

    def __init__(
        self, listing: Listing, quotes: Quotes, accounts: Iterable[Account], *, retry_after: bool
    ) -> None:
        self._listing = listing
        self._prices = Prices(quotes)
        self._accounts = list(accounts)
        self._retry_after = retry_after
        self._spot = listing.market == "spot"
        self._signing = Signing(self._accounts, spot=self._spot)
        self.attempts = 0
        self.reset()

    def reset(self) -> None:
        """Forget all orders and give every account what it began with."""
        self._engine = Engine(self._listing, self._prices)
        self._traders = {one.api_key: Trader(one, spot=self._spot) for one in self._accounts}
        self._routes = self._make_routes()
        self._on_the_way: list[Arrival] = []

    def serves(self, method: str, path: str) -> bool:
        """Return whether the request is one of the signed endpoints."""
        return (method, path) in self._routes

    def places(self, method: str, path: str) -> bool:
        """Return whether the request is a new order."""
        route = self._routes.get((method, path))
        return route is not None and route.places

    def receive(self, call: Call, now_ms: int, *, delay_ms: int = 0, hidden_ms: int = 0) -> Arrival:
        """Judge who asks and when; hand it to the engine in `delay_ms`.

        `hidden_ms` is for how long queries do not find the order it makes.
        """
        arrival = Arrival(call, now_ms + delay_ms, hidden_ms)
        try:
            arrival.route = self._routes[(call.method, call.path)]
            arrival.signed = self._signing.verify(call, now_ms)
        except Refused as error:
            arrival.answer = refused(error)
        else:
            self._on_the_way.append(arrival)
        return arrival

    def settle(self, now_ms: int) -> None:
        """Let everything happen that is due at `now_ms`."""
        due = [one for one in self._on_the_way if one.due_ms <= now_ms]
        self._on_the_way = [one for one in self._on_the_way if one.due_ms > now_ms]
        for arrival in sorted(due, key=lambda one: one.due_ms):
            self._advance(arrival.due_ms)
            self._serve(arrival)
        self._advance(now_ms)

    def look(self, now_ms: int, symbol: str | None = None) -> list[OrderRecord]:
        """Return every order ever taken, oldest first, conditional ones too, as at `now_ms`."""
        self.settle(now_ms)
        found = [
            order
            for trader in self._traders.values()
            for ledger in (trader.orders, trader.algos)
            for order in ledger
            if symbol is None or order.symbol == symbol
        ]
        return [order.record() for order in sorted(found, key=lambda one: one.id)]

    def _make_routes(self) -> Routes:
        if self._spot:
            return SpotOrders(self._engine).routes()
        return {
            **FuturesOrders(self._engine).routes(),
            **FuturesAccount(self._engine).routes(),
        }

    def _advance(self, now_ms: int) -> None:
        for trader in self._traders.values():
            self._engine.advance(trader, now_ms)

    def _serve(self, arrival: Arrival) -> None:
        try:
            document, headers = self._handle(arrival)
        except Refused as error:
            arrival.answer = refused(error)
        else:
            arrival.answer = Answer(200, orjson.dumps(document), headers)

    def _handle(self, arrival: Arrival) -> tuple[object, Mapping[str, str]]:
        route, signed, now_ms = arrival.route, arrival.signed, arrival.due_ms
        if route is None or signed is None:
            raise AssertionError("only requests that were let in are on the way")
        if route.engine:
            signed.check(now_ms, engine=not self._spot)
        trader = self._traders[signed.account.api_key]
        if not route.places:
            return route.handler(trader, arrival.call.params, now_ms, 0), {}
        rules = self._listing.rate_limits()
        trader.limits.check(rules, now_ms, retry_after=self._retry_after)
        document = route.handler(trader, arrival.call.params, now_ms, arrival.hidden_ms)
        trader.limits.note(rules, now_ms)
        return document, trader.limits.headers(rules, now_ms)


def refused(error: Refused) -> Answer:
    """Return the answer that says so."""
    wait_s = error.retry_after_s
    return Answer(error.status, error.body, {} if wait_s is None else {"Retry-After": str(wait_s)})
