"""`CandleData`: candles as a data feed of backtrader, from a store, a frame or live."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from velas import frames
from velas.errors import ConfigError
from velas.interval import Interval
from velas.protocols import Store
from velas.stream import Stream
from velas.symbols import series_key
from velas_backtrader._checks import Integrity, Series, policy_of
from velas_backtrader._grid import Grid
from velas_backtrader._library import UNBOUNDED, TimeFrame
from velas_backtrader._lines import columns_of, timeframe_of
from velas_backtrader._lineset import CandleLines
from velas_backtrader._live import LiveCandles
from velas_backtrader._pump import key_of
from velas_backtrader._source import Candles, Range, Shelf, from_frame, from_shelf, range_of
from velas_backtrader._zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velas.settings import Settings

__all__ = ["CandleData"]


class CandleData(CandleLines):
    """Candles as a data feed; a bar is there when it is over, never before.

    `source` is a store of velas, or a frame of candles in any known spelling of its
    columns. Bars are those that open in ``[start_ms, end_ms)``; their ``datetime`` is the
    moment they are over, UTC, so that of several intervals all come together that end
    together. Lines are those of every feed (``openinterest`` is NaN), ``quote_volume``,
    ``trades``, ``taker_buy_base``, ``taker_buy_quote``, and ``timestamp`` and
    ``close_time`` in ms; nulls are NaN. Resampled and replayed feeds have them, too, and
    candles on the venue's grid; not one that began before the first bar.

    `integrity` says what becomes of gaps, duplicates and impossible bars: ``raise`` an
    error before the first bar; ``warn`` and play them, of duplicates the last; ``drop``
    impossible bars, too, and warn. A range that is not filled has gaps at its edges.

    Other arguments are backtrader's (``name``, ``fromdate``, ``tz`` ...); timeframe and
    compression are the interval's. ``fromdate`` and ``todate``, by the clock of ``tz``, are
    compared with the end of a bar and both count.

    A bar that ends at midnight has the date of the day after its own, and analyzers that
    go by the calendar (``TimeReturn``) count it there:
    ``Cerebro(tz=datetime.timezone(-datetime.timedelta(milliseconds=1)))`` keeps it in its
    own. ``Order.Close`` finds the day's last bar with ``sessionend=datetime.time(0)``; of
    daily bars it is the next day's close, so take a market order. The day a bar is of is
    that of its ``timestamp``.

    Raises:
        ConfigError: an argument is none, or the range is inverted.
        UnknownSymbol, StoreError: nothing of that is stored, or not in the range.
        FrameError: the candles are not unambiguous, not of the interval, not in order,
            or fail `integrity`.
    """

    params: Any = (("timeframe", None), ("compression", None), ("qcheck", 0.5))

    _live: LiveCandles | None = None
    _is_running = False
    _was_connected = False

    def __init__(
        self,
        source: Store | Shelf | pd.DataFrame | LiveCandles | Stream,
        symbol: str,
        interval: str | Interval,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        integrity: Integrity = "raise",
    ) -> None:
        super().__init__()
        series_key(symbol)  # raises for what cannot name a series
        self.symbol = symbol
        self.interval = Interval.of(interval)
        self._name = self.p.name or f"{symbol} {self.interval}"
        self._dataname = self._name
        self._take_timeframe()
        self.integrity: Integrity = policy_of(integrity)
        self._columns: Mapping[str, array[float]] = {}
        self._digest: str | None = None
        self.exchange: str | None = None
        within = range_of(start_ms, end_ms)
        self._live = _live_of(source)
        if isinstance(source, Shelf) and source.settings is not None:
            self.exchange = source.settings.exchange
        if self._live is None:
            candles = self._candles(source, within)
            self.frame, self.read = candles.played, candles.read
            return
        if within.end_ms is not None:
            raise ConfigError(f"end_ms {within.end_ms}: live candles have no end; todate has")
        self.start_ms = within.start_ms
        self.first_ms = within.start_ms or 0
        self.key = key_of(symbol, self.interval.name)
        self._live.join(self)

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        symbol: str,
        interval: str | Interval,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        integrity: Integrity = "raise",
        **params: Any,
    ) -> Self:
        """Return the feed of what the settings' store has; raises what the class does.

        Holes that the venue is known to have itself are no fault.
        """
        return cls(
            Shelf.of(settings),
            symbol,
            interval,
            start_ms=start_ms,
            end_ms=end_ms,
            integrity=integrity,
            **params,
        )

    @property
    def digest(self) -> str:
        """The `velas.frames.digest` of the candles as they were read, all that are in the range.

        Those that are played are `frame`; with ``drop`` it may have fewer.
        """
        if self._digest is None:
            self._digest = frames.digest(self.read)
        return self._digest

    def islive(self) -> bool:
        """Whether the candles are live: then cerebro asks for each, again and again."""
        return self._live is not None

    def haslivedata(self) -> bool:
        """Whether there are candles that were not asked for yet."""
        return self._live is not None and self._live.has_data(self)

    def setenvironment(self, env: Any) -> None:
        """Take part in a cerebro; live, be stopped with its run."""
        super().setenvironment(env)
        if self._live is not None:
            self._live.guard(env)

    def get_notifications(self) -> list[Any]:
        """Return what `notify_data` is to be told."""
        if self._live is not None and self._is_running:
            self._tell_states(self._live)
        notifications: list[Any] = super().get_notifications()
        return notifications

    def stop(self) -> None:
        """End with the run."""
        super().stop()
        self._is_running = False
        if self._live is not None:
            self._live.stop()

    def start(self) -> None:
        """Begin with the first bar."""
        super().start()
        if not isinstance(self._env.p.tz, int):  # one of a data's number
            self._env.p.tz = zone_of(self._env.p.tz)
        if self._live is not None:
            self._laststatus = self.UNKNOWN
            self._qcheck = self.p.qcheck  # the old way of cerebro does not set it
            self._live.begin(self._env)
            self._is_running = True
            return
        if not self._columns:
            columns = columns_of(self.frame, self.interval)
            self._columns = {name: _buffer(one) for name, one in columns.items()}
        self._row = 0
        self._pairs = [
            (getattr(self.lines, name), self._columns[name]) for name in self.getlinealiases()
        ]

    def preload(self) -> None:
        """Fill the lines from arrays, or bar by bar where filters are to see each."""
        if not self._in_bulk():
            super().preload()
            return
        moments = self._columns["datetime"]
        first = bisect_left(moments, self.fromdate)
        end = bisect_right(moments, self.todate)
        for line, column in self._pairs:
            # in front of the first bar index 0 is the last place of the array: no price there
            line.extension = max(1, line.extension)
            line.array = column[first:end]
            line.array.extend([math.nan] * line.extension)
        self._row = len(moments)
        self._last()
        self.home()

    def _load(self) -> bool | None:
        if self._live is not None:
            return self._load_live(self._live)
        row = self._row
        if row >= len(self.frame):
            return False
        for line, column in self._pairs:
            line[0] = column[row]
        self._row = row + 1
        return True

    def _load_live(self, live: LiveCandles) -> bool | None:
        bar = live.next_bar(self, self._qcheck)
        if bar is None:
            if not live.is_over(self):
                return None
            self.put_notification(self.DISCONNECTED)
            return False
        self._tell_states(live)
        self._tell_connected()
        is_newest = bar.newest and live.is_last(bar)
        self.put_notification(self.LIVE if is_newest else self.DELAYED)
        for line, value in zip(self.itersize(), bar.row, strict=True):
            line[0] = value
        return True

    def _tell_states(self, live: LiveCandles) -> None:
        for state in live.states(self):
            if state == "disconnected":
                self.put_notification(self.DISCONNECTED)
            elif state == "delayed":
                self.put_notification(self.DELAYED)
            else:
                self._tell_connected()

    def _tell_connected(self) -> None:
        # a series may be late before it has ever been connected
        if self._laststatus == self.DISCONNECTED or not self._was_connected:
            self._was_connected = True
            self.put_notification(self.CONNECTED)

    def _candles(self, source: object, within: Range) -> Candles:
        series = Series(self.symbol, self.interval)
        if isinstance(source, pd.DataFrame):
            return from_frame(source, series, within, self.integrity)
        if isinstance(source, Shelf):
            return from_shelf(source, series, within, self.integrity)
        if isinstance(source, Store):
            return from_shelf(Shelf(source), series, within, self.integrity)
        raise ConfigError(
            f"source {type(source).__name__}: expected a velas store, a pandas DataFrame, "
            "LiveCandles or a velas.Stream"
        )

    def _in_bulk(self) -> bool:
        return not self._filters and all(
            line.mode == UNBOUNDED and not line.bindings for line, _ in self._pairs
        )

    def _take_timeframe(self) -> None:
        timeframe, compression = timeframe_of(self.interval)
        self.grid = Grid(timeframe, compression, self.interval.name)
        if self.p.timeframe is None:
            self.p.timeframe = timeframe
        if self.p.compression is None:
            self.p.compression = compression
        chosen = Grid(self.p.timeframe, self.p.compression)
        if not chosen.is_like(self.grid):
            raise ConfigError(
                f"{chosen}: candles of {self.interval} are timeframe="
                f"{TimeFrame.TName(timeframe)}, compression={compression}; leave both out "
                "(cerebro.resampledata makes longer ones)"
            )
        zone_of(self.p.tz)
        if self.p.tzinput is not None:
            raise ConfigError(f"tzinput {self.p.tzinput!r}: candles are in UTC; `tz` shows others")


def _live_of(source: object) -> LiveCandles | None:
    if isinstance(source, LiveCandles):
        return source
    return LiveCandles.of_stream(source) if isinstance(source, Stream) else None


def _buffer(values: npt.NDArray[np.float64]) -> array[float]:
    buffer = array("d")
    buffer.frombytes(np.ascontiguousarray(values).view(np.uint8).data)  # one copy, no more
    return buffer
