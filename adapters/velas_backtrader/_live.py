"""`LiveCandles`: one stream, in a thread of its own, for all feeds of a cerebro."""

from __future__ import annotations

import asyncio
import math
import threading
import weakref
from array import array
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from enum import Enum
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from velas import open_exchange, open_ledger, open_stream
from velas.clock import Clock
from velas.errors import ConfigError, FeedError
from velas.interval import Interval
from velas.protocols import Store
from velas.settings import Settings
from velas.stream import Stream
from velas_backtrader._align import Alignment, Bar, Block, Key
from velas_backtrader._checks import Series
from velas_backtrader._handover import Handover, State
from velas_backtrader._lines import LINES, columns_of, ends_of
from velas_backtrader._pump import Opener, Want, pump
from velas_backtrader._source import Shelf, history

if TYPE_CHECKING:
    import pandas as pd

    from velas_backtrader._feed import CandleData

__all__ = ["LiveCandles"]

_PATIENCE_S = 30.0
_JOIN_S = 30.0
_BY_STREAM: weakref.WeakValueDictionary[int, LiveCandles] = weakref.WeakValueDictionary()


class BySource(Enum):
    """What depends on whether candles come from a venue or a recording."""

    PATIENCE = "30 s, or no limit"


class LiveCandles:
    """Live candles for backtrader: one thread, one event loop and one `velas.Stream`.

    `source` is settings, a stream that nobody runs, or a function that opens one as an
    async context manager, called in the thread's loop. Of settings the exchange, the
    stream and, unless they are of a recording, the store are opened: history comes from
    there, and closed candles are stored. Of a stream given the exchange is closed, too.
    `store` is where history is read from otherwise.

    Give it to the `CandleData` of one cerebro, which starts it. It stops with the run, at
    the end of a ``with`` block, by `stop`, or when nobody holds it any more.

    Candles that end together are delivered together: one is held back until every other
    series has reached its end, at most `patience_s` of the stream's time, by default 30,
    and without a limit for a recording (None) and for what ended before the start. In
    `lockstep`, the default for recordings, the stream waits while candles are not taken:
    not for a real venue, whose sockets would fall silent.
    """

    def __init__(
        self,
        source: Settings | Stream | Opener,
        *,
        store: Store | None = None,
        patience_s: float | BySource | None = BySource.PATIENCE,
        lockstep: bool | None = None,
        clock: Clock | None = None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        is_recording = isinstance(source, Settings) and source.exchange == "replay"
        self._shelf = None if store is None else Shelf(store)
        if isinstance(source, Settings) and not is_recording:
            self._shelf = Shelf(store, source) if store is not None else Shelf.of(source)
        self._opener = _opener(source, self._shelf, clock)
        if isinstance(patience_s, BySource):
            patience_s = None if is_recording else _PATIENCE_S
        self._patience_s = _patience(patience_s)
        self._loop_factory = loop_factory
        self._alignment = Alignment()
        self._handover = Handover(
            self._alignment, lockstep=is_recording if lockstep is None else lockstep
        )
        self._joined: list[CandleData] = []
        self._inboxes: dict[int, deque[Bar]] = {}
        self._leader: CandleData | None = None
        self._cerebro: Any = None
        self._guarded: weakref.WeakSet[Any] = weakref.WeakSet()
        self._threads: list[threading.Thread] = []
        self._finalizer = weakref.finalize(self, _end, self._handover, self._threads)

    @classmethod
    def of_stream(cls, stream: Stream) -> LiveCandles:
        """Return the one for a stream: feeds of the same stream share it."""
        live = _BY_STREAM.get(id(stream))
        if live is None:
            live = _BY_STREAM[id(stream)] = cls(stream)
        return live

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the stream and its thread; may be called again, and from any thread."""
        self._finalizer()

    # -- for the feeds -----------------------------------------------------------------------

    def join(self, data: CandleData) -> None:
        """Take a feed on; before the run."""
        if self._cerebro is not None or not self._finalizer.alive:
            raise self._used()
        self._joined.append(data)

    def guard(self, cerebro: Any) -> None:
        """See to it that a run leaves no stream behind, and is as a backtest would be.

        Raises:
            ConfigError: cerebro is to optimize, which takes many runs.
        """
        if cerebro in self._guarded:
            return
        self._guarded.add(cerebro)
        if cerebro._dooptimize:
            _refuse_to_optimize()
        cerebro.optstrategy = _refuse_to_optimize
        run = cerebro.runstrategies

        def guarded(*args: Any, **options: Any) -> Any:
            try:
                return run(*args, **options)
            finally:
                self.stop()

        cerebro.runstrategies = guarded

    def begin(self, cerebro: Any) -> None:
        """Start the stream with the feeds of a cerebro; the first of them calls.

        Raises:
            FeedError: the stream has been run already.
        """
        if not self._finalizer.alive or self._cerebro not in (None, cerebro):
            raise self._used()
        if self._cerebro is cerebro:
            return
        self._cerebro = cerebro
        datas = list(cerebro.datas)
        if not cerebro.p.oldsync:  # as cerebro goes through them
            datas.sort(key=lambda data: (data._timeframe, data._compression))
        mine = [data for data in datas if any(data is one for one in self._joined)]
        self._leader = mine[0]
        self._inboxes = {id(data): deque() for data in mine}
        thread = threading.Thread(
            target=_run,
            args=(
                self._opener,
                self._wants(mine),
                self._handover,
                self._patience_s,
                self._loop_factory,
            ),
            name="velas-live",
            daemon=True,
        )
        self._threads.append(thread)
        thread.start()

    def next_bar(self, data: CandleData, wait_s: float) -> Bar | None:
        """Return the next candle of a feed; None if there is none now, or any more.

        Cerebro asks one feed after the other. All are to see the same moment, so it is the
        first of them that waits for the next one, when all have had what is theirs.
        """
        inbox = self._inboxes[id(data)]
        if not inbox and data is self._leader and not any(self._inboxes.values()):
            self._distribute(self._handover.take(wait_s))
        return inbox.popleft() if inbox else None

    def is_over(self, data: CandleData) -> bool:
        """Whether a feed will have no candle any more."""
        return not self._inboxes[id(data)] and self._handover.over

    def has_data(self, data: CandleData) -> bool:
        """Whether there are candles that a feed has not had."""
        return bool(self._inboxes[id(data)]) or self._handover.due

    def is_last(self, bar: Bar) -> bool:
        """Whether no later candle of the same series waits."""
        return not self._handover.waiting(bar.key)

    def states(self, data: CandleData) -> Sequence[State]:
        """Return, once, how the connection of a feed has been since."""
        return self._handover.states(data.key)

    @staticmethod
    def _used() -> FeedError:
        return FeedError("these live candles have been run already; make others for another run")

    def _distribute(self, moment: Sequence[Bar]) -> None:
        for bar in moment:
            for data in self._joined:
                inbox = self._inboxes.get(id(data))
                if inbox is not None and data.key == bar.key and bar.open_ms >= data.first_ms:
                    inbox.append(bar)

    def _wants(self, datas: Sequence[CandleData]) -> list[Want]:
        by_key: dict[Key, list[CandleData]] = {}
        for data in datas:
            by_key.setdefault(data.key, []).append(data)
        return [self._want(key, those) for key, those in by_key.items()]

    def _want(self, key: Key, datas: Sequence[CandleData]) -> Want:
        series = Series(datas[0].symbol, datas[0].interval)
        start_ms = min((one.start_ms for one in datas if one.start_ms is not None), default=None)
        if start_ms is None:
            self._alignment.add(key, 0, settled=False, history=None)
            return Want(series.symbol, series.interval, None)
        since_ms, block = series.interval.ceil(start_ms), None
        if self._shelf is not None:
            past = history(self._shelf, series, start_ms, datas[0].integrity)
            if len(past):
                block = _block(past, series.interval)
                since_ms = series.interval.next_open(block.opens[-1])
        self._alignment.add(key, since_ms, settled=True, history=block)
        return Want(series.symbol, series.interval, since_ms)


def _patience(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and value is not True and 0 < value < math.inf:
        return float(value)
    raise ConfigError(f"patience_s {value!r}: expected seconds above 0, or None for no limit")


def _refuse_to_optimize(*_args: Any, **_options: Any) -> None:
    raise ConfigError(
        "optstrategy: live candles are for one run; optimize over stored ones "
        "(CandleData.from_settings)"
    )


def _block(frame: pd.DataFrame, interval: Interval) -> Block:
    columns = columns_of(frame, interval)
    opens = frame["timestamp"].to_numpy()
    return Block(
        opens=opens.tolist(),
        ends=ends_of(opens, interval).tolist(),
        columns=[array("d", columns[name].tobytes()) for name in LINES],
    )


def _opener(source: object, shelf: Shelf | None, clock: Clock | None) -> Opener:
    if isinstance(source, Settings):
        return partial(_opened, source, shelf, clock)
    if clock is not None:
        raise ConfigError("clock: only with settings; a stream has its own")
    if isinstance(source, Stream):
        return partial(_handed_over, source)
    if callable(source):
        return cast(Opener, source)
    raise ConfigError(
        f"source {type(source).__name__}: expected settings, a velas.Stream, or a function that "
        "opens one as an async context manager"
    )


@asynccontextmanager
async def _opened(
    settings: Settings, shelf: Shelf | None, clock: Clock | None
) -> AsyncIterator[Stream]:
    store = None if shelf is None else shelf.store
    # what a recording asks costs a venue nothing that is to be remembered
    with nullcontext() if shelf is None else open_ledger(settings) as ledger:
        async with (
            open_exchange(settings, ledger=ledger, clock=clock) as exchange,
            open_stream(settings, exchange, store, clock=clock) as stream,
        ):
            yield stream


@asynccontextmanager
async def _handed_over(stream: Stream) -> AsyncIterator[Stream]:
    async with stream.exchange, stream:
        yield stream


def _run(
    opener: Opener,
    wants: Sequence[Want],
    handover: Handover,
    patience_s: float | None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
) -> None:
    error: BaseException | None = None
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(pump(opener, wants, handover, patience_s))
    except asyncio.CancelledError as cancelled:
        if not handover.stopped:  # nobody here wanted that
            error = FeedError("the live stream was cancelled from within")
            error.__cause__ = cancelled
    except BaseException as failure:
        error = failure
    handover.end(error)


def _end(handover: Handover, threads: Sequence[threading.Thread]) -> None:
    handover.stop()
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(_JOIN_S)
