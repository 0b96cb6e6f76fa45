"""A live stream as tables that change in place: a row per series, the last statuses below."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from velas.cli.live_board import Board, Row, State
from velas.cli.live_words import number, span, status_text, time_of_day
from velas.cli.output import Justify, count, moment
from velas.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from velas.protocols import Event
    from velas.status import Status

__all__ = ["LiveTable", "render"]

_REDRAW_S = 0.25
_WIDE = 108  # columns from which open, high and low have room
_STATUS_LINES = 5
_CANDLES: tuple[str, ...] = (
    "symbol", "iv", "state", "open", "high", "low", "close", "volume",
    "candle", "last close", "seq", "via", "age",
)  # fmt: skip
_TRADES: tuple[str, ...] = (
    "symbol",
    "state",
    "side",
    "price",
    "quantity",
    "time",
    "id",
    "trades",
    "age",
)
_TICKERS: tuple[str, ...] = (
    "symbol",
    "state",
    "bid",
    "bid qty",
    "ask",
    "ask qty",
    "changes",
    "age",
)
_ROOMY = ("open", "high", "low")
_TEXTS = ("symbol", "iv", "state", "candle", "last close", "via", "side", "time")
_STYLES: dict[State, str] = {"live": "green", "rest": "yellow", "mute": "magenta", "gap": "red"}
_TROUBLES: tuple[State, ...] = ("gap", "mute", "rest")


class LiveTable:
    """Draws a board four times a second, whatever the rate of events; an async context manager."""

    def __init__(
        self,
        board: Board,
        title: str,
        *,
        console: Console | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._board = board
        self._title = title
        self._console = console or Console(highlight=False)
        self._clock = clock
        self._live = Live(
            console=self._console,
            auto_refresh=False,  # a thread of its own would read what the loop is changing
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),
            vertical_overflow="crop",
        )
        self._redrawing: asyncio.Task[None] | None = None

    async def show(self, event: Event | Status) -> None:
        """Do nothing: the board has it, and is drawn at the next turn."""

    async def __aenter__(self) -> Self:
        self._live.start()
        self._redrawing = asyncio.ensure_future(self._redraw())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._redrawing is not None:
            self._redrawing.cancel()
            with suppress(asyncio.CancelledError):
                await self._redrawing
        try:
            await self._draw()
        finally:
            self._live.stop()

    async def _redraw(self) -> None:
        while True:
            await self._draw()
            await self._clock.sleep(_REDRAW_S)

    async def _draw(self) -> None:
        size = self._console.size
        shown = render(self._board, self._title, width=size.width, height=size.height)
        # laying out sixty rows takes tens of ms, too long for the loop that reads the sockets
        drawing = asyncio.ensure_future(asyncio.to_thread(self._live.update, shown, refresh=True))
        try:
            await asyncio.shield(drawing)
        except asyncio.CancelledError:
            await drawing  # or it would draw over what comes after
            raise


def render(board: Board, title: str, *, width: int, height: int) -> RenderableType:
    """Return the tables of a board, cut to what a terminal of that size can show."""
    kinds = [
        (columns, cells, [row for row in board.rows.values() if row.series.channel == channel])
        for channel, columns, cells in (
            ("candles", _CANDLES, _candle_cells),
            ("trades", _TRADES, _trade_cells),
            ("book_ticker", _TICKERS, _ticker_cells),
        )
    ]
    kinds = [kind for kind in kinds if kind[2]]
    statuses = list(board.statuses)[-_STATUS_LINES:]
    # the headline, a head per table, the line that says what is left out, one to spare
    room = max(1, height - len(statuses) - len(kinds) - 3)
    parts: list[RenderableType] = [_line(_headline(board, title), width)]
    for columns, cells, rows in kinds:
        shown = _fitting(rows, room)
        room -= len(shown)
        shown_columns = [name for name in columns if width >= _WIDE or name not in _ROOMY]
        parts.append(_table(shown_columns, [{**_shared(board, r), **cells(r)} for r in shown]))
        if len(shown) < len(rows):
            parts.append(_line(f"... and {count(len(rows) - len(shown))} more series", width))
    parts += [_line(status_text(status), width) for status in statuses]
    return Group(*parts)


def _headline(board: Board, title: str) -> str:
    tally = board.tally
    return (
        f"{title}  {count(tally.events)} events, {count(tally.closed)} candles closed, "
        f"{count(tally.reconnects)} reconnects"
    )


def _fitting(rows: list[Row], room: int) -> list[Row]:
    if len(rows) <= room:
        return rows
    troubled = [row for row in rows if row.state in _TROUBLES]
    chosen = [*troubled, *(row for row in rows if row.state not in _TROUBLES)]
    return chosen[: max(1, room)]


def _table(columns: list[str], rows: list[dict[str, Text]]) -> Table:
    table = Table(
        *(Column(name, justify=_justify(name), no_wrap=True) for name in columns),
        box=None,
        padding=(0, 1, 0, 0),
        header_style="bold",
        pad_edge=False,
    )
    for row in rows:
        table.add_row(*(row.get(name, Text("-")) for name in columns))
    return table


def _justify(column: str) -> Justify:
    return "left" if column in _TEXTS else "right"


def _line(text: str, width: int) -> Text:
    line = Text(text, no_wrap=True, overflow="ellipsis")
    line.truncate(width, overflow="ellipsis")
    return line


def _shared(board: Board, row: Row) -> dict[str, Text]:
    age = board.age_s(row)
    return {
        "symbol": Text(row.series.symbol),
        "state": Text(row.state, style=_STYLES.get(row.state, "dim")),
        "age": Text("-" if age is None else span(age)),
    }


def _candle_cells(row: Row) -> dict[str, Text]:
    cells = {"iv": row.series.interval or ""}
    candle, closed = row.candle, row.closed
    if candle is not None:
        cells |= {name: number(getattr(candle, name)) for name in (*_ROOMY, "close", "volume")}
        cells |= {"candle": "closed" if candle.is_closed else "forming", "via": candle.source}
    if closed is not None:
        # the moment it was over, as people name it: 12:00:00 and not 11:59:59.999
        cells |= {"last close": moment(closed.close_time + 1)[5:], "seq": count(closed.sequence)}
    return {name: Text(text) for name, text in cells.items()}


def _trade_cells(row: Row) -> dict[str, Text]:
    trade = row.trade
    if trade is None:
        return {}
    return {
        "side": Text("sell" if trade.is_buyer_maker else "buy"),
        "price": Text(f"{trade.price:f}"),
        "quantity": Text(f"{trade.quantity:f}"),
        "time": Text(time_of_day(trade.timestamp)),
        "id": Text(str(trade.id)),
        "trades": Text(count(row.events)),
    }


def _ticker_cells(row: Row) -> dict[str, Text]:
    ticker = row.ticker
    if ticker is None:
        return {}
    return {
        "bid": Text(f"{ticker.bid:f}"),
        "bid qty": Text(f"{ticker.bid_quantity:f}"),
        "ask": Text(f"{ticker.ask:f}"),
        "ask qty": Text(f"{ticker.ask_quantity:f}"),
        "changes": Text(count(row.events)),
    }
