"""The exchange beside a tape: its markets, and what REST had to say, by the tape's time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from velas.adapter import ExchangeAdapter
from velas.errors import ConfigError, Unsupported
from velas.interval import Interval
from velas.models import BookTicker, Capabilities, Market, Trade
from velas.tape import Tape, load_tape
from velas_replay._still import FreeLimiter, StoppedClock

if TYPE_CHECKING:
    import pandas as pd

    from velas.tape_rest import RestSide

__all__ = ["TapeExchange", "tape_of"]

_PAGE = 1000


def tape_of(path: Path, exchange: str | None) -> Tape:
    """Return the tape in a file, recorded with the adapter `exchange` if one is named.

    Raises:
        ConfigError: there is no such tape, or it was recorded with another exchange.
    """
    tape = load_tape(path)
    recorded = tape.header.exchange
    if exchange not in (None, recorded):
        raise ConfigError(
            f"tape {str(path)!r} was recorded from {recorded!r}, and replay.exchange is "
            f"{exchange!r}: set it to {recorded}"
        )
    return tape


class TapeExchange(ExchangeAdapter):
    """Answers from a tape, up to the moment its `clock` shows; a feed sets that to its own.

    Until then it is the moment the tape began. Candles and trades it has only if the tape
    was recorded with them; its intervals are those of the tape all the same. An answer
    that would be empty because the REST part begins later is refused, as it would say
    that the venue had nothing; pages of history begin where the REST part does.
    """

    def __init__(self, tape: Callable[[], Tape]) -> None:
        self._tape = tape
        self._rest: RestSide | None = None
        begin = StoppedClock(lambda: tape().header.started_ms)
        super().__init__("replay", Capabilities(intervals=()), FreeLimiter(), clock=begin)

    @property
    def capabilities(self) -> Capabilities:
        """What the tape was recorded with; its header is read at first use."""
        header = self._tape().header
        channels = {one.channel for one in header.subscriptions}
        trades = header.rest and "trades" in channels
        intervals = dict.fromkeys(one.interval for one in header.subscriptions if one.interval)
        return Capabilities(
            intervals=tuple(intervals),
            page_rows=_PAGE,
            full_candles=True,
            trades=trades,
            trades_by_id=trades,
        )

    @capabilities.setter
    def capabilities(self, value: Capabilities) -> None:
        pass  # the tape says it

    async def fetch_trades(
        self, symbol: str, *, from_id: int | None = None, limit: int | None = None
    ) -> list[Trade]:
        """Return aggregate trades, ascending by id, from `from_id` on or the newest."""
        self._check_rest()
        return await super().fetch_trades(symbol, from_id=from_id, limit=limit)

    async def fetch_book_ticker(self, symbol: str) -> BookTicker:
        """Refuse: no tape has book tickers but those of its frames."""
        self._check_rest()
        return await super().fetch_book_ticker(symbol)

    def _grid(self, interval: str | Interval) -> Interval:
        grid = super()._grid(interval)
        self._check_rest()
        return grid

    def _check_rest(self) -> None:
        tape = self._tape()
        if not tape.header.rest:
            raise Unsupported(
                f"tape {str(tape.path)!r}: this tape has no REST part; record with --with-rest"
            )

    async def _ask_markets(self) -> Mapping[str, Market]:
        from velas.tape_rest import load_rest

        tape = self._tape()
        markets = tape.header.markets
        self.linear_settle = any(market.type in ("swap", "future") for market in markets)
        self._rest = load_rest(tape)
        return {market.symbol: market for market in markets}

    async def _ask_time_ms(self) -> tuple[int, float] | None:
        return self.clock.now_ms(), 0.0

    async def _pages(
        self, symbol: str, grid: Interval, start_ms: int, end_ms: int
    ) -> AsyncGenerator[pd.DataFrame, None]:
        market = await self.market(symbol)
        assert self._rest is not None
        frame = self._rest.candles.get((market.symbol, grid.name))
        if frame is not None and len(frame):
            start_ms = max(start_ms, int(frame["timestamp"].iloc[0]))
        async with aclosing(super()._pages(symbol, grid, start_ms, end_ms)) as pages:
            async for page in pages:
                yield page

    async def _ask_candles(
        self, market: Market, interval: Interval, start_ms: int | None, end_ms: int, rows: int
    ) -> pd.DataFrame:
        assert self._rest is not None
        series = f"{market.symbol} {interval}"
        frame = self._rest.candles.get((market.symbol, interval.name))
        if frame is None or not len(frame):
            raise self._lacks(f"{series} candles")
        opens = frame["timestamp"]
        found = frame[(opens >= (start_ms or 0)) & (opens < end_ms)]
        first_ms = int(opens.iloc[0])
        if found.empty and start_ms is not None and start_ms < first_ms:
            raise self._lacks(f"{series} candles before {first_ms}")
        found = found.tail(rows) if start_ms is None else found.head(rows)
        return found.reset_index(drop=True)

    async def _ask_trades(
        self, market: Market, from_id: int | None, limit: int | None
    ) -> list[Trade]:
        assert self._rest is not None
        most = limit or _PAGE
        trades = self._rest.trades.get(market.symbol, ())
        end = bisect_right(trades, self.clock.now_ms(), key=_time)
        if from_id is None:
            return list(trades[max(0, end - most) : end])
        start = bisect_left(trades, from_id, hi=end, key=_number)
        if start == end and (not trades or from_id < _number(trades[0])):
            before = f" before {trades[0].id}" if trades else ""
            raise self._lacks(f"trades of {market.symbol}{before}")
        return list(trades[start : min(end, start + most)])

    def _lacks(self, what: str) -> Unsupported:
        return Unsupported(f"tape {str(self._tape().path)!r}: its REST part has no {what}")

    async def _close(self) -> None:
        return None


def _time(trade: Trade) -> int:
    return trade.timestamp


def _number(trade: Trade) -> int:
    return int(trade.id)
