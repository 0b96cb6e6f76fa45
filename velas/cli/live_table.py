"""A live stream as tables that change in place: a row per series, the last statuses below."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from velas.cli.live_board import Board, Row, State
from velas.cli.live_words import number, span, status_text, time_of_day
from velas.cli.output import Justify, count, many, second
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
_DROPPED: tuple[tuple[str, ...], ...] = (  # where there is no room, the first of these first
    _ROOMY, ("age",), ("via",), ("seq",), ("last close",), ("volume",), ("candle",),
    ("trades",), ("id",), ("time",), ("changes",), ("bid qty", "ask qty"), ("quantity",),
    ("side",), ("state",),
)  # fmt: skip
_TEXTS = ("symbol", "iv", "state", "candle", "last close", "via", "side", "time")
_STYLES: dict[State, str] = {
    "live": "green",
    "rest": "yellow",
    "history": "cyan",
    "mute": "magenta",
    "gap": "red",
    "not stored": "bold red",
}
_TROUBLES: tuple[State, ...] = ("not stored", "gap", "mute", "history", "rest")


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
    statuses = _newest(board, width, most=max(_STATUS_LINES, height // 3))
    headline = _wrapped(_headline(board, title), width)
    # a head per table, the line that says what is left out, one to spare
    room = max(1, height - len(headline) - len(statuses) - len(kinds) - 2)
    parts: list[RenderableType] = [*headline]
    for columns, cells, rows in kinds:
        shown = _fitting(rows, room)
        room -= len(shown)
        parts.append(_table(columns, [{**_shared(board, r), **cells(r)} for r in shown], width))
        if len(shown) < len(rows):
            parts.append(Text(f"... and {count(len(rows) - len(shown))} more series"))
    return Group(*parts, *statuses)


def _headline(board: Board, title: str) -> str:
    tally = board.tally
    return (
        f"{title}  {many(tally.events, 'event')}, {many(tally.closed, 'candle')} closed, "
        f"{many(tally.reconnects, 'reconnect')}"
    )


def _fitting(rows: list[Row], room: int) -> list[Row]:
    if len(rows) <= room:
        return rows
    return sorted(rows, key=_severity)[: max(1, room)]


def _severity(row: Row) -> int:
    state = row.state
    return _TROUBLES.index(state) if state in _TROUBLES else len(_TROUBLES)


def _table(names: Sequence[str], rows: list[dict[str, Text]], width: int) -> Table:
    columns = _with_room(names, rows, width)
    table = Table(
        # folded, if even these do not fit: a price that is cut short is a wrong price
        *(Column(name, justify=_justify(name), overflow="fold") for name in columns),
        box=None,
        padding=(0, 1, 0, 0),
        header_style="bold",
        pad_edge=False,
    )
    for row in rows:
        table.add_row(*(row.get(name, Text("-")) for name in columns))
    return table


def _with_room(names: Sequence[str], rows: list[dict[str, Text]], width: int) -> list[str]:
    needed = {
        name: max(cell_len(name), *(row[name].cell_len for row in rows if name in row), 1) + 1
        for name in names
        if width >= _WIDE or name not in _ROOMY
    }
    for together in _DROPPED:
        if sum(needed.values()) - 1 <= width:
            break
        for name in together:
            needed.pop(name, None)
    return list(needed)


def _justify(column: str) -> Justify:
    return "left" if column in _TEXTS else "right"


def _newest(board: Board, width: int, *, most: int) -> list[Text]:
    chosen: list[Text] = []
    for status in list(board.statuses)[: -_STATUS_LINES - 1 : -1]:
        lines = _wrapped(status_text(status), width)
        if chosen and len(chosen) + len(lines) > most:
            break
        chosen = [*lines, *chosen]
    return chosen


def _wrapped(text: str, width: int) -> list[Text]:
    lines = textwrap.wrap(text, max(width, 10), subsequent_indent="  ", break_on_hyphens=False)
    return [Text(line) for line in lines]


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
        cells |= {"last close": second(closed.close_time + 1)[5:], "seq": count(closed.sequence)}
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
