"""The REST side of a tape: the venue's own candles and trades of the same time.

Asked for when the sockets were recorded, they say what the sockets left out. A `Stream`
over a tape that has them can fill every hole as it would have done live.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import attrs
import pandas as pd

from velas import frames
from velas.errors import ConfigError, FrameError, TooOld
from velas.interval import Interval
from velas.models import Subscription, Trade
from velas.tape import Tape, TapeWriter

if TYPE_CHECKING:
    from velas.protocols import Exchange

__all__ = ["RestSide", "load_rest", "record_rest"]

_LOG = logging.getLogger(__name__)
_BEFORE = 100  # slots ahead of the recording, so some history too
_PAGE = 1000  # trades


@attrs.frozen
class RestSide:
    """Closed candles by symbol and interval, aggregate trades by symbol, ascending."""

    candles: Mapping[tuple[str, str], pd.DataFrame]
    trades: Mapping[str, Sequence[Trade]]


async def record_rest(
    tape: TapeWriter,
    exchange: Exchange,
    subscriptions: Sequence[Subscription],
    trade_ids: Mapping[str, tuple[int, int]],
) -> int:
    """Ask for all candles and trades of the recording; return how many rows there are.

    Candles begin a hundred slots before it. `trade_ids` are the first and the last id
    heard, by symbol; trades the venue refuses as too old are left out.

    Raises:
        ExchangeError: the venue does not answer.
    """
    end_ms = await exchange.server_time_ms()
    rows = 0
    for one in subscriptions:
        if one.interval is not None:
            rows += await _record_candles(tape, exchange, one.symbol, one.interval, end_ms)
        elif one.channel == "trades" and one.symbol in trade_ids:
            rows += await _record_trades(tape, exchange, one.symbol, *trade_ids[one.symbol])
    return rows


def load_rest(tape: Tape) -> RestSide:
    """Return the REST side of a tape; empty if it has none.

    Raises:
        ConfigError: the tape is damaged.
    """
    pages: dict[tuple[str, str], list[pd.DataFrame]] = {}
    trades: dict[str, list[Trade]] = {}
    for row in tape.rest():
        try:
            symbol = row["symbol"]
            if row["rest"] == "candles":
                page = frames.coerce(pd.DataFrame(row["columns"]))
                pages.setdefault((symbol, row["interval"]), []).append(page)
            else:
                trades.setdefault(symbol, []).extend(_read_trades(symbol, row["rows"]))
        except (KeyError, TypeError, ValueError, InvalidOperation, FrameError) as error:
            raise ConfigError(
                f"tape {str(tape.path)!r} is damaged: its REST side: {error!r}"
            ) from error
    candles = {series: pd.concat(found, ignore_index=True) for series, found in pages.items()}
    return RestSide(candles, trades)


async def _record_candles(
    tape: TapeWriter, exchange: Exchange, symbol: str, interval: str, end_ms: int
) -> int:
    grid = Interval(interval)
    first = max(0, grid.slot(tape.header.started_ms) - _BEFORE)
    pages = exchange.iter_candles(symbol, grid, start_ms=grid.open_of(first), end_ms=end_ms)
    rows = 0
    async for page in pages:
        columns = {name: _plain(page[name]) for name in frames.COLUMNS}
        tape.write_rest("candles", {"symbol": symbol, "interval": interval, "columns": columns})
        rows += len(page)
    return rows


async def _record_trades(
    tape: TapeWriter, exchange: Exchange, symbol: str, first: int, last: int
) -> int:
    rows = 0
    while first <= last:
        try:
            page = await exchange.fetch_trades(symbol, from_id=first, limit=_PAGE)
        except TooOld as error:
            _LOG.warning("%s: its trades from %d on are not on the tape: %s", symbol, first, error)
            break
        if not page or int(page[-1].id) < first:
            break
        tape.write_rest("trades", {"symbol": symbol, "rows": [_trade_row(one) for one in page]})
        rows += len(page)
        first = int(page[-1].id) + 1
    return rows


def _trade_row(trade: Trade) -> list[object]:
    return [
        trade.id,
        trade.timestamp,
        str(trade.price),
        str(trade.quantity),
        trade.is_buyer_maker,
        trade.first_trade_id,
        trade.last_trade_id,
    ]


def _read_trades(symbol: str, rows: Sequence[Sequence[Any]]) -> Iterator[Trade]:
    for number, at_ms, price, quantity, maker, first, last in rows:
        yield Trade(symbol, number, at_ms, Decimal(price), Decimal(quantity), maker, first, last)


def _plain(column: pd.Series[Any]) -> list[object]:
    values: list[object] = column.astype(object).where(column.notna(), None).tolist()
    return values
