"""A stream whose events a test writes down beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any, Self

from velas.models import BookTicker, Candle, Trade

MINUTE = 60_000
AT = 1_700_000_040_000  # 2023-11-14 22:14


def candle(number: int = 0, **more: Any) -> Candle:
    """Return a minute's candle, the `number`th after `AT`."""
    opens = AT + number * MINUTE
    values: dict[str, Any] = {
        "symbol": "BTC/USDT", "interval": "1m", "timestamp": opens, "open": 64000.5,
        "high": 64010.25, "low": 63990.0, "close": 64001.0, "volume": 1.5,
        "close_time": opens + MINUTE - 1, "quote_volume": 96000.0, "trades": 12,
        "taker_buy_base": 0.5, "taker_buy_quote": 32000.0, "sequence": number + 1, "source": "ws",
    }  # fmt: skip
    return Candle(**(values | more))


def trade(number: int = 7, **more: Any) -> Trade:
    """Return an aggregate trade."""
    values: dict[str, Any] = {
        "symbol": "BTC/USDT", "id": number, "timestamp": AT, "price": Decimal("64000.10"),
        "quantity": Decimal("1E-5"), "is_buyer_maker": True,
        "first_trade_id": 2 * number, "last_trade_id": 2 * number + 1,
    }  # fmt: skip
    return Trade(**(values | more))


def ticker(**more: Any) -> BookTicker:
    """Return a book ticker."""
    values: dict[str, Any] = {
        "symbol": "BTC/USDT", "bid": Decimal("64000.1"), "bid_quantity": Decimal("2"),
        "ask": Decimal("64000.2"), "ask_quantity": Decimal("3"), "update_id": 5,
    }  # fmt: skip
    return BookTicker(**(values | more))


class FakeStream:
    """Yields `script`, then waits to be closed (unless `ends`), then yields `late`.

    An exception in `script` is raised in its place, a function is called.
    """

    def __init__(
        self,
        script: Sequence[object] = (),
        *,
        late: Sequence[object] = (),
        ends: bool = False,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.script, self.late, self.ends, self.on_close = script, late, ends, on_close
        self.subscribed: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
        self.store: object = None
        self.stored: dict[tuple[str, str], int] = {}
        self.closed = asyncio.Event()
        self.finished = False  # whether the iteration was left, whichever way

    def subscribe(
        self, channel: str, symbols: Sequence[str], *, intervals: Sequence[str] = ()
    ) -> None:
        self.subscribed.append((channel, tuple(symbols), tuple(intervals)))

    async def events(self) -> AsyncIterator[Any]:
        try:
            for one in self.script:
                if isinstance(one, BaseException):
                    raise one
                if callable(one):
                    one()
                else:
                    yield one
            if not self.ends:
                await self.closed.wait()
                for one in self.late:
                    yield one
        finally:
            self.finished = True

    async def aclose(self) -> None:
        if not self.closed.is_set():
            self.closed.set()
            self.on_close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()
