"""The REST side of a tape: the venue's own candles and trades of the same time.

Asked for when the sockets were recorded, they say what the sockets left out. A `Stream`
over a tape that has them can fill every hole as it would have done live.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import attrs
import pandas as pd

from velas import frames
from velas.errors import ConfigError, FrameError
from velas.models import Subscription, Trade
from velas.tape import Tape, TapeWriter

if TYPE_CHECKING:
    from velas.protocols import Exchange

__all__ = ["RestSide", "load_rest", "record_rest"]

_CANDLES = 100  # of each series, so some history too
_MOST_REQUESTS = 1000  # for the trades of one symbol


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

    `trade_ids` are the first and the last id heard, by symbol.

    Raises:
        ExchangeError: the venue does not answer.
    """
    rows = 0
    for one in subscriptions:
        if one.interval is not None:
            frame = await exchange.fetch_candles(one.symbol, one.interval, limit=_CANDLES)
            columns = {name: _plain(frame[name]) for name in frames.COLUMNS}
            series = {"symbol": one.symbol, "interval": one.interval}
            tape.write_rest("candles", {**series, "columns": columns})
            rows += len(frame)
        elif one.channel == "trades" and one.symbol in trade_ids:
            first, last = trade_ids[one.symbol]
            trades = await _trades(exchange, one.symbol, first, last)
            tape.write_rest(
                "trades", {"symbol": one.symbol, "rows": [_trade_row(trade) for trade in trades]}
            )
            rows += len(trades)
    return rows


def load_rest(tape: Tape) -> RestSide:
    """Return the REST side of a tape; empty if it has none.

    Raises:
        ConfigError: the tape is damaged.
    """
    candles: dict[tuple[str, str], pd.DataFrame] = {}
    trades: dict[str, list[Trade]] = {}
    for row in tape.rest():
        try:
            symbol = row["symbol"]
            if row["rest"] == "candles":
                candles[symbol, row["interval"]] = frames.coerce(pd.DataFrame(row["columns"]))
            else:
                trades[symbol] = list(_read_trades(symbol, row["rows"]))
        except (KeyError, TypeError, ValueError, InvalidOperation, FrameError) as error:
            raise ConfigError(
                f"tape {str(tape.path)!r} is damaged: its REST side: {error!r}"
            ) from error
    return RestSide(candles, trades)


async def _trades(exchange: Exchange, symbol: str, first: int, last: int) -> list[Trade]:
    found: list[Trade] = []
    for _ in range(_MOST_REQUESTS):
        page = await exchange.fetch_trades(symbol, from_id=first, limit=1000)
        found += page
        if not page or int(page[-1].id) >= last:
            break
        first = int(page[-1].id) + 1
    return found


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
