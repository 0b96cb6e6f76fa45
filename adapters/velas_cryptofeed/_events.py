"""cryptofeed's own event objects as velas models, for the generic venues."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from typing import Any

from velas.interval import Interval
from velas.models import BookTicker, Candle, Trade
from velas_cryptofeed._errors import BadMessage

__all__ = ["TradeNames", "book_ticker", "candle", "trade"]

_MS_FROM = 1e11  # a time above this is in ms already: some parsers pass the venue's on
_UNKNOWN = Decimal("NaN")


class TradeNames:
    """Makes up ids for trades that have none: what two sockets say twice has one name.

    It consists of what is known of the trade, and of a number where several of the same
    moment are alike. One for each connection, as each counts from its own beginning.
    """

    def __init__(self) -> None:
        self._moments: dict[str, float] = {}  # the last of each symbol
        self._alike: dict[str, Counter[str]] = {}

    def of(self, event: Any, symbol: str, at_ms: int) -> str:
        """Return the name of a cryptofeed Trade."""
        if self._moments.get(symbol) != event.timestamp:
            self._moments[symbol], self._alike[symbol] = event.timestamp, Counter()
        name = f"{at_ms}-{event.side}-{event.price}-{event.amount}"
        self._alike[symbol][name] += 1
        return f"{name}-{self._alike[symbol][name]}"


def candle(event: Any, symbol: str, interval: Interval) -> Candle:
    """Return the candle of a cryptofeed Candle.

    `close_time` follows from the interval, as parsers disagree on it. A venue that does
    not say whether a candle is closed sends forming ones. Columns cryptofeed drops are None.

    Raises:
        BadMessage: a price, volume or time that is no finite number.
    """
    opened = _ms(event.start)
    trades = event.trades
    return Candle(
        symbol=symbol,
        interval=interval.name,
        timestamp=opened,
        open=_number(event.open),
        high=_number(event.high),
        low=_number(event.low),
        close=_number(event.close),
        volume=_number(event.volume),
        close_time=interval.end_of(opened) - 1,
        trades=trades if type(trades) is int else None,
        is_closed=event.closed is True,
        source="ws",
    )


def trade(event: Any, symbol: str, names: TradeNames) -> Trade:
    """Return the trade of a cryptofeed Trade.

    A numeric id becomes an int. Where the venue has none, `names` makes one up.

    Raises:
        BadMessage: a price, amount or time that is no finite number.
    """
    at = _ms(event.timestamp)
    given = event.id
    name: int | str = names.of(event, symbol, at) if given in (None, "") else str(given)
    if isinstance(name, str) and name.isascii() and name.isdigit():
        name = int(name)
    return Trade(
        symbol=symbol,
        id=name,
        timestamp=at,
        price=_decimal(event.price),
        quantity=_decimal(event.amount),
        is_buyer_maker=event.side == "sell",
    )


def book_ticker(event: Any, symbol: str) -> BookTicker:
    """Return best bid and ask of a cryptofeed Ticker; it has no quantities: NaN.

    Raises:
        BadMessage: a price that is no finite number.
    """
    at = event.timestamp
    return BookTicker(
        symbol=symbol,
        bid=_decimal(event.bid),
        bid_quantity=_UNKNOWN,
        ask=_decimal(event.ask),
        ask_quantity=_UNKNOWN,
        timestamp=None if at is None else _ms(at),
    )


def _ms(value: Any) -> int:
    number = _number(value)
    return round(number if number > _MS_FROM else number * 1000)


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise BadMessage(f"expected a number, not {value!r}") from error
    if not math.isfinite(number):
        raise BadMessage(f"expected a finite number, not {value!r}")
    return number


def _decimal(value: Any) -> Decimal:
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except ArithmeticError as error:
        raise BadMessage(f"expected a number, not {value!r}") from error
    if not number.is_finite():
        raise BadMessage(f"expected a finite number, not {value!r}")
    return number
