"""What tests of the order desk share: a venue by script, on a loop that jumps."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import attrs
from order_sim import START_MS, sim_loop

from velas import errors
from velas.ledger import Ledger
from velas.order_models import Order, OrderRequest
from velas.orders import Fence, Journal, OrderDesk, Sending, client_id_of

__all__ = ["FOUND", "RECV_WINDOW_MS", "REQUEST", "START_MS", "Venue", "desk_of", "jumping"]

REQUEST = OrderRequest("BTC/USDT", "buy", "limit", 1, price=100, intent="first")
FOUND = Order("BTC/USDT", "7", client_id_of("first"), "buy", "limit", "open", 1, 0, 100, START_MS)
RECV_WINDOW_MS = 5_000


class Venue:
    """Answers by script: an order or an error; finds what `there` says."""

    remembers_s = 3 * 86_400.0
    asks_first = False

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.there: list[Order | Exception | None] = []
        self.sent: list[float] = []
        self.asked: list[float] = []
        self.measured = 0
        self.fence = True

    def now_ms(self) -> int:
        return START_MS + int(self.monotonic_s() * 1000)

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 1e-6))

    async def venue_time_ms(self, *, fresh: bool = False) -> int:
        self.measured += fresh
        return self.now_ms()

    async def find_order(self, request: OrderRequest, client_id: str) -> Order | None:
        self.asked.append(self.monotonic_s())
        found = self.there.pop(0) if self.there else None
        if isinstance(found, Exception):
            raise found
        return found

    async def send_order(self, request: OrderRequest, client_id: str, sending: Sending) -> Order:
        mine = attrs.evolve(FOUND, client_id=client_id)
        answer = self.answers.pop(0) if self.answers else mine
        if isinstance(answer, errors.ConfigError):
            raise answer  # before anything leaves
        fence = Fence(self.now_ms() + RECV_WINDOW_MS, RECV_WINDOW_MS)
        await sending(fence if self.fence else None)
        self.sent.append(self.monotonic_s())
        await asyncio.sleep(0.1)
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, Order)
        return answer


def desk_of(venue: Venue, ledger: Ledger | None = None, **options: Any) -> OrderDesk:
    journal = Journal(ledger or Ledger(), "me")
    return OrderDesk(venue, journal, clock=venue, **options)


def jumping(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        loop = sim_loop()
        try:
            loop.run_until_complete(test(*args, **kwargs))
        finally:
            loop.close()

    return run
