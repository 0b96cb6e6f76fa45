"""Every HTTP request at the stand-in: admitted, spoiled by fault, answered, noted."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Mapping
from typing import Protocol

import attrs
from aiohttp import web

from velas.clock import Clock
from velas.testing.venue import order_refusal
from velas.testing.venue.damage import Answer, broken, deliver, failed_gateway, faulty_status
from velas.testing.venue.faults import Fault, FaultPlan
from velas.testing.venue.gate import Gate, Refusal
from velas.testing.venue.instruments import MarketName
from velas.testing.venue.network import Network
from velas.testing.venue.order_faults import OrderFault
from velas.testing.venue.order_side import OrderSide, refused
from velas.testing.venue.refusal import Refused
from velas.testing.venue.rest import RestSide
from velas.testing.venue.signing import Call
from velas.testing.venue.weights import cost_of

__all__ = ["FrontDesk", "RequestRecord"]

_LOG_SIZE = 10_000
_NO_ANSWER = 0  # the status of a request whose connection was broken instead
_RATE_LIMITED = -1003


@attrs.frozen
class RequestRecord:
    """One request as the venue saw it; `time_ms` is its arrival by the venue's clock.

    `query` has the parameters of the form body too. `status` is 0 where no answer was sent;
    `used_weight` includes this request's `weight`.
    """

    path: str
    query: Mapping[str, str] = attrs.field(repr=False)
    status: int
    weight: int
    used_weight: int
    time_ms: int
    fault: Fault | None = None
    method: str = "GET"


class _Venue(Protocol):
    market: MarketName
    clock: Clock
    clock_skew_ms: int
    latency_s: float
    faults: FaultPlan

    def now_ms(self) -> int: ...


class FrontDesk:
    """Answers requests for a venue, from its public and its signed side.

    Latency delays the answer of a public request, and a signed one before it is judged by
    the engine. Whether a client is still there when that happens does not matter.
    """

    def __init__(
        self,
        venue: _Venue,
        gate: Gate,
        rest: RestSide,
        orders: OrderSide,
        network: Network,
        *,
        gzip: bool,
    ) -> None:
        self.requests: deque[RequestRecord] = deque(maxlen=_LOG_SIZE)
        self.counts: Counter[str] = Counter()
        self.closing = asyncio.Event()
        self._venue = venue
        self._gate = gate
        self._rest = rest
        self._orders = orders
        self._network = network
        self._gzip = gzip

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or break its connection."""
        if self._network.blocks():
            return await self._network.swallow(request)
        call = await _read(request)
        now_ms = self._venue.now_ms()
        self.counts[call.path] += 1
        self._orders.attempts += self._orders.places(call.method, call.path)
        cost = cost_of(self._venue.market, call.path, call.params, call.method)
        refusal = self._gate.admit(cost.weight, now_ms)
        fault = self._fault(call, refusal)
        if fault is not None and refusal is None:
            refusal = self._refused_by(fault, now_ms)
        used = self._gate.window.used
        status = _NO_ANSWER
        try:
            answer = await self._answer(call, fault, refusal)
            status = answer.status if fault is None or not fault.fate else _NO_ANSWER
        finally:  # also of a client that did not wait
            self.requests.append(
                RequestRecord(
                    call.path, call.params, status, cost.weight, used, now_ms, fault, call.method
                )
            )
        shown = str(used if cost.honest_header else cost.weight)
        headers = {**answer.headers, self._gate.window.header: shown}
        await self._delay_answer(call, fault)
        answer = attrs.evolve(answer, headers=headers)
        return await deliver(request, answer, fault, self.closing, gzip=self._gzip)

    async def _delay_answer(self, call: Call, fault: Fault | None) -> None:
        late_s = fault.seconds or 0.0 if fault is not None and fault.kind == "latency" else 0.0
        if not self._is_signed(call):
            late_s += self._venue.latency_s
        if late_s > 0:
            await self._venue.clock.sleep(late_s)

    def _is_signed(self, call: Call) -> bool:
        return self._orders.serves(call.method, call.path)

    def _fault(self, call: Call, refusal: Refusal | None) -> Fault | None:
        path = f"{call.method} {call.path}"
        if refusal is not None:
            self._venue.faults.note_refused(path, call.identity)
            return None
        fault = self._venue.faults.take(path, call.identity)
        reduces = "true" in (call.params.get("reduceOnly"), call.params.get("closePosition"))
        exempt = fault is not None and fault.kind == "throttled" and reduces
        return None if exempt else fault

    def _refused_by(self, fault: Fault, now_ms: int) -> Refusal | None:
        if fault.kind == "too_many":
            return self._gate.refuse(fault.seconds, now_ms)
        if fault.kind == "banned":
            return self._gate.ban(fault.seconds or 0.0, now_ms)
        return None

    async def _answer(self, call: Call, fault: Fault | None, refusal: Refusal | None) -> Answer:
        if refusal is not None:
            return _refusal_answer(refusal)
        if fault is not None and fault.kind == "skew":
            self._venue.clock_skew_ms = fault.skew_ms
        replaced = faulty_status(fault) if fault is not None else None
        if replaced is not None:
            return Answer(replaced[0], replaced[1], {}, replaced[2])
        if isinstance(fault, OrderFault):
            return await self._spoiled(call, fault)
        answer = await self._true_answer(call)
        if answer.status != 200 or fault is None:
            return answer
        return attrs.evolve(answer, body=broken(answer.body, fault))

    async def _spoiled(self, call: Call, fault: OrderFault) -> Answer:
        """Do what the fault lets happen; return what the client may hear of it."""
        if fault.kind == "filter_change":
            self._change(call, fault)
        hidden_ms = round((fault.seconds or 0.0) * 1000) if fault.kind == "invisible" else 0
        if fault.kind == "late":
            self._receive_later(call, round((fault.seconds or 0.0) * 1000))
        elif fault.accepted:
            answer = await self._true_answer(call, hidden_ms)
            if fault.kind in ("invisible", "filter_change") and fault.then == "answer":
                return answer
        return self._error(fault)

    def _error(self, fault: OrderFault) -> Answer:
        spot = self._venue.market == "spot"
        if fault.kind == "duplicate":
            return refused(order_refusal.duplicate(spot=spot))
        if fault.then == "timeout":
            return self._error(OrderFault.backend_timeout(accepted=fault.accepted))
        if not fault.code:  # also of a broken connection, where nobody sees it
            return failed_gateway(fault.status or 500, in_words=False)
        status = fault.status or (504 if spot else 408)
        wait_s = None if fault.seconds is None else math.ceil(fault.seconds)
        return refused(Refused(fault.code, fault.message, status=status, retry_after_s=wait_s))

    def _change(self, call: Call, fault: OrderFault) -> None:
        symbol = call.params.get("symbol", "")
        if symbol in self._rest.listing.instruments:
            self._orders.settle(self._venue.now_ms())  # what happened before has the old rules
            self._rest.listing.change(symbol, fault.filters, fault.fields)

    def _receive_later(self, call: Call, delay_ms: int) -> None:
        if self._is_signed(call):
            self._orders.receive(call, self._venue.now_ms(), delay_ms=delay_ms)

    async def _true_answer(self, call: Call, hidden_ms: int = 0) -> Answer:
        if self._is_signed(call):
            return await self._signed(call, hidden_ms)
        return self._public(call)

    def _public(self, call: Call) -> Answer:
        try:
            body = self._rest.answer(call.method, call.path, call.params, self._venue.now_ms())
        except Refused as error:
            return refused(error)
        return Answer(200, body, {})

    async def _signed(self, call: Call, hidden_ms: int) -> Answer:
        latency_s = self._venue.latency_s
        arrival = self._orders.receive(
            call, self._venue.now_ms(), delay_ms=round(latency_s * 1000), hidden_ms=hidden_ms
        )
        if latency_s > 0:
            await self._venue.clock.sleep(latency_s)
        self._orders.settle(max(self._venue.now_ms(), arrival.due_ms))
        assert arrival.answer is not None
        return arrival.answer


async def _read(request: web.Request) -> Call:
    body = await request.read() if request.can_read_body else b""
    key = request.headers.get("X-MBX-APIKEY")
    query = request.raw_path.partition("?")[2]  # as sent: the parsed one has other escapes
    text = body.decode(errors="replace")
    return Call.read(request.method, request.path, query, text, key)


def _refusal_answer(refusal: Refusal) -> Answer:
    return refused(
        Refused(
            _RATE_LIMITED,
            refusal.message,
            status=refusal.status,
            retry_after_s=refusal.retry_after_s,
        )
    )
