"""`velas stream`: live candles, trades and book tickers, shown and, on request, stored."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, get_args

import click

from velas.cli.exits import DONE, FAILED, INTERRUPTED, say
from velas.cli.logs import quiet
from velas.cli.numbers import Number
from velas.cli.options import Common, series_options, velas_command
from velas.cli.output import count, many
from velas.cli.session import settings_of
from velas.clock import SYSTEM_CLOCK
from velas.models import Channel

if TYPE_CHECKING:
    from velas.cli.live import Ended, ViewOf, Wish
    from velas.cli.live_board import Board
    from velas.settings import Settings

__all__ = ["command"]

_STREAMING = ("velas.feed", "velas.polling", "velas.stream", "velas_cryptofeed")


@velas_command("stream")
@series_options
@click.option(
    "--channel",
    "channels",
    multiple=True,
    type=click.Choice(get_args(Channel)),
    help="What to stream; repeatable [default: candles].",
)
@click.option("--store", is_flag=True, help="Store each closed candle before it is shown.")
@click.option(
    "--seconds",
    type=Number(0, 10**9, min_open=True),
    metavar="N",
    help="Stop after N seconds.",
)
def command(
    common: Common,
    symbols: tuple[str, ...],
    intervals: tuple[str, ...],
    channels: tuple[Channel, ...],
    store: bool,
    seconds: float | None,
) -> int:
    """Show live candles, each closed one exactly once and in order, whatever the socket does.

    Without options: the candles of all pairs of the settings, at the settings' intervals.
    Tables on a terminal, lines elsewhere; --json gives one JSON object per line. Ctrl-C
    ends it cleanly.
    """
    settings = settings_of(common)
    wish = _wish(settings, symbols, intervals, channels or ("candles",), store, seconds)
    view_of = _view_of(settings, as_json=common.as_json)

    from velas.cli.live import go_live

    # what they warn of is shown as a status, in its place among the candles
    with quiet(*(() if common.verbose else _STREAMING)):
        ended = asyncio.run(go_live(settings, wish, view_of))
    return _finish(ended, quiet=common.as_json)


def _wish(
    settings: Settings,
    symbols: tuple[str, ...],
    intervals: tuple[str, ...],
    channels: tuple[Channel, ...],
    store: bool,
    seconds: float | None,
) -> Wish:
    from velas.cli.live import Wish
    from velas.config import load_pairs
    from velas.interval import Interval
    from velas.symbols import series_key

    for symbol in symbols:
        series_key(symbol)  # refuses path tricks before anything is opened
    if "candles" not in channels:
        for given, option in ((intervals, "--interval"), (store, "--store")):
            if given:
                raise click.UsageError(f"{option} is for --channel candles")
    names = dict.fromkeys(intervals or settings.history.intervals)
    return Wish(
        channels=tuple(dict.fromkeys(channels)),
        symbols=symbols or tuple(pair.symbol for pair in load_pairs(settings)),
        intervals=tuple(Interval(name).name for name in names) if "candles" in channels else (),
        strict=bool(symbols),
        store=store,
        seconds=seconds,
    )


def _view_of(settings: Settings, *, as_json: bool) -> ViewOf:
    from velas.cli.live import View

    def view(board: Board) -> View:
        if as_json:
            from velas.cli.live_json import JsonLines

            return JsonLines()
        if sys.stdout.isatty():
            from velas.cli.live_table import LiveTable

            return LiveTable(board, settings.exchange)
        from velas.cli.live_plain import PlainLines

        # of a recording, the clock of today says nothing
        series = () if settings.exchange == "replay" else tuple(board.rows)
        return PlainLines(SYSTEM_CLOCK, series)

    return view


def _finish(ended: Ended, *, quiet: bool) -> int:
    board = ended.board
    if board is None:
        return INTERRUPTED
    for (symbol, interval), rows in ended.added.items():
        say(f"velas: stored: {symbol} {interval}: {many(rows, 'row')} added")
    if not quiet:
        _sum_up(board, ended.elapsed_s)
    _name_what_lacks(board)
    if board.unstored:
        return FAILED  # however it ended: what came is not all kept
    if ended.interrupted:
        return INTERRUPTED
    return DONE if board.complete and not ended.left_out else FAILED


def _sum_up(board: Board, elapsed_s: float) -> None:
    from velas.cli.live_words import span

    tally = board.tally
    say(
        f"velas: {many(tally.events, 'event')}, {many(tally.closed, 'closed candle')}, "
        f"gaps {count(tally.gaps_filled)} filled and {count(tally.gaps_absent)} absent, "
        f"{many(tally.reconnects, 'reconnect')} in {span(elapsed_s)}"
    )


def _name_what_lacks(board: Board) -> None:
    for row in board.rows.values():
        name = f"{row.series.symbol} {row.series.interval or row.series.channel}"
        if row.open_gaps:
            say(f"velas: incomplete: {name}: a gap was still open at the end")
        if row.rows_lost:
            say(f"velas: incomplete: {name}: {count(row.rows_lost)} rows that were stored are gone")
        if row.unstored:
            say(f"velas: incomplete: {name}: the newest candle could not be stored")
        if row.catching_up:
            say(f"velas: incomplete: {name}: history was still being fetched at the end")
    if board.tally.lost:
        what = "candle or trade" if board.tally.lost == 1 else "candles or trades"
        say(f"velas: incomplete: {count(board.tally.lost)} {what} could not be had")
