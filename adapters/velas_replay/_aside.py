"""The exchange beside a tape: its markets, and what REST had to say, by the tape's time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from velas import frames
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
    was recorded with them; its intervals are those of the tape all the same.
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

    async def _ask_candles(
        self, market: Market, interval: Interval, start_ms: int | None, end_ms: int, rows: int
    ) -> pd.DataFrame:
        assert self._rest is not None
        frame = self._rest.candles.get((market.symbol, interval.name))
        if frame is None:
            return frames.empty()
        opens = frame["timestamp"]
        frame = frame[(opens >= (start_ms or 0)) & (opens < end_ms)]
        frame = frame.tail(rows) if start_ms is None else frame.head(rows)
        return frame.reset_index(drop=True)

    async def _ask_trades(
        self, market: Market, from_id: int | None, limit: int | None
    ) -> list[Trade]:
        assert self._rest is not None
        now_ms, most = self.clock.now_ms(), limit or _PAGE
        there = [
            trade
            for trade in self._rest.trades.get(market.symbol, ())
            if trade.timestamp <= now_ms and (from_id is None or int(trade.id) >= from_id)
        ]
        return there[-most:] if from_id is None else there[:most]

    async def _close(self) -> None:
        return None
