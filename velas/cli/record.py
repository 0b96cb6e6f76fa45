"""`velas record`: write down what the venue's sockets say, to replay it later."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs
import click

from velas.cli.exits import DONE, INTERRUPTED, say
from velas.cli.logs import quiet
from velas.cli.numbers import Number
from velas.cli.options import Common, series_options, velas_command
from velas.cli.output import count, emit_json, many, second, size, write
from velas.cli.session import check_folder, settings_of
from velas.cli.signals import Stopped, stop_on_signals, until_stopped
from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import ConfigError, Unavailable, Unsupported, VelasError
from velas.feed import CHANNELS, FeedAdapter, Frame

if TYPE_CHECKING:
    from velas.models import Candle, Channel, Market, Subscription, Trade
    from velas.protocols import Exchange
    from velas.settings import Settings
    from velas.tape import Header, TapeWriter
    from velas.testing import StandInVenue

__all__ = ["command"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SUFFIX = ".tape"
_SYMBOLS = ("BTC/USDT", "ETH/USDT")
_INTERVALS = ("1m",)
_FLUSH_S = 2.0
_CUT_S = 5.0
_MARKETS: dict[str, Literal["spot", "futures"]] = {
    "binance_spot": "spot",
    "binance_futures": "futures",
}
_STAND_IN_MS = 1_748_867_670_000  # 2025-06-02 12:34:30 UTC, as of the recorded responses
_STAND_IN_SEED = 1


@attrs.frozen
class _Wanted:
    """What to record, from where and for how long; seconds are those of the venue."""

    settings: Settings
    path: Path
    symbols: tuple[str, ...]
    intervals: tuple[str, ...]
    channels: tuple[Channel, ...]
    seconds: float | None
    force: bool
    with_rest: bool


@attrs.frozen
class _StandIn:
    factor: float
    cut_after_s: float | None


@attrs.define
class _Recorded:
    """What came of it so far; takes the frames and events of the feed."""

    tape: TapeWriter
    clock: Clock
    started_s: float
    subscriptions: tuple[Subscription, ...]
    seconds: float = 0.0
    rest_rows: int = 0
    trade_ids: dict[str, tuple[int, int]] = attrs.Factory(dict)
    kinds: Counter[str] = attrs.Factory(Counter)
    events: Counter[str] = attrs.Factory(Counter)
    error: VelasError | OSError | None = None
    failed: asyncio.Event = attrs.Factory(asyncio.Event)
    interrupted: bool = False

    def frame(self, frame: Frame) -> None:
        """Write a frame; a failure ends the recording, not the feed's connection."""
        if self.error is None:
            try:
                self.tape.write(frame)
                self.kinds[frame.kind] += 1
            except (VelasError, OSError) as error:
                self.error = error
                self.failed.set()

    def candle(self, event: Candle) -> None:
        """Count a candle."""
        self.events["candles"] += 1
        self.events["closed_candles"] += event.is_closed

    def trade(self, event: Trade) -> None:
        """Count a trade; note its id if it is a number."""
        self.events["trades"] += 1
        if isinstance(event.id, int):
            first, last = self.trade_ids.get(event.symbol, (event.id, event.id))
            self.trade_ids[event.symbol] = (min(first, event.id), max(last, event.id))

    def book_ticker(self, _event: object) -> None:
        """Count a book ticker."""
        self.events["book_ticker"] += 1


@velas_command("record")
@click.argument("name")
@series_options
@click.option(
    "--channel",
    "channels",
    multiple=True,
    type=click.Choice(CHANNELS),
    help="What to record; repeatable [default: all].",
)
@click.option(
    "--seconds",
    type=Number(0, 86_400 * 31, min_open=True),
    metavar="N",
    help="How long [default: until Ctrl-C].",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="D",
    help="Where to [default: cassettes/<EXCHANGE> if there is one, else here].",
)
@click.option(
    "--with-rest",
    is_flag=True,
    help="Also keep the candles and trades REST has of that time, to replay a whole stream.",
)
@click.option("--force", is_flag=True, help="Overwrite a tape of that name.")
@click.option("--stand-in", is_flag=True, help="Record velas' own stand-in for Binance.")
@click.option(
    "--clock-factor",
    type=Number(1, 100),
    metavar="F",
    help="How fast the stand-in's time runs [default: 10].",
)
@click.option(
    "--cut-after",
    type=Number(0, min_open=True),
    metavar="N",
    help="After N seconds the stand-in is offline for five (its own seconds).",
)
def command(
    common: Common,
    name: str,
    symbols: tuple[str, ...],
    intervals: tuple[str, ...],
    channels: tuple[Channel, ...],
    seconds: float | None,
    folder: Path | None,
    with_rest: bool,
    force: bool,
    stand_in: bool,
    clock_factor: float | None,
    cut_after: float | None,
) -> int:
    """Write down what the venue's sockets say, as the tape NAME.tape.

    Every raw message with the time it came, also what is repeated, late or broken.
    `velas_replay.ReplayFeed` and `exchange: replay` play it through the same parsing.
    Public market data only. By default BTC/USDT and ETH/USDT, 1m candles, trades and
    book tickers.
    """
    if not stand_in and (clock_factor is not None or cut_after is not None):
        raise click.UsageError("--clock-factor and --cut-after need --stand-in")
    if intervals and channels and "candles" not in channels:
        raise click.UsageError("--interval is for candles, and --channel leaves them out")
    if stand_in and common.config is not None:
        raise click.UsageError("--stand-in has settings of its own and takes no --config")
    settings = _stand_in_settings(common) if stand_in else settings_of(common)
    wanted = _Wanted(
        settings=settings,
        path=_place(name, folder, settings.exchange, force=force),
        symbols=symbols or settings.history.symbols or _SYMBOLS,
        intervals=intervals or _INTERVALS,
        channels=channels or CHANNELS,
        seconds=seconds,
        force=force,
        with_rest=with_rest,
    )
    special = _StandIn(clock_factor or 10.0, cut_after) if stand_in else None
    # that a socket was cut is on the tape, and counted at the end
    with quiet(*(() if common.verbose else ("velas_cryptofeed",))):
        recorded = asyncio.run(_record(wanted, special))
    if recorded is None:
        say("velas: interrupted before anything was recorded")
        return INTERRUPTED
    _show(recorded, wanted, as_json=common.as_json)
    return INTERRUPTED if recorded.interrupted else DONE


def _place(name: str, folder: Path | None, exchange: str, *, force: bool) -> Path:
    bare = name.removesuffix(_SUFFIX)
    if not _NAME.fullmatch(bare) or ".." in bare:
        raise ConfigError(
            f"NAME {name!r}: letters, digits, dot, _ and - make a name, such as 'live'; "
            "--folder says where"
        )
    if folder is None:
        usual = Path("cassettes") / exchange
        folder = usual if usual.is_dir() else Path()
    path = folder / f"{bare}{_SUFFIX}"
    if path.exists() and not force:
        raise ConfigError(f"{str(path)!r} is there already; --force overwrites it")
    check_folder("--folder", folder)
    folder.mkdir(parents=True, exist_ok=True)
    return path


# -- recording -----------------------------------------------------------------------------


async def _record(wanted: _Wanted, special: _StandIn | None) -> _Recorded | None:
    with stop_on_signals() as stop:
        async with _opened(wanted.settings, special) as (exchange, feed, clock, venue):
            try:
                recorded = await until_stopped(_begin(wanted, exchange, feed, clock), stop)
            except Stopped:
                return None
            try:
                cut_s = special.cut_after_s if special else None
                await until_stopped(_run(feed, recorded, wanted, venue, cut_s), stop)
            except Stopped:
                recorded.interrupted = True
            finally:
                if wanted.with_rest:
                    await _ask(exchange, recorded)
                _finish(recorded)
    if recorded.error is not None:
        raise recorded.error
    if not recorded.kinds["text"] and not recorded.interrupted:
        raise Unavailable(f"{wanted.settings.exchange}: nothing was received, no tape is kept")
    return recorded


@asynccontextmanager
async def _opened(
    settings: Settings, special: _StandIn | None
) -> AsyncIterator[tuple[Exchange, FeedAdapter, Clock, StandInVenue | None]]:
    from velas.registry import open_exchange, open_feed

    if special is None:
        async with (
            open_exchange(settings) as exchange,
            _recordable(open_feed(settings, exchange), settings) as feed,
        ):
            yield exchange, feed, SYSTEM_CLOCK, None
        return
    from velas.testing import ScaledClock

    clock = ScaledClock(special.factor, start_ms=_STAND_IN_MS)
    async with _stand_in_venue(settings, clock) as venue:
        here = attrs.evolve(
            settings,
            rest=attrs.evolve(settings.rest, url=venue.rest_url),
            ws=attrs.evolve(settings.ws, url=venue.ws_url),
        )
        async with (
            open_exchange(here, clock=clock) as exchange,
            _recordable(open_feed(here, exchange, clock=clock), here) as feed,
        ):
            yield exchange, feed, clock, venue


def _recordable(feed: object, settings: Settings) -> FeedAdapter:
    from velas.polling import PollingFeed

    if settings.exchange == "replay":
        raise ConfigError("exchange 'replay' is a recording already; its tape can be copied")
    if not isinstance(feed, FeedAdapter) or isinstance(feed, PollingFeed):
        raise Unsupported(f"{settings.exchange} has no socket that could be recorded")
    return feed


async def _begin(wanted: _Wanted, exchange: Exchange, feed: FeedAdapter, clock: Clock) -> _Recorded:
    from velas.tape import TapeWriter

    for channel in wanted.channels:
        intervals = wanted.intervals if channel == "candles" else ()
        feed.subscribe(channel, wanted.symbols, intervals=intervals)
    subscriptions = await feed.subscriptions()
    markets = [await exchange.market(name) for name in _symbols(subscriptions)]
    header = _header(wanted, subscriptions, markets, clock)
    tape = TapeWriter(wanted.path, header, overwrite=wanted.force)
    recorded = _Recorded(tape, clock, clock.monotonic_s(), subscriptions)
    feed.on_frame = recorded.frame
    feed.on_candle, feed.on_trade = recorded.candle, recorded.trade
    feed.on_book_ticker = recorded.book_ticker
    until = "" if wanted.seconds is None else f" for {wanted.seconds:g} s"
    say(f"velas: recording {wanted.settings.exchange}{until} to {wanted.path}; Ctrl-C ends it")
    return recorded


def _header(
    wanted: _Wanted,
    subscriptions: tuple[Subscription, ...],
    markets: Sequence[Market],
    clock: Clock,
) -> Header:
    from velas.tape import Header

    settings = wanted.settings
    at_home = settings.ws.url is None
    source = f"the exchange {settings.exchange}" if at_home else "another address"
    if not isinstance(clock, type(SYSTEM_CLOCK)):
        source = "the stand-in venue of velas.testing"
    return Header(
        exchange=settings.exchange,
        started_ms=clock.now_ms(),
        subscriptions=subscriptions,
        markets=tuple(markets),
        source=source,
        rest=wanted.with_rest,
    )


async def _run(
    feed: FeedAdapter,
    recorded: _Recorded,
    wanted: _Wanted,
    venue: StandInVenue | None,
    cut_after_s: float | None,
) -> None:
    tasks = {
        asyncio.ensure_future(feed.run()),
        asyncio.ensure_future(_wait(recorded, wanted.seconds)),
        asyncio.ensure_future(_until_failed(recorded)),
    }
    cut = asyncio.ensure_future(_cut(venue, recorded.clock, cut_after_s))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (*tasks, cut):
            task.cancel()
        await asyncio.gather(*tasks, cut, return_exceptions=True)


async def _wait(recorded: _Recorded, seconds: float | None) -> None:
    while True:
        left = _FLUSH_S
        if seconds is not None:
            left = recorded.started_s + seconds - recorded.clock.monotonic_s()
            if left <= 0:
                return
        await recorded.clock.sleep(min(left, _FLUSH_S))
        recorded.tape.flush()


async def _until_failed(recorded: _Recorded) -> None:
    await recorded.failed.wait()


async def _cut(venue: StandInVenue | None, clock: Clock, after_s: float | None) -> None:
    if venue is not None and after_s is not None:
        await clock.sleep(after_s)
        venue.offline(_CUT_S)


async def _ask(exchange: Exchange, recorded: _Recorded) -> None:
    from velas.tape_rest import record_rest

    if not recorded.kinds["text"] or recorded.error is not None:
        return
    try:
        recorded.rest_rows = await record_rest(
            recorded.tape, exchange, recorded.subscriptions, recorded.trade_ids
        )
    except (VelasError, OSError) as error:
        recorded.error = error


def _finish(recorded: _Recorded) -> None:
    recorded.seconds = recorded.clock.monotonic_s() - recorded.started_s
    if not recorded.kinds["text"]:
        recorded.tape.discard()
        return
    try:
        recorded.tape.close(ended_ms=recorded.clock.now_ms())
    except (VelasError, OSError) as error:
        recorded.error = recorded.error or error


def _symbols(subscriptions: Sequence[Subscription]) -> list[str]:
    return list(dict.fromkeys(one.symbol for one in subscriptions))


# -- the stand-in --------------------------------------------------------------------------


def _stand_in_settings(common: Common) -> Settings:
    from velas.config import load_settings

    # environ: nothing of the user's environment may lead to a real venue or account
    settings = load_settings(environ={}, exchange=common.exchange)
    if settings.exchange not in _MARKETS:
        raise click.UsageError(
            f"--stand-in plays {' or '.join(_MARKETS)}, not {settings.exchange!r}"
        )
    return settings


@asynccontextmanager
async def _stand_in_venue(settings: Settings, clock: Clock) -> AsyncIterator[StandInVenue]:
    from velas.testing import GeneratedCandles, StandInVenue

    async with StandInVenue(
        _MARKETS[settings.exchange], candles=GeneratedCandles(_STAND_IN_SEED), clock=clock
    ) as venue:
        yield venue


# -- the result ----------------------------------------------------------------------------


def _show(recorded: _Recorded, wanted: _Wanted, *, as_json: bool) -> None:
    found = _document(recorded, wanted)
    if as_json:
        emit_json(found)
        return
    if found["tape"] is None:
        write("Nothing was received, so there is no tape.")
        return
    candles = recorded.events["candles"]
    write(
        f"{wanted.path}: {many(recorded.tape.frames, 'frame')} of "
        f"{count(len(recorded.subscriptions))} series in {recorded.seconds:,.0f} s, "
        f"{size(wanted.path.stat().st_size)}"
    )
    write(
        f"{many(candles, 'candle')} ({count(recorded.events['closed_candles'])} closed), "
        f"{many(recorded.events['trades'], 'trade')}, "
        f"{many(recorded.events['book_ticker'], 'book ticker')}; "
        f"{many(recorded.kinds['open'], 'connection')}, "
        f"ended {second(recorded.clock.now_ms())}"
    )


def _document(recorded: _Recorded, wanted: _Wanted) -> dict[str, object]:
    bytes_ = 0
    if recorded.kinds["text"]:
        with suppress(OSError):
            bytes_ = wanted.path.stat().st_size
    return {
        "exchange": wanted.settings.exchange,
        "tape": str(wanted.path) if recorded.kinds["text"] else None,
        "bytes": bytes_,
        "frames": recorded.tape.frames,
        "messages": recorded.kinds["text"],
        "connections": recorded.kinds["open"],
        "events": {name: recorded.events[name] for name in (*CHANNELS, "closed_candles")},
        "rest_rows": recorded.rest_rows,
        "seconds": round(recorded.seconds, 3),
        "interrupted": recorded.interrupted,
    }
