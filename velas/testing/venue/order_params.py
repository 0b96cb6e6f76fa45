"""Reading an order from request parameters, with the venue's refusals (binance-facts 6, 8)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction

from velas.testing.venue import order_refusal, refusal
from velas.testing.venue.order_ledger import Order
from velas.testing.venue.refusal import Refused

__all__ = [
    "FUTURES_CONDITIONAL",
    "Reader",
    "read_algo_order",
    "read_futures_order",
    "read_spot_order",
]

Params = Mapping[str, str]

FUTURES_CONDITIONAL = frozenset(
    {"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"}
)
_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_SPOT_ID = re.compile(r"[a-zA-Z0-9_-]{1,36}", re.ASCII)
_FUTURES_ID = re.compile(r"[.A-Z:/a-z0-9_-]+", re.ASCII)
_SPOT_ID_RANGE = "^[a-zA-Z0-9-_]{1,36}$"
_FUTURES_ID_RANGE = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
_LONGEST_ID = 36
_LONGEST_GOOD_TILL_MS = 253_402_300_799_000

# what each type needs, and what it may have besides
_SPOT_TYPES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "LIMIT": (("timeInForce", "quantity", "price"), ("icebergQty",)),
    "LIMIT_MAKER": (("quantity", "price"), ("icebergQty",)),
    "MARKET": ((), ("quantity", "quoteOrderQty")),
    "STOP_LOSS": (("quantity",), ("stopPrice", "trailingDelta")),
    "TAKE_PROFIT": (("quantity",), ("stopPrice", "trailingDelta")),
    "STOP_LOSS_LIMIT": (
        ("timeInForce", "quantity", "price"),
        ("stopPrice", "trailingDelta", "icebergQty"),
    ),
    "TAKE_PROFIT_LIMIT": (
        ("timeInForce", "quantity", "price"),
        ("stopPrice", "trailingDelta", "icebergQty"),
    ),
}
_SPOT_OPTIONAL = (
    "timeInForce", "quantity", "quoteOrderQty", "price", "stopPrice", "trailingDelta", "icebergQty",
)  # fmt: skip
_SPOT_KNOWN = frozenset(
    {
        *_SPOT_OPTIONAL, "symbol", "side", "type", "newClientOrderId", "newOrderRespType",
        "strategyId", "strategyType", "selfTradePreventionMode", "pegPriceType", "pegOffsetValue",
        "pegOffsetType", "computeCommissionRates", "recvWindow", "timestamp", "signature",
    }
)  # fmt: skip
_FUTURES_TYPES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "LIMIT": (("timeInForce", "quantity", "price"), ()),
    "MARKET": (("quantity",), ()),
}
_ALGO_TYPES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "STOP": (("quantity", "price", "triggerPrice"), ("timeInForce",)),
    "TAKE_PROFIT": (("quantity", "price", "triggerPrice"), ("timeInForce",)),
    "STOP_MARKET": (("triggerPrice",), ("quantity", "timeInForce")),
    "TAKE_PROFIT_MARKET": (("triggerPrice",), ("quantity", "timeInForce")),
}
_FUTURES_OPTIONAL = ("timeInForce", "quantity", "price")


class Reader:
    """Reads parameters one by one; each method raises the venue's refusal."""

    def __init__(self, params: Params) -> None:
        self._params = params

    def required(self, name: str) -> str:
        """Return a mandatory text. Raises: Refused -1102."""
        value = self._params.get(name, "")
        if not value:
            raise refusal.missing(name)
        return value

    def optional(self, name: str) -> str | None:
        """Return a text, None when not sent. Raises: Refused -1105."""
        value = self._params.get(name)
        if value == "":
            raise Refused(-1105, f"Parameter '{name}' was empty.")
        return value

    def choice(self, name: str, allowed: Iterable[str], wrong: Refused) -> str:
        """Return a mandatory word of a set."""
        value = self.required(name)
        if value not in allowed:
            raise wrong
        return value

    def number(self, name: str) -> Fraction | None:
        """Return a plain decimal, None when not sent. Raises: Refused -1100, -1105."""
        value = self.optional(name)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value):
            raise refusal.illegal(name, order_refusal.PLAIN_NUMBER)
        return Fraction(value)

    def whole(self, name: str) -> int | None:
        """Return a whole number, None when not sent. Raises: Refused -1100, -1105."""
        value = self.optional(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdecimal() and len(value) <= 20):
            raise refusal.illegal(name, "^[0-9]{1,20}$")
        return int(value)

    def boolean(self, name: str) -> bool:
        """Return a truth value, false when not sent. Raises: Refused -1130."""
        value = (self.optional(name) or "false").lower()
        if value not in ("true", "false"):
            raise refusal.invalid(name)
        return value == "true"

    def client_id(self, name: str, *, spot: bool) -> str:
        """Return a client's id, empty when not sent. Raises: Refused -1100, -4015."""
        value = self.optional(name) or ""
        if not value:
            return ""
        if spot and not _SPOT_ID.fullmatch(value):
            raise refusal.illegal(name, _SPOT_ID_RANGE)
        if not spot and not _FUTURES_ID.fullmatch(value):
            raise refusal.illegal(name, _FUTURES_ID_RANGE)
        if len(value) > _LONGEST_ID:
            raise Refused(-4015, "Client order id length should not be more than 36 chars")
        return value

    def only(
        self,
        needed: tuple[str, ...],
        allowed: tuple[str, ...],
        possible: Iterable[str],
    ) -> None:
        """Refuse what an order type lacks or does not have. Raises: Refused -1102, -1106."""
        for name in needed:
            self.required(name)
        for name in possible:
            if name in self._params and name not in needed and name not in allowed:
                raise order_refusal.superfluous(name)


def read_spot_order(params: Params, now_ms: int) -> Order:
    """Return a Spot order without a number. Raises: Refused."""
    read = Reader(params)
    symbol, side = read.required("symbol"), _side(read)
    kind = read.choice("type", _SPOT_TYPES, Refused(-1116, "Invalid orderType."))
    needed, allowed = _SPOT_TYPES[kind]
    read.only(needed, allowed, _SPOT_OPTIONAL)
    _known(params)
    order = Order(
        id=0,
        client_id=read.client_id("newClientOrderId", spot=True),
        symbol=symbol,
        side=side,
        type=kind,
        time_in_force=_time_in_force(read, ("GTC", "IOC", "FOK")),
        quantity=read.number("quantity") or Fraction(0),
        price=read.number("price") or Fraction(0),
        quote_quantity=read.number("quoteOrderQty") or Fraction(0),
        stop_price=read.number("stopPrice") or Fraction(0),
        trailing=read.whole("trailingDelta") or 0,
        iceberg=read.number("icebergQty") or Fraction(0),
        time_ms=now_ms,
        response=_response(read, ("ACK", "RESULT", "FULL"), _default_response(kind)),
    )
    _spot_amounts(params, order)
    return order


def read_futures_order(params: Params, now_ms: int) -> Order:
    """Return a USDT-M order without a number. Raises: Refused."""
    read = Reader(params)
    symbol, side = read.required("symbol"), _side(read)
    kinds = {*_FUTURES_TYPES, *FUTURES_CONDITIONAL}
    kind = read.choice("type", kinds, Refused(-1116, "Invalid orderType."))
    if kind in FUTURES_CONDITIONAL:
        text = "Order type not supported for this endpoint. "
        raise Refused(-4120, f"{text}Please use the Algo Order API endpoints instead.")
    needed, allowed = _FUTURES_TYPES[kind]
    read.only(needed, allowed, _FUTURES_OPTIONAL)
    return _futures_order(read, "newClientOrderId", symbol, side, kind, now_ms)


def read_algo_order(params: Params, now_ms: int) -> Order:
    """Return a conditional USDT-M order without a number. Raises: Refused."""
    read = Reader(params)
    if read.required("algoType") != "CONDITIONAL":
        raise refusal.invalid("algoType")
    symbol, side = read.required("symbol"), _side(read)
    kind = read.choice("type", _ALGO_TYPES, Refused(-1116, "Invalid orderType."))
    needed, allowed = _ALGO_TYPES[kind]
    read.only(needed, allowed, _FUTURES_OPTIONAL)
    order = _futures_order(read, "clientAlgoId", symbol, side, kind, now_ms)
    order.stop_price = read.number("triggerPrice") or Fraction(0)
    if order.stop_price <= 0:
        raise Refused(-4006, "Stop price less than zero.")
    if order.close_position:
        if order.quantity:
            raise Refused(-4137, "Quantity must be zero with closePosition equals true")
    elif not order.quantity:
        raise refusal.missing("quantity")
    return order


def _futures_order(
    read: Reader, id_name: str, symbol: str, side: str, kind: str, now_ms: int
) -> Order:
    position_side = read.optional("positionSide") or "BOTH"
    if position_side != "BOTH":
        raise Refused(-4061, "Order's position side does not match user's setting.")
    working_type = read.optional("workingType") or "CONTRACT_PRICE"
    if working_type not in ("CONTRACT_PRICE", "MARK_PRICE"):
        raise Refused(-4031, f"Invalid parameter working type: {working_type}")
    order = Order(
        id=0,
        client_id=read.client_id(id_name, spot=False),
        symbol=symbol,
        side=side,
        type=kind,
        time_in_force=_time_in_force(read, ("GTC", "IOC", "FOK", "GTX", "GTD")) or "GTC",
        quantity=_above_zero(read.number("quantity"), -4003, "Quantity less than zero."),
        price=_above_zero(read.number("price"), -4001, "Price less than 0."),
        reduce_only=read.boolean("reduceOnly"),
        close_position=read.boolean("closePosition"),
        working_type=working_type,
        time_ms=now_ms,
        response=_response(read, ("ACK", "RESULT"), "ACK"),
    )
    if order.time_in_force == "GTD":
        order.good_till_ms = _good_till(read, now_ms)
    return order


def _above_zero(value: Fraction | None, code: int, message: str) -> Fraction:
    if value == 0:
        raise Refused(code, message)
    return value or Fraction(0)


def _spot_amounts(params: Params, order: Order) -> None:
    # the venue calls zero invalid in words of its own, filters come later
    for name, value, label in (
        ("quantity", order.quantity, "quantity"),
        ("quoteOrderQty", order.quote_quantity, "quantity"),
        ("price", order.price, "price"),
        ("stopPrice", order.stop_price, "stopPrice"),
    ):
        if name in params and value <= 0:
            raise Refused(-1013, f"Invalid {label}.")
    if order.type == "MARKET" and bool(order.quantity) == bool(order.quote_quantity):
        if order.quantity:
            raise order_refusal.superfluous("quoteOrderQty")
        raise order_refusal.neither_id("quantity", "quoteOrderQty")
    if order.type.startswith(("STOP", "TAKE")) and not (order.stop_price or order.trailing):
        raise order_refusal.neither_id("stopPrice", "trailingDelta")
    if order.iceberg:
        if order.time_in_force not in ("GTC", ""):
            raise order_refusal.superfluous("icebergQty")
        if order.iceberg > order.quantity:
            raise Refused(-1013, "IcebergQty exceeds QTY.")


def _known(params: Params) -> None:
    unread = [name for name in params if name not in _SPOT_KNOWN]
    if unread:
        raise Refused(
            -1104,
            f"Not all sent parameters were read; read '{len(params) - len(unread)}' "
            f"parameter(s) but was sent '{len(params)}'.",
        )


def _side(read: Reader) -> str:
    return read.choice("side", ("BUY", "SELL"), Refused(-1117, "Invalid side."))


def _time_in_force(read: Reader, allowed: tuple[str, ...]) -> str:
    value = read.optional("timeInForce")
    if value is not None and value not in allowed:
        raise Refused(-1115, "Invalid timeInForce.")
    return value or ""


def _response(read: Reader, allowed: tuple[str, ...], default: str) -> str:
    value = read.optional("newOrderRespType") or default
    if value not in allowed:
        raise Refused(-1136, "Invalid newOrderRespType.")
    return value


def _default_response(kind: str) -> str:
    return "FULL" if kind in ("LIMIT", "MARKET") else "ACK"


def _good_till(read: Reader, now_ms: int) -> int:
    if read.optional("goodTillDate") is None:
        raise refusal.missing("goodTillDate")
    until = read.whole("goodTillDate") or 0
    if not now_ms + 600_000 < until < _LONGEST_GOOD_TILL_MS:
        raise Refused(
            -5040,
            "The goodTillDate timestamp must be greater than the current time plus 600 seconds "
            f"and smaller than {_LONGEST_GOOD_TILL_MS} (UTC 9999-12-31 23:59:59)",
        )
    return until
