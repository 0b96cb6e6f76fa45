"""The short sessions that are recorded: a tour of the adapter, and real downloads."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import attrs

from velas import registry
from velas.config import load_settings
from velas.errors import ExchangeError
from velas.history import Wanted, make_plan, run_plan
from velas.interval import Interval
from velas.ledger import Ledger
from velas.protocols import Exchange

__all__ = ["SESSIONS", "Session", "download", "tour"]

Session = Callable[[Exchange, Sequence[str]], Awaitable[None]]

_HOUR = Interval("1h")
_ROWS = 5
_TRADES = 20
_MORE_THAN_A_PAGE = 5


async def tour(exchange: Exchange, symbols: Sequence[str]) -> None:
    """Ask for a little of everything: each interval, a range, trades, the book."""
    await exchange.server_time_ms()
    for symbol in symbols:
        await exchange.fetch_candles(symbol, _HOUR, limit=_ROWS)
    symbol = symbols[0]
    for interval in exchange.capabilities.intervals:
        await exchange.fetch_candles(symbol, interval, limit=_ROWS)
    newest = _HOUR.floor(await exchange.server_time_ms() - 60_000)
    start_ms = newest - 24 * _HOUR.length_ms
    async for _ in exchange.iter_candles(symbol, _HOUR, start_ms=start_ms, end_ms=newest):
        pass
    if exchange.capabilities.trades:
        trades = await exchange.fetch_trades(symbol, limit=_TRADES)
        if exchange.capabilities.trades_by_id:
            await exchange.fetch_trades(symbol, from_id=int(trades[0].id), limit=_TRADES)
    if exchange.capabilities.book_ticker:
        await exchange.fetch_book_ticker(symbol)


async def download(exchange: Exchange, symbols: Sequence[str]) -> None:
    """Download as `velas download` does: 1h in days that need two pages, 1d of 12 months."""
    day = Interval("1d")
    today = day.floor(await exchange.server_time_ms() - 60_000)
    hours = exchange.capabilities.page_rows + _MORE_THAN_A_PAGE
    start_ms = day.floor(today - hours * _HOUR.length_ms)
    await _download(exchange, Wanted(symbols[:1], (_HOUR,), start_ms=start_ms, end_ms=today))
    await _download(exchange, Wanted(symbols[:1], (day,)))


SESSIONS: Mapping[str, Session] = {"tour": tour, "download": download}


async def _download(exchange: Exchange, wanted: Wanted) -> None:
    with tempfile.TemporaryDirectory() as folder, Ledger(None) as ledger:
        settings = load_settings(environ={}, data_dir=Path(folder))
        store = registry.open_store(settings, exchange_name=exchange.name)
        plan = await make_plan(exchange, store, ledger, attrs.evolve(wanted, strict=True))
        report = await run_plan(exchange, store, ledger, plan, parallel=1, pages_in_flight=1)
    for series in report.series:
        if series.error is not None:
            raise ExchangeError(f"{series.symbol} {series.interval}: {series.error}")
