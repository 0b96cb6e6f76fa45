"""A venue, its network and bots that die, on a clock that only moves when nothing is due.

One `Schedule` is one random course of events: answers lost before or after the order was
made, orders that reach the engine late or cannot be seen at first, clocks that are wrong,
two processes with one journal, processes that stop between any two steps. The venue counts
what it made, and says afterwards whether any intent has two orders.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs

from velas import errors
from velas.ledger import Ledger
from velas.order_models import Order, OrderRequest
from velas.orders import Fence, Journal, OrderDesk, Patience, Sending, client_id_of

__all__ = ["Died", "Outcome", "Process", "Schedule", "SimVenue", "sim_loop"]

RECV_WINDOW_MS = 5_000
START_MS = 1_700_000_000_000
_LATEST_S = 14.0  # creation after the engine's check, and invisibility, together


class Died(BaseException):
    """The process has been killed."""


# -- time ---------------------------------------------------------------------------------


class _Selector:
    def __init__(self, loop: _SimLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing is due and nobody will wake: the schedule hangs")
        self._loop.now_s += timeout
        return []


class _SimLoop(asyncio.BaseEventLoop):
    """An event loop without files: its time jumps to what is due next."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now_s = 0.0
        self._selector = _Selector(self)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.now_s

    def _process_events(self, _: object) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


def sim_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that does nothing real."""
    return _SimLoop()


# -- the venue ----------------------------------------------------------------------------


@attrs.define
class Made:
    """An order the venue made."""

    order: Order
    made_s: float
    visible_s: float
    closed: bool


class SimVenue:
    """Matching engine, network and clock of a venue; shared by all processes.

    `faults` False makes everything prompt and whole.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.faults = True
        self.made: list[Made] = []
        self.began_s = 0.0
        self.skew_ms = rng.choice((0, 0, rng.randint(-3_000, 3_000)))
        glitch_s = rng.uniform(0, 20)
        self.glitch = (
            (glitch_s, glitch_s + rng.uniform(1, 15), rng.randint(5_000, 60_000))
            if rng.random() < 0.3
            else (0.0, 0.0, 0)
        )
        starts_s = rng.uniform(0, 15)
        self.outage_s = (starts_s, starts_s + rng.uniform(0, 200)) if rng.random() < 0.2 else None

    def now_ms(self) -> int:
        loop = asyncio.get_running_loop()
        return START_MS + self.skew_ms + int(loop.time() * 1000)

    def told_ms(self) -> int:
        """What the venue says the time is: for a moment it may be far ahead."""
        at_s = asyncio.get_running_loop().time() - self.began_s
        starts_s, ends_s, ahead_ms = self.glitch
        return self.now_ms() + (ahead_ms if self.faults and starts_s <= at_s < ends_s else 0)

    def is_out(self) -> bool:
        """Whether nothing can be asked now."""
        if self.outage_s is None:
            return False
        return (
            self.outage_s[0] <= asyncio.get_running_loop().time() - self.began_s < self.outage_s[1]
        )

    def seldom(self, share: float) -> bool:
        return self.faults and self.rng.random() < share

    def orders(self, client_id: str) -> list[Made]:
        """Return everything made under an id."""
        return [one for one in self.made if one.order.client_id == client_id]

    def engine(self, request: OrderRequest, client_id: str) -> Made:
        """Make the order or refuse it, now. The clock check was the caller's."""
        if any(not one.closed for one in self.orders(client_id)):
            raise errors.DuplicateOrder("-2010 Duplicate order sent.")
        now_s = asyncio.get_running_loop().time()
        hidden_s = self.rng.uniform(0, 6) if self.seldom(0.4) else 0.0
        filled = self.rng.random() < 0.5  # then its id may be used again
        quantity = request.quantity or Decimal(1)
        order = Order(
            symbol=request.symbol,
            id=str(len(self.made) + 1),
            client_id=client_id,
            side=request.side,
            type=request.type,
            status="filled" if filled else "open",
            quantity=quantity,
            filled=quantity if filled else Decimal(0),
            price=request.price,
            timestamp=self.now_ms(),
        )
        made = Made(order, now_s, now_s + hidden_s, closed=filled)
        self.made.append(made)
        return made

    def find(self, client_id: str) -> Order | None:
        """Return the newest visible order of an id."""
        now_s = asyncio.get_running_loop().time()
        seen = [one for one in self.orders(client_id) if one.visible_s <= now_s]
        return seen[-1].order if seen else None


# -- one process --------------------------------------------------------------------------


class Process:
    """A bot with a desk of its own on the shared journal; dies after `lives` steps."""

    remembers_s = 90 * 86_400.0
    asks_first = True

    def __init__(
        self,
        venue: SimVenue,
        ledger: Ledger,
        *,
        lives: int | None,
        patience: Patience,
        desk: type[OrderDesk] = OrderDesk,
    ) -> None:
        self.venue = venue
        self.rng = venue.rng
        self.lives = lives
        self.steps = 0
        self.lag_ms = self.rng.choice((0, self.rng.randint(0, 1_500)))
        self.desk = desk(
            self, _MortalJournal(self, ledger), clock=self, patience=patience, resend_s=60.0
        )

    def step(self) -> None:
        """Die here, if it is time."""
        self.steps += 1
        if self.lives is not None and self.steps > self.lives:
            raise Died

    # the clock

    def now_ms(self) -> int:
        return START_MS + int(asyncio.get_running_loop().time() * 1000)

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        self.step()
        await asyncio.sleep(max(seconds, 1e-6))
        self.step()

    # the venue as this process reaches it

    async def venue_time_ms(self, *, fresh: bool = False) -> int:
        if fresh:
            await self.sleep(self.rng.uniform(0.01, 0.3))
            if self.venue.seldom(0.2) or self.venue.is_out():
                raise errors.Unavailable("no answer to /time")
        return self.venue.told_ms() - self.lag_ms

    async def find_order(self, request: OrderRequest, client_id: str) -> Order | None:
        await self.sleep(self.rng.uniform(0.005, 0.2))
        found = self.venue.find(client_id)
        await self.sleep(self.rng.uniform(0.005, 0.2))
        if self.venue.seldom(0.25) or self.venue.is_out():
            raise self.rng.choice((errors.Unavailable, errors.RequestTimeout))("lost")
        return found

    async def send_order(self, request: OrderRequest, client_id: str, sending: Sending) -> Order:
        if self.venue.seldom(0.3):
            await self.sleep(self.rng.uniform(0, 3))  # waiting for its turn
        timestamp_ms = self.venue.now_ms() - self.lag_ms
        if self.venue.seldom(0.05):
            timestamp_ms += self.rng.choice((2_000, -9_000))  # the clock jumped
        await sending(Fence(timestamp_ms + RECV_WINDOW_MS, RECV_WINDOW_MS))
        if self.venue.seldom(0.1):
            await self.sleep(self.rng.uniform(0, 30))  # stopped, and woken again
        self.step()
        request_out = _Wire(self.venue, request, client_id, timestamp_ms)
        try:
            return await asyncio.wait_for(request_out.answer, 10.0)
        except TimeoutError:
            raise errors.RequestTimeout("no answer in 10 s") from None
        finally:
            self.step()


class _Wire:
    """One request on its way: it goes on whether or not its sender lives."""

    def __init__(
        self, venue: SimVenue, request: OrderRequest, client_id: str, timestamp_ms: int
    ) -> None:
        self.venue, self.rng = venue, venue.rng
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Order] = self.loop.create_future()
        self.request, self.client_id, self.timestamp_ms = request, client_id, timestamp_ms
        self.is_lost = venue.seldom(0.5) or venue.is_out()
        if venue.seldom(0.15):  # it never arrives
            if self.rng.random() < 0.5:
                self.loop.call_later(0.05, self._tell, errors.Unavailable("reset"))
            return
        late = venue.seldom(0.25)
        late_s = self.rng.uniform(0, 20) if late else self.rng.uniform(0.005, 0.1)
        self.loop.call_later(late_s, self._arrive)

    def _arrive(self) -> None:
        refusal = self._refusal()
        if refusal is not None:
            self._say(refusal, for_sure=not isinstance(refusal, errors.TimestampRefused))
            return
        held_s = self.rng.uniform(0, _LATEST_S - 6) if self.venue.seldom(0.25) else 0.0
        self.loop.call_later(held_s, self._create)

    def _refusal(self) -> Exception | None:
        if not -1_000 < self.venue.now_ms() - self.timestamp_ms <= RECV_WINDOW_MS:
            return errors.TimestampRefused("-1021")
        found = self.rng.choice(
            (
                errors.RateLimited("429", retry_after_s=1.0),
                errors.OrderNotPlaced("503 Service Unavailable."),
                errors.OrderRejected("-2010 insufficient balance"),
                errors.DuplicateOrder("-2010 Duplicate order sent, said wrongly"),
            )
        )
        return found if self.venue.seldom(0.15) else None

    def _create(self) -> None:
        try:
            self._say(self.venue.engine(self.request, self.client_id).order)
        except errors.DuplicateOrder as error:
            self._say(error)

    def _say(self, result: Order | Exception, *, for_sure: bool = False) -> None:
        if self.is_lost and not for_sure:
            unclear = self.rng.choice(
                (
                    None,  # no answer at all
                    errors.Unavailable("HTTP 502"),
                    errors.RequestTimeout("-1007"),
                    errors.Unavailable("503 Unknown error"),
                    errors.BadResponse("half an answer"),
                )
            )
            if unclear is None:
                return
            result = unclear
        self.loop.call_later(self.rng.uniform(0.005, 0.1), self._tell, result)

    def _tell(self, result: Order | Exception) -> None:
        if self.answer.done():
            return
        if isinstance(result, Exception):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class _MortalJournal(Journal):
    """The journal as one process writes it: it may die right before, or right after."""

    def __init__(self, process: Process, ledger: Ledger) -> None:
        super().__init__(ledger, "sim")
        for name in ("claim", "get", "unsettled", "sending", "placed", "refused", "absent"):
            setattr(self, name, _mortal(process, getattr(self, name)))


def _mortal(process: Process, call: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        process.step()
        result = call(*args, **kwargs)
        process.step()
        return result

    return run


# -- one course of events -----------------------------------------------------------------


@attrs.define
class Outcome:
    """What a schedule came to: problems (none is right), and what happened on the way."""

    problems: list[str] = attrs.field(factory=list)
    seen: Counter[str] = attrs.field(factory=Counter)


class Schedule:
    """One random course, by `seed`; `run` it on a `sim_loop`."""

    def __init__(
        self,
        seed: int,
        *,
        patience: Patience | None = None,
        desk: type[OrderDesk] = OrderDesk,
    ) -> None:
        self.rng = random.Random(seed)
        self.patience = patience or Patience()
        self.desk = desk
        self.venue = SimVenue(self.rng)
        self.ledger = Ledger()
        self.outcome = Outcome()
        self.requests = [
            OrderRequest("BTC/USDT", "buy", "limit", n + 1, price=100, intent=f"intent {n}")
            for n in range(self.rng.choice((1, 1, 2)))
        ]
        self.bots = 1 if self.rng.random() < 0.7 else 2
        self.said_absent: dict[str, bool] = {}

    async def run(self) -> Outcome:
        """Let it happen, then let everything settle, and look."""
        self.venue.began_s = asyncio.get_running_loop().time()
        await asyncio.gather(*(self._bot() for _ in range(self.bots)))
        self.venue.faults = False
        self.venue.outage_s = None
        await asyncio.sleep(40)  # whatever is on its way arrives
        before = {one.intent: self._count(one) for one in self.requests}
        last = self._process(None)
        settled = {one.key: one for one in await last.desk.recover()}
        self._judge(before, settled)
        for request in self.requests:
            order = await last.desk.place(request)
            self._expect(self._count(request) == 1, f"{request.intent}: not one order at last")
            self._expect(order.intent == request.intent, "an order without its intent")
        self.ledger.close()
        return self.outcome

    async def _bot(self) -> None:
        """Start, place everything, die, start again: a few times."""
        for _ in range(self.rng.randint(1, 4)):
            mortal = self.rng.random() < 0.6
            process = self._process(self.rng.randint(1, 60) if mortal else None)
            try:
                if self.rng.random() < 0.5:
                    await process.desk.recover()
                for request in self.requests:
                    await self._place(process, request)
            except Died:
                self.outcome.seen["died"] += 1
            await asyncio.sleep(self.rng.choice((0.0, self.rng.uniform(0, 40))))

    async def _place(self, process: Process, request: OrderRequest) -> None:
        assert request.intent is not None
        self.said_absent.pop(request.intent, None)
        try:
            order = await process.desk.place(request)
        except (errors.OrderRejected, errors.OrderNotPlaced) as error:
            self.outcome.seen[type(error).__name__] += 1
            self.said_absent[request.intent] = True
        except errors.OrderUnknown:
            self.outcome.seen["OrderUnknown"] += 1
        except errors.Transient:
            self.outcome.seen["asked in vain"] += 1
        else:
            self.outcome.seen["placed"] += 1
            mine = [one.order.id for one in self.venue.orders(order.client_id or "")]
            self._expect(order.id in mine, f"{request.intent}: an order nobody made")

    def _judge(self, before: dict[str | None, int], settled: dict[str, Any]) -> None:
        journal = Journal(self.ledger, "sim")
        self._expect(not journal.unsettled(), "recover left an intent unsettled")
        for request in self.requests:
            assert request.intent is not None
            count, line = before[request.intent], journal.get(request.intent)
            self._expect(count <= 1, f"{request.intent}: {count} orders")
            placed = line is not None and line.state == "placed"
            if count:
                self._expect(placed, f"{request.intent}: its order is reported as {line}")
                self.outcome.seen["had an order"] += 1
            else:
                self._expect(not placed, f"{request.intent}: an order that never was")
            if self.said_absent.get(request.intent) and self.bots == 1:
                self._expect(not count, f"{request.intent}: reported as not placed, but is")
            self.outcome.seen["recovered"] += request.intent in settled

    def _process(self, lives: int | None) -> Process:
        return Process(self.venue, self.ledger, lives=lives, patience=self.patience, desk=self.desk)

    def _count(self, request: OrderRequest) -> int:
        return len(self.venue.orders(client_id_of(str(request.intent))))

    def _expect(self, truth: bool, problem: str) -> None:
        if not truth:
            self.outcome.problems.append(problem)
