"""Random orders and market states, most of them right at the bounds of a symbol's filters."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from random import Random
from typing import Any

import attrs
from filter_marks import PRICED, TYPES, Symbol, Unreadable, number
from filter_nearest import decimal_of
from filter_shape import FIELDS

from velas.models import OrderRequest
from velas.validation import MarketState

__all__ = ["Chance", "random_case", "random_policy", "written"]

NUDGES = [Fraction(sign, 10**places) for places in (8, 9, 12, 20) for sign in (1, -1)] + [
    Fraction(1, 3 * 10**9)
]
IDS = (None, None, None, "bot-1_a", "x" * 36, "x" * 37, "a b", "a.b", "a:/b", "ä", "")


class Chance(Random):
    """Random numbers; while `calm`, most of what is drawn is in order."""

    calm = False

    def odd(self, share: float) -> bool:
        """Return whether to do the odd thing, seldom while calm."""
        return self.random() < (share / 6 if self.calm else share)


def written(x: Fraction) -> Decimal:
    """Return a number with all its digits, or with 24 decimals."""
    value = decimal_of(x)
    return value if value is not None else Decimal(f"{int(x * 10**24)}E-24")


def random_case(rng: Chance, symbol: Symbol) -> tuple[OrderRequest, MarketState]:
    """Return an order and what is known of the market, near the symbol's bounds."""
    rng.calm = rng.random() < 0.6
    price = typical_price(rng, symbol)
    full = full_state(rng, symbol, price)
    order = random_order(rng, symbol, price, full)
    keep = rng.choice((1.0, 1.0, 0.7, 0.0))
    names = [field.name for field in attrs.fields(MarketState)]
    known = {name: getattr(full, name) for name in names if rng.random() < keep}
    return order, MarketState(**known)


# -- numbers near bounds ------------------------------------------------------------------


@lru_cache(maxsize=2_000)
def bounds(symbol: Symbol, name: str, low: str, high: str, step: str) -> tuple[Fraction, ...]:
    """Return the minimum, maximum and step of a filter, zeros where there are none."""
    row = symbol.find(name) or {}
    found = []
    for key in (low, high, step):
        try:
            found.append(number(row, key))
        except Unreadable:
            found.append(Fraction(0))
    return tuple(found)


def anything(rng: Chance) -> Fraction:
    """Return a number from 1e-12 to 1e12 of up to 24 digits, as likely small as large."""
    digits = rng.randint(1, 24)
    return Fraction(rng.randint(1, 10**digits)) * Fraction(10) ** (rng.randint(-12, 11) - digits)


def snapped(x: Fraction, step: Fraction, origin: Fraction = Fraction(0)) -> Fraction:
    """Return the point of a grid at or below a number."""
    return x if step == 0 else origin + (x - origin) // step * step


def typical_price(rng: Chance, symbol: Symbol) -> Fraction:
    """Return a price within the bounds, on the grid."""
    low, high, tick = bounds(symbol, "PRICE_FILTER", "minPrice", "maxPrice", "tickSize")
    low = max(low, Fraction(1, 10**8))
    high = high or Fraction(10**6)
    between = low * Fraction(1 + rng.random() * 9) * Fraction(10) ** rng.randint(0, 6)
    between = snapped(written_short(min(between, high)), tick)
    return max(between, low, tick)


def written_short(x: Fraction) -> Fraction:
    return Fraction(int(x * 10**12), 10**12)


def near(rng: Chance, spots: list[Fraction], steps: list[Fraction], usual: Fraction) -> Decimal:
    """Return a value at one of the spots, a step beside it, or a hair beside that."""
    if rng.odd(0.06):
        return written(anything(rng))
    spot = rng.choice(spots) if rng.odd(0.6) else usual
    steps = [step for step in steps if step != 0] or [Fraction(1, 1000)]
    step = max(steps) if rng.calm else rng.choice(steps)
    if not rng.odd(0.3):
        spot = snapped(spot, step)
    if rng.odd(0.6):
        spot += rng.choice((1, -1, rng.randint(-50, 50))) * step
    if rng.odd(0.6):
        spot += rng.choice(NUDGES)
    if spot <= 0 and rng.random() < 0.95:
        spot = step
    return written(spot)


@lru_cache(maxsize=2_000)
def multipliers(symbol: Symbol) -> list[Fraction]:
    """Return all factors of the symbol's PERCENT_PRICE filters."""
    found = []
    for row in symbol.filters:
        if "PERCENT_PRICE" in str(row["filterType"]):
            for key in row:
                if "ultiplier" in key and key != "multiplierDecimal":
                    try:
                        found.append(number(row, key))
                    except Unreadable:
                        continue
    return found


def near_price(rng: Chance, symbol: Symbol, price: Fraction, state: MarketState) -> Decimal:
    low, high, tick = bounds(symbol, "PRICE_FILTER", "minPrice", "maxPrice", "tickSize")
    references = [Fraction(str(x)) for x in (state.reference_price, state.mark_price) if x]
    spots = [x * y for x in references for y in multipliers(symbol)]
    return near(rng, [low, high, *spots, *spots], [tick], price)


def near_quantity(rng: Chance, symbol: Symbol, price: Fraction, state: MarketState) -> Decimal:
    low, high, step = bounds(symbol, "LOT_SIZE", "minQty", "maxQty", "stepSize")
    spots, steps = [low, high], [step, step]
    other = bounds(symbol, "MARKET_LOT_SIZE", "minQty", "maxQty", "stepSize")
    if any(other):
        spots += other[:2]
        steps += [other[2]]
    for name in ("MIN_NOTIONAL", "NOTIONAL"):
        for key in ("minNotional", "maxNotional", "notional"):
            spots += [one / price for one in bounds(symbol, name, key, key, key)[:1] if one] * 2
    for limit in bounds(symbol, "MAX_POSITION", "maxPosition", "", "")[:1]:
        if limit and state.position is not None:
            spots += [limit - Fraction(str(state.position))] * 3
    if step and rng.random() < 0.1:  # a step that is none
        steps = [step / rng.choice((2, 10, 3))]
    usual = max(low, step) * rng.randint(1, 2000)
    if len(spots) > 2 and rng.random() < 0.5:
        usual = max(spots[-1], low, *steps) * rng.randint(1, 5)
    return near(rng, spots, steps, usual)


# -- states -------------------------------------------------------------------------------


def full_state(rng: Chance, symbol: Symbol, price: Fraction) -> MarketState:
    """Return a state in which everything is known."""
    _, _, tick = bounds(symbol, "PRICE_FILTER", "minPrice", "maxPrice", "tickSize")

    def beside() -> Decimal:
        factor = Fraction(rng.randint(200, 3000) if rng.odd(0.4) else 1000, 1000)
        moved = price * factor + rng.choice((0, tick, Fraction(1, 10**9)))
        return written(moved)

    mark = beside()
    spots = [Fraction(str(mark)) * factor for factor in multipliers(symbol)] or [price]
    limit = bounds(symbol, "MAX_POSITION", "maxPosition", "", "")[0]
    counts = {
        field.name: near_count(rng, symbol)
        for field in attrs.fields(MarketState)
        if field.name.endswith(("orders", "lists", "amends"))
    }
    return MarketState(
        reference_price=mark if rng.random() < 0.8 else beside(),
        mark_price=mark,
        best_bid=near(rng, spots, [tick], price),
        best_ask=near(rng, spots, [tick], price),
        position=written(limit * rng.choice((Fraction(0), Fraction(1, 2), Fraction(99, 100)))),
        **counts,
    )


@lru_cache(maxsize=2_000)
def count_limits(symbol: Symbol) -> list[int]:
    """Return all numbers of orders that the filters allow."""
    return [
        row[key]
        for row in [*symbol.filters, *symbol.exchange_filters]
        if "MAX_NUM" in str(row["filterType"])
        for key in row
        if isinstance(row[key], int)
    ]


def near_count(rng: Chance, symbol: Symbol) -> int:
    if not rng.odd(0.5):
        return 0
    return max(0, rng.choice([0, 1, *count_limits(symbol)]) + rng.choice((-2, -1, 0, 1)))


# -- orders -------------------------------------------------------------------------------


def random_order(rng: Chance, symbol: Symbol, price: Fraction, state: MarketState) -> OrderRequest:
    """Return an order whose fields mostly suit its type."""
    kind = rng.choice(TYPES[symbol.kind])
    values: dict[str, Any] = {}
    wanted = fields_of(rng, symbol, kind)
    at = None
    for field in ("price", "stop_price", "quantity"):
        if field in wanted:
            if field == "quantity":
                usual = market_price(symbol, kind, state) if at is None else at
                values[field] = near_quantity(rng, symbol, max(usual, Fraction(1, 10**9)), state)
            else:
                values[field] = near_price(rng, symbol, price, state)
            if field == "price":
                at = Fraction(str(values[field]))
    for field in sorted(wanted - set(values)):
        values[field] = other_value(rng, symbol, field, values, state)
    client_id = (rng.choice(IDS) or None) if rng.odd(0.6) else None
    return OrderRequest("X/Y", rng.choice(("buy", "sell")), kind, client_id=client_id, **values)


def fields_of(rng: Chance, symbol: Symbol, kind: str) -> set[str]:
    """Return which fields to give an order of a type, seldom wrong ones."""
    needed, allowed = (text.split() for text in FIELDS[symbol.kind][kind])
    optional = [field for field in allowed if rng.random() < 0.5]
    if "quantity" in allowed:
        optional = [rng.choice(allowed)]
    elif {"stop_price", "trailing_delta"} <= set(allowed) and not rng.odd(0.1):
        optional.append(rng.choice(("stop_price", "trailing_delta")))
    wanted = set(needed) | set(optional)
    if symbol.kind == "futures":
        wanted |= {f for f in ("reduce_only", "position_side") if rng.random() < 0.15}
        wanted |= {"time_in_force"} if kind in PRICED["futures"] and rng.random() < 0.3 else set()
        wanted -= {"reduce_only"} if "close_position" in wanted else set()
    elif "iceberg_quantity" in wanted and not rng.odd(0.2):
        wanted -= {"time_in_force"}
    if rng.odd(0.06):  # one that is not wanted, or one that is lacking
        odd = ["price", "stop_price", "quantity", "trailing_delta", "iceberg_quantity"]
        if symbol.kind == "spot":  # where there is none, it is open which quantity counts
            odd.append("quote_quantity")
        wanted ^= {rng.choice(odd)}
    return wanted


def market_price(symbol: Symbol, kind: str, state: MarketState) -> Fraction:
    price = state.reference_price if symbol.kind == "spot" else state.mark_price
    return Fraction(str(price))


def other_value(
    rng: Chance, symbol: Symbol, field: str, values: dict[str, Any], state: MarketState
) -> Any:
    """Return a value of a field that is neither price nor quantity."""
    if field == "iceberg_quantity":
        whole = Fraction(str(values.get("quantity", 1)))
        limit = bounds(symbol, "ICEBERG_PARTS", "limit", "", "")[0] or Fraction(10)
        low, high, step = bounds(symbol, "LOT_SIZE", "minQty", "maxQty", "stepSize")
        spots = [whole / limit, whole / (limit + 1), whole, low, high]
        return near(rng, spots, [step], whole / 2)
    if field == "quote_quantity":
        limits = [
            bounds(symbol, name, key, "", "")[0]
            for name in ("MIN_NOTIONAL", "NOTIONAL")
            for key in ("minNotional", "maxNotional")
        ]
        spots = [limit for limit in limits if limit] or [Fraction(10)]
        return near(rng, spots, [Fraction(1, 10**8)], spots[0] * 3)
    if field == "trailing_delta":
        row = symbol.find("TRAILING_DELTA") or {}
        spots = [value for value in row.values() if isinstance(value, int)] or [100]
        return rng.choice(spots) + rng.choice((-1, 0, 0, 1))
    if field == "time_in_force":
        return rng.choice(("GTC", "IOC", "FOK", "GTX", "GTD") if rng.odd(0.5) else ("GTC", "IOC"))
    if field == "callback_rate":
        return rng.choice(("0.1", "0.09999", "1", "10", "10.0001", "5.55"))
    if field == "position_side":
        return rng.choice(("both", "long", "short"))
    return True


def random_policy(rng: Chance) -> tuple[Decimal, Decimal]:
    """Return by which shares the quantity may be larger, and the price worse."""
    shares = ("0", "0", "0.001", "0.05", "0.333", "3")
    return Decimal(rng.choice(shares)), Decimal(rng.choice(shares[:5]))
